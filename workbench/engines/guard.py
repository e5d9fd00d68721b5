"""Kills the task processes of an engine that died: one tiny process beside each engine.

It reads `+<group>` and `-<group>` lines on standard input and, when that closes, kills
every group still listed. The kernel's parent-death signal reaches a task process only,
not what that one started; a thread in it cannot run while C code holds the interpreter's
lock. This process is never busy. It imports nothing of ours, so that it starts in 20 ms.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, cast


class Guard:
    """The engine's side: tells the guard which process groups are alive."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._groups: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None

    def add(self, group: int) -> None:
        """From now on `group` dies with this process."""
        with self._lock:
            self._groups.add(group)
            self._tell(f"+{group}\n")

    def remove(self, group: int) -> None:
        """`group` is gone, or no business of ours any more."""
        with self._lock:
            self._groups.discard(group)
            self._tell(f"-{group}\n")

    def close(self) -> None:
        """Let the guard go. Groups still listed are killed."""
        with self._lock:
            process, self._process = self._process, None
            self._groups.clear()
        if process is not None:
            with suppress(BrokenPipeError):
                cast(IO[bytes], process.stdin).close()
            process.wait(5)

    def _tell(self, line: str) -> None:
        if self._process is None or self._process.poll() is not None:
            self._process = self._start()
            line = "".join(f"+{group}\n" for group in self._groups)
        with suppress(BrokenPipeError):  # it just died: the next line starts another
            cast(IO[bytes], self._process.stdin).write(line.encode())

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            start_new_session=True,
        )


def watch(lines: IO[bytes]) -> None:
    """Keep the list until `lines` ends, then kill what is on it."""
    groups: set[int] = set()
    for line in lines:
        (groups.add if line[:1] == b"+" else groups.discard)(int(line[1:]))
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    watch(sys.stdin.buffer)
