"""Every answer says of when it is, and is complete up to then."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.store.rows import ask, event, metric, rows
from workbench.store import Store
from workbench.store import copies as copying


async def test_as_of_lies_between_the_question_and_the_answer(store: Store) -> None:
    before = datetime.now(UTC)
    _, end = await ask(store, "SELECT 1 AS v", fresh=True)
    assert before <= end.as_of <= datetime.now(UTC)


async def test_a_fresh_query_sees_every_acknowledged_row(store: Store) -> None:
    for count in range(1, 6):
        await store.append({"metrics": [metric(count)]})
        found = await rows(store, "SELECT count(*) AS n FROM metrics", fresh=True)
        assert found == [{"n": count}]


async def test_a_copy_is_used_again_for_a_while(store: Store) -> None:
    await store.append({"metrics": [metric(1)]})
    _, first = await ask(store, "SELECT 1 AS v")
    await store.append({"metrics": [metric(2)]})
    answer, second = await ask(store, "SELECT count(*) AS n FROM metrics")
    if second.as_of - first.as_of < timedelta(seconds=copying.REUSE_S):
        assert second.as_of == first.as_of
        assert answer.to_pylist() == [{"n": 1}]


async def test_unchanged_data_is_not_copied_again(store: Store) -> None:
    await store.append({"metrics": [metric(1)]})
    _, first = await ask(store, "SELECT 1 AS v", fresh=True)
    made = sorted(path.name for path in (store.folder / "query").iterdir())
    _, second = await ask(store, "SELECT 1 AS v", fresh=True)
    assert second.as_of > first.as_of
    assert sorted(path.name for path in (store.folder / "query").iterdir()) == made


async def test_old_copies_are_removed_and_nobody_else_may_read_them(store: Store) -> None:
    for count in range(4):
        await store.append({"metrics": [metric(count)]})
        await ask(store, "SELECT 1 AS v", fresh=True)
    (only,) = (store.folder / "query").iterdir()
    assert only.stat().st_mode & 0o077 == 0
    assert (store.folder / "query").stat().st_mode & 0o077 == 0
    await store.close()
    assert not (store.folder / "query").exists()


async def test_a_query_cancelled_while_it_copies_does_not_hold_the_writer(store: Store) -> None:
    await store.append({"metrics": [metric(1)]})
    for _ in range(5):
        asked = asyncio.ensure_future(ask(store, "SELECT 1 AS v", fresh=True))
        await store.append({"metrics": [metric(2)]})
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    found = await rows(store, "SELECT count(*) AS n FROM metrics", fresh=True)
    assert found == [{"n": 6}]
    assert not store._writer.held


@pytest.mark.faults
async def test_a_query_while_10_000_events_a_second_are_written_is_right(store: Store) -> None:
    acknowledged = 0
    stop = asyncio.Event()

    async def write() -> None:
        nonlocal acknowledged
        loop, began, sent = asyncio.get_running_loop(), asyncio.get_running_loop().time(), 0
        while not stop.is_set():
            due = int((loop.time() - began) * 10_000)
            events = [event("t", n + 1, "running") for n in range(sent, due)]
            if events:
                await store.append({"task_events": events})
                sent = acknowledged = due
            await asyncio.sleep(0)

    writing = asyncio.ensure_future(write())
    try:
        for _ in range(4):
            known = acknowledged
            answer, end = await ask(
                store,
                "SELECT count(*) AS n, max(seq) AS last, sum(seq)::BIGINT AS total "
                "FROM task_events",
                fresh=True,
            )
            (row,) = answer.to_pylist()
            assert row["n"] >= known
            assert row["n"] == (row["last"] or 0)  # no gap, nothing twice
            assert (row["total"] or 0) == row["n"] * (row["n"] + 1) // 2
            assert end.as_of <= datetime.now(UTC)
    finally:
        stop.set()
        await writing
    assert acknowledged > 1000
