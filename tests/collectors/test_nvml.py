"""What NVIDIA's GPUs tell, read with the real pynvml from a driver of our own (fake_nvml.c)."""

from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from tests.collectors.fake_nvml import Process, World
from tests.collectors.readings import Clock, read, told
from workbench.collectors.gpu import Gpus
from workbench.core.gpu import Gpu

# What two healthy GPUs tell


def test_every_figure_of_two_gpus_is_told_in_our_units(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0, name="NVIDIA RTX 4090", uuid="GPU-aa", utilization=93)
    nvml_world.gpu(0, memory_total_mb=25_757.2, memory_used_mb=8_192.5, temperature_c=71)
    nvml_world.gpu(0, power_w=402.128, power_limit_w=450, clock_mhz=2520, memory_clock_mhz=10501)
    nvml_world.gpu(0, fan=54, throttle=0x4, pcie_received_kb_s=1_250_000, pcie_sent_kb_s=3_500)
    nvml_world.gpu(1, name="NVIDIA L4", uuid="GPU-bb", fan=None)
    first, second = read(gpus, lambda it: it.gpus[1].pcie_sent_mb_s is not None).gpus
    assert first == Gpu(
        gpu_id="0",
        uuid="GPU-aa",
        vendor="nvidia",
        name="NVIDIA RTX 4090",
        utilization=93,
        memory_used_mb=8_192.5,
        memory_total_mb=25_757.2,
        temperature_c=71,
        power_usage_w=402.128,
        power_limit_w=450,
        clock_mhz=2520,
        memory_clock_mhz=10501,
        fan_pct=54,
        throttle=("power",),
        pcie_received_mb_s=1250,
        pcie_sent_mb_s=3.5,
        processes=(),
    )
    assert (second.gpu_id, second.name, second.state, second.note) == ("1", "NVIDIA L4", "ok", None)
    assert second.fan_pct is None


def test_nothing_is_wrong_where_gpus_are_healthy(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0)
    assert gpus.read().note is None


def test_idle_figures_are_zero_and_not_missing(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0, utilization=0, fan=0, throttle=0x1, temperature_c=0)
    gpu = gpus.read().gpus[0]
    assert (gpu.utilization, gpu.fan_pct, gpu.temperature_c, gpu.throttle) == (0, 0, 0, ())


def test_a_change_is_seen_by_the_next_reading(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0, utilization=3)
    assert gpus.read().gpus[0].utilization == 3
    nvml_world.gpu(0, utilization=97)
    assert gpus.read().gpus[0].utilization == 97


def test_what_the_driver_reserves_is_not_free_for_anybody(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0, memory_used_mb=1000, memory_reserved_mb=600)
    assert gpus.read().gpus[0].memory_used_mb == 1600


@pytest.mark.parametrize(
    ("bits", "why"),
    [
        (0x0, ()),
        (0x1, ()),  # idle
        (0x2, ("clocks",)),
        (0x4, ("power",)),
        (0x8, ("hardware",)),
        (0x10, ("sync",)),
        (0x20, ("thermal",)),
        (0x48, ("thermal",)),  # by hardware, because of heat
        (0x88, ("power",)),  # by hardware, because of power
        (0x100, ("clocks",)),
        (0x24, ("power", "thermal")),
    ],
)
def test_reasons_to_be_slow_are_named(
    bits: int, why: tuple[str, ...], nvml_world: World, gpus: Gpus
) -> None:
    nvml_world.gpu(0, throttle=bits)
    assert gpus.read().gpus[0].throttle == why


# What a GPU does not give

FIELDS = {
    "utilization": "utilization",
    "temperature": "temperature_c",
    "power": "power_usage_w",
    "power_limit": "power_limit_w",
    "clock": "clock_mhz",
    "memory_clock": "memory_clock_mhz",
    "fan": "fan_pct",
    "throttle": "throttle",
    "pcie": "pcie_sent_mb_s",
}


@pytest.mark.parametrize("query", FIELDS)
def test_what_the_hardware_does_not_give_is_none_and_all_else_stays(
    query: str, nvml_world: World, gpus: Gpus
) -> None:
    nvml_world.gpu(0, unsupported={query}).gpu(1)
    first, second = read(gpus, lambda it: it.gpus[1].pcie_sent_mb_s is not None).gpus
    missing = {name for name in FIELDS.values() if getattr(first, name) is None}
    assert missing == {FIELDS[query]}
    assert (first.state, first.note) == ("ok", None)
    assert all(getattr(second, name) is not None for name in FIELDS.values())


def test_what_is_not_supported_is_not_asked_at_every_reading(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0, unsupported={"fan"})
    for _ in range(50):
        gpus.read()
    assert nvml_world.calls("power") >= 50
    assert nvml_world.calls("fan") <= 5


