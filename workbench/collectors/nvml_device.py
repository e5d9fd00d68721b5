"""One NVIDIA GPU or MIG slice, asked through its kept handle.

The hot path is `read`: only quick questions, and none at once again that it refused. `slow` asks
what takes long (NVML measures PCIe throughput for 20 ms a direction) or seldom changes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import psutil

from workbench.core.gpu import Gpu, GpuProcess, GpuState, Throttle
from workbench.core.sentence import Sentence

LOST = Sentence("it fell off the bus: look for its reason with `dmesg`, or restart the machine")
DENIED = Sentence(
    "no permission to read its figures: let this user read /dev/nvidia*, or give the container "
    "its GPUs"
)
FAILED = "its driver failed with {problem}: look at `dmesg`, or restart the machine"
HIDDEN = Sentence(
    "no permission to see its processes: ask for it where this hub runs (in a container, the "
    "host's process ids)"
)
PARTLY = "some of its figures are missing: its driver failed with {problem}"
UNIFIED = Sentence("it has no memory of its own: the memory shown is the machine's")
SLICED = Sentence("it is cut into slices: each shows its own memory and processes")
UNCUT = Sentence("MIG mode is on, but nothing is cut: make slices with `nvidia-smi mig -cgi`")

Ancestors = Callable[[int], tuple[int, ...]]
ESSENTIAL = frozenset({"memory", "utilization"})
PROCESSES = frozenset({"compute", "graphics"})


class Gone(Exception):
    """The GPU was lost, or its handle is worth nothing any more."""


class Closed(Exception):
    """The session has ended: somebody in this process shut NVML down."""


@dataclass(frozen=True)
class Slow:
    """What takes long to ask, or seldom changes. PCIe: received and sent."""

    power_limit_w: float | None
    sliced: bool
    slices: tuple[Device, ...]
    pcie_mb_s: tuple[float | None, float | None] = (None, None)


class Device:
    """A handle and what is known of it. Its static facts are read once, here.

    `place` is a slice's number within its card; None for a card.
    """

    def __init__(self, nvml: ModuleType, handle: Any, *, place: int | None = None) -> None:
        self._nvml, self._handle, self.place = nvml, handle, place
        self.uuid: str | None = self._once(nvml.nvmlDeviceGetUUID)
        self.name: str | None = self._once(nvml.nvmlDeviceGetName)
        self.total_mb: float | None = None
        self._questions = self._every_question()
        self.learn(self._facts())

    def read(self, gpu_id: str, ancestors: Ancestors, *, parent: str | None = None) -> Gpu:
        """Its figures now. `Gone` if it is lost, `Closed` if the session is."""
        found, errors = self._answers()
        state, note = self._judged(errors) if errors else ("ok", self._cut_note())
        memory = found.get("memory")
        used_mb = self._memory(memory, errors)
        bits = found.get("throttle")
        lists = found.get("compute"), found.get("graphics")
        received, sent = self._slow.pcie_mb_s
        return Gpu(
            gpu_id=gpu_id,
            uuid=self.uuid,
            vendor="nvidia",
            name=self.name,
            state=state,
            note=note,
            utilization=None if (rates := found.get("utilization")) is None else rates.gpu,
            memory_used_mb=used_mb,
            memory_total_mb=self.total_mb,
            unified=memory is None and self._is_unified(errors),
            temperature_c=found.get("temperature"),
            power_usage_w=_from_milli(found.get("power")),
            power_limit_w=self._slow.power_limit_w,
            clock_mhz=found.get("clock"),
            memory_clock_mhz=found.get("memory_clock"),
            fan_pct=found.get("fan"),
            throttle=None if bits is None else throttle(bits),
            pcie_received_mb_s=received,
            pcie_sent_mb_s=sent,
            parent=parent,
            processes=None if lists == (None, None) else merged(lists, ancestors),
        )

    def slow(self) -> Slow:
        """Asks what takes long; in another thread than `read`, for `learn` in its own."""
        nvml = self._nvml
        facts = self._facts()
        received = self._once(nvml.nvmlDeviceGetPcieThroughput, nvml.NVML_PCIE_UTIL_RX_BYTES)
        sent = self._once(nvml.nvmlDeviceGetPcieThroughput, nvml.NVML_PCIE_UTIL_TX_BYTES)
        return replace(facts, pcie_mb_s=(_from_milli(received), _from_milli(sent)))

    def learn(self, slow: Slow) -> None:
        """Take this up, and ask again what was refused."""
        self._slow, self.slices = slow, slow.slices
        without = PROCESSES if slow.sliced else frozenset()  # its slices tell them
        self._asked = {f: ask for f, ask in self._questions.items() if f not in without}
        self._refused: dict[str, Exception] = {}

    def _facts(self) -> Slow:
        """What may change while we look. A slice has nothing of it."""
        if self.place is not None:
            return Slow(None, sliced=False, slices=())
        limit = _from_milli(self._once(self._nvml.nvmlDeviceGetEnforcedPowerLimit))
        mode = self._once(self._nvml.nvmlDeviceGetMigMode)
        if mode is None or mode[0] != self._nvml.NVML_DEVICE_MIG_ENABLE:
            return Slow(limit, sliced=False, slices=())
        return Slow(limit, sliced=True, slices=self._cut())

    def _answers(self) -> tuple[dict[str, Any], Mapping[str, Exception]]:
        """What it told, and what it did not tell and why."""
        found: dict[str, Any] = {}
        passing: dict[str, Exception] = {}
        for figure, ask in self._asked.items():
            try:
                found[figure] = ask()
            except Exception as error:  # NVMLLibraryMismatchError, for one, is no NVMLError
                (self._refused if self._lasts(figure, error) else passing)[figure] = error
        if len(found) + len(passing) < len(self._asked):
            self._asked = {f: ask for f, ask in self._asked.items() if f not in self._refused}
        return found, {**self._refused, **passing} if passing else self._refused

    def _lasts(self, figure: str, error: Exception) -> bool:
        """Whether asking again soon is of no use."""
        nvml, value = self._nvml, getattr(error, "value", None)
        if value in (nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED):
            raise Gone from error
        if value == nvml.NVML_ERROR_INVALID_ARGUMENT and figure == "memory":
            raise Gone from error
        if value == nvml.NVML_ERROR_UNINITIALIZED:
            raise Closed from error
        return self._is_missing(error) or value == nvml.NVML_ERROR_NO_PERMISSION

    def _is_missing(self, error: Exception | None) -> bool:
        """The hardware does not give it, or the driver is too old to."""
        nvml = self._nvml
        return isinstance(error, nvml.NVMLLibraryMismatchError) or getattr(
            error, "value", None
        ) in (
            nvml.NVML_ERROR_NOT_SUPPORTED,
            nvml.NVML_ERROR_FUNCTION_NOT_FOUND,
        )

    def _judged(self, errors: Mapping[str, Exception]) -> tuple[GpuState, Sentence | None]:
        """How it stands, and the sentence that says why it gives less than usual."""
        denied_value = self._nvml.NVML_ERROR_NO_PERMISSION
        denied = {f for f, e in errors.items() if getattr(e, "value", None) == denied_value}
        failed = {f: e for f, e in errors.items() if f not in denied and not self._is_missing(e)}
        essential = ESSENTIAL & self._questions.keys()
        if denied >= essential:
            return "denied", DENIED
        if failed.keys() >= essential:
            return "failed", Sentence(FAILED, {"problem": str(failed["memory"])})
        if failed:
            return "ok", Sentence(PARTLY, {"problem": str(next(iter(failed.values())))})
        if denied:
            return "ok", HIDDEN if denied <= PROCESSES else DENIED
        return "ok", UNIFIED if self._is_unified(errors) else self._cut_note()

    def _cut_note(self) -> Sentence | None:
        """What a card in MIG mode does not tell itself."""
        return (SLICED if self.slices else UNCUT) if self._slow.sliced else None

    def _memory(self, memory: Any, errors: Mapping[str, Exception]) -> float | None:
        """Used, in MB: what cannot be had, so the driver's own reserve is in it."""
        if memory is not None:
            if self.total_mb is None:
                self.total_mb = _mb(memory.total)
            return _mb(memory.used)
        if not self._is_unified(errors):
            return None
        machine = psutil.virtual_memory()
        self.total_mb = _mb(machine.total)
        return _mb(machine.total - machine.available)

    def _is_unified(self, errors: Mapping[str, Exception]) -> bool:
        """NVML supports no memory figures on GPUs that share the machine's (GB10, Jetson)."""
        return self.place is None and self._is_missing(errors.get("memory"))

    def _every_question(self) -> dict[str, Callable[[], Any]]:
        nvml, handle = self._nvml, self._handle
        asks: dict[str, Callable[[], Any]] = {
            "memory": functools.partial(nvml.nvmlDeviceGetMemoryInfo, handle),
            "compute": self._first(
                nvml.nvmlDeviceGetComputeRunningProcesses,
                nvml.nvmlDeviceGetComputeRunningProcesses_v2,
            ),
        }
        if self.place is not None:
            return asks
        sensor = nvml.NVML_TEMPERATURE_GPU
        clock = functools.partial(nvml.nvmlDeviceGetClockInfo, handle)
        return asks | {
            "graphics": self._first(
                nvml.nvmlDeviceGetGraphicsRunningProcesses,
                nvml.nvmlDeviceGetGraphicsRunningProcesses_v2,
            ),
            "utilization": functools.partial(nvml.nvmlDeviceGetUtilizationRates, handle),
            "temperature": self._first(
                nvml.nvmlDeviceGetTemperature, nvml.nvmlDeviceGetTemperatureV, args=(sensor,)
            ),
            "power": functools.partial(nvml.nvmlDeviceGetPowerUsage, handle),
            "clock": functools.partial(clock, nvml.NVML_CLOCK_SM),
            "memory_clock": functools.partial(clock, nvml.NVML_CLOCK_MEM),
            "fan": functools.partial(nvml.nvmlDeviceGetFanSpeed, handle),
            "throttle": self._first(
                nvml.nvmlDeviceGetCurrentClocksEventReasons,
                nvml.nvmlDeviceGetCurrentClocksThrottleReasons,
            ),
        }

    def _first(self, *functions: Callable[..., Any], args: tuple[Any, ...] = ()) -> Any:
        """The first of these that the driver has: it names them anew from time to time."""
        for function in functions:
            ask = functools.partial(function, self._handle, *args)
            try:
                ask()
            except self._nvml.NVMLLibraryMismatchError:
                continue
            except self._nvml.NVMLError as error:
                if error.value == self._nvml.NVML_ERROR_FUNCTION_NOT_FOUND:
                    continue
            break
        return ask

    def _cut(self) -> tuple[Device, ...]:
        """The slices of a card in MIG mode; they are cut and taken away at run time."""
        nvml = self._nvml
        found: list[Device] = []
        for index in range(self._once(nvml.nvmlDeviceGetMaxMigDeviceCount) or 0):
            handle = self._once(nvml.nvmlDeviceGetMigDeviceHandleByIndex, index)
            if handle is not None:
                found.append(Device(nvml, handle, place=index))
        return tuple(found)

    def _once(self, function: Callable[..., Any], *args: Any) -> Any:
        """An answer, or None where there is none."""
        try:
            return function(self._handle, *args)
        except (self._nvml.NVMLError, self._nvml.NVMLLibraryMismatchError):
            return None


