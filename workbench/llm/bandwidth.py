"""A cap on bytes per second that all downloads share."""

from __future__ import annotations

import threading
import time

BURST_S = 0.25


class Bandwidth:
    """Whoever has read bytes waits here until they were due; None is no cap. Thread-safe."""

    def __init__(self, bytes_s: float | None = None) -> None:
        self._lock = threading.Lock()
        self._bytes_s = bytes_s
        self._due = 0.0

    @property
    def bytes_s(self) -> float | None:
        return self._bytes_s

    def set(self, bytes_s: float | None) -> None:
        """From here on so many bytes per second."""
        with self._lock:
            self._bytes_s, self._due = bytes_s, 0.0

    def step(self, count: int) -> int:
        """How many of `count` bytes to read at once, so that waiting stays short."""
        cap = self._bytes_s
        return count if cap is None else max(1, min(count, int(cap * BURST_S)))

    def take(self, count: int, stop: threading.Event) -> None:
        """Wait until `count` bytes more were due, or until `stop`."""
        with self._lock:
            if self._bytes_s is None:
                return
            now = time.monotonic()
            self._due = max(self._due, now - BURST_S) + count / self._bytes_s
            wait_s = self._due - now
        if wait_s > 0:
            stop.wait(wait_s)
