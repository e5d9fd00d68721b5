"""AMD's GPUs from a made sysfs: every figure in its unit, and None for what is not told."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.collectors.made_sysfs import DEDICATED, WITHIN_PROCESSOR, MadeSysfs
from tests.collectors.readings import Clock
from workbench.collectors.amd import Amd, pcie_mb_s
from workbench.core.gpu import Gpu

NOBODY = 65534


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """libdrm's list of names."""
    path = tmp_path / "amdgpu.ids"
    path.write_text("1.0.0\n744C,\tC8,\tAMD Radeon RX 7900 XTX\n15BF,\tC8,\tAMD Radeon 780M\n")
    return path


def amd_of(root: Path, *, now: Clock | None = None, listed: Path = Path("/nowhere")) -> Amd:
    return Amd(root, slow_s=10, now=now or Clock(), marketing_names=listed)


def read(sysfs: MadeSysfs) -> Gpu:
    (gpu,) = amd_of(sysfs.root).read()
    return gpu


def until(look: Callable[[], Gpu], is_so: Callable[[Gpu], bool]) -> Gpu:
    """What we see once it is so; fails when that takes 30 seconds."""
    ends = time.monotonic() + 30
    while not is_so(seen := look()):
        assert time.monotonic() < ends, f"still {seen}"
        time.sleep(0.005)
    return seen


