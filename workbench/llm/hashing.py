"""sha256 of a file while it is being fetched: its bytes in order, as far as they are there."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.llm.part_file import translated

CHUNK_BYTES = 1 << 20

Read = Callable[[memoryview, int], int]
"""Reads bytes at an offset into a view, and says how many; raises WorkbenchErrors."""


class Hashing:
    """A thread that hashes the first `reach` bytes of a file; hashlib lets others run meanwhile."""

    def __init__(self, read: Read, size_bytes: int) -> None:
        self._read, self._size = read, size_bytes
        self._changed = threading.Condition()
        self._reach, self._closed = 0, False
        self._sha = hashlib.sha256()
        self._failure: WorkbenchError | None = None
        self.hashed_bytes = 0
        self._thread = threading.Thread(target=self._run, name="sha256", daemon=True)
        self._thread.start()

    def reach(self, count: int) -> None:
        """The first `count` bytes are there."""
        with self._changed:
            self._reach = max(self._reach, count)
            self._changed.notify()

    def close(self) -> None:
        """Hash no further, and wait for the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def result(self, wait_s: float) -> str | None:
        """The hash in hex once all was hashed; None where that takes longer than `wait_s`."""
        self._thread.join(wait_s)
        if self._thread.is_alive():
            return None
        if self._failure is not None:
            raise self._failure
        return self._sha.hexdigest() if self.hashed_bytes == self._size else None

    def _run(self) -> None:
        buffer = memoryview(bytearray(CHUNK_BYTES))
        try:
            while self.hashed_bytes < self._size and (room := self._wait()):
                count = self._read(buffer[: min(room, CHUNK_BYTES)], self.hashed_bytes)
                if count == 0:
                    return  # the file was cut under us
                self._sha.update(buffer[:count])
                self.hashed_bytes += count
        except WorkbenchError as error:
            self._failure = error

    def _wait(self) -> int:
        """How many bytes can be hashed now; 0 once it is closed."""
        with self._changed:
            while self._reach <= self.hashed_bytes and not self._closed:
                self._changed.wait()
            return 0 if self._closed else self._reach - self.hashed_bytes


def hash_file(path: Path, stop: threading.Event, told: Callable[[int], None]) -> str | None:
    """The sha256 of a file on the disk, in hex; None where `stop` came first."""
    sha, buffer, done = hashlib.sha256(), memoryview(bytearray(CHUNK_BYTES)), 0
    with translated(path), path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            if stop.is_set():
                return None
            sha.update(buffer[:count])
            done += count
            told(done)
    return sha.hexdigest()
