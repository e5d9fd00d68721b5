"""A GPU as one reading shows it, and who uses its memory. What is not given is None, never 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from workbench.core.sentence import Sentence

Vendor = Literal["nvidia", "amd"]
GpuState = Literal["ok", "lost", "denied", "failed"]
"""`lost`: it fell off the bus, or its driver forgot it; `denied`: we may not look."""
Throttle = Literal["power", "thermal", "hardware", "sync", "clocks"]
"""Why a GPU runs more slowly than it could. To be idle is no such reason."""
OwnerKind = Literal["hub", "task", "model", "kernel", "other"]


class GpuProcess(msgspec.Struct, frozen=True, kw_only=True):
    """A process that a driver lists. It stays in the hub: nobody is shown another's."""

    pid: int
    memory_mb: float | None
    ancestors: tuple[int, ...] = ()
    """Its parent's pid, the parent's parent, and so on, as far as they can be seen."""


class Gpu(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One GPU, or one MIG slice. MB are 1,000,000 bytes; percentages go from 0 to 100."""

    gpu_id: str
    """`0`; a slice `0:1`; of another machine `node/0`."""
    uuid: str | None = None
    """As its driver names it, and as CUDA_VISIBLE_DEVICES takes it."""
    vendor: Vendor
    name: str | None = None
    state: GpuState = "ok"
    note: Sentence | None = None
    """Why it is not ok, or why it gives less than usual."""
    utilization: float | None = None
    memory_used_mb: float | None = msgspec.field(default=None, name="memoryUsedMB")
    memory_total_mb: float | None = msgspec.field(default=None, name="memoryTotalMB")
    unified: bool = False
    """Whether it has no memory of its own, but a part of the machine's."""
    temperature_c: float | None = msgspec.field(default=None, name="temperatureC")
    power_usage_w: float | None = msgspec.field(default=None, name="powerUsageW")
    power_limit_w: float | None = msgspec.field(default=None, name="powerLimitW")
    clock_mhz: float | None = msgspec.field(default=None, name="clockMHz")
    memory_clock_mhz: float | None = msgspec.field(default=None, name="memoryClockMHz")
    fan_pct: float | None = msgspec.field(default=None, name="fanPercent")
    throttle: tuple[Throttle, ...] | None = None
    """Empty: at full speed."""
    pcie_received_mb_s: float | None = msgspec.field(default=None, name="pcieReceivedMBs")
    pcie_sent_mb_s: float | None = msgspec.field(default=None, name="pcieSentMBs")
    parent: str | None = None
    """The `gpu_id` of a slice's card."""
    node: str = ""
    """The name of the machine; empty for the hub's own."""
    worker: str = ""
    """The address of a Dask worker that runs there; empty for the hub's own machine."""
    processes: tuple[GpuProcess, ...] | None = None

    @property
    def memory_used_pct(self) -> float | None:
        if self.memory_used_mb is None or not self.memory_total_mb:
            return None
        return round(100 * self.memory_used_mb / self.memory_total_mb, 1)


class GpuReading(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The GPUs of one machine at one moment. To have none is a normal state."""

    gpus: tuple[Gpu, ...] = ()
    note: Sentence | None = None
    """Why there are none, or why some could not be read."""


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """Whose process it is: `claim_id` is what the process may hold a lease under."""

    kind: OwnerKind
    name: str
    claim_id: str = ""


Owners = Mapping[tuple[str, int], Owner]
"""(name of the machine, empty for the hub's own; pid) -> whose it is."""


def owner_of(process: GpuProcess, node: str, owners: Owners) -> Owner | None:
    """Whose it is: its own, else that of its nearest ancestor; None for somebody else's."""
    for pid in (process.pid, *process.ancestors):
        if (found := owners.get((node, pid))) is not None:
            return found
    return None


class GpuUser(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A line of the process table: ours by name, all of others as one sum."""

    kind: OwnerKind
    name: str
    memory_mb: float | None = msgspec.field(default=None, name="memoryMB")
    count: int = 1
    """How many processes the line sums."""


def users(gpu: Gpu, owners: Owners) -> tuple[GpuUser, ...] | None:
    """Who uses the GPU's memory, ours first and the largest first; None where nobody tells.

    Never a pid, a path, an argument or a user: the names are those of tasks and models.
    """
    if gpu.processes is None:
        return None
    lines: dict[tuple[OwnerKind, str], list[float | None]] = {}
    for process in gpu.processes:
        owner = owner_of(process, gpu.node, owners)
        key: tuple[OwnerKind, str] = (owner.kind, owner.name) if owner else ("other", "")
        lines.setdefault(key, []).append(process.memory_mb)
    found = [
        GpuUser(kind=kind, name=name, memory_mb=_sum(taken), count=len(taken))
        for (kind, name), taken in lines.items()
    ]
    return tuple(sorted(found, key=lambda user: (user.kind == "other", -(user.memory_mb or 0))))


def _sum(taken: list[float | None]) -> float | None:
    known = [each for each in taken if each is not None]
    return round(sum(known), 1) if known else None
