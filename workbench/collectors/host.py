"""CPU, memory, disk and network of this machine or container, and what the hub takes of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil

from workbench.collectors.kernel_files import number, text
from workbench.collectors.processes import ProcessTree
from workbench.core.host import Cpu, Disk, HostSample, Memory, Network

CGROUP = Path("/sys/fs/cgroup")
NO_LIMIT_BYTES = 1 << 60
"""cgroup v1 writes "no limit" as a number near 2**63."""


class HostCollector:
    """Reads the host. Rates are over the time since the reading before, by a monotonic clock."""

    def __init__(
        self,
        folder: Path,
        *,
        cgroup: Path = CGROUP,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._folder, self._cgroup = folder, cgroup
        self._now, self._wall = now, wall
        self._cores = cpu_limit(cgroup)
        self._hub = ProcessTree(self._cores, now=now)
        self._last_cpu: tuple[float, float] | None = None
        self._last_net: tuple[float, int, int] | None = None
        self._cpu_usage(now())
        self._hub.read()

    def sample(self) -> HostSample:
        """One reading; takes about a millisecond, and may block for as long as the disk does."""
        at = self._now()
        return HostSample(
            taken_at=int(self._wall() * 1000),
            cpu=Cpu(usage=self._cpu_usage(at), cores=self._cores, load_1_min=_load()),
            memory=memory(self._cgroup),
            disk=disk(self._folder),
            network=self._network(at),
            hub=self._hub.read(),
        )

    def _cpu_usage(self, at: float) -> float | None:
        """Busy core-seconds per second, in percent of the cores that we may use."""
        busy = busy_seconds(self._cgroup)
        last, self._last_cpu = self._last_cpu, None if busy is None else (at, busy)
        if last is None or busy is None or not self._cores or at - last[0] < 0.05:
            self._last_cpu = last or self._last_cpu
            return None
        share = (busy - last[1]) / ((at - last[0]) * self._cores)
        return round(min(100.0, max(0.0, 100 * share)), 1)

    def _network(self, at: float) -> Network:
        counted = _beyond_this_machine()
        last, self._last_net = self._last_net, counted and (at, *counted)
        if last is None or counted is None or at <= last[0]:
            return Network(received_bytes_s=None, sent_bytes_s=None)
        elapsed = at - last[0]
        received, sent = counted
        return Network(
            received_bytes_s=max(0.0, round((received - last[1]) / elapsed, 1)),
            sent_bytes_s=max(0.0, round((sent - last[2]) / elapsed, 1)),
        )


def _beyond_this_machine() -> tuple[int, int] | None:
    """Bytes received and sent since the start of the system, loopback left out."""
    try:
        counters = psutil.net_io_counters(pernic=True)
    except (OSError, RuntimeError):
        return None
    real = [each for name, each in counters.items() if not name.startswith("lo")]
    return sum(each.bytes_recv for each in real), sum(each.bytes_sent for each in real)


def cpu_limit(cgroup: Path = CGROUP) -> float | None:
    """Cores that we may use: the container's quota, or those of our affinity."""
    try:
        cores = float(len(psutil.Process().cpu_affinity() or ())) or None
    except (AttributeError, OSError, psutil.Error):
        cores = None
    cores = cores or (float(psutil.cpu_count() or 0) or None)
    quota = _v2_quota(cgroup) or _v1_quota(cgroup)
    return min(filter(None, (cores, quota)), default=None)


def _v2_quota(cgroup: Path) -> float | None:
    """`cpu.max` of cgroup v2: quota and period in microseconds, or `max`."""
    words = (text(cgroup / "cpu.max") or "").split()
    if len(words) == 2 and words[0].isdigit() and int(words[1]) > 0:
        return int(words[0]) / int(words[1])
    return None


def _v1_quota(cgroup: Path) -> float | None:
    quota, period = (
        number(cgroup / "cpu/cpu.cfs_quota_us"),
        number(cgroup / "cpu/cpu.cfs_period_us"),
    )
    return quota / period if quota and period and quota > 0 else None


def busy_seconds(cgroup: Path = CGROUP) -> float | None:
    """CPU seconds spent so far: by the container if we are limited to one, else by the machine."""
    if _v2_quota(cgroup):
        for line in (text(cgroup / "cpu.stat") or "").splitlines():
            if line.startswith("usage_usec "):
                return int(line.split()[1]) / 1e6
    if _v1_quota(cgroup):
        spent_ns = number(cgroup / "cpuacct/cpuacct.usage")
        if spent_ns is not None:
            return spent_ns / 1e9
    try:
        times = psutil.cpu_times()
    except (OSError, RuntimeError):
        return None
    idle = times.idle + getattr(times, "iowait", 0.0)
    counted_twice = getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
    return float(sum(times) - idle - counted_twice)


def memory(cgroup: Path = CGROUP) -> Memory:
    """Used and total; the page cache that can be given back does not count as used."""
    try:
        machine = psutil.virtual_memory()
    except (OSError, RuntimeError):
        return Memory(used_percent=None, used_mb=None, total_mb=None)
    limit = number(cgroup / "memory.max") or number(cgroup / "memory/memory.limit_in_bytes")
    current = number(cgroup / "memory.current") or number(cgroup / "memory/memory.usage_in_bytes")
    if limit and current is not None and limit < min(machine.total, NO_LIMIT_BYTES):
        used = max(0.0, current - _inactive_file(cgroup))
        return _memory(used, limit, limited=True)
    return _memory(machine.total - machine.available, machine.total, limited=False)


def _memory(used: float, total: float, *, limited: bool) -> Memory:
    return Memory(
        used_percent=round(100 * used / total, 1) if total else None,
        used_mb=round(used / 1e6, 1),
        total_mb=round(total / 1e6, 1),
        limited=limited,
    )


def _inactive_file(cgroup: Path) -> float:
    told = text(cgroup / "memory.stat") or text(cgroup / "memory/memory.stat") or ""
    for line in told.splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.isdigit():
            return float(value)
    return 0.0


def disk(folder: Path) -> Disk:
    """The disk under `folder`."""
    try:
        found = psutil.disk_usage(str(folder))
    except OSError:
        return Disk(used_percent=None, free_mb=None, total_mb=None)
    return Disk(
        used_percent=round(float(found.percent), 1),
        free_mb=round(found.free / 1e6, 1),
        total_mb=round(found.total / 1e6, 1),
    )


def _load() -> float | None:
    try:
        return round(float(psutil.getloadavg()[0]), 2)
    except (OSError, AttributeError):
        return None
