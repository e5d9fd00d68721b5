"""The database written anew: smaller, equal, and whole whenever it is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.store.rows import NOON, task
from workbench.errors import StoreError
from workbench.store.compact import FRESH, compact, sweep
from workbench.store.owner import Owner
from workbench.store.place import FILE
from workbench.store.tables import fingerprints

ROUNDS = 40 if os.environ.get("HYPOTHESIS_PROFILE") == "search" else 2
COMPACT = """
import sys
from pathlib import Path
from workbench.store.compact import compact
print("begun", flush=True)
compact(Path(sys.argv[1]), lambda *_, **__: None)
"""


def quiet(template: str, /, **values: object) -> None:
    template.format(**values)


def filled(folder: Path, lines: int) -> dict[str, tuple[int, int]]:
    """A store with a log of which most was deleted; what is left in it."""
    with Owner(folder) as owner:
        connection = owner.connection
        connection.executemany(
            "INSERT INTO tasks VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)",
            [(*task(f"t{n}")[:-1], NOON.replace(tzinfo=None)) for n in range(20)],
        )
        connection.execute(
            "INSERT INTO task_logs SELECT 't1', range, 1, 'info', repeat(md5(range::VARCHAR), 8), "
            "NULL, NULL, TIMESTAMP '2026-01-01' FROM range(?)",
            [lines],
        )
        owner.checkpoint()
        connection.execute("DELETE FROM task_logs WHERE seq > 100")
        owner.checkpoint()
        return fingerprints(owner.cursor())


def left(folder: Path) -> dict[str, tuple[int, int]]:
    with Owner(folder) as owner:
        return fingerprints(owner.cursor())


def test_it_is_smaller_and_every_table_is_equal(tmp_path: Path) -> None:
    wanted = filled(tmp_path, 8_000)
    done = compact(tmp_path, quiet)
    assert done.bytes_after < done.bytes_before / 2
    assert done.bytes_after == (tmp_path / FILE).stat().st_size
    assert left(tmp_path) == wanted
    assert not list(tmp_path.glob(f"{FRESH}*"))
    with Owner(tmp_path) as owner:  # views, macros and the format came along
        cursor = owner.cursor()
        assert cursor.execute("SELECT count(*) FROM task_history").fetchall() == [(20,)]
        assert cursor.execute("SELECT amount(1, 2)").fetchall() == [(2**64 + 2,)]
        version = "SELECT tags['storage_version'] FROM duckdb_databases() WHERE path LIKE '%duckdb'"
        ((found,),) = cursor.execute(version).fetchall()
        assert found.startswith("v1.5.0")


def test_a_store_of_a_running_hub_is_refused(tmp_path: Path) -> None:
    with Owner(tmp_path), pytest.raises(StoreError, match="is open in another process"):
        compact(tmp_path, quiet)


@pytest.mark.faults
def test_killed_at_any_moment_it_leaves_a_store_that_opens(tmp_path: Path) -> None:
    """The moments are spread over what a whole run takes."""
    wanted = filled(tmp_path, 20_000)
    took_s = run_and_kill(tmp_path, None)
    source = random.Random(11)
    for _ in range(ROUNDS):
        run_and_kill(tmp_path, source.random() * took_s)
        assert (tmp_path / FILE).exists()
        assert left(tmp_path) == wanted
    sweep(tmp_path)
    assert not list(tmp_path.glob(f"{FRESH}*"))


def run_and_kill(folder: Path, after_s: float | None) -> float:
    """Seconds from its beginning to its end."""
    process = subprocess.Popen(
        [sys.executable, "-c", COMPACT, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()
    began = time.monotonic()
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return time.monotonic() - began


def test_what_it_deletes_first_is_gone(tmp_path: Path) -> None:
    filled(tmp_path, 200)

    def first(owner: Owner) -> None:
        owner.connection.execute("DELETE FROM task_logs")

    compact(tmp_path, quiet, first=first)
    assert left(tmp_path)["task_logs"] == (0, 0)