def test_a_figure_that_failed_is_asked_again_and_comes_back(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0).error("power", "unknown", gpu=0)
    gpu = gpus.read().gpus[0]
    assert (gpu.state, gpu.power_usage_w, gpu.temperature_c) == ("ok", None, 40)
    assert told(gpu) == "some of its figures are missing: its driver failed with Unknown Error"
    nvml_world.error("power", None, gpu=0)
    gpu = gpus.read().gpus[0]
    assert (gpu.power_usage_w, gpu.note) == (30, None)


def test_one_figure_with_a_bad_argument_does_not_lose_the_gpu(
    nvml_world: World, gpus: Gpus
) -> None:
    nvml_world.gpu(0).error("fan", 2, gpu=0)
    gpu = gpus.read().gpus[0]
    assert (gpu.state, gpu.fan_pct, gpu.temperature_c) == ("ok", None, 40)


def test_a_gpu_whose_driver_fails_at_everything_says_so(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0).gpu(1)
    for query in FIELDS | {"memory": "", "compute": "", "graphics": ""}:
        nvml_world.error(query, "unknown", gpu=0)
    first, second = gpus.read().gpus
    assert (first.state, first.memory_used_mb, first.utilization) == ("failed", None, None)
    assert "Unknown Error" in told(first)
    assert "dmesg" in told(first)
    assert (second.state, second.memory_used_mb) == ("ok", 400)


def test_a_gpu_with_the_machines_memory_shows_the_machines(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0, name="NVIDIA GB10", memory_total_mb=None, processes={7: 900})
    gpu = gpus.read().gpus[0]
    assert (gpu.state, gpu.unified) == ("ok", True)
    assert gpu.memory_total_mb == pytest.approx(psutil.virtual_memory().total / 1e6, abs=1)
    assert gpu.memory_used_mb and gpu.memory_total_mb
    assert 0 < gpu.memory_used_mb < gpu.memory_total_mb
    assert "no memory of its own" in told(gpu)
    assert gpu.processes is not None
    assert gpu.processes[0].memory_mb == 900


def test_memory_of_its_own_is_not_unified(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0)
    assert gpus.read().gpus[0].unified is False


def test_an_old_driver_without_the_newer_functions_tells_the_same(
    tmp_path: Path, clock: Clock
) -> None:
    with World(tmp_path, old=True).loaded() as world:
        listed = [Process(7, 900), Process(8, 50, "graphics")]
        world.gpu(0, throttle=0x4, processes=listed, memory_reserved_mb=100)
        gpus = Gpus(sysfs=tmp_path / "sys", now=clock)
        gpu = gpus.read().gpus[0]
        gpus.close()
    assert (gpu.state, gpu.note) == ("ok", None)
    assert (gpu.throttle, gpu.temperature_c, gpu.memory_used_mb) == (("power",), 40, 500)
    assert [(each.pid, each.memory_mb) for each in gpu.processes or ()] == [(7, 900), (8, 50)]


# No permission


def test_a_gpu_that_we_may_not_open_is_denied_and_says_what_to_do(
    nvml_world: World, gpus: Gpus
) -> None:
    nvml_world.gpu(0).gpu(1).error("handle", "permission", gpu=0)
    first, second = gpus.read().gpus
    assert (first.gpu_id, first.state, first.memory_total_mb) == ("0", "denied", None)
    assert "/dev/nvidia" in told(first)
    assert (second.gpu_id, second.state) == ("1", "ok")


def test_a_gpu_that_tells_us_nothing_is_denied(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0)
    for query in FIELDS | {"memory": "", "compute": "", "graphics": ""}:
        nvml_world.error(query, "permission", gpu=0)
    gpu = gpus.read().gpus[0]
    assert (gpu.state, gpu.memory_used_mb, gpu.processes) == ("denied", None, None)
    assert gpu.name == "NVIDIA Fake 24"
    assert "no permission" in told(gpu)


def test_hidden_processes_are_unknown_and_all_else_is_told(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0, processes={7: 900})
    for query in ("compute", "graphics"):
        nvml_world.error(query, "permission", gpu=0)
    gpu = gpus.read().gpus[0]
    assert (gpu.state, gpu.processes, gpu.memory_used_mb) == ("ok", None, 400)
    assert "no permission to see its processes" in told(gpu)


# Processes


def test_a_process_that_computes_and_draws_is_one(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0, processes=[(7, 900), Process(7, 900, "graphics"), Process(8, 50, "graphics")])
    found = gpus.read().gpus[0].processes
    assert {each.pid: each.memory_mb for each in found or ()} == {7: 900, 8: 50}
    assert len(found or ()) == 2


