"""Which processes compute on AMD's GPUs, as the kernel's compute driver (KFD) lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from workbench.collectors.kernel_files import names, number, text
from workbench.collectors.processes import Ancestry
from workbench.core.gpu import GpuProcess


class Kfd:
    """Processes of ROCm with their memory. Those that only draw, or use Vulkan, it does not know.

    In a container the kernel still lists the pids of the machine, so nobody is recognised there.
    """

    def __init__(self, sysfs: Path, ancestry: Ancestry) -> None:
        self._root, self._ancestry = f"{sysfs}/class/kfd/kfd", ancestry

    def gpus(self) -> dict[int, str]:
        """KFD's own number of each GPU by its render node: 128 for /dev/dri/renderD128."""
        nodes = f"{self._root}/topology/nodes"
        found = {}
        for node in names(nodes):
            properties = (text(f"{nodes}/{node}/properties") or "").split()
            told = dict(zip(properties[::2], properties[1::2], strict=False))
            gpu = text(f"{nodes}/{node}/gpu_id")
            if gpu is not None and told.get("drm_render_minor", "").isdigit():
                found[int(told["drm_render_minor"])] = gpu
        return found

    def processes(self, gpus: Iterable[str]) -> Mapping[str, tuple[GpuProcess, ...]]:
        """By KFD's number. Who holds no memory of a GPU is not listed there.

        KFD opens every GPU for every process that uses one, so 0 bytes mean nothing.
        """
        pids = [int(pid) for pid in names(f"{self._root}/proc") if pid.isdigit()]
        return {
            gpu: tuple(
                GpuProcess(pid=pid, memory_mb=round(taken, 1), ancestors=self._ancestry(pid))
                for pid in pids
                if (taken := number(f"{self._root}/proc/{pid}/vram_{gpu}", 1e6))
            )
            for gpu in gpus
        }
