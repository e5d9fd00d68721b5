"""The history of metrics: kept, rolled up, retired, and answered with so many points."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.hub.endpoint import Endpoint
from tests.hub.machine import Machine
from workbench.core.metrics_wire import HistoryWanted
from workbench.hub.connections import Monitoring
from workbench.hub.instants import to_ms
from workbench.hub.metrics_history import MetricsKeeper, Retention
from workbench.store import Store

NOON = datetime(2026, 11, 20, 12, 0)


def rows(metric: str, *, seconds: int, step_s: int = 2, since: datetime = NOON) -> list[Any]:
    """The value of each sample is its second."""
    return [
        (metric, "", float(second), since + timedelta(seconds=second))
        for second in range(0, seconds, step_s)
    ]


def keeper(store: Store, at: datetime, **given: Any) -> MetricsKeeper:
    return MetricsKeeper(store, interval_s=2.0, clock=lambda: at, **given)


def wanted(since: datetime, until: datetime, points: int = 300, **more: Any) -> HistoryWanted:
    return HistoryWanted(
        metrics=["host.cpu"], since=to_ms(since), until=to_ms(until), points=points, **more
    )


async def test_minutes_and_hours_are_made_once_and_hold_low_mean_and_high(tmp_path: Path) -> None:
    async with await Store.open(tmp_path) as store:
        await store.append({"metrics": rows("host.cpu", seconds=7320)})
        at = NOON + timedelta(seconds=7321)
        for _ in range(2):
            await store.change("metrics_roll_up", now=at)
        found = await keeper(store, at).history(wanted(NOON, NOON + timedelta(hours=3), points=1))
        assert found.resolution == "hour"
        found = await keeper(store, at, retention=Retention(raw_h=0.1)).history(
            wanted(NOON, NOON + timedelta(minutes=3))
        )
        (series,) = found.series
        assert found.resolution == "minute"
        assert series.at == [to_ms(NOON) + n * 60_000 for n in range(3)]
        assert (series.low, series.high) == ([0.0, 60.0, 120.0], [58.0, 118.0, 178.0])
        assert series.mean == [29.0, 89.0, 149.0]


async def test_what_is_not_rolled_up_yet_is_taken_from_the_samples(tmp_path: Path) -> None:
    async with await Store.open(tmp_path) as store:
        await store.append({"metrics": rows("host.cpu", seconds=90)})
        at = NOON + timedelta(seconds=90)
        await store.change("metrics_roll_up", now=at)
        found = await keeper(store, at).history(
            wanted(NOON, NOON + timedelta(hours=10), points=500)
        )
        assert (found.resolution, found.step_ms) == ("minute", 120_000)
        assert found.series[0].high == [88.0]


async def test_a_fine_question_is_answered_from_the_samples(tmp_path: Path) -> None:
    async with await Store.open(tmp_path) as store:
        await store.append({"metrics": rows("host.cpu", seconds=60)})
        at = NOON + timedelta(seconds=60)
        found = await keeper(store, at).history(wanted(NOON, at, points=6))
        assert (found.resolution, found.step_ms) == ("raw", 10_000)
        assert found.series[0].mean == [4.0, 14.0, 24.0, 34.0, 44.0, 54.0]


async def test_old_numbers_go_each_in_their_time(tmp_path: Path) -> None:
    async with await Store.open(tmp_path) as store:
        await store.append({"metrics": rows("host.cpu", seconds=7200, step_s=60)})
        await store.change("metrics_roll_up", now=NOON + timedelta(hours=2))
        late = keeper(store, NOON + timedelta(days=2), retention=Retention(minutes_d=1))
        await late.retire()
        found = await late.history(wanted(NOON, NOON + timedelta(days=2)))
        assert found.resolution == "hour"
        assert len(found.series[0].mean) == 2
        again = await late.history(wanted(NOON, NOON + timedelta(seconds=200), points=100))
        assert again.series[0].at == [to_ms(NOON)]


async def test_what_is_measured_can_be_asked_for(tmp_path: Path) -> None:
    async with (
        Endpoint(tmp_path, monitoring=Monitoring(interval_s=0.5)).serving() as endpoint,
        endpoint.peer() as peer,
    ):
        await peer.ask("monitoring:subscribe", {"intervalMs": 500})
        for _ in range(3):
            await peer.hear()
        await peer.say("monitoring:unsubscribe")
        heard = await peer.ask(
            "metrics:history", {"metrics": ["host.memory_used_pct"]}, requestId=7
        )
        while heard["type"] != "metrics:history":
            heard = await peer.hear()
        (series,) = heard["data"]["series"]
        assert series["metric"] == "host.memory_used_pct"
        assert all(0 < value < 100 for value in series["mean"])
        assert heard["requestId"] == 7


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"metrics": ["gpu.utilisation"]}, "data.metrics[0] is 'gpu.utilisation'; allowed: one of"),
        ({"metrics": []}, "data.metrics is []"),
        ({"metrics": ["host.cpu"], "points": 0}, "data.points is 0"),
        ({"metrics": ["host.cpu"], "until": 2**53}, "data.until is 9007199254740992"),
        ({"metrics": ["host.cpu"], "since": 5, "until": 5}, "data.since is 5; allowed: an instant"),
    ],
)
async def test_a_faulty_question_is_refused_with_its_field(
    endpoint: Endpoint, data: dict[str, Any], said: str
) -> None:
    async with endpoint.peer() as peer:
        heard = await peer.ask("metrics:history", data)
        assert heard["data"]["code"] == "invalid"
        assert heard["data"]["message"].startswith(said)


async def test_all_of_time_can_be_asked_for(endpoint: Endpoint) -> None:
    ever = {"metrics": ["host.cpu"], "since": 0, "until": 253_402_300_799_000, "points": 1}
    async with endpoint.peer("view") as peer:
        assert (await peer.ask("metrics:history", ever))["data"]["resolution"] == "hour"


class Slow:
    """A store that writes when it is let; every other call is the real one's."""

    def __init__(self, store: Store) -> None:
        self.read, self.change = store.read, store.change
        self._store = store
        self.writes, self.let = asyncio.Event(), asyncio.Event()

    def append(self, rows: Mapping[str, Sequence[tuple[Any, ...]]]) -> asyncio.Future[None]:
        return asyncio.ensure_future(self._append(rows))

    async def _append(self, rows: Mapping[str, Sequence[tuple[Any, ...]]]) -> None:
        self.writes.set()
        await self.let.wait()
        await self._store.append(rows)


async def test_what_is_just_being_written_is_in_the_answer(tmp_path: Path) -> None:
    async with await Store.open(tmp_path) as store:
        slow = Slow(store)
        history = MetricsKeeper(slow, interval_s=2.0)
        history.take(await Machine(tmp_path).read(), at=0.0)
        writing = asyncio.create_task(history.flush())
        await slow.writes.wait()
        asked = asyncio.create_task(
            history.history(HistoryWanted(metrics=["host.memory_used_pct"]))
        )
        await asyncio.sleep(0)
        slow.let.set()
        assert len((await asked).series) == 1
        await writing
