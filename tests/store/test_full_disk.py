"""A disk that is full: nothing acknowledged is lost, reading goes on, writing resumes.

A bound on the size of files stands in for the disk: writes beyond it fail as they do when
no space is left, at the same calls.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.store.owner import Owner

FILL = """
import asyncio, json, resource, sys
from pathlib import Path
from workbench.errors import StoreError
from workbench.store import Store
from tests.store.rows import log

async def main():
    store = await Store.open(Path(sys.argv[1]))
    acknowledged = 0
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, resource.RLIM_INFINITY))
    told = None
    while told is None:
        try:
            await store.append({"task_logs": [log("a", acknowledged + 1, "x" * 2000)]})
            acknowledged += 1
        except StoreError as error:
            told = error
    try:
        await store.append({"task_logs": [log("a", -1, "refused at once")]})
        again = None
    except StoreError as error:
        again = str(error)
    read = len(await store.read("task_logs", task_id="a", after=0, limit=10**6))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    resumed = False
    while not resumed:
        try:
            await store.append({"task_logs": [log("b", 1, "after")]})
            resumed = True
        except StoreError:
            await asyncio.sleep(0.05)
    print(json.dumps({"acknowledged": acknowledged, "told": told.template, "again": again,
                      "read": read}))
    sys.stdout.flush()
    import os, signal
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


@pytest.mark.faults
def test_a_full_disk_loses_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILL, str(tmp_path)], capture_output=True, text=True, timeout=100
    )
    assert done.stdout, done.stderr
    told = json.loads(done.stdout)
    assert told["acknowledged"] > 100
    assert told["read"] >= told["acknowledged"]
    assert told["told"] == (
        "the store takes no writes, because the last one failed ({reason}): free space on the "
        "disk of {folder}; reading goes on, and writing resumes by itself"
    )
    assert told["again"].startswith("the store takes no writes, because the last one failed (")
    with Owner(tmp_path) as owner:
        seqs = owner.connection.execute("SELECT seq FROM task_logs WHERE task_id = 'a'").fetchall()
        after = owner.connection.execute("SELECT seq FROM task_logs WHERE task_id = 'b'").fetchall()
    assert {seq for (seq,) in seqs} >= set(range(1, told["acknowledged"] + 1))
    assert after == [(1,)]
