"""One session with NVML for as long as it lasts: when it is begun anew, and what survives that."""

from __future__ import annotations

import os
import subprocess
import threading

import pytest

from tests.collectors.fake_nvml import Process, World
from tests.collectors.readings import PATIENCE_S, Clock, read
from workbench.collectors.gpu import Gpus
from workbench.core.gpu import Gpu, GpuReading

SLOW_S = 10.0
"""As long as the collector waits, unless it is told otherwise."""


@pytest.fixture
def gpus(nvml_world: World, gpus: Gpus) -> Gpus:
    nvml_world.gpu(0).gpu(1)
    return gpus


def has_pcie(gpu: Gpu) -> bool:
    return gpu.pcie_sent_mb_s is not None


def settled(gpus: Gpus) -> None:
    """Nothing slow is under way any more, and its answers are taken up."""
    gpus.read()
    for thread in threading.enumerate():
        if thread.name == "slow-nvml":
            thread.join(PATIENCE_S)
    gpus.read()


def begun(gpus: Gpus, world: World, clock: Clock, times: list[float]) -> list[float]:
    """At which of these moments the session was begun anew."""
    found = []
    for at in times:
        clock.now_s = at
        before = world.calls("init")
        gpus.read()
        if world.calls("init") > before:
            found.append(at)
        settled(gpus)
    return found


def test_a_session_is_kept_while_all_is_well(gpus: Gpus, nvml_world: World, clock: Clock) -> None:
    settled(gpus)
    assert begun(gpus, nvml_world, clock, [10.0, 20.0, 1000.0]) == []
    assert nvml_world.calls("init") == 1


def test_the_waits_for_a_lost_gpu_double_up_to_thirty_times_the_first(
    gpus: Gpus, nvml_world: World, clock: Clock
) -> None:
    settled(gpus)
    nvml_world.lose(0)
    clock.now_s = 100.0
    gpus.read()
    settled(gpus)
    moments = [109.0, 110.0, 129.0, 130.0, 169.0, 170.0, 249.0, 250.0, 409.0, 410.0]
    moments += [709.0, 710.0, 1009.0, 1010.0]
    tried = [110.0, 130.0, 170.0, 250.0, 410.0, 710.0, 1010.0]
    assert begun(gpus, nvml_world, clock, moments) == tried


def test_after_a_gpu_came_back_the_next_loss_is_looked_after_as_soon_as_the_first(
    gpus: Gpus, nvml_world: World, clock: Clock
) -> None:
    settled(gpus)
    nvml_world.lose(0)
    gpus.read()
    assert begun(gpus, nvml_world, clock, [10.0, 30.0]) == [10.0, 30.0]
    nvml_world.come_back(0)
    assert begun(gpus, nvml_world, clock, [70.0, 71.0]) == [70.0]
    nvml_world.lose(0)
    clock.now_s = 200.0
    gpus.read()
    settled(gpus)
    assert begun(gpus, nvml_world, clock, [209.0, 210.0]) == [210.0]


def test_a_lost_gpu_keeps_its_name_and_its_size(gpus: Gpus, nvml_world: World) -> None:
    nvml_world.gpu(0, name="NVIDIA Lost", memory_total_mb=80_000)
    gpus.read()
    nvml_world.lose(0)
    lost = gpus.read().gpus[0]
    assert (lost.state, lost.name, lost.memory_total_mb) == ("lost", "NVIDIA Lost", 80_000)
    assert (lost.memory_used_mb, lost.utilization, lost.processes) == (None, None, None)


def test_what_is_slow_is_asked_at_once_in_a_new_session(
    gpus: Gpus, nvml_world: World, clock: Clock
) -> None:
    settled(gpus)
    clock.now_s = 5.0
    nvml_world.lose(0)
    gpus.read()
    clock.now_s = 10.0
    settled(gpus)  # what is slow would be asked again at 20
    nvml_world.come_back(0)
    clock.now_s = 15.0
    reading = read(gpus, lambda reading: all(map(has_pcie, reading.gpus)))
    assert [gpu.state for gpu in reading.gpus] == ["ok", "ok"]


