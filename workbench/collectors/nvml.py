"""NVIDIA's GPUs through NVML: one session kept open, one handle for each GPU. Nothing of it raises.

A GPU that was lost keeps its line. NVML gives it back only to a new session, so while one is
lost, the session is begun anew from time to time. Source: NVIDIA's NVML API reference.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import msgspec

from workbench.collectors import nvml_device
from workbench.collectors.numbers import Numbers
from workbench.collectors.nvml_device import Closed, Device, Gone, Slow
from workbench.collectors.processes import Ancestry
from workbench.core.gpu import Gpu, GpuState
from workbench.core.sentence import Sentence

MISSING = Sentence("no GPU was found: no driver of NVIDIA or AMD is here")
UNLOADED = Sentence(
    "no GPU was found: NVIDIA's library is here, but its driver is not loaded: load it with "
    "`modprobe nvidia`, or restart the machine"
)
NONE = Sentence("no GPU was found: NVIDIA's driver is here, but it lists none")
ABSENT = (MISSING, UNLOADED, NONE)
"""To have no GPU is a normal state, and no news where another vendor's is."""
DENIED = Sentence(
    "no permission to talk to NVIDIA's driver: let this user read /dev/nvidiactl, or give the "
    "container its GPUs"
)
MISMATCH = Sentence(
    "NVIDIA's driver was updated, and the old one is still loaded: restart the machine"
)
FAILED = "NVIDIA's driver failed with {problem}: look at `dmesg`, or restart the machine"
ENDED = Sentence("something else in this process shut NVML down: it is tried again")
CLOSING_S = 5.0
PATIENCE = 30
"""The longest wait for a lost GPU, in times of the first."""


@dataclass
class Card:
    """A GPU that was ever seen: its handle while it has one, and how it stands without."""

    known: Gpu
    device: Device | None = None


