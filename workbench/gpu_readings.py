"""One reading of everything that is measured: this machine, the workers' GPUs, the models."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from workbench.collectors.gpu import Gpus, here
from workbench.collectors.host import HostCollector
from workbench.core.alert_nouns import Rule
from workbench.core.gpu import Gpu, GpuReading, Owner, Owners
from workbench.core.host import HostSample
from workbench.core.metrics import LlmReading, Sample
from workbench.core.run_metrics import Price
from workbench.hub.connections import Monitoring
from workbench.hub.metrics_history import Retention
from workbench.settings import Settings

FORGOTTEN_S = 10.0
"""What a worker's machine said so long ago is no present state."""


class Report(Protocol):
    """What one worker's machine answered: its host's name, and the reading made there."""

    @property
    def address(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def value(self) -> Any: ...


class Cluster(Protocol):
    """The engine, as far as its processes and its workers' machines are looked at."""

    def pids(self) -> Mapping[tuple[str, int], str]: ...
    async def on_workers(self, function: Callable[[], Any]) -> Sequence[Report]: ...


class Models(Protocol):
    """The language models, as far as they are measured."""

    def readings(self) -> tuple[LlmReading, ...]: ...


class Worker(Protocol):
    """Our own worker: the process of each model that it runs."""

    @property
    def pids(self) -> Mapping[str, int]: ...


class Readings:
    """Reads everything at once. Workers elsewhere are asked beside, never waited for."""

    def __init__(
        self,
        data: Path,
        *,
        cluster: Cluster,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host, self._gpus = HostCollector(data), Gpus()
        self._cluster, self._now = cluster, now
        self._models: Models | None = None
        self._worker: Worker | None = None
        self._reports: Sequence[Report] = ()
        self._reported_at = float("-inf")
        self._asking: asyncio.Task[None] | None = None

    def models(self, models: Models, worker: Worker) -> None:
        """Measure these too. They come later, because they borrow by what is read here."""
        self._models, self._worker = models, worker

    async def read(self) -> Sample:
        """One sample; takes about as long as the slowest driver."""
        self._look_elsewhere()
        host, own = await asyncio.to_thread(self._read_here)
        llm = self._models.readings() if self._models else ()
        return Sample(taken_at=host.taken_at, host=host, gpus=self._merged(own), llm=llm)

    async def gpus(self) -> GpuReading:
        """The GPUs alone."""
        self._look_elsewhere()
        return self._merged(await asyncio.to_thread(self._gpus.read))

    def owners(self) -> Owners:
        """Whose processes are whose: the hub's own, tasks and language models."""
        found = {("", os.getpid()): Owner(kind="hub", name="")}
        for id_, pid in (self._worker.pids if self._worker else {}).items():
            found["", pid] = Owner(kind="model", name=id_, claim_id=f"model:{id_}")
        for place, key in self._cluster.pids().items():
            task_id = key.rpartition(".")[0]
            found[place] = Owner(kind="task", name=task_id, claim_id=key)
        return found

    async def close(self) -> None:
        """Give the drivers back."""
        if self._asking is not None:
            self._asking.cancel()
        await asyncio.to_thread(self._gpus.close)

    def _read_here(self) -> tuple[HostSample, GpuReading]:
        return self._host.sample(), self._gpus.read()

    def _look_elsewhere(self) -> None:
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_workers())

    async def _ask_workers(self) -> None:
        reports = await self._cluster.on_workers(here)
        if reports or self._now() - self._reported_at > FORGOTTEN_S:
            self._reports, self._reported_at = reports, self._now()

    def _merged(self, own: GpuReading) -> GpuReading:
        """Our GPUs, then those of other machines; a worker on ours sees the same ones again, and
        so do two containers of one machine."""
        ours = {gpu.uuid for gpu in own.gpus if gpu.uuid}
        workers: dict[str | None, str] = {}
        others: dict[str, Gpu] = {}
        for report in self._reports:
            for gpu in report.value.gpus:
                if gpu.uuid in ours:
                    workers.setdefault(gpu.uuid, report.address)
                else:
                    found = _elsewhere(gpu, report)
                    others.setdefault(gpu.uuid or found.gpu_id, found)
        here = tuple(
            msgspec.structs.replace(gpu, worker=workers.get(gpu.uuid, "")) for gpu in own.gpus
        )
        return GpuReading(gpus=(*here, *others.values()), note=None if others else own.note)


def _elsewhere(gpu: Gpu, report: Report) -> Gpu:
    """A GPU that only a worker sees, under a name with its machine's."""
    place = f"{report.host or report.address}/"
    parent = None if gpu.parent is None else place + gpu.parent
    return msgspec.structs.replace(
        gpu, gpu_id=place + gpu.gpu_id, parent=parent, node=report.host, worker=report.address
    )


def monitoring_of(settings: Settings) -> Monitoring:
    """How the settings want this machine to be watched."""
    return Monitoring(
        interval_s=settings.metrics_interval_s,
        history=settings.metrics_history,
        retention=Retention(
            raw_h=settings.metrics_raw_h,
            minutes_d=settings.metrics_minutes_d,
            hours_d=settings.metrics_hours_d,
        ),
        rules=rules_of(settings),
        price=Price(settings.power_price, settings.power_currency),
    )


def rules_of(settings: Settings) -> tuple[Rule, ...]:
    """The rules that the settings make."""
    limits = (
        ("GPU utilisation", "gpu.utilization", settings.alert_utilization_pct),
        ("GPU memory", "gpu.memory_used_pct", settings.alert_memory_pct),
        ("GPU temperature", "gpu.temperature", settings.alert_temperature_c),
    )
    return tuple(
        Rule(name=name, metric=metric, threshold=limit, for_s=settings.alert_for_s)
        for name, metric, limit in limits
    )
