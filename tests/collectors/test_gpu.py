"""The GPUs of all vendors together: numbers that last, a normal state without any, an end."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.collectors.fake_nvml import World
from tests.collectors.made_sysfs import MadeSysfs
from tests.collectors.readings import Clock
from workbench.collectors import gpu as collector
from workbench.collectors.gpu import Gpus
from workbench.core.gpu import GpuReading, Owner, users

WITHIN_S = 10.0


def shown(reading: GpuReading) -> dict[str, str]:
    return {gpu.gpu_id: f"{gpu.vendor} {gpu.state}" for gpu in reading.gpus}


def test_a_machine_without_any_gpu_says_so(gpus: Gpus, nvml_world: World) -> None:
    nvml_world.error("init", "driver-not-loaded")
    reading = gpus.read()
    assert reading.gpus == ()
    assert str(reading.note).startswith("no GPU was found: ")


def test_amds_follow_nvidias_and_no_missing_driver_is_complained_of(
    gpus: Gpus, nvml_world: World, sysfs: MadeSysfs
) -> None:
    nvml_world.gpu(0)
    nvml_world.gpu(1)
    sysfs.card(0)
    assert shown(gpus.read()) == {"0": "nvidia ok", "1": "nvidia ok", "2": "amd ok"}
    assert gpus.read().note is None


def test_where_only_amds_are_a_missing_nvidia_driver_is_no_news(
    gpus: Gpus, nvml_world: World, sysfs: MadeSysfs
) -> None:
    nvml_world.error("init", "driver-not-loaded")
    sysfs.card(0)
    reading = gpus.read()
    assert (shown(reading), reading.note) == ({"0": "amd ok"}, None)


def test_where_amds_are_a_broken_nvidia_driver_is_news(
    gpus: Gpus, nvml_world: World, sysfs: MadeSysfs
) -> None:
    nvml_world.error("init", "mismatch")
    sysfs.card(0)
    reading = gpus.read()
    assert shown(reading) == {"0": "amd ok"}
    assert "restart the machine" in str(reading.note)


def test_a_number_once_given_lasts_when_another_vendors_driver_comes_later(
    gpus: Gpus, nvml_world: World, sysfs: MadeSysfs, clock: Clock
) -> None:
    nvml_world.error("init", "driver-not-loaded")
    sysfs.card(0)
    assert shown(gpus.read()) == {"0": "amd ok"}
    nvml_world.error("init", None)
    nvml_world.gpu(0)
    clock.now_s = 10.0
    assert shown(gpus.read()) == {"0": "amd ok", "1": "nvidia ok"}


def test_a_process_of_ours_is_known_by_its_ancestor_and_others_are_one_sum(
    gpus: Gpus, nvml_world: World
) -> None:
    mine, parent = os.getpid(), os.getppid()
    nvml_world.gpu(0, processes={mine: 300.0, 2**22 + 1: 200.0, 2**22 + 2: None})
    (gpu,) = gpus.read().gpus
    ours, others = users(gpu, {("", parent): Owner(kind="task", name="t1")}) or ()
    assert (ours.kind, ours.name, ours.memory_mb) == ("task", "t1", 300.0)
    assert (others.kind, others.name, others.memory_mb, others.count) == ("other", "", 200.0, 2)


def test_after_its_close_a_reading_is_empty_and_the_driver_is_given_back(
    gpus: Gpus, nvml_world: World
) -> None:
    import pynvml

    nvml_world.gpu(0)
    gpus.read()
    gpus.close()
    gpus.close()
    assert gpus.read() == GpuReading()
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()


def test_a_close_waits_for_a_reading_that_is_under_way(gpus: Gpus, nvml_world: World) -> None:
    nvml_world.gpu(0).delay("utilization", 0.2, gpu=0)
    with ThreadPoolExecutor(1) as pool:
        before = nvml_world.calls("utilization")
        reading = pool.submit(gpus.read)
        while nvml_world.calls("utilization") == before and not reading.done():
            pass
        gpus.close()
        (gpu,) = reading.result(WITHIN_S).gpus
    assert (gpu.state, gpu.utilization) == ("ok", 0)


def test_many_threads_read_while_one_closes(gpus: Gpus, nvml_world: World) -> None:
    nvml_world.gpu(0)
    begun = threading.Barrier(5)

    def read_on() -> list[GpuReading]:
        begun.wait(WITHIN_S)
        return [gpus.read() for _ in range(50)]

    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(read_on) for _ in range(4)]
        begun.wait(WITHIN_S)
        gpus.close()
        readings = [each for done in waiting for each in done.result(WITHIN_S)]
    assert {gpu.state for reading in readings for gpu in reading.gpus} <= {"ok"}
    assert gpus.read() == GpuReading()


def test_a_worker_keeps_one_collector_for_its_life(nvml_world: World) -> None:
    nvml_world.gpu(0, name="NVIDIA at the worker")
    begins = nvml_world.calls("init")
    try:
        names = [gpu.name for _ in range(3) for gpu in collector.here().gpus]
        assert names == ["NVIDIA at the worker"] * 3
        assert nvml_world.calls("init") - begins == 1
    finally:
        collector._kept().close()
        collector._kept.cache_clear()
