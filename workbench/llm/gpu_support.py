"""What runs the models here, and whether it can use a GPU."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import msgspec

from workbench.core.llm import Health
from workbench.http import Http
from workbench.llm.worker_process import look

NO_GPU = "running on CPU: this build has no GPU support"
NO_GPU_REMEDY = (
    "start a server that uses the GPU, such as llama-server, or set WORKBENCH_LLAMA_SERVER "
    "to the path of your own llama-server"
)
NO_PROGRAM = "what WORKBENCH_LLAMA_SERVER names is no program that can be run"
NO_PROGRAM_REMEDY = "set it to the path of a llama-server, or remove it"
NO_ENGINE_REMEDY = "run `pip install xllamacpp`, or start a server such as LM Studio or Ollama"


class GpuSupport(msgspec.Struct, frozen=True, kw_only=True):
    """The engine of this machine."""

    version: str = ""
    gpus: tuple[str, ...] = ()
    """The GPUs that the engine sees; not asked of the user's own binary."""
    present: bool = False
    """Whether this machine has a GPU."""
    binary: str = ""
    """The user's llama-server, where that is the engine."""
    problem: str = ""
    """Why nothing can run here; empty where something can."""

    @property
    def remedy(self) -> str:
        """What would help against the problem."""
        return NO_PROGRAM_REMEDY if self.problem == NO_PROGRAM else NO_ENGINE_REMEDY

    @property
    def cpu_only(self) -> bool:
        return not self.binary and not self.gpus

    @property
    def uses_gpu(self) -> bool:
        """Whether a model goes to a GPU, as far as its options let it."""
        return bool(self.gpus) or (self.present and bool(self.binary))

    @property
    def health(self) -> Health:
        """Whether models can be run, and whether they run more slowly than they could."""
        version = "llama-server" if self.binary else self.version or None
        if self.problem:
            return Health(ok=False, version=version, note=self.problem, remedy=self.remedy)
        if self.present and self.cpu_only:
            return Health(ok=True, version=version, note=NO_GPU, remedy=NO_GPU_REMEDY)
        return Health(ok=True, version=version)


async def gpu_support(http: Http, binary: Path | None, devices: Path) -> GpuSupport:
    """Looked at in a process of its own, 0.3 s. The order with a GPU: the user's own
    `llama-server`, then xllamacpp, whose wheel on PyPI knows no GPU.
    """
    present = await asyncio.to_thread(_gpu_present, devices)
    if binary is not None:
        runs = await asyncio.to_thread(os.access, binary, os.X_OK)
        problem = "" if runs else NO_PROGRAM
        return GpuSupport(present=present, binary=str(binary), problem=problem)
    seen = await look(http)
    own = await asyncio.to_thread(shutil.which, "llama-server")
    if own and ((present and not seen.gpus) or seen.problem):
        return GpuSupport(present=present, binary=own)
    return GpuSupport(version=seen.version, gpus=seen.gpus, present=present, problem=seen.problem)


def _gpu_present(devices: Path) -> bool:
    """Whether a driver made the files that its GPUs have: NVIDIA's, AMD's, or WSL's."""
    named = ("kfd", "dxg")
    return any((devices / name).exists() for name in named) or any(devices.glob("nvidia[0-9]*"))
