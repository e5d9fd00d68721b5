"""What one task or one answer used and cost: its time, its GPUs, and the samples of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from workbench.core.hub_wire import message
from workbench.core.metrics_wire import MetricsRun, RunMetrics
from workbench.core.run_metrics import (
    GAP_MS,
    METRICS,
    MINUTES_GAP_MS,
    UNPRICED,
    Point,
    Price,
    summary,
)
from workbench.errors import InputError
from workbench.hub.chat_rows import Journal
from workbench.hub.instants import now, to_ms
from workbench.hub.metrics_history import MetricsKeeper
from workbench.listener import Connection

EMBEDDED = "embedded"
"""The back end whose GPU is known: any other places its models itself."""


class Ran(NamedTuple):
    """When something ran, and where. `shared`: on any GPU of the machine, nobody says which."""

    started_at: datetime
    ended_at: datetime
    gpus: Sequence[str]
    shared: bool = False


class RunDesk:
    """One for all connections. `gpus` gives the `gpuId`s of the hub's own machine, `is_here`
    says whether a back end runs on it."""

    def __init__(
        self,
        journal: Journal,
        keeper: MetricsKeeper,
        gpus: Callable[[], Sequence[str]],
        is_here: Callable[[str], bool],
        price: Price = UNPRICED,
    ) -> None:
        self._journal, self._keeper, self._price = journal, keeper, price
        self._gpus, self._is_here = gpus, is_here

    async def answer(self, connection: Connection, request: MetricsRun) -> None:
        """`metrics:run`."""
        wanted = request.data
        if (wanted.task_id is None) == (wanted.message_id is None):
            raise InputError.field("data", msgspec.to_builtins(wanted), "a taskId or a messageId")
        if wanted.task_id is not None:
            ran = await self._task(str(wanted.task_id))
        else:
            ran = await self._message(int(wanted.message_id or 0))
        found = await self._used(ran) if ran else RunMetrics()
        connection.send(message("metrics:run", msgspec.to_builtins(found), request.request_id))

    async def _task(self, task_id: str) -> Ran | None:
        rows = await self._journal.read("task_times", task_id=task_id)
        if not rows:
            raise InputError.field("data.taskId", task_id, "a task of this hub")
        started_at, ended_at = rows[0]["started_at"], rows[0]["finished_at"] or now()
        if started_at is None:  # it never ran: cancelled in the queue, rejected, or kept before
            return None
        return Ran(started_at, ended_at, await self._leased("task", task_id, started_at, ended_at))

    async def _message(self, message_id: int) -> Ran | None:
        rows = await self._journal.read("chat_message", message_id=message_id)
        if not rows or rows[0]["role"] != "assistant":
            raise InputError.field("data.messageId", message_id, "an answer of this hub")
        row = rows[0]
        started_at = row["created_at"]
        elapsed = row["elapsed_ms"]
        ended_at = now() if elapsed is None else started_at + timedelta(milliseconds=elapsed)
        if row["backend"] != EMBEDDED:
            gpus = self._gpus() if self._is_here(row["backend"]) else ()
            return Ran(started_at, ended_at, gpus, shared=True)
        leased = await self._leased("model", f"model:{row['model']}", started_at, ended_at)
        return Ran(started_at, ended_at, leased)

    async def _leased(
        self, kind: str, holder: str, since: datetime, until: datetime
    ) -> Sequence[str]:
        rows = await self._journal.read(
            "gpu_leases_of", kind=kind, holder=holder, since=since, until=until
        )
        return [row["gpu_id"] for row in rows]

    async def _used(self, ran: Ran) -> RunMetrics:
        await self._keeper.flush()
        around = timedelta(milliseconds=MINUTES_GAP_MS)
        rows: list[dict[str, Any]] = await self._journal.read(
            "metrics_points",
            metrics=list(METRICS),
            since=ran.started_at - around,
            until=ran.ended_at + around,
        )
        minutes = any(row["resolution"] == "minute" for row in rows)
        points = [
            Point(row["metric"], row["subject"], row["at_ms"], row["mean"], row["high"])
            for row in rows
        ]
        return summary(
            points,
            to_ms(ran.started_at),
            to_ms(ran.ended_at),
            gpus=ran.gpus,
            shared=ran.shared and bool(ran.gpus),
            price=self._price,
            resolution="minute" if minutes else "raw",
            gap_ms=MINUTES_GAP_MS if minutes else max(GAP_MS, 3 * self._keeper.interval_ms),
        )
