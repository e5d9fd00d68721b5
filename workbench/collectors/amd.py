"""AMD's GPUs, from the files of the kernel's own driver (amdgpu) in sysfs and hwmon.

Sources: the kernel's amdgpu documentation (gpu_busy_percent, mem_info_*, hwmon, pcie_bw, unique_id)
and its headers named below. `amdsmi` reads the same files, so it is not asked: it adds no figure
that we show, and without ROCm its import prints and raises KeyError.
"""

from __future__ import annotations

import errno
import re
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from workbench.collectors.kernel_files import content, names, number, text
from workbench.collectors.kfd import Kfd
from workbench.collectors.processes import Ancestry
from workbench.core.gpu import Gpu, GpuProcess, GpuState, Throttle
from workbench.core.sentence import Sentence

AMD = "0x1002"
"""AMD's vendor number on the PCI bus."""
MARKETING_NAMES = Path("/usr/share/libdrm/amdgpu.ids")
"""libdrm's list: device, revision, name, in hexadecimal and separated by commas."""
MB = 1e6
APU_METRICS = (2, 3)
"""Formats of `gpu_metrics` that only GPUs without memory of their own have."""
THROTTLES: tuple[tuple[int, Throttle], ...] = (
    (0x0000_0000_0000_FFFF, "power"),
    (0x0000_0000_FFFF_0000, "power"),  # too much current
    (0x0000_FFFF_0000_0000, "thermal"),
    (0xFF00_0000_0000_0000, "hardware"),
)
"""Bits of `indep_throttle_status`: SMU_THROTTLER_* in the kernel's amdgpu_smu.h."""
THROTTLE_AT = 112
"""Where they stand in format 1.3 of `gpu_metrics` (the kernel's kgd_pp_interface.h)."""

ALL_BITS = (1 << 64) - 1
"""How the driver says that it does not know them."""

LOST = Sentence("its driver let it go: look for its reason with `dmesg`, or restart the machine")
DENIED = Sentence(
    "no permission to read its figures: let this user read /sys/class/drm, or give it to the "
    "container"
)
FAILED = "its driver failed with {problem}: look at `dmesg`, or restart the machine"
ASLEEP = Sentence("it sleeps, and was not woken for this: it wakes when something uses it")
UNIFIED = Sentence("it has no memory of its own, but may use so much of the machine's")


@dataclass(slots=True)
class Card:
    """A GPU that was ever seen: where its files are, and what does not change."""

    gpu_id: str
    device: str
    hwmon: str
    uuid: str | None
    name: str | None
    unified: bool
    total_mb: float | None
    kfd: str | None
    """KFD's number of it, if KFD drives it."""
    pcie_mb_s: tuple[float | None, float | None] = (None, None)
    """Received and sent, when last asked."""


