"""A machine with AMD GPUs made up: amdgpu's, hwmon's and KFD's files, as the kernel lays them."""

from __future__ import annotations

import shutil
import struct
from pathlib import Path

MIB = 1024 * 1024

DEDICATED: dict[str, str | None] = {
    "vendor": "0x1002",
    "device": "0x744c",
    "revision": "0xc8",
    "gpu_busy_percent": "37",
    "mem_info_vram_total": str(24_560 * MIB),
    "mem_info_vram_used": str(2_048 * MIB),
    "mem_info_gtt_total": str(32_000 * MIB),
    "mem_info_gtt_used": str(100 * MIB),
    "unique_id": "1f2e3d4c5b6a7988",
    "product_name": "AMD Radeon PRO W7900",
    "power/runtime_status": "active",
    "hwmon/temp1_input": "54000",
    "hwmon/temp2_input": "61000",
    "hwmon/power1_average": "183000000",
    "hwmon/power1_cap": "339000000",
    "hwmon/freq1_input": "2371000000",
    "hwmon/freq2_input": "1249000000",
    "hwmon/pwm1": "102",
    "hwmon/pwm1_max": "255",
}
"""A card with memory of its own, at work."""

WITHIN_PROCESSOR: dict[str, str | None] = DEDICATED | {
    "device": "0x15bf",
    "mem_info_vram_total": str(512 * MIB),
    "mem_info_vram_used": str(300 * MIB),
    "unique_id": None,
    "product_name": None,
    "hwmon/power1_average": None,
    "hwmon/power1_input": "9021000",
    "hwmon/power1_cap": None,
    "hwmon/pwm1": None,
    "hwmon/pwm1_max": None,
    "hwmon/in1_label": "vddnb",
}
"""A GPU that shares the machine's memory, and has neither a fan nor a limit of its own."""


class MadeSysfs:
    """A folder in place of /sys. A file of None is not there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "class/drm").mkdir(parents=True)

    def card(
        self, number: int = 0, files: dict[str, str | None] = DEDICATED, **changed: str | None
    ) -> Path:
        """A card, or the same one changed; `temp1_input` and the like stand in its hwmon."""
        slot = f"0000:{number + 3:02x}:00.0"
        device = self.root / "devices/pci0000:00" / slot
        device.mkdir(parents=True, exist_ok=True)
        card = self.root / f"class/drm/card{number}"
        card.mkdir(exist_ok=True)
        if not (card / "device").exists():
            (card / "device").symlink_to(device)
        said = files | {"uevent": f"DRIVER=amdgpu\nPCI_SLOT_NAME={slot}"}
        said |= {
            f"hwmon/{name}" if f"hwmon/{name}" in said else name: text
            for name, text in changed.items()
        }
        for name, text in said.items():
            write(device / name.replace("hwmon/", "hwmon/hwmon3/"), text)
        (device / f"drm/renderD{128 + number}").mkdir(parents=True, exist_ok=True)
        (self.root / f"class/drm/card{number}-DP-1").mkdir(exist_ok=True)
        return device

    def device(self, number: int = 0) -> Path:
        return self.root / f"class/drm/card{number}/device"

    def metrics(self, number: int, version: tuple[int, int], throttled: int = 0) -> None:
        """The binary table `gpu_metrics`; `throttled` at its place in format 1.3."""
        table = struct.pack("<HBB108xQ", 120, *version, throttled)
        (self.device(number) / "gpu_metrics").write_bytes(table)

    def lose(self, number: int) -> None:
        """The card is gone, with everything that the kernel said of it."""
        device = self.device(number)
        shutil.rmtree(device.resolve())
        shutil.rmtree(device.parent)

    def computes(self, pid: int, **bytes_by_gpu: int) -> None:
        """A process of ROCm: `gpu_1 = 5` are 5 bytes on the card that KFD calls 1."""
        for gpu, taken in bytes_by_gpu.items():
            write(self.kfd / f"proc/{pid}/vram_{gpu.removeprefix('gpu_')}", str(taken))

    def driven(self, number: int, gpu: int) -> None:
        """KFD drives the card, and calls it `gpu`. Its node 0 is the processor."""
        write(self.kfd / "topology/nodes/0/gpu_id", "0")
        write(
            self.kfd / "topology/nodes/0/properties",
            "cpu_cores_count 16\nsimd_count 0\ndrm_render_minor 0",
        )
        node = self.kfd / f"topology/nodes/{number + 1}"
        write(node / "gpu_id", str(gpu))
        write(node / "properties", f"simd_count 192\ndrm_render_minor {128 + number}")
        (self.kfd / "proc").mkdir(exist_ok=True)

    @property
    def kfd(self) -> Path:
        return self.root / "class/kfd/kfd"


def write(path: Path, text: str | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if text is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(f"{text}\n", encoding="ascii")
