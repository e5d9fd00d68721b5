"""Group commit: several tables at once, all or none, and one bad append fails alone."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone

import pytest

from tests.store.rows import event, log, metric, task
from workbench.errors import StoreError
from workbench.store import Store
from workbench.store import writer as writing
from workbench.store.waiting import BACKLOG_ROWS


async def test_rows_of_several_tables_are_written_together_or_not_at_all(store: Store) -> None:
    no_content_hash = (*task("b")[:-2], None, task("b")[-1])
    with pytest.raises(StoreError, match="the store could not write: Constraint Error: NOT NULL"):
        await store.append({"task_events": [event("b", 1, "accepted")], "tasks": [no_content_hash]})
    assert await store.read("task_events", task_id="b", after=0) == []


async def test_one_bad_append_does_not_fail_its_neighbours(store: Store) -> None:
    good = [store.append({"metrics": [metric(n)]}) for n in range(50)]
    bad = store.append({"metrics": [("cpu", "", "not a number", None)]})
    short = store.append({"metrics": [("cpu",)]})
    nowhere = store.append({"no_such_table": [(1,)]})
    good += [store.append({"metrics": [metric(n)]}) for n in range(50)]
    await asyncio.gather(*good)
    for failing, words in ((bad, "not a number"), (short, "4 columns"), (nowhere, "no_such_table")):
        with pytest.raises(StoreError, match=words):
            await failing
    await store.append({"metrics": [metric(0)]})


async def test_a_failed_append_leaves_nothing_for_the_next_one(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.append({"task_logs": [log("a", 1, "kept out"), ("a", None)]})
    await store.append({"task_logs": [log("a", 2, "kept")]})
    lines = await store.read("task_logs", task_id="a", after=0, limit=10)
    assert [line["content"] for line in lines] == ["kept"]


async def test_appends_are_durable_in_the_order_of_their_calls(store: Store) -> None:
    done: list[int] = []
    futures = [store.append({"task_logs": [log("a", n, "x")]}) for n in range(300)]
    for n, future in enumerate(futures):
        future.add_done_callback(lambda _, n=n: done.append(n))
    await asyncio.gather(*futures)
    assert done == sorted(done)


async def test_instants_with_a_zone_are_kept_as_utc(store: Store) -> None:
    elsewhere = datetime(2026, 1, 1, 9, 30, tzinfo=timezone(timedelta(hours=-3)))
    await store.append({"task_events": [("a", 1, 1, "accepted", "{}", elsewhere)]})
    (row,) = await store.read("task_events", task_id="a", after=0)
    assert row["recorded_at"] == datetime(2026, 1, 1, 12, 30)


async def test_an_append_cancelled_by_its_caller_harms_nobody(store: Store) -> None:
    cancelled = store.append({"metrics": [metric(1)]})
    cancelled.cancel()
    await store.append({"metrics": [metric(2)]})


async def test_a_backlog_beyond_the_limit_is_refused(store: Store) -> None:
    rows = [metric(0)] * (BACKLOG_ROWS + 1)
    with pytest.raises(StoreError) as refused:
        await store.append({"metrics": rows})
    assert str(refused.value) == (
        "500001 rows would wait to be written, and 500000 may: send less at a time"
    )


async def test_the_log_is_brought_into_the_file_as_it_grows(store: Store) -> None:
    wal = store.folder / "workbench.duckdb.wal"
    for _ in range(6):
        await store.append({"task_logs": [log("a", n, "x" * 4000) for n in range(1000)]})
    await store.append({"metrics": [metric(0)]})  # after the checkpoint that was due
    assert wal.stat().st_size < writing.CHECKPOINT_BYTES
