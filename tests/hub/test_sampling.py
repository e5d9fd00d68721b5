"""The sampler: as fast as somebody wants, without drift, and silent when nobody does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.hub.machine import Machine
from workbench.core.metrics import Sample
from workbench.hub.sampling import Sampler


class Heard:
    """A listener that a test waits for."""

    def __init__(self, sampler: Sampler) -> None:
        self.at: list[float] = []
        self.samples: asyncio.Queue[Sample] = asyncio.Queue()
        sampler.listen(self._hear)

    def _hear(self, sample: Sample, at: float) -> None:
        self.at.append(at)
        self.samples.put_nowait(sample)

    async def count(self, number: int) -> None:
        async with asyncio.timeout(10):
            for _ in range(number):
                await self.samples.get()


async def test_the_fastest_wish_sets_the_pace_and_nobody_reads_without_one(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    sampler = Sampler(machine.read)
    heard = Heard(sampler)
    assert sampler.interval_s is None
    sampler.want("history", 30.0)
    await heard.count(1)
    sampler.want("page", 0.05)
    await heard.count(5)
    assert sampler.interval_s == 0.05
    sampler.want("page", None)
    sampler.want("history", None)
    await asyncio.sleep(0.2)
    read = machine.reads
    await asyncio.sleep(0.3)
    assert machine.reads == read
    sampler.want("page", 0.05)
    await heard.count(1)
    await sampler.close()


async def test_late_readings_do_not_shift_those_after_them(tmp_path: Path) -> None:
    machine = Machine(tmp_path)

    async def slow() -> Sample:
        await asyncio.sleep(0.03)
        return await machine.read()

    async def took_s() -> float:
        sampler = Sampler(slow)
        heard = Heard(sampler)
        sampler.want("page", 0.1)
        await heard.count(11)
        await sampler.close()
        return float(heard.at[-1] - heard.at[0])

    # With 30 ms of drift each no try could be below 1.3 s; a busy machine delays some tries.
    while await took_s() >= 1.25:
        pass


async def test_a_failing_reading_is_followed_by_the_next(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.broken = OSError("the driver is away")
    sampler = Sampler(machine.read)
    heard = Heard(sampler)
    sampler.want("page", 0.05)
    async with asyncio.timeout(10):
        await machine.failed_thrice.wait()
    assert not heard.at
    machine.broken = None
    await heard.count(2)
    await sampler.close()


async def test_askers_at_the_same_moment_share_one_reading(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    sampler = Sampler(machine.read)
    first, second = await asyncio.gather(sampler.fresh(), sampler.fresh())
    assert first is second
    assert await sampler.fresh(max_age_s=60) is first
    assert machine.reads == 1
    machine.broken = OSError("away")
    with pytest.raises(OSError, match="away"):
        await sampler.fresh()
    await sampler.close()