@contextmanager
def as_nobody() -> Iterator[None]:
    """Root may read everything; somebody else may not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_machine_without_amds_cards_has_none(sysfs: MadeSysfs, tmp_path: Path) -> None:
    assert amd_of(sysfs.root).read() == ()
    assert amd_of(tmp_path / "nowhere").read() == ()


def test_every_figure_of_a_card_comes_in_its_unit(sysfs: MadeSysfs) -> None:
    sysfs.card()
    gpu = read(sysfs)
    assert gpu == Gpu(
        gpu_id="0",
        uuid="GPU-1f2e3d4c5b6a7988",
        vendor="amd",
        name="AMD Radeon PRO W7900",
        utilization=37.0,
        memory_used_mb=2147.5,
        memory_total_mb=25753.0,
        temperature_c=54.0,
        power_usage_w=183.0,
        power_limit_w=339.0,
        clock_mhz=2371.0,
        memory_clock_mhz=1249.0,
        fan_pct=40.0,
    )


@pytest.mark.parametrize("vendor", ["0x10de", "0x8086", None])
def test_cards_of_others_are_left_out(sysfs: MadeSysfs, vendor: str | None) -> None:
    sysfs.card(vendor=vendor)
    assert amd_of(sysfs.root).read() == ()


def test_a_card_of_the_driver_before_amdgpu_is_left_out(sysfs: MadeSysfs) -> None:
    sysfs.card(mem_info_vram_total=None)
    assert amd_of(sysfs.root).read() == ()


@pytest.mark.parametrize(
    ("file", "figure"),
    [
        ("gpu_busy_percent", "utilization"),
        ("power1_average", "power_usage_w"),
        ("power1_cap", "power_limit_w"),
        ("freq1_input", "clock_mhz"),
        ("freq2_input", "memory_clock_mhz"),
        ("pwm1", "fan_pct"),
    ],
)
@pytest.mark.parametrize("text", ["", "N/A", None])
def test_what_a_file_does_not_tell_is_none(
    sysfs: MadeSysfs, file: str, figure: str, text: str | None
) -> None:
    sysfs.card(**{file: text})
    gpu = read(sysfs)
    assert getattr(gpu, figure) is None
    assert (gpu.state, gpu.memory_used_pct) == ("ok", 8.3)


def test_a_card_whose_memory_is_not_told_has_no_share_of_it(sysfs: MadeSysfs) -> None:
    sysfs.card(mem_info_vram_total="")
    gpu = read(sysfs)
    assert (gpu.memory_total_mb, gpu.memory_used_pct) == (None, None)


@pytest.mark.parametrize("text", ["", None])
def test_a_card_that_nobody_named_has_no_name(sysfs: MadeSysfs, text: str | None) -> None:
    sysfs.card(product_name=text)
    assert read(sysfs).name is None


def test_an_idle_card_is_at_zero_not_unknown(sysfs: MadeSysfs) -> None:
    sysfs.card(gpu_busy_percent="0", pwm1="0", mem_info_vram_used="0")
    gpu = read(sysfs)
    assert (gpu.utilization, gpu.fan_pct, gpu.memory_used_mb) == (0.0, 0.0, 0.0)


def test_a_card_without_a_sensor_at_its_edge_shows_its_junction(sysfs: MadeSysfs) -> None:
    sysfs.card(temp1_input=None)
    assert read(sysfs).temperature_c == 61.0


def test_a_fan_that_only_tells_its_turns_is_in_percent_of_its_fastest(sysfs: MadeSysfs) -> None:
    files = DEDICATED | {"hwmon/fan1_input": "900", "hwmon/fan1_max": "3600"}
    sysfs.card(files=files, pwm1=None)
    assert read(sysfs).fan_pct == 25.0


def test_power_of_the_moment_counts_where_no_average_is_told(sysfs: MadeSysfs) -> None:
    sysfs.card(files=WITHIN_PROCESSOR)
    assert read(sysfs).power_usage_w == 9.021


def test_a_gpu_within_a_processor_has_a_part_of_the_machines_memory(
    sysfs: MadeSysfs, listed: Path
) -> None:
    sysfs.card(files=WITHIN_PROCESSOR)
    (gpu,) = amd_of(sysfs.root, listed=listed).read()
    assert gpu.unified
    assert gpu.note is not None
    assert str(gpu.note).startswith("it has no memory of its own")
    assert gpu.memory_total_mb == 34091.3
    assert gpu.memory_used_mb == 419.4
    assert (gpu.uuid, gpu.name) == (None, "AMD Radeon 780M")
    assert (gpu.fan_pct, gpu.power_limit_w) == (None, None)


@pytest.mark.parametrize(("version", "unified"), [((2, 2), True), ((3, 0), True), ((1, 3), False)])
def test_the_table_of_metrics_says_whose_the_memory_is(
    sysfs: MadeSysfs, version: tuple[int, int], unified: bool
) -> None:
    sysfs.card()
    sysfs.metrics(0, version)
    assert read(sysfs).unified is unified


@pytest.mark.parametrize(
    ("bits", "reasons"),
    [
        (0, ()),
        (1 << 0, ("power",)),
        (1 << 16 | 1 << 1, ("power",)),
        (1 << 36, ("thermal",)),
        (1 << 22 | 1 << 35, ("power", "thermal")),
        (1 << 57, ("hardware",)),
    ],
)
def test_a_throttled_card_says_why(sysfs: MadeSysfs, bits: int, reasons: tuple[str, ...]) -> None:
    sysfs.card()
    sysfs.metrics(0, (1, 3), bits)
    assert read(sysfs).throttle == reasons


@pytest.mark.parametrize(("version", "bits"), [((1, 3), 2**64 - 1), ((1, 4), 1), ((2, 2), 1)])
def test_without_reasons_that_mean_the_same_everywhere_there_are_none(
    sysfs: MadeSysfs, version: tuple[int, int], bits: int
) -> None:
    sysfs.card()
    sysfs.metrics(0, version, bits)
    assert read(sysfs).throttle is None


def test_a_table_cut_short_is_no_table(sysfs: MadeSysfs) -> None:
    sysfs.card()
    (sysfs.device() / "gpu_metrics").write_bytes(b"\x78\x00\x01\x03")
    assert read(sysfs).throttle is None


def test_cards_are_numbered_by_their_slots_and_named_by_libdrms_list(
    sysfs: MadeSysfs, listed: Path
) -> None:
    sysfs.card(1, product_name=None)
    sysfs.card(0, product_name="")
    sysfs.card(10, device="0x0001", product_name=None)
    found = amd_of(sysfs.root, listed=listed).read()
    assert [gpu.gpu_id for gpu in found] == ["0", "1", "2"]
    assert [gpu.name for gpu in found] == ["AMD Radeon RX 7900 XTX"] * 2 + [None]


def test_a_card_that_goes_is_lost_and_keeps_its_line_until_it_comes_back(
    sysfs: MadeSysfs,
) -> None:
    clock = Clock()
    sysfs.card(0)
    sysfs.card(1, unique_id="1")
    amd = amd_of(sysfs.root, now=clock)
    assert [gpu.state for gpu in amd.read()] == ["ok", "ok"]
    sysfs.lose(0)
    lost, other = amd.read()
    assert (lost.state, lost.gpu_id, lost.uuid) == ("lost", "0", "GPU-1f2e3d4c5b6a7988")
    assert (lost.utilization, lost.memory_used_mb, lost.temperature_c) == (None, None, None)
    assert lost.note is not None
    assert str(lost.note) == (
        "its driver let it go: look for its reason with `dmesg`, or restart the machine"
    )
    assert (other.gpu_id, other.state) == ("1", "ok")
    clock.now_s += 11
    assert [gpu.state for gpu in amd.read()] == ["lost", "ok"]
    sysfs.card(0)
    assert [gpu.state for gpu in amd.read()] == ["ok", "ok"]


def test_a_card_that_comes_back_elsewhere_keeps_its_number(sysfs: MadeSysfs) -> None:
    clock = Clock()
    sysfs.card(0)
    sysfs.card(1)
    amd = amd_of(sysfs.root, now=clock)
    amd.read()
    sysfs.device(0).parent.rename(sysfs.root / "class/drm/card7")
    assert amd.read()[0].state == "lost"
    clock.now_s += 10
    first, second = amd.read()
    assert (first.gpu_id, first.state, first.utilization) == ("0", "ok", 37.0)
    assert (second.gpu_id, second.state) == ("1", "ok")


def test_a_card_that_is_added_is_found_after_a_while(sysfs: MadeSysfs) -> None:
    clock = Clock()
    sysfs.card(1)
    amd = amd_of(sysfs.root, now=clock)
    assert len(amd.read()) == 1
    sysfs.card(0, gpu_busy_percent="99")
    clock.now_s += 9
    assert len(amd.read()) == 1
    clock.now_s += 1
    assert [(gpu.gpu_id, gpu.utilization) for gpu in amd.read()] == [("0", 37.0), ("1", 99.0)]


def test_a_card_that_we_may_not_read_says_so(sysfs: MadeSysfs) -> None:
    device = sysfs.card()
    amd = amd_of(sysfs.root)
    amd.read()
    for folder in [sysfs.root, *sysfs.root.parents[:2]]:
        folder.chmod(0o755)
    (device / "mem_info_vram_used").chmod(0)
    with as_nobody():
        (gpu,) = amd.read()
    assert gpu.state == "denied"
    assert gpu.note is not None
    assert str(gpu.note).startswith("no permission to read its figures: ")


def test_a_driver_that_fails_is_shown_with_its_error(sysfs: MadeSysfs) -> None:
    device = sysfs.card()
    (device / "mem_info_vram_used").unlink()
    (device / "mem_info_vram_used").mkdir()
    gpu = read(sysfs)
    assert gpu.state == "failed"
    assert gpu.note is not None
    assert str(gpu.note).startswith("its driver failed with Is a directory: ")
    assert gpu.memory_total_mb is not None


def test_a_card_that_sleeps_is_not_woken(sysfs: MadeSysfs) -> None:
    sysfs.card(**{"power/runtime_status": "suspended"})
    gpu = read(sysfs)
    assert gpu.state == "ok"
    assert gpu.memory_used_mb is not None
    assert (gpu.utilization, gpu.temperature_c, gpu.power_usage_w) == (None, None, None)
    assert gpu.note is not None
    assert str(gpu.note).startswith("it sleeps, and was not woken for this")


def test_processes_come_with_their_memory_on_each_card_and_their_parents(
    sysfs: MadeSysfs,
) -> None:
    sysfs.card(0)
    sysfs.card(1)
    sysfs.driven(0, 4711)
    sysfs.driven(1, 4712)
    sysfs.computes(os.getpid(), gpu_4711=3_000_000_000, gpu_4712=0)
    first, second = amd_of(sysfs.root).read()
    assert first.processes is not None
    (process,) = first.processes
    assert (process.pid, process.memory_mb) == (os.getpid(), 3000.0)
    assert process.ancestors[0] == os.getppid()
    assert second.processes == ()


def test_a_process_that_went_away_while_we_look_is_left_out(sysfs: MadeSysfs) -> None:
    sysfs.card()
    sysfs.driven(0, 4711)
    (sysfs.kfd / "proc/77").mkdir()
    (sysfs.kfd / "proc/nonsense").mkdir()
    assert read(sysfs).processes == ()


def test_where_the_compute_driver_does_not_drive_a_card_nobody_lists_its_processes(
    sysfs: MadeSysfs,
) -> None:
    sysfs.card(0)
    sysfs.card(1)
    sysfs.driven(1, 4712)
    assert [gpu.processes for gpu in amd_of(sysfs.root).read()] == [None, ()]


def test_traffic_is_asked_beside_and_never_waited_for(sysfs: MadeSysfs) -> None:
    device = sysfs.card()
    os.mkfifo(device / "pcie_bw")  # answers when we say so, as the driver does after a second
    clock = Clock()
    amd = amd_of(sysfs.root, now=clock)
    for _ in range(3):
        (gpu,) = amd.read()
        assert (gpu.utilization, gpu.pcie_received_mb_s, gpu.pcie_sent_mb_s) == (37.0, None, None)
        clock.now_s += 10
    (device / "pcie_bw").write_text("1000000 250000 256\n")
    gpu = until(lambda: amd.read()[0], lambda gpu: gpu.pcie_received_mb_s is not None)
    assert (gpu.pcie_received_mb_s, gpu.pcie_sent_mb_s) == (256.0, 64.0)


@pytest.mark.parametrize("told", ["", "1 2", "a b c", "-1 -1 -1", None])
def test_traffic_that_is_not_told_is_none(told: str | None) -> None:
    assert pcie_mb_s(told) == (None, None)


@pytest.mark.parametrize("text", ["", "0000000000000000"])
def test_a_card_without_a_number_of_its_own_has_no_uuid(sysfs: MadeSysfs, text: str) -> None:
    sysfs.card(unique_id=text)
    assert read(sysfs).uuid is None