def test_a_session_is_not_ended_under_a_slow_question(
    gpus: Gpus, nvml_world: World, clock: Clock
) -> None:
    nvml_world.delay("pcie", 0.1, gpu=1)
    gpus.read()
    nvml_world.lose(0)
    gpus.read()
    clock.now_s = SLOW_S
    assert [gpu.state for gpu in gpus.read().gpus] == ["lost", "ok"]
    assert nvml_world.calls("init") == 1
    nvml_world.come_back(0)
    read(gpus, lambda reading: reading.gpus[0].state == "ok")
    assert nvml_world.calls("init") == 2


def test_all_gpus_of_a_reading_have_their_slow_figures_from_the_same_look(
    gpus: Gpus, nvml_world: World
) -> None:
    nvml_world.delay("pcie", 0.02, gpu=1)
    seen = set()
    read(gpus, lambda reading: seen.add(tuple(map(has_pcie, reading.gpus))) or (True, True) in seen)
    assert seen == {(False, False), (True, True)}


def test_a_reading_does_not_wait_for_what_is_slow(gpus: Gpus, nvml_world: World) -> None:
    nvml_world.delay("pcie", 2.0, gpu=0)
    gpus.read()
    assert not has_pcie(gpus.read().gpus[0])  # one that had waited would have the figure


def test_what_we_may_not_see_is_not_asked_at_every_reading(
    gpus: Gpus, nvml_world: World, clock: Clock
) -> None:
    nvml_world.error("power", "permission", gpu=0)
    settled(gpus)
    before = nvml_world.calls("power")
    for _ in range(20):
        gpus.read()
    assert nvml_world.calls("power") - before <= 22  # the other GPU's, and one after a look
    nvml_world.error("power", None, gpu=0)
    clock.now_s = SLOW_S
    assert read(gpus, lambda reading: reading.gpus[0].power_usage_w is not None)


@pytest.mark.parametrize("told", [(300.0, None), (None, 300.0), (300.0, 300.0)])
def test_a_process_that_computes_and_draws_is_told_once_with_what_is_known(
    told: tuple[float | None, float | None], gpus: Gpus, nvml_world: World
) -> None:
    pid = os.getpid()
    processes = [Process(pid, told[0], "compute"), Process(pid, told[1], "graphics")]
    nvml_world.gpu(0, processes=processes)
    (process,) = gpus.read().gpus[0].processes or ()
    assert (process.pid, process.memory_mb) == (pid, 300.0)


def test_a_slice_without_figures_of_its_memory_does_not_show_the_machines(
    gpus: Gpus, nvml_world: World
) -> None:
    nvml_world.mig(0, 0, unsupported={"memory"})
    cut = gpus.read().gpus[1]
    assert (cut.gpu_id, cut.parent) == ("0:0", "0")
    assert (cut.unified, cut.memory_used_mb, cut.memory_total_mb) == (False, None, None)


def test_the_ancestors_of_a_process_are_looked_up_anew_after_a_while(
    gpus: Gpus, nvml_world: World, clock: Clock
) -> None:
    """Its parent ends, and another takes its place: it is not that parent's any more."""
    shell = ["/bin/sh", "-c", "sleep 60 >&- & echo $!; read _"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(shell, **pipes) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        nvml_world.gpu(0, processes={pid: 100.0})
        assert ancestors(gpus.read())[0] == parent.pid
        parent.communicate(b"\n")
    try:
        clock.now_s = SLOW_S
        read(gpus, lambda reading: parent.pid not in ancestors(reading))
    finally:
        os.kill(pid, 15)


def ancestors(reading: GpuReading) -> tuple[int, ...]:
    (process,) = reading.gpus[0].processes or ()
    return process.ancestors
