"""A real NVIDIA GPU, at rest and under load: every figure against `nvidia-smi`."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as Xml
from collections.abc import Callable, Iterator

import pytest

from workbench.collectors.gpu import Gpus
from workbench.core.gpu import Gpu

pytestmark = pytest.mark.gpu

MIB = 1.048576
NAMED = 0x1FE
"""The bits of nvml.h that we have words for: not `idle`, of which nobody needs to know."""
TRIES = 20
"""A figure may change between two looks: so often are both taken again before they differ."""

# Allocates 1 GiB on the first GPU, fills it without end, and now and then copies to it.
LOAD = """
import ctypes, time
cuda = ctypes.CDLL("libcuda.so.1")
def do(name, *given):
    result = getattr(cuda, name)(*given)
    if result:
        raise SystemExit(f"{name} failed with {result}")
device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
do("cuInit", 0)
do("cuDeviceGet", ctypes.byref(device), 0)
do("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
do("cuCtxSetCurrent", context)
size = 1 << 30
do("cuMemAlloc_v2", ctypes.byref(memory), ctypes.c_size_t(size))
host = ctypes.create_string_buffer(1 << 26)
until = time.monotonic() + 60
print("loaded", flush=True)
while time.monotonic() < until:
    for _ in range(300):
        do("cuMemsetD32_v2", memory, ctypes.c_uint(7), ctypes.c_size_t(size // 4))
    do("cuCtxSynchronize")
    do("cuMemcpyHtoD_v2", memory, host, ctypes.c_size_t(len(host)))
"""


def nvidia_smi(*arguments: str) -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        pytest.skip("no NVIDIA GPU is here: there is no nvidia-smi")
    done = subprocess.run(
        [program, *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode:
        pytest.skip(f"no NVIDIA GPU is here: nvidia-smi says {done.stdout.strip()[:200]!r}")
    return done.stdout


Figures = dict[str, str | None]


def asked() -> list[Figures]:
    """What nvidia-smi tells of each card in one call. None where it says N/A."""
    names = (
        "index uuid name utilization.gpu memory.total memory.used memory.reserved temperature.gpu "
        "power.draw enforced.power.limit clocks.sm clocks.mem fan.speed clocks_event_reasons.active"
    )
    told = nvidia_smi(f"--query-gpu={names.replace(' ', ',')}", "--format=csv,noheader,nounits")
    return [
        {
            name: None if value.strip().startswith("[") else value.strip()
            for name, value in zip(names.split(), line.split(","), strict=True)
        }
        for line in told.splitlines()
    ]


def number(figures: Figures, name: str) -> float | None:
    value = figures[name]
    return None if value is None else float(value)


def used_mb(figures: Figures) -> float | None:
    """Ours is what cannot be had: nvidia-smi shows the driver's own reserve apart."""
    used, reserved = number(figures, "memory.used"), number(figures, "memory.reserved")
    return None if used is None else (used + (reserved or 0)) * MIB


def total_mb(figures: Figures) -> float | None:
    total = number(figures, "memory.total")
    return None if total is None else total * MIB


FIGURES: dict[str, tuple[Callable[[Gpu], float | None], Callable[[Figures], float | None], float]]
FIGURES = {
    "memory total": (lambda it: it.memory_total_mb, total_mb, 1.1),
    "memory used": (lambda it: it.memory_used_mb, used_mb, 4),
    "utilisation": (lambda it: it.utilization, lambda it: number(it, "utilization.gpu"), 5),
    "temperature": (lambda it: it.temperature_c, lambda it: number(it, "temperature.gpu"), 1),
    "power": (lambda it: it.power_usage_w, lambda it: number(it, "power.draw"), 20),
    "limit": (lambda it: it.power_limit_w, lambda it: number(it, "enforced.power.limit"), 0.01),
    "clock": (lambda it: it.clock_mhz, lambda it: number(it, "clocks.sm"), 45),
    "memory clock": (lambda it: it.memory_clock_mhz, lambda it: number(it, "clocks.mem"), 1),
    "fan": (lambda it: it.fan_pct, lambda it: number(it, "fan.speed"), 2),
}
"""(ours, theirs, by how much they may differ: two looks are some milliseconds apart)"""


@pytest.fixture(scope="module")
def gpus() -> Iterator[Gpus]:
    nvidia_smi("-L")
    found = Gpus()
    yield found
    found.close()


def wait_for(fits: Callable[[], bool]) -> None:
    """NVML's figures are of up to a second ago, those of the bus of up to ten."""
    deadline = time.monotonic() + 30
    while not fits():
        assert time.monotonic() < deadline, "what was waited for did not come within 30 s"


@pytest.fixture
def load() -> Iterator[None]:
    """A process that keeps the first GPU busy while a test runs."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOAD], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if process.stdout.readline().strip() != "loaded":
            pytest.skip(f"the GPU cannot be put under load: {process.communicate(timeout=30)[1]}")
        wait_for(lambda: (busy := number(asked()[0], "utilization.gpu")) is None or busy > 50)
        yield
    finally:
        process.kill()
        process.communicate(timeout=30)


def cards(gpus: Gpus) -> list[Gpu]:
    return [each for each in gpus.read().gpus if each.vendor == "nvidia" and each.parent is None]


def differences(gpus: Gpus) -> list[str]:
    ours, theirs = cards(gpus), asked()
    assert [each.uuid for each in ours] == [each["uuid"] for each in theirs]
    found = []
    for gpu, figures in zip(ours, theirs, strict=True):
        for name, (our, their, tolerance) in FIGURES.items():
            mine, told = our(gpu), their(figures)
            if mine is None or told is None:
                differ = mine is not told
            else:
                differ = abs(mine - told) > tolerance
            if differ:
                found.append(f"GPU {gpu.gpu_id}: {name} is {mine}, nvidia-smi says {told}")
    return found


def agree(gpus: Gpus) -> None:
    for _ in range(TRIES):
        found = differences(gpus)
        if not found:
            return
    raise AssertionError("\n".join(found))


def test_there_is_a_line_for_each_gpu_with_its_name_and_uuid(gpus: Gpus) -> None:
    told = [(each["index"], each["uuid"], each["name"]) for each in asked()]
    assert [(each.gpu_id, each.uuid, each.name) for each in cards(gpus)] == told
    assert {each.state for each in cards(gpus)} == {"ok"}


def test_at_rest_every_figure_is_that_of_nvidia_smi(gpus: Gpus) -> None:
    agree(gpus)


def test_under_load_every_figure_is_that_of_nvidia_smi(gpus: Gpus, load: None) -> None:
    agree(gpus)
    busy = cards(gpus)[0]
    assert busy.utilization is None or busy.utilization > 50
    assert busy.memory_used_mb is None or busy.memory_used_mb > 1024 * MIB


def test_under_load_its_reasons_to_be_slow_are_those_of_nvidia_smi(gpus: Gpus, load: None) -> None:
    for _ in range(TRIES):
        bits = asked()[0]["clocks_event_reasons.active"]
        ours = cards(gpus)[0].throttle
        if (bits is None) == (ours is None) and (not ours) == (not int(bits or "0", 16) & NAMED):
            return
    raise AssertionError(f"our reasons are {ours}, nvidia-smi says {bits}")


def test_under_load_its_processes_are_those_of_nvidia_smi(gpus: Gpus, load: None) -> None:
    if any(each.parent == "0" for each in gpus.read().gpus):
        pytest.skip("the GPU is cut into slices: they list its processes")
    card = Xml.fromstring(nvidia_smi("-q", "-x")).findall("gpu")[0]
    theirs = {
        int(each.findtext("pid", "")): each.findtext("used_memory", "")
        for each in card.findall("processes/process_info")
    }
    ours = {each.pid: each.memory_mb for each in cards(gpus)[0].processes or ()}
    assert ours.keys() == theirs.keys()
    assert ours, "the load is on no list"
    for pid, told in theirs.items():
        mine = ours[pid]
        if told.endswith("MiB"):
            assert mine == pytest.approx(float(told.split()[0]) * MIB, abs=2.2)
        else:
            assert mine is None


def test_under_load_its_bus_is_as_busy_as_nvidia_smi_says(gpus: Gpus, load: None) -> None:
    told = Xml.fromstring(nvidia_smi("-q", "-x")).findtext("gpu/pci/rx_util", "N/A")
    if not told.endswith("KB/s"):
        assert cards(gpus)[0].pcie_received_mb_s is None
        return
    copies = float(told.split()[0]) > 1000
    wait_for(lambda: ((cards(gpus)[0].pcie_received_mb_s or 0) > 1) == copies)


def test_a_reading_takes_less_than_starting_nvidia_smi(gpus: Gpus) -> None:
    def took(look: Callable[[], object]) -> float:
        began = time.perf_counter()
        look()
        return time.perf_counter() - began

    gpus.read()
    ours = min(took(gpus.read) for _ in range(10))
    assert ours < min(took(asked) for _ in range(3))