class Amd:
    """Reads every card that amdgpu drives. Nothing of it is kept open, nothing is raised."""

    def __init__(
        self,
        sysfs: Path = Path("/sys"),
        *,
        slow_s: float = 10.0,
        now: Callable[[], float] = time.monotonic,
        marketing_names: Path = MARKETING_NAMES,
    ) -> None:
        """New cards and what takes long are looked for while reading, at most each `slow_s`."""
        self._ancestry = Ancestry()
        self._drm, self._kfd = f"{sysfs}/class/drm", Kfd(sysfs, self._ancestry)
        self._slow_s, self._now, self._names = slow_s, now, marketing_names
        self._cards: dict[str, Card] = {}
        self._looked_at = float("-inf")
        self._slow: threading.Thread | None = None

    def read(self) -> tuple[Gpu, ...]:
        """Each card, numbered by its slot. One that went away keeps its line, as lost.

        Not for two threads at once.
        """
        if self._now() - self._looked_at >= self._slow_s:
            self._looked_at = self._now()
            self._look()
            self._look_slowly()
        driven = [card.kfd for card in self._cards.values() if card.kfd]
        processes = self._kfd.processes(driven) if driven else {}
        return tuple(_read(card, processes.get(card.kfd or "")) for card in self._cards.values())

    def _look_slowly(self) -> None:
        """Traffic, in a thread beside: the driver counts for a second before it answers."""
        cards = [card for card in self._cards.values() if Path(card.device, "pcie_bw").exists()]
        if cards and not (self._slow and self._slow.is_alive()):
            self._slow = threading.Thread(
                target=_measure_traffic, args=(cards,), name="amd-traffic", daemon=True
            )
            self._slow.start()

    def _look(self) -> None:
        """Find the cards. One that was seen before keeps its number, wherever it stands now."""
        self._ancestry.forget()
        found = _devices(self._drm)
        driven = self._kfd.gpus() if found else {}
        for slot, device in sorted(found.items()):
            before = self._cards.get(slot)
            if before is None or before.device != device or not before.hwmon:
                gpu_id = before.gpu_id if before else str(len(self._cards))
                self._cards[slot] = self._card(gpu_id, device, driven)

    def _card(self, gpu_id: str, device: str, driven: dict[int, str]) -> Card:
        unique = text(f"{device}/unique_id")
        hwmon = next((f"{device}/hwmon/{name}" for name in sorted(names(f"{device}/hwmon"))), "")
        unified = _is_unified(device, hwmon)
        return Card(
            gpu_id=gpu_id,
            device=device,
            hwmon=hwmon,
            # As ROCR_VISIBLE_DEVICES takes it.
            uuid=f"GPU-{unique}" if unique and unique.strip("0") else None,
            name=text(f"{device}/product_name") or _marketing_name(device, self._names),
            unified=unified,
            total_mb=_memory_mb(device, "total", unified),
            kfd=driven.get(_render_node(device)),
        )


def _devices(drm: str) -> dict[str, str]:
    """The folders of AMD's cards, by slot. `card0-DP-1` is a plug of a card, no card."""
    found = {}
    for name in names(drm):
        device = f"{drm}/{name}/device"
        if (
            re.fullmatch(r"card\d+", name)
            and text(f"{device}/vendor") == AMD
            and Path(device, "mem_info_vram_total").exists()
        ):
            found[_slot(device) or name] = device
    return found


def _slot(device: str) -> str | None:
    for line in (text(f"{device}/uevent") or "").splitlines():
        if line.startswith("PCI_SLOT_NAME="):
            return line.partition("=")[2]
    return None


def _render_node(device: str) -> int:
    found = [name[7:] for name in names(f"{device}/drm") if re.fullmatch(r"renderD\d+", name)]
    return int(found[0]) if found else -1


def _marketing_name(device: str, listed: Path) -> str | None:
    wanted = [
        (text(f"{device}/{part}") or "?").removeprefix("0x").lower()
        for part in ("device", "revision")
    ]
    try:
        lines = listed.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in lines:
        words = [word.strip() for word in line.split(",", 2)]
        if len(words) == 3 and [words[0].lower(), words[1].lower()] == wanted:
            return words[2]
    return None


def _metrics(device: str) -> bytes:
    try:
        return content(f"{device}/gpu_metrics")
    except OSError:
        return b""


def _is_unified(device: str, hwmon: str) -> bool:
    """Whether it uses the machine's memory. Where it does not say so, its voltages do: only
    GPUs within a processor have one for the north bridge."""
    metrics = _metrics(device)
    if len(metrics) >= 4:
        return metrics[2] in APU_METRICS
    return text(f"{hwmon}/in1_label") == "vddnb"


def _memory_mb(device: str, what: str, unified: bool) -> float | None:
    """`used` or `total`. Without memory of its own: the part set aside for it at the start, and
    what it may take of the rest (GTT)."""
    own = number(f"{device}/mem_info_vram_{what}", MB)
    borrowed = number(f"{device}/mem_info_gtt_{what}", MB) if unified else 0.0
    return None if own is None or borrowed is None else round(own + borrowed, 1)


