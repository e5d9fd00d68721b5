"""The kernel's own loop, where traits are set; and drawing that happens at most so often."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable


class Home:
    """Hands work from any thread to the loop on which it was made."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop or asyncio.get_running_loop()

    def call(self, work: Callable[[], None]) -> None:
        """Run `work` on the home loop soon. A kernel that is shutting down drops it."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(work)


class Coalesced:
    """Calls `draw` on the home loop after `ask`, at most every `interval_s` however often asked."""

    def __init__(self, home: Home, draw: Callable[[], None], interval_s: float = 0.1) -> None:
        self._home = home
        self._draw = draw
        self._interval_s = interval_s
        self._asked = False
        self._drawn_at = float("-inf")

    def ask(self) -> None:
        """There is something new. From any thread."""
        if not self._asked:
            self._asked = True
            self._home.call(self._arm)

    def _arm(self) -> None:
        wait_s = max(0.0, self._drawn_at + self._interval_s - time.monotonic())
        self._home.loop.call_later(wait_s, self._run)

    def _run(self) -> None:
        self._asked = False
        self._drawn_at = time.monotonic()
        self._draw()
