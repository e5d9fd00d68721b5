"""Every metric that is measured: its name, unit and source; and a sample as numbers by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

from workbench.core.gpu import Gpu, GpuReading
from workbench.core.host import HostSample

SubjectKind = Literal["gpu", "host", "model"]
Key = tuple[str, str]
"""(metric, subject). The subject is a `gpuId`, a model as `id@backend`, or empty for the hub's
machine and for all models together."""


class Metric(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is measured. `low` and `high` bound a gauge; None where nothing does."""

    name: str
    unit: str
    """As people read it: `%`, `MB`, `°C`, `W`, `MHz`, `MB/s`, `B/s`, `ms`, `tokens/s`, `1/min`."""
    title: str
    """English; the page translates it."""
    of: SubjectKind
    source: str
    low: float | None = 0.0
    high: float | None = None


def _of(of: SubjectKind, *rows: tuple[str, str, str, str, float | None]) -> Iterator[Metric]:
    for name, unit, title, source, high in rows:
        yield Metric(name=name, unit=unit, title=title, of=of, source=source, high=high)


CATALOGUE: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        *_of(
            "gpu",
            ("gpu.utilization", "%", "GPU utilisation", "NVML utilization; gpu_busy_percent", 100),
            ("gpu.memory_used_pct", "%", "GPU memory", "memory used over total", 100),
            ("gpu.memory_used", "MB", "GPU memory used", "NVML memory; mem_info_vram_used", None),
            ("gpu.temperature", "°C", "Temperature", "NVML temperature; hwmon temp1_input", 110),
            ("gpu.power", "W", "Power", "NVML power usage; hwmon power1_average", None),
            ("gpu.clock", "MHz", "Clock", "NVML SM clock; hwmon freq1_input", None),
            ("gpu.memory_clock", "MHz", "Memory clock", "NVML memory clock; hwmon freq2", None),
            ("gpu.fan", "%", "Fan", "NVML fan speed; hwmon pwm1 over its maximum", 100),
            ("gpu.pcie_received", "MB/s", "PCIe received", "NVML PCIe throughput", None),
            ("gpu.pcie_sent", "MB/s", "PCIe sent", "NVML PCIe throughput", None),
        ),
        *_of(
            "host",
            ("host.cpu", "%", "CPU", "cgroup cpu.stat, else /proc/stat", 100),
            ("host.memory_used_pct", "%", "Memory", "cgroup memory, else /proc/meminfo", 100),
            ("host.memory_used", "MB", "Memory used", "the same", None),
            ("host.disk_used_pct", "%", "Disk", "statvfs of the data folder", 100),
            (
                "host.network_received",
                "B/s",
                "Network received",
                "/proc/net/dev without loopback",
                None,
            ),
            ("host.network_sent", "B/s", "Network sent", "/proc/net/dev without loopback", None),
            ("host.load", "", "System load", "/proc/loadavg, one minute", None),
            ("hub.cpu", "%", "CPU of the hub", "its process and all that it started", 100),
            ("hub.memory", "MB", "Memory of the hub", "resident, the same processes", None),
        ),
        *_of(
            "model",
            ("llm.in_flight", "", "Answers under way", "the service of language models", None),
            ("llm.queued", "", "Requests waiting", "the same", None),
            ("llm.requests_per_min", "1/min", "Requests", "ended in the last minute", None),
            ("llm.errors_per_min", "1/min", "Errors", "failed in the last minute", None),
            ("llm.ttft", "ms", "Time to first token", "median of the last minute", None),
            ("llm.tokens_per_s", "tokens/s", "Tokens per second", "all in the last minute", None),
        ),
    )
}
"""Every metric by name, in the order of a reader's questions."""


class LlmReading(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How the language models did in the last minute. `requests` and `errors` count from the
    hub's start; a stop by its asker is no error."""

    model: str = ""
    """`id@backend`; empty for all together."""
    in_flight: int = 0
    queued: int = 0
    requests: int = 0
    errors: int = 0
    requests_per_min: float = 0.0
    errors_per_min: float = 0.0
    ttft_ms: float | None = None
    """Median over the requests that got a first token within the minute."""
    tokens_per_s: float | None = None
    """Tokens of the minute's answers over the time in which they were written."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was read at one moment. `taken_at` in ms since the epoch."""

    taken_at: int
    host: HostSample
    gpus: GpuReading = GpuReading()
    llm: tuple[LlmReading, ...] = ()
    """All together first, then each model that was ever asked."""


def values(sample: Sample) -> dict[Key, float]:
    """The numbers of a sample. What was not measured is left out, never 0."""
    found = [*_host_values(sample.host)]
    for gpu in sample.gpus.gpus:
        found += _gpu_values(gpu)
    for reading in sample.llm:
        found += _llm_values(reading)
    return {key: float(value) for key, value in found if value is not None}


Pairs = Iterator[tuple[Key, float | None]]


def _gpu_values(gpu: Gpu) -> Pairs:
    named = {
        "gpu.utilization": gpu.utilization,
        "gpu.memory_used_pct": gpu.memory_used_pct,
        "gpu.memory_used": gpu.memory_used_mb,
        "gpu.temperature": gpu.temperature_c,
        "gpu.power": gpu.power_usage_w,
        "gpu.clock": gpu.clock_mhz,
        "gpu.memory_clock": gpu.memory_clock_mhz,
        "gpu.fan": gpu.fan_pct,
        "gpu.pcie_received": gpu.pcie_received_mb_s,
        "gpu.pcie_sent": gpu.pcie_sent_mb_s,
    }
    return (((name, gpu.gpu_id), value) for name, value in named.items())


def _host_values(host: HostSample) -> Pairs:
    named = {
        "host.cpu": host.cpu.usage,
        "host.memory_used_pct": host.memory.used_percent,
        "host.memory_used": host.memory.used_mb,
        "host.disk_used_pct": host.disk.used_percent,
        "host.network_received": host.network.received_bytes_s,
        "host.network_sent": host.network.sent_bytes_s,
        "host.load": host.cpu.load_1_min,
        "hub.cpu": host.hub.cpu_percent if host.hub else None,
        "hub.memory": host.hub.memory_mb if host.hub else None,
    }
    return (((name, ""), value) for name, value in named.items())


def _llm_values(reading: LlmReading) -> Pairs:
    named = {
        "llm.in_flight": reading.in_flight,
        "llm.queued": reading.queued,
        "llm.requests_per_min": reading.requests_per_min,
        "llm.errors_per_min": reading.errors_per_min,
        "llm.ttft": reading.ttft_ms,
        "llm.tokens_per_s": reading.tokens_per_s,
    }
    return (((name, reading.model), value) for name, value in named.items())


def frame_values(frame: Mapping[str, Any]) -> dict[Key, float]:
    """The numbers of a `metrics` message as a client got it. What cannot be read is left out."""
    try:
        sample = msgspec.convert(frame, _Frame)
    except msgspec.ValidationError:
        return {}
    found = [*_host_values(sample)]
    for gpu in sample.gpus:
        found += _gpu_values(gpu)
    for reading in sample.llm:
        found += _llm_values(reading)
    return {key: float(value) for key, value in found if value is not None}


class _Frame(HostSample, frozen=True, kw_only=True):
    """A `metrics` message, as far as numbers stand in it; GPUs without their processes."""

    gpus: tuple[_FrameGpu, ...] = ()
    llm: tuple[LlmReading, ...] = ()


class _FrameGpu(Gpu, frozen=True, kw_only=True):
    processes: Any = None