def test_what_only_one_of_two_lists_tells_of_a_process_is_told(
    nvml_world: World, gpus: Gpus
) -> None:
    first = (7, 900), Process(7, None, "graphics")
    second = (8, None), Process(8, 50, "graphics")
    nvml_world.gpu(0, processes=[*first, *second])
    found = gpus.read().gpus[0].processes
    assert {each.pid: each.memory_mb for each in found or ()} == {7: 900, 8: 50}


def test_memory_that_a_driver_does_not_tell_of_a_process_is_none(
    nvml_world: World, gpus: Gpus
) -> None:
    nvml_world.gpu(0, processes={7: None, 8: 0})
    found = gpus.read().gpus[0].processes
    assert {each.pid: each.memory_mb for each in found or ()} == {7: None, 8: 0}


def test_a_process_comes_with_its_ancestors(nvml_world: World, gpus: Gpus) -> None:
    parents = tuple(each.pid for each in psutil.Process().parents())
    nvml_world.gpu(0, processes={os.getpid(): 100})
    found = gpus.read().gpus[0].processes
    assert found is not None
    assert found[0].ancestors == parents
    assert found[0].ancestors[0] == os.getppid()


def test_a_process_that_cannot_be_seen_has_no_ancestors(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0, processes={4_000_000: 100})
    found = gpus.read().gpus[0].processes
    assert [(each.pid, each.ancestors) for each in found or ()] == [(4_000_000, ())]


def test_processes_that_come_and_go_between_readings_are_followed(
    nvml_world: World, gpus: Gpus
) -> None:
    nvml_world.gpu(0)
    assert gpus.read().gpus[0].processes == ()
    nvml_world.gpu(0, processes=dict.fromkeys(range(100, 140), 1))
    assert len(gpus.read().gpus[0].processes or ()) == 40
    nvml_world.gpu(0, processes={})
    assert gpus.read().gpus[0].processes == ()


# MIG


def test_slices_are_gpus_beside_their_card(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0, power_w=120, temperature_c=55, memory_used_mb=3020, processes={7: 1, 8: 2})
    nvml_world.mig(0, 0, uuid="MIG-a", memory_used_mb=3000, processes={7: 2990})
    nvml_world.mig(0, 2, uuid="MIG-c", memory_used_mb=20).gpu(1)
    card, first, third, other = gpus.read().gpus
    assert [each.gpu_id for each in (card, first, third, other)] == ["0", "0:0", "0:2", "1"]
    assert (card.parent, first.parent, third.parent, other.parent) == (None, "0", "0", None)
    assert (card.power_usage_w, card.temperature_c, card.utilization) == (120, 55, None)
    assert (first.uuid, first.memory_used_mb, first.memory_total_mb) == ("MIG-a", 3000, 5000)
    assert (first.power_usage_w, first.temperature_c, first.state) == (None, None, "ok")
    assert [each.pid for each in first.processes or ()] == [7]
    assert (third.uuid, third.memory_used_mb, third.processes) == ("MIG-c", 20, ())
    assert "MIG 1g.5gb" in (first.name or "")


def test_a_process_in_a_slice_is_not_counted_on_the_card_too(nvml_world: World, gpus: Gpus) -> None:
    nvml_world.gpu(0, processes={7: 2990}).mig(0, 0, processes={7: 2990})
    card, piece = gpus.read().gpus
    assert card.processes is None
    assert [each.pid for each in piece.processes or ()] == [7]


def test_a_slice_that_tells_no_memory_is_not_taken_for_one_with_the_machines(
    nvml_world: World, gpus: Gpus
) -> None:
    nvml_world.gpu(0).mig(0, 0, memory_total_mb=None)
    piece = gpus.read().gpus[1]
    assert (piece.memory_used_mb, piece.memory_total_mb, piece.unified) == (None, None, False)


def test_a_card_in_mig_mode_without_slices_says_how_to_cut_it(
    nvml_world: World, gpus: Gpus
) -> None:
    nvml_world.gpu(0, mig=1, utilization=None)
    (card,) = gpus.read().gpus
    assert (card.state, card.parent) == ("ok", None)
    assert "nvidia-smi mig -cgi" in told(card)


def test_slices_that_are_cut_and_taken_away_in_mid_run_are_followed(
    nvml_world: World, gpus: Gpus, clock: Clock
) -> None:
    nvml_world.gpu(0).mig(0, 0)
    assert [each.gpu_id for each in gpus.read().gpus] == ["0", "0:0"]
    nvml_world.mig(0, 1)
    cut = read(gpus, lambda it: len(it.gpus) == 3, clock)
    assert [each.gpu_id for each in cut.gpus] == ["0", "0:0", "0:1"]
    nvml_world.remove(0, 0)
    taken = gpus.read()
    assert [each.gpu_id for each in taken.gpus] == ["0", "0:1"]
    assert [each.state for each in taken.gpus] == ["ok", "ok"]
