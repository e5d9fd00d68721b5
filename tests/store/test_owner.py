"""One process owns a data folder, and a kill takes nothing that was acknowledged."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.store.rows import log, metric
from workbench.errors import StoreError
from workbench.store import Store
from workbench.store.owner import Owner
from workbench.store.place import FILE
from workbench.store.wal import checksum
from workbench.store.writer import Writer

WRITER = """
import asyncio, sys
from pathlib import Path
from workbench.store import Store
from tests.store.rows import event, log, task

async def main():
    store = await Store.open(Path(sys.argv[1]))
    async def one(n):
        name = f"t{n}"
        await store.append({"tasks": [task(name)], "task_events": [event(name, 1, "accepted")]})
        await store.append({"task_logs": [log(name, 2, "x" * 200)]})
        print(name, flush=True)
    for n in range(0, 10**6, 20):
        await asyncio.gather(*(one(n + k) for k in range(20)))

asyncio.run(main())
"""


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_everything_acknowledged_is_there_after_kill_9(tmp_path: Path, seed: int) -> None:
    writer = start(tmp_path)
    assert writer.stdout is not None
    acknowledged = [
        writer.stdout.readline().strip() for _ in range(random.Random(seed).randrange(50, 900))
    ]
    writer.send_signal(signal.SIGKILL)
    acknowledged += writer.stdout.read().split("\n")[:-1]
    writer.stdout.close()
    writer.wait()
    async with await Store.open(tmp_path) as store:
        found = {row["task_id"] for row in await store.read("all_task_ids", limit=10**9)}
        events = await store.read("tasks_open")
        logs = {name: await store.read("task_logs", task_id=name, after=0, limit=9)
                for name in acknowledged[-5:]}  # fmt: skip
    assert set(acknowledged) <= found
    assert {row["kind"] for row in events} == {"accepted"}  # no task without its event
    assert all(len(lines) == 1 for lines in logs.values())


async def test_a_second_owner_is_refused_with_the_pid_of_the_first(tmp_path: Path) -> None:
    writer = start(tmp_path)
    assert writer.stdout is not None
    writer.stdout.readline()
    try:
        with pytest.raises(StoreError) as refused:
            await Store.open(tmp_path)
    finally:
        writer.kill()
        writer.stdout.close()
        writer.wait()
    assert str(refused.value) == (
        f"{tmp_path}/workbench.duckdb is open in another process (PID {writer.pid}): ask its hub "
        "with workbench.connect(), or stop it"
    )


async def test_the_same_process_cannot_open_it_twice_either(store: Store) -> None:
    with pytest.raises(StoreError, match=f"PID {os.getpid()}"):
        await Store.open(store.folder)


async def test_rows_survive_a_close_and_the_folder_is_free_again(tmp_path: Path) -> None:
    for _ in range(2):
        async with await Store.open(tmp_path) as store:
            await store.append({"metrics": [metric(1.5)]})
    async with await Store.open(tmp_path) as store:
        copied = [row async for row in store.query("SELECT count(*) FROM metrics")]
    assert copied
    assert not (tmp_path / "workbench.duckdb.wal").exists()


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()
    with pytest.raises(StoreError, match="the store is closed: open it again"):
        await store.append({"metrics": [metric(1)]})
    with pytest.raises(StoreError, match="the store is closed: open it again"):
        await store.read("tasks_open")


async def test_closing_waits_for_what_was_appended(tmp_path: Path) -> None:
    store = await Store.open(tmp_path)
    appended = [store.append({"metrics": [metric(n)]}) for n in range(500)]
    await store.close()
    await asyncio.gather(*appended)


async def test_the_format_is_the_one_that_duckdb_1_5_reads(store: Store) -> None:
    from tests.store.rows import rows

    (found,) = await rows(
        store, "SELECT tags['storage_version'] AS version FROM duckdb_databases() "
        "WHERE database_name = 'workbench'"
    )  # fmt: skip
    assert found["version"].startswith("v1.5.0")


def test_a_file_of_a_newer_duckdb_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with Owner(tmp_path):
        pass
    path = tmp_path / FILE
    body = bytearray(path.read_bytes())
    struct.pack_into("<Q", body, 12, 999)  # the version of the format, in the file's first block
    struct.pack_into("<Q", body, 0, checksum(bytes(body[8:4096])))
    path.write_bytes(bytes(body))
    with pytest.raises(StoreError) as refused:
        Owner(tmp_path)
    assert str(refused.value).startswith(f"{path} was written by a newer DuckDB than 2.")
    assert str(refused.value).endswith("update the workbench, or use another data folder")
    assert path.read_bytes() == bytes(body)


def test_blocks_that_were_written_are_let_go_where_nobody_reads(tmp_path: Path) -> None:
    with Owner(tmp_path) as owner:
        before, limit = _held(owner), _limit(owner)
        owner.connection.execute(
            "INSERT INTO task_logs SELECT 't', n, 1, 'info', md5(n::VARCHAR), NULL, NULL, "
            "TIMESTAMP '2026-01-01' FROM range(200_000) AS r(n)"
        )
        owner.checkpoint()
        held = _held(owner)
        assert held > before + 1_500_000
        with owner.reading() as reader:
            assert not owner.let_go()
            assert reader.execute("SELECT count(*) FROM task_logs").fetchall() == [(200_000,)]
        assert owner.let_go()
        assert _held(owner) < (before + held) / 2
        with owner.reading() as reader:  # and come back when somebody asks, with all the memory
            (found,) = reader.execute("SELECT count(DISTINCT content) FROM task_logs").fetchall()
            assert found == (200_000,)
        assert _limit(owner) == limit


async def test_what_a_checkpoint_wrote_is_not_kept_in_memory(tmp_path: Path) -> None:
    with Owner(tmp_path) as owner:
        before, writer, made = _held(owner), Writer(owner), random.Random(1)
        try:
            lines = [log("t", n, made.randbytes(2000).hex()) for n in range(2500)]
            await writer.append({"task_logs": lines})
            held = await writer.call(lambda: _held(owner))
        finally:
            writer.close()
        assert owner.file_bytes() > 5_000_000
        assert held < before + 1_500_000


def _held(owner: Owner) -> int:
    """Bytes of the file's blocks in memory."""
    asked = "SELECT sum(memory_usage_bytes) FROM duckdb_memory() WHERE tag = 'BASE_TABLE'"
    ((found,),) = owner.connection.execute(asked).fetchall()
    return int(found)


def _limit(owner: Owner) -> str:
    ((found,),) = owner.connection.execute("SELECT current_setting('memory_limit')").fetchall()
    return str(found)
