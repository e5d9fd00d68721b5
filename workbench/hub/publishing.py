"""What the hub sends unasked: metrics at an interval, and changes of followed tasks.

Publishing never waits for a follower: each frame is offered, and the newest wins.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import msgspec

from workbench.core.hub_wire import Busy, message
from workbench.listener import Connection

SUBSCRIPTION_LIMIT = 1000
FRESH_S = 0.4
"""Followers at the same moment share one reading."""

log = logging.getLogger("workbench.hub")


class Collector(Protocol):
    """Where readings of this machine come from. May block for a moment."""

    def sample(self) -> msgspec.Struct: ...


class TaskFeed(Protocol):
    """The mesh node, as far as a dashboard follows its tasks."""

    def snapshot(self, task_id: str) -> Mapping[str, Any] | None: ...

    def follow(self, callback: Callable[[Mapping[str, Any]], None]) -> Callable[[], None]: ...


class Metrics:
    """Readings for everybody who follows them; nothing is read while nobody does."""

    def __init__(self, collector: Collector, now: Callable[[], float] = time.monotonic) -> None:
        self._collector, self._now = collector, now
        self._reading = asyncio.Lock()
        self._newest: tuple[float, Any] | None = None
        self._tasks: dict[int, asyncio.Task[None]] = {}

    async def newest(self) -> Any:
        """The newest reading, at most FRESH_S old."""
        async with self._reading:
            if self._newest is None or self._now() - self._newest[0] > FRESH_S:
                sample = await asyncio.to_thread(self._collector.sample)
                self._newest = (self._now(), msgspec.to_builtins(sample))
            return self._newest[1]

    def follow(self, connection: Connection, interval_s: float) -> None:
        """The first reading at once, then one each interval; replaces an earlier following."""
        self.leave(connection)
        self._tasks[connection.id] = asyncio.create_task(self._publish(connection, interval_s))

    def leave(self, connection: Connection) -> None:
        """Send no more."""
        task = self._tasks.pop(connection.id, None)
        if task is not None:
            task.cancel()
        connection.offer("metrics", None)

    async def _publish(self, connection: Connection, interval_s: float) -> None:
        due = self._now()
        while connection.open:
            try:
                connection.offer("metrics", message("metrics", await self.newest()))
            except Exception:  # one failed reading must not end the following
                log.exception("metrics.failed")
            due = max(due + interval_s, self._now())  # a late reading does not shift the next
            await asyncio.sleep(due - self._now())

    async def close(self) -> None:
        """Stop everything that still publishes."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


class TaskFollowers:
    """Who follows which task. A task may be followed before it exists."""

    def __init__(self, feed: TaskFeed) -> None:
        self._feed = feed
        self._by_task: dict[str, dict[int, tuple[Connection, int | str]]] = {}
        self._by_connection: dict[int, set[str]] = {}
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
            _offer(connection, task_id, now)

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

    def _changed(self, task: Mapping[str, Any]) -> None:
        for connection, given in list(self._by_task.get(str(task["id"]), {}).values()):
            _offer(connection, given, task)


def _offer(connection: Connection, given: int | str, task: Mapping[str, Any]) -> None:
    """The task under the id that this follower gave, so that `5` stays an integer for it."""
    frame = message("task:update", {"task": {**task, "id": given}})
    connection.offer(f"task:{given}", frame)