class Nvml:
    """A session with the driver. Not for two threads at once; it has one of its own for `slow`."""

    def __init__(self, *, slow_s: float, now: Callable[[], float], numbers: Numbers) -> None:
        self._slow_s, self._now, self._numbers = slow_s, now, numbers
        self._ancestry = Ancestry()
        self._nvml: ModuleType | None = None
        self._cards: dict[str, Card] = {}
        self._why: Sentence | None = None
        self._tried_at, self._wait_s = float("-inf"), slow_s / 2
        self._slow: threading.Thread | None = None
        self._slow_at = float("-inf")
        self._told: list[tuple[Device, Slow]] = []

    def read(self) -> tuple[list[Gpu], Sentence | None]:
        """Every GPU and slice, and what is wrong with the driver."""
        if not self._is_slow_running():
            self._learn()
            if self._is_due():
                self._open()
        for _ in range(2):
            try:
                found: list[Gpu] = []
                for id_, card in self._cards.items():
                    found += self._lines(id_, card)
            except Closed:
                self._nvml = None
                self._open()
            else:
                self._look_slowly()
                return found, self._why
        self._give_up(ENDED)
        return [card.known for card in self._cards.values()], self._why

    def close(self) -> None:
        """End the session. One of somebody else in this process goes on.

        While the driver hangs in what takes long, it is left to the end of the process.
        """
        if self._slow is not None:
            self._slow.join(CLOSING_S)
        nvml, self._nvml = self._nvml, None
        if nvml is not None and not self._is_slow_running():
            with contextlib.suppress(nvml.NVMLError):
                nvml.nvmlShutdown()

    def _is_slow_running(self) -> bool:
        """While it runs, the session cannot be begun anew: its handles are in use."""
        return self._slow is not None and self._slow.is_alive()

    def _look_slowly(self) -> None:
        """Ask what takes long, beside the readings."""
        if self._now() - self._slow_at < self._slow_s or self._is_slow_running():
            return
        self._slow_at = self._now()
        self._ancestry.forget()
        devices = [card.device for card in self._cards.values() if card.device is not None]
        if devices:
            self._slow = threading.Thread(
                target=self._ask, args=(devices,), name="slow-nvml", daemon=True
            )
            self._slow.start()

    def _ask(self, devices: list[Device]) -> None:
        self._told = [(device, device.slow()) for device in devices]

    def _learn(self) -> None:
        """All GPUs at once, between two readings."""
        told, self._told = self._told, []
        for device, slow in told:
            device.learn(slow)

    def _is_due(self) -> bool:
        """Whether to begin anew: something is missing, and the last try was long ago.

        The wait doubles from try to try: a card that was taken out never comes back.
        """
        if self._nvml and self._cards and all(card.device for card in self._cards.values()):
            self._wait_s = self._slow_s
            return False
        if self._now() - self._tried_at < self._wait_s:
            return False
        self._wait_s = min(2 * self._wait_s, PATIENCE * self._slow_s)
        return True

    def _open(self) -> None:
        """Begin anew; what takes long is asked again soon."""
        self._tried_at, self._slow_at = self._now(), float("-inf")
        self.close()
        try:
            import pynvml
        except ImportError:
            return self._give_up(MISSING)
        try:
            pynvml.nvmlInit()
            self._nvml = pynvml
            self._take(pynvml, pynvml.nvmlDeviceGetCount())
        except (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError) as error:
            self._give_up(_reason(pynvml, error))
        return None

    def _take(self, nvml: ModuleType, count: int) -> None:
        """Meet the GPUs again, each under the number that it had."""
        self._why = None if count or self._cards else NONE
        nameless = {id_ for id_, card in self._cards.items() if card.known.uuid is None}
        for id_ in nameless:
            del self._cards[id_]
            self._numbers.free(_nameless(id_))
        for card in self._cards.values():
            card.device = None
            _mark(card, "lost", nvml_device.LOST)
        for index in range(count):
            try:
                self._meet(Device(nvml, nvml.nvmlDeviceGetHandleByIndex(index)), index)
            except nvml.NVMLError as error:
                self._miss(nvml, index, error)
        self._cards = dict(sorted(self._cards.items(), key=lambda item: int(item[0])))

    def _meet(self, device: Device, index: int) -> None:
        id_ = self._numbers.of(device.uuid or _nameless(str(index)), index)
        known = Gpu(gpu_id=id_, uuid=device.uuid, vendor="nvidia", name=device.name)
        self._cards[id_] = Card(known, device)

    def _miss(self, nvml: ModuleType, index: int, error: Any) -> None:
        """A GPU that gives no handle: one that we know and have not met, or a nameless one."""
        state, note = _standing(nvml, error)
        known = self._cards.get(str(index))
        if known is None and not any(card.device is None for card in self._cards.values()):
            id_ = self._numbers.of(_nameless(str(index)), index)
            known = self._cards[id_] = Card(Gpu(gpu_id=id_, vendor="nvidia"))
        if known is not None and known.device is None:
            _mark(known, state, note)

    def _give_up(self, why: Sentence) -> None:
        self._why = why
        for card in self._cards.values():
            card.device = None
            _mark(card, "failed", why)

    def _lines(self, id_: str, card: Card) -> list[Gpu]:
        """The card, then its slices."""
        if card.device is None:
            return [card.known]
        try:
            gpu = card.device.read(id_, self._ancestry)
        except Gone:
            card.device = None
            self._tried_at = self._now()
            _mark(card, "lost", nvml_device.LOST)
            return [card.known]
        if card.known.memory_total_mb is None:
            card.known = msgspec.structs.replace(card.known, memory_total_mb=gpu.memory_total_mb)
        return [gpu, *self._slices(id_, card.device)] if card.device.slices else [gpu]

    def _slices(self, id_: str, device: Device) -> list[Gpu]:
        """One that was just taken away has no line; the next look at the cut forgets it."""
        found: list[Gpu] = []
        for each in device.slices:
            with contextlib.suppress(Gone):
                found.append(each.read(f"{id_}:{each.place}", self._ancestry, parent=id_))
        return found


def _nameless(index: str) -> str:
    return f"nvidia {index}"


def _mark(card: Card, state: GpuState, note: Sentence) -> None:
    card.known = msgspec.structs.replace(card.known, state=state, note=note)


def _standing(nvml: ModuleType, error: Any) -> tuple[GpuState, Sentence]:
    """How a GPU stands that gives no handle."""
    if error.value == nvml.NVML_ERROR_NO_PERMISSION:
        return "denied", nvml_device.DENIED
    if error.value in (nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED):
        return "lost", nvml_device.LOST
    return "failed", Sentence(nvml_device.FAILED, {"problem": str(error)})


def _reason(nvml: ModuleType, error: Exception) -> Sentence:
    """Why there is no session, and what to do."""
    named = {
        nvml.NVML_ERROR_LIBRARY_NOT_FOUND: MISSING,
        nvml.NVML_ERROR_DRIVER_NOT_LOADED: UNLOADED,
        nvml.NVML_ERROR_NO_PERMISSION: DENIED,
        nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: MISMATCH,
    }
    found = named.get(getattr(error, "value", 0))
    return found or Sentence(FAILED, {"problem": str(error)})
