"""The one background thread of a kernel, with one event loop, on which all sockets live.

A cell that computes for seconds blocks the kernel's own loop; a follower there would take
nothing meanwhile, and the hub would see silence. Nothing here touches the kernel's loop.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import logging
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from workbench.errors import LinkError, WorkbenchError

T = TypeVar("T")
Problem = Callable[[BaseException, str], None]

STOP_S = 2.0
CANCEL_S = 2.0
LOOK_S = 0.25

log = logging.getLogger("workbench.runtime")


class Runtime:
    """A thread with an event loop. Threads hand it coroutines; its own code awaits."""

    def __init__(self, name: str = "workbench-runtime") -> None:
        self._loop = asyncio.new_event_loop()
        self._watchers: list[Problem] = []
        self._spawned: set[concurrent.futures.Future[Any]] = set()
        self._thread = threading.Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, for `call_soon_threadsafe`."""
        return self._loop

    @property
    def alive(self) -> bool:
        return self._thread.is_alive() and not self._loop.is_closed()

    def run(self, coroutine: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Run on the background loop and wait here for the outcome.

        Ctrl-C (Jupyter's Stop) cancels the work, then raises KeyboardInterrupt. Never from
        the background thread itself: that would wait for itself.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise WorkbenchError("a blocking call inside a callback: await the coroutine instead")
        self._must_live(coroutine)
        errand = _Errand()
        try:
            return _outcome(self._submit(errand.do(coroutine, timeout_s)))
        except KeyboardInterrupt:
            self.call(errand.cancel)
            errand.ended.wait(CANCEL_S)
            raise

    def spawn(
        self, coroutine: Coroutine[Any, Any, T], name: str = "work"
    ) -> concurrent.futures.Future[T]:
        """Start and do not wait. What it raises is logged and told to every watcher."""
        future = self._submit(coroutine)
        self._spawned.add(future)
        future.add_done_callback(lambda done: self._ended(done, name))
        return future

    def call(self, function: Callable[..., object], *args: Any) -> None:
        """Call a plain function on the background loop, soon."""
        self._loop.call_soon_threadsafe(function, *args)

    def watch(self, watcher: Problem) -> Callable[[], None]:
        """Be told of each exception of spawned work, with the work's name, on whatever thread.

        Returns the function that ends it.
        """
        self._watchers.append(watcher)

        def leave() -> None:
            with contextlib.suppress(ValueError):
                self._watchers.remove(watcher)

        return leave

    def close(self) -> None:
        """Cancel everything and end the thread, within seconds. A second call does nothing."""
        if not self.alive or threading.current_thread() is self._thread:
            return
        with contextlib.suppress(RuntimeError):  # the loop may close between the two lines
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)

    def _submit(self, coroutine: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        self._must_live(coroutine)
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def _must_live(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        if not self.alive:
            coroutine.close()
            raise WorkbenchError("the workbench of this process was closed: connect again")

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
        finally:
            self._wind_up()

    def _wind_up(self) -> None:
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        with contextlib.suppress(Exception):
            ends = asyncio.wait(tasks, timeout=STOP_S / 2) if tasks else asyncio.sleep(0)
            self._loop.run_until_complete(ends)
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    def _ended(self, future: concurrent.futures.Future[Any], name: str) -> None:
        self._spawned.discard(future)
        error = None if future.cancelled() else future.exception()
        if error is None:
            return
        log.error("spawned.failed name=%s error=%s", name, error, exc_info=error)
        for watcher in list(self._watchers):
            try:
                watcher(error, name)
            except Exception:
                log.exception("watcher.failed name=%s", name)


def _outcome(future: concurrent.futures.Future[T]) -> T:
    """Wait in short turns: a signal that comes just before a lock is taken does not wake it."""
    while not future.done():
        concurrent.futures.wait([future], timeout=LOOK_S)
    return future.result()


class _Errand:
    """One blocking call. Cancelled by itself rather than by its future, for Ctrl-C may come
    at any line, also before there is a future."""

    def __init__(self) -> None:
        self.ended = threading.Event()
        self._task: asyncio.Task[Any] | None = None
        self._cancelled = False

    async def do(self, coroutine: Coroutine[Any, Any, T], timeout_s: float | None) -> T:
        self._task = asyncio.current_task()
        if self._cancelled:
            coroutine.close()
            raise asyncio.CancelledError
        try:
            return await _limited(coroutine, timeout_s)
        finally:
            self.ended.set()

    def cancel(self) -> None:
        """On the loop."""
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()


async def _limited(coroutine: Coroutine[Any, Any, T], timeout_s: float | None) -> T:
    deadline = asyncio.timeout(timeout_s)
    try:
        async with deadline:
            return await coroutine
    except TimeoutError:
        if not deadline.expired():
            raise
        raise LinkError(
            "no answer within {limit_s} s: it may still come; raise the time limit, or try again",
            limit_s=timeout_s,
        ) from None


_shared: tuple[int, Runtime] | None = None
_guard = threading.Lock()


def runtime() -> Runtime:
    """The runtime of this process, started when first asked for. A forked child gets its own."""
    global _shared
    with _guard:
        if _shared is None or _shared[0] != os.getpid() or not _shared[1].alive:
            _shared = (os.getpid(), Runtime())
            atexit.register(_shared[1].close)
        return _shared[1]