def _read(card: Card, processes: tuple[GpuProcess, ...] | None) -> Gpu:
    gpu = Gpu(
        gpu_id=card.gpu_id,
        uuid=card.uuid,
        vendor="amd",
        name=card.name,
        note=UNIFIED if card.unified else None,
        unified=card.unified,
        memory_total_mb=card.total_mb,
    )
    state, note = _state(card.device)
    if state != "ok":
        return replace(gpu, state=state, note=note)
    used_mb = _memory_mb(card.device, "used", card.unified)
    gpu = replace(gpu, memory_used_mb=used_mb, processes=processes)
    if _sleeps(card.device):
        return replace(gpu, note=ASLEEP)
    received, sent = card.pcie_mb_s
    gpu = replace(gpu, pcie_received_mb_s=received, pcie_sent_mb_s=sent)
    return _measured(gpu, card.device, card.hwmon)


def _state(device: str) -> tuple[GpuState, Sentence | None]:
    """Whether the driver still answers for it, asked by a figure that every card has."""
    try:
        content(f"{device}/mem_info_vram_used")
    except PermissionError:
        return "denied", DENIED
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
            return "lost", LOST
        return "failed", Sentence(FAILED, {"problem": str(error.strerror)})
    return "ok", None


def _sleeps(device: str) -> bool:
    """Whether the kernel powered it down: to read its sensors would wake it."""
    return text(f"{device}/power/runtime_status") == "suspended"


def _measured(gpu: Gpu, device: str, hwmon: str) -> Gpu:
    """With the figures that come from the hardware itself."""
    return replace(
        gpu,
        utilization=number(f"{device}/gpu_busy_percent"),
        temperature_c=_first(hwmon, ("temp1_input", "temp2_input"), 1e3),  # edge, else junction
        power_usage_w=_first(hwmon, ("power1_average", "power1_input"), 1e6),
        power_limit_w=number(f"{hwmon}/power1_cap", 1e6),
        clock_mhz=number(f"{hwmon}/freq1_input", 1e6),
        memory_clock_mhz=number(f"{hwmon}/freq2_input", 1e6),
        fan_pct=_fan_pct(hwmon),
        throttle=_throttle(_metrics(device)),
    )


def _first(hwmon: str, files: tuple[str, ...], scale: float) -> float | None:
    found = (number(f"{hwmon}/{file}", scale) for file in files)
    return next((value for value in found if value is not None), None)


def _fan_pct(hwmon: str) -> float | None:
    """How strongly the fan is driven; where that is not told, how fast it turns."""
    for file, largest in (("pwm1", "pwm1_max"), ("fan1_input", "fan1_max")):
        value, high = number(f"{hwmon}/{file}"), number(f"{hwmon}/{largest}")
        if value is not None and high:
            return round(100 * value / high, 1)
    return None


def _throttle(metrics: bytes) -> tuple[Throttle, ...] | None:
    """Other formats give no reasons that mean the same on every GPU."""
    if metrics[2:4] != bytes((1, 3)) or len(metrics) < THROTTLE_AT + 8:
        return None
    (bits,) = struct.unpack_from("<Q", metrics, THROTTLE_AT)
    if bits == ALL_BITS:
        return None
    return tuple(dict.fromkeys(name for mask, name in THROTTLES if bits & mask))


def _measure_traffic(cards: Sequence[Card]) -> None:
    for card in cards:
        if not _sleeps(card.device):
            card.pcie_mb_s = pcie_mb_s(text(f"{card.device}/pcie_bw"))


def pcie_mb_s(told: str | None) -> tuple[float | None, float | None]:
    """Received and sent, of `pcie_bw`: packets of a second each way, and a packet's most bytes."""
    words = (told or "").split()
    if len(words) != 3 or not all(word.isdigit() for word in words):
        return None, None
    received, sent, most = map(int, words)
    return round(received * most / MB, 1), round(sent * most / MB, 1)
