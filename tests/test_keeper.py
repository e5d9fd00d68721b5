"""The keeper: a dead cluster comes back, retries wait for it, and a waiting job can be ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest

from workbench.core.job import Cancelled, Done, Event, Job, Lost, Outcome, WorkerReport
from workbench.keeper import Keeper, is_retry

DONE = Done(document=b"{}", tables={}, figures=b"[]", batch=None, elapsed_ms=1, device="cpu")


class FakeEngine:
    """Loses everything while its cluster is away; comes back after some restarts."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()
        self.failures = 0
        self.restarts = 0
        self.runs: list[str] = []
        self.lingers_s = 0.0

    @property
    def slots(self) -> int:
        return 2

    async def start(self) -> None:
        self.closed.clear()

    async def stop(self) -> None:
        self.closed.set()

    async def restart(self) -> None:
        self.restarts += 1
        if self.restarts <= self.failures:
            raise OSError("nobody answers")
        self.closed.clear()

    async def run(self, job: Job, on_event: Callable[[Event], None]) -> Outcome:
        self.runs.append(job.key)
        return Lost("the cluster is away") if self.closed.is_set() else DONE

    async def cancel(self, key: str) -> None:
        self.runs.append(f"cancel {key}")

    def pids(self) -> dict[tuple[str, int], str]:
        return {("", 7): "t.1"}

    async def on_workers(self, function: Callable[[], object]) -> list[WorkerReport]:
        return [WorkerReport(address="tcp://x:1", host="x", value=function(), pids={})]


def job(key: str) -> Job:
    return Job(key=key, target="m:f", parameters={}, inputs={}, timeout_s=1, seed=1)


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    yield FakeEngine()


@pytest.fixture
async def keeper(engine: FakeEngine) -> AsyncIterator[Keeper]:
    keeper = Keeper(engine, retry_s=0.05, restart_s=(0.0, 0.05))
    await keeper.start()
    yield keeper
    await keeper.stop()


async def test_a_dead_cluster_is_tried_until_it_is_back(keeper: Keeper, engine: FakeEngine) -> None:
    engine.failures = 3
    engine.closed.set()
    await asyncio.sleep(0)
    assert keeper.slots == 0
    async with asyncio.timeout(30):
        assert await keeper.run(job("t.1"), print) == DONE
    assert engine.restarts == 4
    assert keeper.slots == 2


async def test_a_first_attempt_does_not_wait(engine: FakeEngine) -> None:
    keeper = Keeper(engine, retry_s=600.0)
    await keeper.start()
    try:
        assert await keeper.run(job("t.1"), print) == DONE
    finally:
        await keeper.stop()


async def test_a_retry_waits_until_the_engine_has_looked(
    keeper: Keeper, engine: FakeEngine
) -> None:
    retry = asyncio.create_task(keeper.run(job("t.2"), print))
    await asyncio.sleep(0)
    assert engine.runs == []
    engine.closed.set()
    assert await retry == DONE
    assert engine.restarts == 1


async def test_a_retry_waits_until_nothing_of_an_earlier_life_can_run(
    engine: FakeEngine,
) -> None:
    engine.lingers_s = 600.0
    keeper = Keeper(engine, retry_s=0.0)
    await keeper.start()
    retry = asyncio.create_task(keeper.run(job("t.2"), print))
    assert await keeper.run(job("t.1"), print) == DONE
    assert engine.runs == ["t.1"]
    retry.cancel()
    await keeper.stop()
    engine.lingers_s = 0.3
    keeper = Keeper(engine, retry_s=0.0)
    started = time.monotonic()
    await keeper.start()
    try:
        assert await keeper.run(job("t.2"), print) == DONE
        assert time.monotonic() - started >= 0.3
    finally:
        await keeper.stop()


async def test_a_job_that_waits_can_be_cancelled(keeper: Keeper, engine: FakeEngine) -> None:
    retry = asyncio.create_task(keeper.run(job("t.2"), print))
    await asyncio.sleep(0)
    await keeper.cancel("t.2")
    assert await retry == Cancelled()
    assert engine.runs == []


async def test_a_job_that_runs_is_cancelled_by_the_engine(
    keeper: Keeper, engine: FakeEngine
) -> None:
    await keeper.cancel("t.1")
    assert engine.runs == ["cancel t.1"]


async def test_what_runs_where_is_the_engines_word_and_nobody_is_asked_while_it_is_away(
    keeper: Keeper, engine: FakeEngine
) -> None:
    assert keeper.pids() == {("", 7): "t.1"}
    (report,) = await keeper.on_workers(lambda: "read")
    assert (report.host, report.value) == ("x", "read")
    engine.failures = 1000
    engine.closed.set()
    await asyncio.sleep(0)
    assert keeper.slots == 0
    assert await keeper.on_workers(lambda: "read") == []


@pytest.mark.parametrize(("key", "retry"), [("a.b.1", False), ("a.1.2", True), ("a.11", True)])
def test_the_attempt_is_the_last_part_of_the_key(key: str, retry: bool) -> None:
    assert is_retry(key) is retry