def _mb(size: int) -> float:
    """Bytes to MB, to a tenth; four times as fast as `round`."""
    return (size + 50_000) // 100_000 / 10


def _from_milli(value: float | None) -> float | None:
    """mW to W, kB/s to MB/s."""
    return None if value is None else value / 1e3


@functools.cache
def throttle(bits: int) -> tuple[Throttle, ...]:
    """Why it is slow, of nvmlClocksEventReason*. A hardware slowdown says also what for."""
    named: list[Throttle] = []
    if bits & 0x84:  # the software's cap, the power brake
        named.append("power")
    if bits & 0x60:  # by software, by hardware
        named.append("thermal")
    if bits & 0x08 and not bits & 0xC0:
        named.append("hardware")
    if bits & 0x10:
        named.append("sync")
    if bits & 0x102:  # set by an application, set for a display
        named.append("clocks")
    return tuple(named)


def merged(lists: Sequence[Any], ancestors: Ancestors) -> tuple[GpuProcess, ...]:
    """Each process once: one that computes and draws is in both lists, with the same figure."""
    memory: dict[int, int | None] = {}
    for listed in lists:
        for each in listed or ():
            pid, used = each.pid, each.usedGpuMemory
            if memory.get(pid) is None:
                memory[pid] = used
    found = [
        GpuProcess(
            pid=pid,
            memory_mb=None if used is None else _mb(used),
            ancestors=ancestors(pid),
        )
        for pid, used in memory.items()
    ]
    return tuple(found)
