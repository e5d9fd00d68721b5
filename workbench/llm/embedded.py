"""Models run by the workbench itself: a llama.cpp process for each, on the CPU or a GPU.

The order with a GPU: the user's own `llama-server`, then xllamacpp, whose wheel on PyPI knows
no GPU; `health()` says so. Nothing but `worker.py`, in its own process, imports xllamacpp.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil

from workbench.core.llm import (
    BackendBroken,
    ChatRequest,
    CompletionRequest,
    Event,
    Health,
    LanguageModel,
    LoadOptions,
    LoadProgress,
    ModelError,
    NoModel,
)
from workbench.errors import LinkError, shown
from workbench.http import Http
from workbench.llm.model_files import Folders, ModelFile, described_broken
from workbench.llm.worker import Order
from workbench.llm.worker_process import READY_S, WATCH_S, Worker, look, start

RESERVE_BYTES = 256 << 20  # as much as the prompts that a worker remembers may take
ENDED_S = 1.0  # a broken connection may be heard of this long before the end of its process
NO_GPU = "running on CPU: this build has no GPU support"
NO_GPU_REMEDY = (
    "start a server that uses the GPU, such as llama-server, or set WORKBENCH_LLAMA_SERVER "
    "to the path of your own llama-server"
)
NO_PROGRAM = "what WORKBENCH_LLAMA_SERVER names is no program that can be run"
NO_PROGRAM_REMEDY = "set it to the path of a llama-server, or remove it"
NO_ENGINE_REMEDY = "run `pip install xllamacpp`, or start a server such as LM Studio or Ollama"
T = TypeVar("T")


class GpuSupport(msgspec.Struct, frozen=True, kw_only=True):
    """What runs the models here, and whether it can use a GPU."""

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


class Embedded:
    """The models in `folders`, each in a process of its own. For one event loop.

    `http` has to allow private addresses, for the processes listen on 127.0.0.1.
    """

    name = "embedded"
    kind = "embedded"
    url = ""

    def __init__(
        self,
        folders: Sequence[Path],
        *,
        http: Http,
        binary: Path | None = None,
        ready_s: float = READY_S,
        watch_s: float = WATCH_S,
        free_bytes: Callable[[], int] | None = None,
        devices: Path = Path("/dev"),
    ) -> None:
        self._folders, self._http, self._binary = Folders(folders), http, binary
        self._ready_s, self._watch_s, self._devices = ready_s, watch_s, devices
        self._free_bytes = free_bytes or free_memory
        self._workers: dict[str, Worker] = {}
        self._asked: dict[str, LoadOptions] = {}
        self._loading: Worker | None = None
        self._closed = False
        self._starting = asyncio.Lock()
        self._support: GpuSupport | None = None

    @property
    def parallel(self) -> int:
        """Streams at a time for each loaded model."""
        return max([worker.options.parallel or 1 for worker in self._workers.values()], default=1)

    @property
    def pids(self) -> dict[str, int]:
        """The process of each loaded model, for the memory it takes."""
        return {id_: worker.pid for id_, worker in self._workers.items() if _runs(worker)}

    async def gpu_support(self) -> GpuSupport:
        """What runs the models here; looked at once in a process of its own, 0.3 s."""
        if self._support is None or self._support.problem:
            self._support = await self._look()
        return self._support

    async def _look(self) -> GpuSupport:
        present = await asyncio.to_thread(_gpu_present, self._devices)
        if self._binary is not None:
            runs = await asyncio.to_thread(os.access, self._binary, os.X_OK)
            problem = "" if runs else NO_PROGRAM
            return GpuSupport(present=present, binary=str(self._binary), problem=problem)
        seen = await look(self._http)
        own = await asyncio.to_thread(shutil.which, "llama-server")
        if own and ((present and not seen.gpus) or seen.problem):
            return GpuSupport(present=present, binary=own)
        return GpuSupport(
            version=seen.version, gpus=seen.gpus, present=present, problem=seen.problem
        )

    async def health(self) -> Health:
        """Whether models can be run here, and whether they run more slowly than they could."""
        support = await self.gpu_support()
        version = "llama-server" if support.binary else support.version or None
        if support.problem:
            return Health(ok=False, version=version, note=support.problem, remedy=support.remedy)
        if support.present and support.cpu_only:
            return Health(ok=True, version=version, note=NO_GPU, remedy=NO_GPU_REMEDY)
        return Health(ok=True, version=version)

    async def models(self) -> list[LanguageModel]:
        """Every model in the folders, then the files that cannot be loaded, with the reason."""
        found = await asyncio.to_thread(self._folders.scan)
        broken = await asyncio.to_thread(lambda: list(self._folders.broken()))
        usable = [self._described(model) for model in found.values()]
        return [*usable, *(described_broken(*each) for each in broken if each[0] not in found)]

    def _described(self, model: ModelFile) -> LanguageModel:
        worker = self._running(model.id)
        context_size = worker.order.context_size if worker else None
        return model.described(loaded=worker is not None, context_size=context_size)

    async def load(self, model: str, options: LoadOptions) -> AsyncGenerator[LoadProgress]:
        """Load a model. llama.cpp tells nothing until it is ready, so `done` is None till then.

        A loaded one is loaded at once, except with other options: then anew, if it is idle.
        """
        if self._running(model) is None or not self._suits(model, options):
            yield LoadProgress()
            await self._worker(model, options)
        yield LoadProgress(done=1.0)

    async def unload(self, model: str) -> None:
        """End its process; its streams end as broken."""
        self._asked.pop(model, None)
        await self._end(model)

    def chat(self, request: ChatRequest) -> AsyncGenerator[Event]:
        """Answer a conversation, after loading the model where it is not."""
        return self._streamed(request.model, lambda worker: worker.server.chat(request))

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Event]:
        """Go on with a text, after loading the model where it is not."""
        return self._streamed(request.model, lambda worker: worker.server.complete(request))

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, of a model that embeds or was loaded to."""
        async with self._using(await self._worker(model)) as worker:
            return await worker.server.embed(model, texts)

    async def count_tokens(self, model: str, text: str) -> int | None:
        """Exactly, while the model is loaded; None where it is not: it is not loaded for this."""
        worker = self._running(model)
        if worker is None:
            return None
        async with self._using(worker):
            return await worker.server.count_tokens(model, text)

    async def close(self) -> None:
        """End every process, also one that is loading; nothing is started any more."""
        self._closed = True
        if self._loading is not None:
            self._loading.kill()
        async with self._starting:
            await asyncio.gather(*(self._end(model) for model in list(self._workers)))

    async def _end(self, model: str) -> None:
        worker = self._workers.pop(model, None)
        if worker is not None:
            await worker.stop()

    async def _streamed(
        self, model: str, ask: Callable[[Worker], AsyncGenerator[Event]]
    ) -> AsyncGenerator[Event]:
        if self._running(model) is None:
            yield LoadProgress()
        worker = await self._worker(model)
        async with self._using(worker), contextlib.aclosing(ask(worker)) as events:
            async for event in events:
                yield event

    @contextlib.asynccontextmanager
    async def _using(self, worker: Worker) -> AsyncIterator[Worker]:
        """Keep a worker from being ended for its memory, and say how it ended if it does."""
        worker.busy += 1
        try:
            yield worker
        except LinkError:
            if not await worker.has_ended(ENDED_S):
                raise
            raise BackendBroken(
                "{model} stopped in the midst of it: its process ended ({how}); "
                "ask again to start it anew",
                model=worker.order.alias,
                how=worker.how_it_ended,
            ) from None
        finally:
            worker.busy -= 1
            worker.used_at = time.monotonic()

    def _running(self, model: str) -> Worker | None:
        worker = self._workers.get(model)
        return worker if worker is not None and _runs(worker) else None

    def _suits(self, model: str, options: LoadOptions | None) -> bool:
        """Whether a model that runs does so with `options`; no options suit any."""
        return options in (None, LoadOptions(), self._asked.get(model))

    async def _worker(self, model: str, options: LoadOptions | None = None) -> Worker:
        """The worker of a model, started where there is none or where it has to be another."""
        async with self._starting:
            if self._closed:
                raise LinkError("the embedded worker is closed: start the hub again to use it")
            worker = self._running(model)
            if worker is not None and self._suits(model, options):
                return worker
            if worker is not None and worker.busy:
                raise ModelError(
                    "{model} is answering: stop that before it is loaded with other options",
                    model=model,
                )
            wanted = options or self._asked.get(model, LoadOptions())
            await self._end(model)
            self._workers[model] = await self._start(await self._file(model), wanted)
            self._asked[model] = wanted
            return self._workers[model]

    async def _file(self, model: str) -> ModelFile:
        file = await asyncio.to_thread(self._folders.find, model)
        if file is None:
            raise NoModel(
                "there is no model {model} in the folders of the embedded worker; "
                "list the models to see which there are",
                model=shown(model),
            )
        return file

    async def _start(self, file: ModelFile, options: LoadOptions) -> Worker:
        support = await self.gpu_support()
        if support.problem:
            raise ModelError(
                "no model can be run here: {problem}; {remedy}",
                problem=support.problem,
                remedy=support.remedy,
            )
        if support.cpu_only or options.gpu_layers == 0:
            await self._make_room(file, options)
        if file.header.embeds:
            options = msgspec.structs.replace(options, embedding=True)
        order = Order(
            parent=0,
            model=str(file.path.absolute()),
            alias=file.id,
            context_size=file.context_size(options),
            options=options,
            pooled=file.header.embeds,
            binary=support.binary,
        )
        self._loading = worker = await start(order, self._http, self._watch_s)
        if self._closed:
            worker.kill()
        try:
            await worker.ready(self._ready_s)
        except BaseException:
            worker.kill()
            await asyncio.shield(worker.stop())
            raise
        finally:
            self._loading = None
        worker.used_at = time.monotonic()
        return worker

    async def _make_room(self, file: ModelFile, options: LoadOptions) -> None:
        """Unload what is idle, the longest unused first, until the model fits into memory."""
        needed = file.needed_bytes(options)
        while (free := self._free_bytes() - RESERVE_BYTES) < needed:
            idle = [id_ for id_, worker in self._workers.items() if not worker.busy]
            if not idle:
                raise ModelError(
                    "{model} takes about {needed_mb} MB of memory, and {free_mb} MB are free: "
                    "choose a smaller model or a smaller context",
                    model=file.id,
                    needed_mb=needed >> 20,
                    free_mb=max(0, free) >> 20,
                )
            await self._end(min(idle, key=lambda id_: self._workers[id_].used_at))


def free_memory() -> int:
    """Bytes that may still be taken, by this machine's count and by its container's limit."""
    free = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        free = min(free, limit - int((group / "memory.current").read_text()))
    return free


def _gpu_present(devices: Path) -> bool:
    """Whether a driver made the files that its GPUs have: NVIDIA's, or AMD's."""
    return (devices / "kfd").exists() or any(devices.glob("nvidia[0-9]*"))


def _runs(worker: Worker) -> bool:
    return worker.how_it_ended is None
