"""Keeps an engine alive: starts a dead cluster again, and lets retries wait until it is back.

Without the waiting a cluster that is away for a second would cost each task all of its
attempts within that second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Protocol

from workbench.core.job import Cancelled, Event, Job, Outcome, WorkerReport

RESTART_S = (0.0, 1.0, 2.0, 5.0, 15.0, 60.0)
"""Waits before each attempt to bring a dead cluster back; the last one repeats."""
RETRY_S = 2.5
"""Wait before a retry: an engine notices the end of its cluster after 2 s at most."""

log = logging.getLogger("workbench.keeper")


class Engine(Protocol):
    """What is kept. `closed` is set when its cluster is gone for good. What ran before a start
    may run for `lingers_s` after it."""

    closed: asyncio.Event
    lingers_s: float

    @property
    def slots(self) -> int: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def restart(self) -> None: ...
    async def run(self, job: Job, on_event: Callable[[Event], None]) -> Outcome: ...
    async def cancel(self, key: str) -> None: ...
    def pids(self) -> dict[tuple[str, int], str]: ...
    async def on_workers(self, function: Callable[[], Any]) -> list[WorkerReport]: ...


class Keeper:
    """An engine that comes back. Same verbs as the engine that it keeps."""

    def __init__(
        self, engine: Engine, *, retry_s: float = RETRY_S, restart_s: tuple[float, ...] = RESTART_S
    ) -> None:
        self._engine, self._retry_s, self._restart_s = engine, retry_s, restart_s
        self._back = asyncio.Event()
        self._waiting: dict[str, asyncio.Event] = {}
        self._watch: asyncio.Task[None] | None = None
        self._clear_at = 0.0

    @property
    def slots(self) -> int:
        """0 while the cluster is away."""
        return self._engine.slots if self._back.is_set() else 0

    async def start(self) -> None:
        """Start the engine, and watch it."""
        await self._engine.start()
        self._came_back()
        self._watch = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Watch no more, and stop the engine."""
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        for cancelled in self._waiting.values():
            cancelled.set()
        await self._engine.stop()

    async def run(self, job: Job, on_event: Callable[[Event], None]) -> Outcome:
        """Run a job; a retry first waits until the engine has noticed what ended the last one."""
        wait_s = max(self._retry_s, self._clear_at - asyncio.get_running_loop().time())
        if is_retry(job.key) and await self._cancelled_within(job.key, wait_s):
            return Cancelled()
        while not self._back.is_set():
            if await self._cancelled_within(job.key, 0.2):
                return Cancelled()
        return await self._engine.run(job, on_event)

    async def cancel(self, key: str) -> None:
        """End a job, whether it runs or still waits."""
        if key in self._waiting:
            self._waiting[key].set()
        else:
            await self._engine.cancel(key)

    def pids(self) -> dict[tuple[str, int], str]:
        """The processes at work: (machine, empty for this one; pid) -> the key of the job."""
        return self._engine.pids()

    async def on_workers(self, function: Callable[[], Any]) -> list[WorkerReport]:
        """What `function` returns on each machine of a cluster elsewhere; none while it is away."""
        return await self._engine.on_workers(function) if self._back.is_set() else []

    async def _cancelled_within(self, key: str, wait_s: float) -> bool:
        cancelled = self._waiting[key] = asyncio.Event()
        try:
            await asyncio.wait_for(cancelled.wait(), wait_s)
        except TimeoutError:
            return False
        finally:
            del self._waiting[key]
        return True

    def _came_back(self) -> None:
        self._clear_at = asyncio.get_running_loop().time() + self._engine.lingers_s
        self._back.set()

    async def _keep(self) -> None:
        while True:
            await self._engine.closed.wait()
            self._back.clear()
            log.warning("engine.dead: the Dask cluster is gone and is started again")
            await self._bring_back()
            self._came_back()

    async def _bring_back(self) -> None:
        attempt = 0
        while True:
            await asyncio.sleep(self._restart_s[min(attempt, len(self._restart_s) - 1)])
            attempt += 1
            try:
                await self._engine.restart()
            except Exception as error:
                log.warning("engine.restart_failed attempt=%d reason=%s", attempt, error)
                continue
            log.info("engine.restarted attempts=%d", attempt)
            return


def is_retry(key: str) -> bool:
    """Whether a job's key (`<taskId>.<attempt>`) is of a second or later attempt."""
    return key.rpartition(".")[2] != "1"
