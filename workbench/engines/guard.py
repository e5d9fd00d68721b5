"""Kills the task processes of an engine that died, or froze: one tiny process beside each engine.

It reads lines on standard input: `+<group>`, `-<group>`, and `=<group> <moment>`, a lease that
ends at that moment of the monotonic clock. It kills a group whose lease has ended and, when its
input closes, every group still listed. The kernel's parent-death signal reaches a task process
only, not what that one started, and not while its parent is frozen; a thread in it cannot run
while C code holds the interpreter's lock. This process is never busy. It imports nothing of
ours, so that it starts in 20 ms.
"""

from __future__ import annotations

import math
import os
import select
import signal
import subprocess
import sys
import threading
import time
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

    def lease(self, group: int, seconds: float) -> None:
        """`group` is killed unless another lease comes within `seconds`."""
        with self._lock:
            self._tell(f"={group} {time.monotonic() + seconds}\n")

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


def watch(lines: int) -> None:
    """Keep the list until `lines` ends, then kill what is on it.

    What stands in the pipe is read before anything is judged: this process may have been
    frozen, too.
    """
    leases: dict[int, float] = {}
    rest = b""
    while True:
        wait_s = min(leases.values(), default=math.inf) - time.monotonic()
        if select.select([lines], [], [], None if wait_s == math.inf else max(0.0, wait_s))[0]:
            if not (data := os.read(lines, 1 << 16)):
                break
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                note(leases, line)
            continue
        for group in [group for group, end in leases.items() if end <= time.monotonic()]:
            kill(group)
            leases[group] = math.inf
    for group in leases:
        kill(group)


def note(leases: dict[int, float], line: bytes) -> None:
    """Take one line into the list: when the lease of each group ends."""
    group, _, moment = line[1:].partition(b" ")
    if line[:1] == b"-":
        leases.pop(int(group), None)
    else:
        leases[int(group)] = float(moment or "inf")


def kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    watch(0)
