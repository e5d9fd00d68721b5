"""A block that turns out to be damaged while the store is open: the sentence names the file."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from tests.store.rows import ask, event, log, task
from workbench.errors import StoreError
from workbench.store import Keep, Store
from workbench.store.damage import DamagedFile, of_block
from workbench.store.place import FILE

BLOCKS, BLOCK_BYTES = 12_288, 262_144
SAID = (
    "restore a backup with `workbench store restore BACKUP --force`, which keeps the damaged file"
)


async def damaged(folder: Path) -> None:
    """A store whose lines cannot all be read; opening it reads none of them."""
    noise = random.Random(1)
    async with await Store.open(folder) as store:
        await store.append({"tasks": [task("a")], "task_events": [event("a", 1, "done")]})
        lines = [log("a", number, noise.randbytes(400).hex()) for number in range(3000)]
        await store.append({"task_logs": lines})
    hurt(folder / FILE)


def hurt(path: Path) -> None:
    body = bytearray(path.read_bytes())
    place = BLOCKS + 4 * BLOCK_BYTES + 5000
    body[place : place + 64] = bytes(64)
    path.write_bytes(body)


async def test_it_is_no_full_disk_and_what_is_whole_goes_on(tmp_path: Path) -> None:
    await damaged(tmp_path)
    store = await Store.open(tmp_path, query_memory_mb=512)
    begun = f"{tmp_path}/workbench.duckdb is damaged (Corrupt database file"
    with pytest.raises(DamagedFile) as reading:
        await store.read("task_logs", task_id="a", after=0, limit=10**6)
    with pytest.raises(DamagedFile) as retiring:
        await store.retire(Keep(logs_d=1))
    for said in (str(reading.value), str(retiring.value)):
        assert said.startswith(begun)
        assert SAID in said
    with pytest.raises(StoreError, match="the query met a damaged block") as asking:
        await ask(store, "SELECT max(content) FROM task_logs", fresh=True)
    assert "`workbench store restore BACKUP --force`" in str(asking.value)
    await store.append({"task_events": [event("a", 2, "done")]})
    assert await store.read("all_task_ids", limit=10)
    await store.close()


def test_only_what_names_a_block_is_one(tmp_path: Path) -> None:
    full = duckdb.IOException("IO Error: Could not write file: No space left on device")
    assert of_block(tmp_path / FILE, full) is None
    at = datetime.now(UTC)
    assert of_block(tmp_path / FILE, duckdb.IOException(f"IO Error: at {at}")) is None
