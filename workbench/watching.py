"""The hub in numbers, as Prometheus reads them: `/metrics`. The one place that makes a registry.

Nothing is measured for it: each reading shows what the parts have counted and last seen. Labels
hold few words of ours and the numbers of GPUs, never what somebody typed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.registry import Collector

from workbench.core.downloads import Download
from workbench.core.gpu import Gpu
from workbench.core.host import HostSample
from workbench.core.metrics import LlmReading, Sample
from workbench.core.tally import Durations, Tally
from workbench.gate import SCOPES
from workbench.listener import Listener
from workbench.store import Figures

FRESH_S = 60.0
"""A sample that is older says nothing about now, and is left out."""
MB = 1_000_000

Families = Iterator[Metric]


class Node(Protocol):
    """The mesh node, as far as it is counted."""

    ended: Tally

    @property
    def slow_readers(self) -> int: ...
    def standing(self) -> dict[str, int]: ...


class Models(Protocol):
    """The language models, as far as they are counted."""

    @property
    def tokens_written(self) -> int: ...
    def readings(self) -> tuple[LlmReading, ...]: ...


class Sampler(Protocol):
    """Who reads this machine."""

    newest: Sample | None
    read_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What is looked at. Each is asked at each reading, and answers from memory."""

    build: Mapping[str, str]
    draining: Callable[[], bool]
    node: Node
    slots: Callable[[], int]
    store: Callable[[], Figures]
    models: Models
    downloads: Callable[[], Sequence[Download]]
    sampler: Sampler
    listeners: Callable[[], Sequence[Listener]]


class Metrics(Collector):
    """`page()` is what Prometheus reads."""

    def __init__(self, watched: Watched, *, now: Callable[[], float] = time.monotonic) -> None:
        self._watched, self._now = watched, now
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._registry.register(self)

    def page(self) -> tuple[str, bytes]:
        """The content type and the text."""
        return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(self._registry)

    def describe(self) -> Iterable[Metric]:
        """Nothing is read before somebody asks."""
        return []

    def collect(self) -> Families:
        """Every number, by part."""
        watched = self._watched
        yield _labelled("workbench_build", "What runs here.", [({**watched.build}, 1)], info=True)
        yield _gauge("draining", "1 while the hub stops and takes no tasks.", watched.draining())
        yield from _tasks(watched.node, watched.slots())
        yield from _connections(watched.listeners())
        yield from _store(watched.store())
        yield from _models(watched.models)
        yield from _downloads(watched.downloads())
        sample = watched.sampler.newest
        if sample is not None and self._now() - watched.sampler.read_at <= FRESH_S:
            yield from _host(sample.host)
            yield from _gpus(sample.gpus.gpus)


def _tasks(node: Node, slots: int) -> Families:
    standing = node.standing()
    rows = [({"state": state}, count) for state, count in standing.items()]
    yield _labelled("tasks", "Open mesh tasks by state; queued ones wait for a slot.", rows)
    yield _gauge("slots", "Tasks that may run at a time; 0 while the cluster is away.", slots)
    busy = standing["running"] + standing["cancelling"]
    yield _gauge("slots_busy", "Tasks that hold a slot.", busy)
    text = "Mesh tasks that ended, by outcome: seconds from their acceptance to their end."
    yield _durations("task_duration_seconds", text, node.ended)
    text = "Connections closed because they read too slowly for what they follow."
    yield _counter("slow_readers", text, [({}, node.slow_readers)])


def _connections(listeners: Sequence[Listener]) -> Families:
    rows = []
    for one in listeners:
        scopes = Counter(each.scope for each in one.connections.values())
        rows += [({"endpoint": one.path, "scope": each}, scopes[each]) for each in SCOPES]
    yield _labelled("connections", "Open connections by the scope of their token.", rows)
    counted = (
        ("connections_opened", "Connections that came in.", "opened"),
        ("connections_aborted", "Connections cut off because they did not read.", "aborted"),
        ("messages_received", "Messages of clients.", "received"),
        ("messages_sent", "Messages to clients.", "sent"),
        ("sent_bytes", "Bytes of those messages.", "sent_bytes"),
        ("messages_replaced", "Progress that newer progress replaced unsent.", "replaced"),
    )
    for name, text, field in counted:
        yield _counter(
            name,
            text,
            [({"endpoint": one.path}, getattr(one.traffic, field)) for one in listeners],
        )
    refused = [
        ({"endpoint": one.path, "status": str(status)}, count)
        for one in listeners
        for status, count in sorted(one.traffic.refused.items())
    ]
    yield _counter("connections_refused", "Handshakes refused, by HTTP status.", refused)


