"""The fence holds without any of DuckDB's own settings."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

PRELUDE = """
import os, socket, sys
import duckdb
from workbench.store.fence import forbid_writing, limit_memory
folder = sys.argv[1]
connection = duckdb.connect()
connection.execute(f"ATTACH '{folder}/side.duckdb' AS side (READ_ONLY)")
assert forbid_writing()
def refused(run):
    try:
        run()
    except (OSError, duckdb.Error) as error:
        return "ermission denied" in str(error)
    return False
"""
ATTEMPTS = [
    "open(f'{folder}/new', 'w')",
    "open(f'{folder}/side.duckdb', 'r+b')",
    "os.truncate(f'{folder}/side.duckdb', 0)",
    "os.unlink(f'{folder}/side.duckdb')",
    "os.rename(f'{folder}/side.duckdb', f'{folder}/away')",
    "os.mkdir(f'{folder}/new')",
    "os.chmod(f'{folder}/side.duckdb', 0o777)",
    "socket.socket()",
    "os.execv('/bin/true', ['true'])",
    "connection.execute(f\"COPY (SELECT 1) TO '{folder}/side.duckdb.wal' (FORMAT csv)\")",
    "connection.execute(f\"WITH x AS (COPY side.t TO '{folder}/side.duckdb' "
    '(FORMAT csv, USE_TMP_FILE false)) FROM x")',
]

linux_only = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"),
    reason="seccomp is Linux's",
)


def run(folder: Path, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + code, str(folder)], capture_output=True, text=True
    )
    return done.stdout + done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    import duckdb

    with duckdb.connect(str(tmp_path / "side.duckdb")) as side:
        side.execute("CREATE TABLE t AS SELECT 7 AS x")
    return tmp_path


@linux_only
def test_writing_removing_reaching_out_and_starting_are_refused(folder: Path) -> None:
    before = (folder / "side.duckdb").read_bytes()
    code = "".join(f"print(refused(lambda: {attempt}))\n" for attempt in ATTEMPTS)
    assert run(folder, code).split() == ["True"] * len(ATTEMPTS)
    assert [path.name for path in folder.iterdir()] == ["side.duckdb"]
    assert (folder / "side.duckdb").read_bytes() == before


@linux_only
def test_reading_and_threads_still_work(folder: Path) -> None:
    code = "print(connection.execute('SELECT x + count(*) FROM side.t, range(9) GROUP BY x')"
    assert run(folder, code + ".fetchall())").strip() == "[(16,)]"


@linux_only
def test_memory_is_bounded(folder: Path) -> None:
    code = """
limit_memory(64)
try:
    bytearray(256 * 1024 * 1024)
except MemoryError:
    print("bounded")
"""
    assert run(folder, code).strip() == "bounded"
