"""The history of metrics: samples as they come, rolled up to minutes and hours, and asked for."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from workbench.core.hub_wire import message
from workbench.core.metrics import CATALOGUE, Key, Sample, values
from workbench.core.metrics_wire import (
    SERIES_LIMIT,
    History,
    HistoryWanted,
    MetricsHistory,
    Resolution,
    Series,
)
from workbench.errors import InputError, WorkbenchError
from workbench.hub.chat_rows import Journal
from workbench.hub.instants import from_ms, now, to_ms
from workbench.listener import Connection

GATHERED_S = 10.0
"""Samples are written together: a commit each two seconds would wear a disk for nothing."""
GATHERED_ROWS = 20_000
ROLL_UP_S = 60.0
RETIRE_S = 3600.0
STEP_MS: dict[Resolution, int] = {"raw": 1000, "minute": 60_000, "hour": 3_600_000}
HOUR_MS = 3_600_000

log = logging.getLogger("workbench.hub")


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How long what is kept: samples in hours, minutes and hours in days; None: for ever."""

    raw_h: float = 24.0
    minutes_d: float = 30.0
    hours_d: float | None = None


class MetricsKeeper:
    """Keeps samples and answers questions about them. For one event loop.

    `keeping` off keeps nothing more; what was kept can still be asked for.
    """

    def __init__(
        self,
        journal: Journal,
        *,
        interval_s: float,
        retention: Retention | None = None,
        keeping: bool = True,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._journal, self._interval_s, self._clock = journal, interval_s, clock
        self._retention, self._keeping = retention or Retention(), keeping
        self._rows: list[tuple[Any, ...]] = []
        self._due = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()

    @property
    def interval_ms(self) -> int:
        """The distance of two kept samples."""
        return round(self._interval_s * 1000)

    def start(self) -> None:
        """Begin to write and to roll up."""
        if self._keeping:
            self._task = asyncio.create_task(self._work())

    def take(self, sample: Sample, at: float) -> None:
        """Keep a sample, unless one was kept less than an interval ago: a follower may want
        them faster than history does."""
        if not self._keeping or at < self._due - self._interval_s / 2:
            return
        self._due = max(self._due + self._interval_s, at)
        taken_at = from_ms(sample.taken_at)
        if len(self._rows) < GATHERED_ROWS:  # a disk that is full for long costs no memory
            self._rows += [(*key, value, taken_at) for key, value in values(sample).items()]

    async def flush(self) -> None:
        """Write what was gathered; what another call writes just now is written too, after it.
        Where the disk is full, it is tried again later."""
        async with self._writing:
            rows, self._rows = self._rows, []
            if not rows:
                return
            try:
                await self._journal.append({"metrics": rows})
            except WorkbenchError as error:
                log.warning("metrics.unsaved rows=%d reason=%s", len(rows), error)
                self._rows = [*rows, *self._rows][:GATHERED_ROWS]

    async def close(self) -> None:
        """Write the last samples."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self.flush()

    async def answer(self, connection: Connection, request: MetricsHistory) -> None:
        """`metrics:history`."""
        found = await self.history(request.data)
        connection.send(message("metrics:history", msgspec.to_builtins(found), request.request_id))

    async def history(self, wanted: HistoryWanted) -> History:
        """Series of at most `points` steps, of the coarsest kept numbers that are fine enough."""
        _check(wanted)
        await self.flush()
        now_ms = to_ms(self._clock())
        until = now_ms if wanted.until is None else wanted.until
        since = until - HOUR_MS if wanted.since is None else wanted.since
        if since >= until:
            raise InputError.field("data.since", since, f"an instant before until ({until})")
        resolution, step_ms = self._resolution(since, until, wanted.points, now_ms)
        rows = await self._journal.read(
            "metrics_series",
            resolution=resolution,
            metrics=wanted.metrics,
            subjects=wanted.subjects,
            since=from_ms(since),
            until=from_ms(until),
            step_ms=step_ms,
        )
        return History(
            resolution=resolution,
            step_ms=step_ms,
            since=since,
            until=until,
            series=_series(rows),
        )

    def _resolution(
        self, since: int, until: int, points: int, now_ms: int
    ) -> tuple[Resolution, int]:
        """What the answer is made of, and how wide a step has to be."""
        step_ms = max(1, -(-(until - since) // points))
        kept_ms: dict[Resolution, float] = {
            "raw": self._retention.raw_h * HOUR_MS,
            "minute": self._retention.minutes_d * 24 * HOUR_MS,
        }
        found: Resolution = "hour"
        coarser: dict[Resolution, Resolution] = {"raw": "minute", "minute": "hour"}
        for fine, coarse in coarser.items():
            if step_ms < STEP_MS[coarse] and since >= now_ms - kept_ms[fine]:
                found = fine
                break
        unit = STEP_MS[found] if found != "raw" else max(1, self.interval_ms)
        return found, -(-step_ms // unit) * unit

    async def _work(self) -> None:
        rolled_at = retired_at = float("-inf")
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(GATHERED_S)
            await self.flush()
            try:
                if loop.time() - rolled_at >= ROLL_UP_S:
                    rolled_at = loop.time()
                    await self._journal.change("metrics_roll_up", now=self._clock())
                if loop.time() - retired_at >= RETIRE_S:
                    retired_at = loop.time()
                    await self.retire()
            except WorkbenchError as error:
                log.warning("metrics.not_rolled_up reason=%s", error)

    async def retire(self) -> None:
        """Delete what is kept no longer."""
        kept, at = self._retention, self._clock()
        hours = None if kept.hours_d is None else at - timedelta(days=kept.hours_d)
        await self._journal.change(
            "metrics_retire",
            raw_before=at - timedelta(hours=kept.raw_h),
            minutes_before=at - timedelta(days=kept.minutes_d),
            hours_before=hours,
        )


def _check(wanted: HistoryWanted) -> None:
    for number, name in enumerate(wanted.metrics):
        if name not in CATALOGUE:
            allowed = "one of " + ", ".join(CATALOGUE)
            raise InputError.field(f"data.metrics[{number}]", name, allowed)


def _series(rows: list[dict[str, Any]]) -> list[Series]:
    found: dict[Key, Series] = {}
    for row in rows:
        key = (row["metric"], row["subject"])
        if key not in found:
            if len(found) == SERIES_LIMIT:
                break
            found[key] = Series(metric=key[0], subject=key[1], at=[], mean=[], low=[], high=[])
        series = found[key]
        series.at.append(row["at_ms"])
        for name in ("mean", "low", "high"):
            getattr(series, name).append(round(row[name], 3))
    return list(found.values())
