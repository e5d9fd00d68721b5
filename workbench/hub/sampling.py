"""The one sampler of this machine: reads at the fastest wanted interval, and not at all unwanted.

Each reading is handed to every listener: followers, history, alerts, the ledger.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from workbench.core.metrics import Sample

log = logging.getLogger("workbench.hub")

Read = Callable[[], Awaitable[Sample]]
Listener = Callable[[Sample, float], None]


class Sampler:
    """For one event loop. `want` says who wants how often; nobody's wish pauses it."""

    def __init__(self, read: Read, *, now: Callable[[], float] = time.monotonic) -> None:
        self._read, self._now = read, now
        self._listeners: list[Listener] = []
        self._wanted: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._reading: asyncio.Task[Sample] | None = None
        self._task: asyncio.Task[None] | None = None
        self.newest: Sample | None = None
        self.read_at = float("-inf")
        """When `newest` was read; monotonic."""

    @property
    def interval_s(self) -> float | None:
        """The present distance of two readings; None while nobody wants any."""
        return min(self._wanted.values(), default=None)

    def listen(self, listener: Listener) -> None:
        """Call `listener(sample, now)` with each reading."""
        self._listeners.append(listener)

    def want(self, name: str, interval_s: float | None) -> None:
        """`name` wants a reading so often from now on; None: not any more."""
        before = self.interval_s
        if interval_s is None:
            self._wanted.pop(name, None)
        else:
            self._wanted[name] = interval_s
        if self.interval_s != before:
            self._changed.set()
        if self._task is None and self._wanted:
            self._task = asyncio.create_task(self._run())

    async def fresh(self, max_age_s: float = 0.0) -> Sample:
        """A reading that is at most so old; several askers at a time share one."""
        if self.newest is not None and self._now() - self.read_at <= max_age_s:
            return self.newest
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._take())
        return await asyncio.shield(self._reading)

    async def close(self) -> None:
        """Read no more."""
        tasks = [task for task in (self._task, self._reading) if task is not None]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task

    async def _take(self) -> Sample:
        sample = await self._read()
        self.newest, self.read_at = sample, self._now()
        for listener in self._listeners:
            try:
                listener(sample, self.read_at)
            except Exception:  # one that fails must not keep it from the others
                log.exception("sampling.listener_failed")
        return sample

    async def _run(self) -> None:
        """A late reading does not shift the next: what is due is counted from what was due."""
        due = self._now()
        while True:
            interval_s = self.interval_s
            due = min(due, self._now() + (interval_s or 0.0))
            if await self._waited(due, interval_s):
                continue
            try:
                await self.fresh(max_age_s=(interval_s or 0.0) / 2)
            except Exception:
                log.exception("sampling.failed")
            due = max(due + (interval_s or 0.0), self._now())

    async def _waited(self, due: float, interval_s: float | None) -> bool:
        """Wait until `due`, or for ever while nobody wants a reading; whether that changed."""
        timeout_s = None if interval_s is None else max(0.0, due - self._now())
        self._changed.clear()
        if self.interval_s != interval_s:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True
