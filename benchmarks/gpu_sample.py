"""What a sample of every GPU costs, over the bare NVML calls that it cannot do without.

Without a GPU it speaks to the tests' own libnvidia-ml.so.1, with eight of them. Peers are measured
where they are installed. Aims: 1.5 times the bare calls, and 0.5 % of one core at 2 s.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pynvml

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.collectors.fake_nvml import World
from workbench.collectors.gpu import Gpus
from workbench.collectors.host import HostCollector
from workbench.collectors.processes import ProcessTree

GPUS = 8
ROUNDS, READS = 9, 50
PEER_READS = 4
PAUSE_S = 1.1
"""nvitop answers from its memory within a second: that would be no measurement."""
INTERVAL_S = 2.0
AIM, AIM_SHARE = 1.5, 0.005
QUERIED = (
    "uuid,name,utilization.gpu,memory.used,memory.total,temperature.gpu,power.draw,"
    "power.limit,clocks.sm,clocks.mem,fan.speed,clocks_event_reasons.active"
)


@contextlib.contextmanager
def driver() -> Iterator[str]:
    """A real one where a GPU is, else the tests' own; which of them."""
    count = 0
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    if count:
        name = pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0))
        yield f"{count} real, the first {name}"
        return
    with tempfile.TemporaryDirectory() as folder, World(Path(folder)).loaded() as world:
        for index in range(GPUS):
            used = {os.getpid(): 1_000.0, os.getppid(): 500.0}
            world.gpu(index, memory_used_mb=2_000, processes=used)
        pynvml.nvmlInit()
        yield f"{GPUS} of the tests' own NVML library, which answers in no time: the worst case"


def bare() -> Callable[[], object]:
    """The calls alone, for each figure that changes, with handles kept."""
    count = pynvml.nvmlDeviceGetCount()
    handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
    calls: list[Callable[[object], object]] = [
        pynvml.nvmlDeviceGetMemoryInfo,
        pynvml.nvmlDeviceGetUtilizationRates,
        lambda handle: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU),
        pynvml.nvmlDeviceGetPowerUsage,
        lambda handle: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM),
        lambda handle: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_MEM),
        pynvml.nvmlDeviceGetFanSpeed,
        pynvml.nvmlDeviceGetCurrentClocksEventReasons,
        pynvml.nvmlDeviceGetComputeRunningProcesses,
        pynvml.nvmlDeviceGetGraphicsRunningProcesses,
    ]
    given = [call for call in calls if answers(call, handles[0])]
    return lambda: [call(handle) for handle in handles for call in given]


def answers(call: Callable[[object], object], handle: object) -> bool:
    """A card without a fan, for one, is not asked for it again by anybody."""
    try:
        call(handle)
    except pynvml.NVMLError:
        return False
    return True


def cpu_s() -> float:
    """Of this process and of those that it waited for."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def took(work: Callable[[], object], times: int) -> tuple[float, float]:
    """Wall and CPU milliseconds of one."""
    began, began_cpu = time.perf_counter(), cpu_s()
    for _ in range(times):
        work()
    scale = 1000 / times
    return (time.perf_counter() - began) * scale, (cpu_s() - began_cpu) * scale


def in_turn(works: dict[str, Callable[[], object]]) -> dict[str, tuple[float, float]]:
    """Medians of rounds taken in turn, so that a busy moment of the machine falls on all."""
    rounds = [{name: took(work, READS) for name, work in works.items()} for _ in range(ROUNDS)]
    return {
        name: (
            statistics.median(each[name][0] for each in rounds),
            statistics.median(each[name][1] for each in rounds),
        )
        for name in works
    }


def smi() -> object:
    command = ["nvidia-smi", f"--query-gpu={QUERIED}", "--format=csv"]
    return subprocess.run(command, check=True, capture_output=True, timeout=30)


def peers() -> Iterator[tuple[str, Callable[[], object] | None]]:
    """Each as a program of its own would use it; None for one that is not here."""
    yield "nvidia-smi", smi if shutil.which("nvidia-smi") else None
    for module, function in (("gpustat", "new_query"), ("nvitop", "take_snapshots")):
        try:
            yield module, getattr(importlib.import_module(module), function)
        except ImportError:
            yield module, None


def peer(work: Callable[[], object]) -> tuple[float, float]:
    work()
    measured = []
    for _ in range(PEER_READS):
        time.sleep(PAUSE_S)
        measured.append(took(work, 1))
    return statistics.median(wall for wall, _ in measured), statistics.median(
        cpu for _, cpu in measured
    )


def line(name: str, figures: tuple[float, float], limit: tuple[float, float] | None = None) -> str:
    wall_ms, cpu_ms = figures
    ratio = f"  {wall_ms / limit[0]:7.2f}x wall {cpu_ms / limit[1]:7.2f}x CPU" if limit else ""
    share = cpu_ms / 1000 / INTERVAL_S
    return f"{name:26} {wall_ms:8.3f} ms  {cpu_ms:8.3f} ms CPU  {share:8.4%} of a core{ratio}"


def whole_machine() -> Callable[[], object]:
    """The usual way to find one's own processes."""

    def look() -> object:
        family = [own := psutil.Process(), *own.children(recursive=True)]
        return [(each.cpu_times(), each.memory_info()) for each in family]

    return look


def main() -> None:
    with driver() as said, contextlib.closing(Gpus()) as gpus:
        print(f"GPUs: {said}; a core's share at one sample each {INTERVAL_S:.0f} s")
        reading = gpus.read()
        assert len([gpu for gpu in reading.gpus if gpu.vendor == "nvidia"]), reading.note
        medians = in_turn({"bare NVML calls": bare(), "Gpus.read": gpus.read})
        limit = medians["bare NVML calls"]
        for name, figures in medians.items():
            print(line(name, figures, limit))
        ratio = medians["Gpus.read"][1] / limit[1]
        share = medians["Gpus.read"][1] / 1000 / INTERVAL_S
        print(f"aim {AIM}x: {'met' if ratio <= AIM else 'missed'}; ", end="")
        print(f"aim {AIM_SHARE:.1%} of a core: {'met' if share <= AIM_SHARE else 'missed'}")
        for name, work in peers():
            if work is None:
                print(f"{name:26} not installed here")
                continue
            try:
                print(line(name, peer(work), limit))
            except Exception as error:  # whatever it is, the others are still measured
                print(f"{name:26} does not work here: {error!r:.100}")
    host = in_turn(
        {
            "ProcessTree.read": ProcessTree(1.0).read,
            "psutil, whole machine": whole_machine(),
            "HostCollector.sample": HostCollector(Path.cwd()).sample,
        }
    )
    for name, figures in host.items():
        print(line(name, figures))


if __name__ == "__main__":
    main()
