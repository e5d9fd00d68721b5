"""This machine, or the container that we are in, as one reading shows it."""

from __future__ import annotations

import msgspec


class Cpu(msgspec.Struct, frozen=True, rename="camel"):
    """`usage` in percent of `cores`: 100 is all that we may use."""

    usage: float | None
    cores: float | None
    load_1_min: float | None = msgspec.field(default=None, name="load1Min")


class Memory(msgspec.Struct, frozen=True, rename="camel"):
    """MB are 1,000,000 bytes. `limited` says that a container sets the total."""

    used_percent: float | None
    used_mb: float | None = msgspec.field(name="usedMB")
    total_mb: float | None = msgspec.field(name="totalMB")
    limited: bool = False


class Disk(msgspec.Struct, frozen=True, rename="camel"):
    """The disk that holds the data folder."""

    used_percent: float | None
    free_mb: float | None = msgspec.field(name="freeMB")
    total_mb: float | None = msgspec.field(name="totalMB")


class Network(msgspec.Struct, frozen=True, rename="camel"):
    """Bytes per second since the sample before; None at the first."""

    received_bytes_s: float | None
    sent_bytes_s: float | None


class Processes(msgspec.Struct, frozen=True, rename="camel"):
    """The hub and everything that it started. CPU in percent of the cores that we may use."""

    cpu_percent: float | None
    memory_mb: float | None = msgspec.field(name="memoryMB")
    count: int = 0


class HostSample(msgspec.Struct, frozen=True, rename="camel"):
    """One reading. What this machine does not tell is None, never 0."""

    taken_at: int
    cpu: Cpu
    memory: Memory
    disk: Disk
    network: Network
    hub: Processes | None = None
