"""What the hub sends unasked: metrics at an interval, and changes of followed tasks.

Publishing never waits for a follower: each frame is offered, and the newest wins.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from workbench.core.hub_wire import Busy, message
from workbench.core.hub_wire import error as wire_error
from workbench.core.metrics import Sample
from workbench.errors import WorkbenchError
from workbench.hub.sampling import Sampler
from workbench.listener import Connection

SUBSCRIPTION_LIMIT = 1000
FRESH_S = 0.4
"""Followers at the same moment share one reading."""

log = logging.getLogger("workbench.hub")


class TaskFeed(Protocol):
    """The mesh node, as far as a dashboard follows its tasks."""

    def snapshot(self, task_id: str) -> Mapping[str, Any] | None: ...
    def must_look_up(self, task_id: str) -> bool: ...
    async def looked_up(self, task_id: str) -> Mapping[str, Any] | None: ...

    def follow(self, callback: Callable[[Mapping[str, Any]], None]) -> Callable[[], None]: ...


Frame = Callable[[Sample, int, int | None], dict[str, Any]]
"""(sample, the follower's interval in ms, its pid) -> what it is sent."""


@dataclass(slots=True)
class _Follower:
    connection: Connection
    interval_s: float
    pid: int | None
    due: float


class Metrics:
    """Readings for everybody who follows them, each at its own interval."""

    def __init__(
        self, sampler: Sampler, frame: Frame, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._sampler, self._frame, self._now = sampler, frame, now
        self._followers: dict[int, _Follower] = {}
        self._first: set[asyncio.Task[None]] = set()

    def follow(self, connection: Connection, interval_s: float, pid: int | None = None) -> None:
        """The first reading at once, then one each interval; replaces an earlier following."""
        self.leave(connection)
        follower = _Follower(connection, interval_s, pid, float("inf"))
        self._followers[connection.id] = follower
        self._sampler.want(_name(connection), interval_s)
        task = asyncio.create_task(self._begin(follower))
        self._first.add(task)
        task.add_done_callback(self._first.discard)

    def leave(self, connection: Connection) -> None:
        """Send no more."""
        self._followers.pop(connection.id, None)
        self._sampler.want(_name(connection), None)
        connection.offer("metrics", None)

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """Send to every follower, whatever its interval."""
        frame = message(kind, data)
        for follower in self._followers.values():
            follower.connection.send(frame)

    async def _begin(self, follower: _Follower) -> None:
        """Its own first reading: what the sampler read for others may be nearly as good."""
        try:
            sample = await self._sampler.fresh(FRESH_S)
        except Exception:  # the next reading may do better
            log.exception("metrics.failed")
        else:
            if self._followers.get(follower.connection.id) is follower:
                self._send([follower], sample)
        follower.due = self._now() + follower.interval_s

    def publish(self, sample: Sample, now: float) -> None:
        """A new reading, for those to whom one is due."""
        slack_s = (self._sampler.interval_s or 0.0) / 2
        due = [each for each in self._followers.values() if each.due <= now + slack_s]
        for follower in due:
            follower.due = max(follower.due + follower.interval_s, now)
        self._send(due, sample)

    def _send(self, followers: list[_Follower], sample: Sample) -> None:
        """Who asked for the same shares one frame."""
        frames: dict[tuple[float, int | None], str] = {}
        for each in followers:
            key = (each.interval_s, each.pid)
            if key not in frames:
                data = self._frame(sample, round(each.interval_s * 1000), each.pid)
                frames[key] = message("metrics", data)
            each.connection.offer("metrics", frames[key])

    async def close(self) -> None:
        """Send nothing more."""
        self._followers.clear()
        for task in list(self._first):
            task.cancel()


def _name(connection: Connection) -> str:
    return f"follower {connection.id}"


class TaskFollowers:
    """Who follows which task. A task may be followed before it exists."""

    def __init__(self, feed: TaskFeed) -> None:
        self._feed = feed
        self._by_task: dict[str, dict[int, tuple[Connection, int | str]]] = {}
        self._by_connection: dict[int, set[str]] = {}
        self._looking: set[asyncio.Task[None]] = set()
        self._leave_feed = feed.follow(self._changed)

    def add(self, connection: Connection, task_id: int | str) -> None:
        """Follow one task from now on."""
        name = str(task_id)
        followed = self._by_connection.setdefault(connection.id, set())
        if name not in followed and len(followed) >= SUBSCRIPTION_LIMIT:
            raise Busy(
                "this connection follows {limit} tasks already: unsubscribe from one first",
                limit=SUBSCRIPTION_LIMIT,
            )
        followed.add(name)
        self._by_task.setdefault(name, {})[connection.id] = (connection, task_id)

    def show(self, connection: Connection, task_id: int | str) -> None:
        """Send a task's present state, if it has one yet."""
        now = self._feed.snapshot(str(task_id))
        if now is not None:
            connection.offer(f"task:{task_id}", _frame(task_id, now))
        elif self._feed.must_look_up(str(task_id)):
            looking = asyncio.create_task(self._show_older(connection, task_id))
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)

    async def _show_older(self, connection: Connection, task_id: int | str) -> None:
        try:
            now = await self._feed.looked_up(str(task_id))
        except WorkbenchError as error:
            connection.send(wire_error(error, None))
            return
        if now is not None and str(task_id) in self._by_connection.get(connection.id, ()):
            connection.offer(f"task:{task_id}", _frame(task_id, now))

    def remove(self, connection: Connection, task_id: int | str) -> None:
        """Follow one task no longer."""
        name = str(task_id)
        self._by_connection.get(connection.id, set()).discard(name)
        followers = self._by_task.get(name, {})
        followers.pop(connection.id, None)
        if not followers:
            self._by_task.pop(name, None)
        connection.offer(f"task:{name}", None)

    def forget(self, connection: Connection) -> None:
        """The connection is gone."""
        for name in self._by_connection.pop(connection.id, set()).copy():
            followers = self._by_task.get(name, {})
            followers.pop(connection.id, None)
            if not followers:
                self._by_task.pop(name, None)

    def close(self) -> None:
        """Hear no more from the feed."""
        self._leave_feed()
        for looking in self._looking:
            looking.cancel()

    def _changed(self, task: Mapping[str, Any]) -> None:
        """Who gave the same id shares one frame."""
        frames: dict[int | str, str] = {}
        for connection, given in list(self._by_task.get(str(task["id"]), {}).values()):
            if given not in frames:
                frames[given] = _frame(given, task)
            connection.offer(f"task:{given}", frames[given])


def _frame(given: int | str, task: Mapping[str, Any]) -> str:
    """The task under the id that a follower gave, so that `5` stays an integer for it."""
    return message("task:update", {"task": {**task, "id": given}})