def _store(store: Figures) -> Families:
    text = "Transactions of the store: seconds until they were durable."
    yield _histogram("store_commit_seconds", text, [({}, store.commits)])
    yield _counter("store_rows", "Rows that were written.", [({}, store.rows)])
    yield _counter("store_failures", "Writes that the disk refused.", [({}, store.failures)])
    yield _gauge("store_waiting_rows", "Rows that wait to be written.", store.waiting_rows)
    yield _gauge("store_file_bytes", "Size of the operational file.", store.file_bytes)
    yield _gauge("store_wal_bytes", "Size of its write-ahead log.", store.wal_bytes)
    text = "Queries of users, by outcome: seconds with their wait."
    yield _durations("query_duration_seconds", text, store.queries)


def _models(models: Models) -> Families:
    everything = models.readings()[0]
    yield _counter("llm_requests", "Requests to language models.", [({}, everything.requests)])
    yield _counter("llm_errors", "Those that failed.", [({}, everything.errors)])
    yield _counter("llm_tokens", "Tokens of their answers.", [({}, models.tokens_written)])
    yield _gauge("llm_in_flight", "Answers under way.", everything.in_flight)
    yield _gauge("llm_queued", "Requests that wait for a model.", everything.queued)


def _downloads(downloads: Sequence[Download]) -> Families:
    states = Counter(each.state for each in downloads)
    rows = [({"state": state}, count) for state, count in sorted(states.items())]
    yield _labelled("downloads", "Downloads of models by state.", rows)
    speed = sum(each.speed_bytes_s or 0.0 for each in downloads)
    yield _gauge("downloads_bytes_per_second", "What they receive together.", speed)


def _host(host: HostSample) -> Families:
    cpu, memory, disk = host.cpu.usage, host.memory, host.disk
    yield _gauge("host_cpu_ratio", "CPU in use, of what we may use.", _times(cpu, 0.01))
    yield _gauge("host_memory_used_bytes", "Memory in use.", _times(memory.used_mb, MB))
    yield _gauge("host_memory_bytes", "Memory that we may use.", _times(memory.total_mb, MB))
    yield _gauge("host_disk_free_bytes", "Free on the disk of the data.", _times(disk.free_mb, MB))
    if host.hub is not None:
        used = _times(host.hub.memory_mb, MB)
        yield _gauge("memory_bytes", "Resident memory of the hub and all that it started.", used)


def _gpus(gpus: Sequence[Gpu]) -> Families:
    about = [
        ({"gpu": one.gpu_id, "vendor": one.vendor, "name": one.name or "", "state": one.state}, 1)
        for one in gpus
    ]
    yield _labelled("workbench_gpu", "The GPUs and how they stand.", about, info=True)
    measured: tuple[tuple[str, str, Callable[[Gpu], float | None]], ...] = (
        ("utilization_ratio", "Busy, of the time.", lambda gpu: _times(gpu.utilization, 0.01)),
        ("memory_used_bytes", "Memory in use.", lambda gpu: _times(gpu.memory_used_mb, MB)),
        ("memory_bytes", "Memory.", lambda gpu: _times(gpu.memory_total_mb, MB)),
        ("temperature_celsius", "Temperature.", lambda gpu: gpu.temperature_c),
        ("power_watts", "Power.", lambda gpu: gpu.power_usage_w),
        ("clock_hertz", "Clock of the cores.", lambda gpu: _times(gpu.clock_mhz, 1e6)),
    )
    for name, text, read in measured:
        yield _labelled(f"gpu_{name}", text, [({"gpu": each.gpu_id}, read(each)) for each in gpus])


# Numbers as families. What is not known has no sample, never a 0.

Rows = Sequence[tuple[Mapping[str, str], float | None]]


def _gauge(name: str, text: str, value: float | None) -> Metric:
    return _labelled(name, text, [({}, value)])


def _labelled(name: str, text: str, rows: Rows, *, info: bool = False) -> Metric:
    family = GaugeMetricFamily(f"{name}_info" if info else f"workbench_{name}", text)
    for labels, value in rows:
        if value is not None:
            family.add_sample(family.name, dict(labels), float(value))
    return family


def _counter(name: str, text: str, rows: Rows) -> Metric:
    family = CounterMetricFamily(f"workbench_{name}", text)
    for labels, value in rows:
        if value is not None:
            family.add_sample(f"{family.name}_total", dict(labels), float(value))
    return family


def _durations(name: str, text: str, tally: Tally) -> Metric:
    rows = [({"outcome": outcome}, each) for outcome, each in sorted(tally.by_outcome.items())]
    return _histogram(name, text, rows)


def _histogram(name: str, text: str, rows: Sequence[tuple[Mapping[str, str], Durations]]) -> Metric:
    family = HistogramMetricFamily(f"workbench_{name}", text)
    for labels, durations in rows:
        upto = durations.upto()
        for bound, count in upto:
            edge = "+Inf" if bound == float("inf") else repr(bound)
            family.add_sample(f"{family.name}_bucket", {**labels, "le": edge}, count)
        family.add_sample(f"{family.name}_count", dict(labels), upto[-1][1])
        family.add_sample(f"{family.name}_sum", dict(labels), durations.total_s)
    return family


def _times(value: float | None, factor: float) -> Any:
    return None if value is None else value * factor
