"""A disk that is full: nothing acknowledged is lost, reading goes on, writing resumes by itself.

The disk is a real one, and a preloaded library makes its writes end as those on a full one do:
the first in part, the next not at all.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.shim import Shim, compiler
from workbench.store.owner import Owner
from workbench.store.tables import fingerprints

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(
        compiler() is None, reason="no C compiler for the library that is preloaded"
    ),
]

PRELUDE = """
import asyncio, json, mmap, os, signal, struct, sys
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from workbench.errors import WorkbenchError
from workbench.store import Store
from workbench.store.backup import at_rest, write_backup
from workbench.store.compact import compact
from workbench.store.copies import REUSE_S
from workbench.store.owner import Owner
from workbench.store.status import examine
from tests.store.rows import NOON, ask, log, amounts

folder, told = Path(sys.argv[1]), {}
handle = os.open(os.environ["FAULT_CONTROL"], os.O_RDWR)
control = mmap.mmap(handle, 16)

def disk(full):
    struct.pack_into("@qq", control, 0, 0, full)

def quiet(template, /, **values):
    template.format(**values)

async def refusal(name, doing):
    try:
        await doing
        told[name] = None
    except WorkbenchError as error:
        told[name] = str(error)

def line(n):
    return {"task_logs": [log("a", n, "x" * 2000)]}
"""

LIVE = (
    PRELUDE
    + """
async def main():
    store, acknowledged = await Store.open(folder, query_memory_mb=512), 0
    await store.append({"conversation_entries": [(1, 1, "t", None, "", "{}", NOON, NOON)]})
    for _ in range(50):
        await store.append(line(acknowledged + 1))
        acknowledged += 1
        if acknowledged == 40:
            await ask(store, "SELECT 1", fresh=True)
    full_at = datetime.now(UTC)
    await asyncio.sleep(REUSE_S)  # the copy is as old as copies may be while there is room
    disk(1)
    await refusal("append", store.append(line(-1)))
    await refusal("at once", store.append(line(-2)))
    await refusal("side file", store.write_side_file("results", "t_1", {"x": amounts(1)}, b"{}"))
    told["left"] = sorted(path.name for path in (folder / "results").iterdir())
    await refusal("change", store.change("erase_conversation", conversation_id=1))
    await refusal("query", ask(store, "SELECT 1", fresh=True))
    answer, end = await ask(store, "SELECT count(*) AS n FROM task_logs")
    told["old copy"], told["old"] = answer.to_pylist(), end.as_of < full_at
    told["copies"] = len(list((folder / "query").iterdir()))
    told["read"] = len(await store.read("task_logs", task_id="a", after=0, limit=10**6))
    disk(0)
    while True:
        try:
            await store.append(line(acknowledged + 1))
            acknowledged += 1
            break
        except WorkbenchError:
            await asyncio.sleep(0.05)
    answer, _ = await ask(store, "SELECT count(*) AS n FROM task_logs", fresh=True)
    told["asked"] = answer.to_pylist()
    await store.append(line(acknowledged + 1))
    acknowledged += 1
    disk(1)
    await store.close()  # its checkpoint fails: the log stays
    told["acknowledged"] = acknowledged
    print(json.dumps(told), flush=True)

asyncio.run(main())
"""
)

OFFLINE = (
    PRELUDE
    + """
async def offline(run):
    run()

def back_up():
    with at_rest(folder) as database:
        disk(1)
        write_backup(folder, database, folder.parent / "backup", quiet)

def leave_a_log():
    with Owner(folder, checkpoint=False) as owner:
        owner.connection.execute("INSERT INTO audit VALUES ('a', 'in the log', now())")

def back_up_with_a_log():
    with at_rest(folder):
        pass

def look():
    told["rows"] = examine(folder).tables["audit"].rows

def compact_on_full():
    def full(template, /, **values):
        if template.startswith("writing"):
            disk(1)
    compact(folder, full)

async def main():
    await refusal("backup", offline(back_up))
    disk(0)
    told["left"] = sorted(path.name for path in folder.parent.glob("*backup*"))
    leave_a_log()
    disk(1)
    await refusal("status", offline(look))
    await refusal("with log", offline(back_up_with_a_log))
    disk(0)
    await refusal("compact", offline(compact_on_full))
    disk(0)
    print(json.dumps(told), flush=True)

asyncio.run(main())
"""
)


def run(script: str, shim: Shim, *arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, **shim.environment},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.stdout, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "disk" / "data").mkdir(parents=True)
    return tmp_path / "disk" / "data"


@pytest.fixture
def shim(tmp_path: Path, data: Path) -> Shim:
    return Shim(tmp_path, data.parent)


def test_a_full_disk_loses_nothing_says_what_to_do_and_recovers(data: Path, shim: Shim) -> None:
    told = run(LIVE, shim, str(data))
    refused = "the store takes no writes, because the last one failed ("
    remedy = f"): free space on the disk of {data}; reading goes on, and writing resumes by itself"
    for name in ("append", "at once", "change"):
        assert told[name] is not None, name
        assert told[name].startswith(refused), name
        assert told[name].endswith(remedy), name
    assert "t_1.duckdb could not be written: " in told["side file"]
    assert told["left"] == []
    assert told["query"].startswith(
        f"a query reads a copy of the database, and the disk of {data} "
    )
    assert "has 0 MB free of the " in told["query"]
    assert (told["old copy"], told["old"], told["copies"]) == ([{"n": 40}], True, 1)
    assert told["read"] == 50
    assert told["asked"] == [{"n": 51}]
    with Owner(data) as owner:
        seqs = owner.connection.execute("SELECT seq FROM task_logs ORDER BY seq").fetchall()
    assert [seq for (seq,) in seqs] == list(range(1, told["acknowledged"] + 1))


def test_a_backup_and_a_compaction_on_a_full_disk_change_nothing(data: Path, shim: Shim) -> None:
    with Owner(data) as owner:
        rows = "INSERT INTO audit SELECT range, 'x', now()::TIMESTAMP FROM range(9000)"
        owner.connection.execute(rows)
        wanted = fingerprints(owner.cursor())
    told = run(OFFLINE, shim, str(data))
    backup = data.parent / "backup"
    assert told["backup"].startswith(f"the backup {backup} could not be written: ")
    assert told["left"] == []
    assert (told["status"], told["rows"]) == (None, 9001)
    assert "a backup without it would lack the newest: free space on the disk" in told["with log"]
    assert told["compact"].startswith(f"{data / 'workbench.duckdb'} could not be written anew: ")
    with Owner(data) as owner:
        owner.connection.execute("DELETE FROM audit WHERE detail = 'in the log'")
        assert fingerprints(owner.cursor()) == wanted
