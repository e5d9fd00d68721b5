"""Processes: what the hub and all that it started use, and who started whom.

The time of a process that ended is counted by the parent that waited for it (proc(5), cutime),
so the sum over a tree grows steadily, however short its processes live.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from workbench.collectors.kernel_files import content, names, text
from workbench.core.host import Processes

PROC = Path("/proc")
TOO_SOON_S = 0.05
"""The kernel counts CPU time in hundredths of a second."""
TICK_S = 1 / (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


@dataclass(frozen=True, slots=True)
class Taken:
    """What one process took: CPU seconds since its start, and resident bytes now."""

    busy_s: float
    memory_bytes: int


class ProcessTree:
    """Reads a process with its children, their children and so on; never all of the machine.

    CPU is over the time since the reading before. 7 processes of 40 threads take 0.6 ms.
    """

    def __init__(
        self,
        cores: float | None,
        *,
        pid: int | None = None,
        proc: Path = PROC,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`cores` are 100 %. Without a `pid`, our own process."""
        self._pid = os.getpid() if pid is None else pid
        self._cores, self._now = cores, now
        self._proc = os.fspath(proc)
        # A kernel without CONFIG_PROC_CHILDREN has no such files.
        self._tells_children = (proc / f"{self._pid}/task/{self._pid}/children").exists()
        self._last: tuple[float, float] | None = None

    def read(self) -> Processes | None:
        """None once the process is gone.

        Memory is resident: a page that several of the processes share counts in each.
        """
        found = list(self._walk() if self._tells_children else _with_psutil(self._pid))
        if not found:
            return None
        return Processes(
            cpu_percent=self._share(sum(each.busy_s for each in found)),
            memory_mb=round(sum(each.memory_bytes for each in found) / 1e6, 1),
            count=len(found),
        )

    def _share(self, busy_s: float) -> float | None:
        at, last = self._now(), self._last
        if last is not None and at - last[0] < TOO_SOON_S:
            return None
        self._last = (at, busy_s)
        if last is None or not self._cores:
            return None
        share = (busy_s - last[1]) / ((at - last[0]) * self._cores)
        return round(min(100.0, max(0.0, 100 * share)), 1)

    def _walk(self) -> Iterator[Taken]:
        waiting = [str(self._pid)]
        while waiting:
            pid = waiting.pop()
            taken = self._taken(pid)
            if taken is not None:
                yield taken
                waiting += self._children(pid)

    def _taken(self, pid: str) -> Taken | None:
        """From `stat` (proc_pid_stat(5)): its 14th to 17th fields are CPU time, its 24th pages.

        The second is the name in brackets, which may hold spaces and brackets itself.
        """
        try:
            stat = content(f"{self._proc}/{pid}/stat")
        except OSError:
            return None
        fields = stat[stat.rindex(b")") + 2 :].split()
        return Taken(sum(map(int, fields[11:15])) * TICK_S, int(fields[21]) * PAGE_BYTES)

    def _children(self, pid: str) -> Iterator[str]:
        """Each thread lists those that it started."""
        tasks = f"{self._proc}/{pid}/task"
        for thread in names(tasks):
            yield from (text(f"{tasks}/{thread}/children") or "").split()


def _with_psutil(pid: int) -> Iterator[Taken]:
    """The same where there is no /proc; looks at every process of the machine."""
    try:
        first = psutil.Process(pid)
        family = [first, *first.children(recursive=True)]
    except psutil.Error:
        return
    for each in family:
        try:
            times, memory = each.cpu_times(), each.memory_info()
        except psutil.Error:
            continue
        ended = getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        yield Taken(times.user + times.system + ended, memory.rss)


class Ancestry:
    """The ancestors of processes, looked up once each until told to forget."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, ...]] = {}

    def __call__(self, pid: int) -> tuple[int, ...]:
        """Its parent, the parent's parent and so on; empty for one that we cannot see."""
        if pid not in self._known:
            self._known[pid] = _ancestors(pid)
        return self._known[pid]

    def forget(self) -> None:
        """Numbers of processes are given again, and parents end."""
        self._known = {}


def _ancestors(pid: int) -> tuple[int, ...]:
    try:
        return tuple(parent.pid for parent in psutil.Process(pid).parents())
    except (psutil.Error, ValueError):
        return ()
