"""A machine whose GPUs a test sets: the collectors' place in the hub's tests. The host is real."""

from __future__ import annotations

import asyncio
from pathlib import Path

from workbench.collectors.host import HostCollector
from workbench.core.gpu import Gpu, GpuReading, Owner, Owners
from workbench.core.metrics import LlmReading, Sample


class Machine:
    """`gpus`, `llm` and `whose` are read anew each time; `reads` counts the samples."""

    def __init__(self, folder: Path) -> None:
        self._host = HostCollector(folder)
        self.gpus: tuple[Gpu, ...] = ()
        self.llm: tuple[LlmReading, ...] = ()
        self.whose: dict[tuple[str, int], Owner] = {}
        self.reads = 0
        self.broken: Exception | None = None
        self.failed_thrice = asyncio.Event()

    async def read(self) -> Sample:
        self.reads += 1
        if self.broken is not None:
            if self.reads >= 3:
                self.failed_thrice.set()
            raise self.broken
        host = await asyncio.to_thread(self._host.sample)
        reading = await self.reading()
        return Sample(taken_at=host.taken_at, host=host, gpus=reading, llm=self.llm)

    async def reading(self) -> GpuReading:
        return GpuReading(gpus=self.gpus)

    def owners(self) -> Owners:
        return self.whose
