"""Models run by the workbench itself: a llama.cpp process for each, on the CPU or a GPU.

Nothing but `worker.py`, in its own process, imports xllamacpp.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec

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
from workbench.core.sentence import Sentence
from workbench.errors import LinkError, WorkbenchError, shown
from workbench.http import Http
from workbench.llm.arrivals import Arrivals, Tell
from workbench.llm.catalogue import available_memory
from workbench.llm.gpu_loan import Lender, Loan, Loans
from workbench.llm.gpu_support import GpuSupport, gpu_support
from workbench.llm.model_files import Folders, ModelFile, described_broken
from workbench.llm.places import Shelf, Shelves
from workbench.llm.worker import Order
from workbench.llm.worker_process import READY_S, WATCH_S, Worker, start

RESERVE_BYTES = 256 << 20  # as much as the prompts that a worker remembers may take
ENDED_S = 1.0  # a broken connection may be heard of this long before the end of its process


class Embedded:
    """The models in `folders`, each in a process of its own. For one event loop.

    `http` has to allow private addresses, for the processes listen on 127.0.0.1. Where there
    is a `lender`, a model that goes to a GPU first gets a lease of its memory, or waits for it;
    nothing else waits then. `others` are models that other programs keep.
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
        lender: Lender | None = None,
        others: Shelf | None = None,
    ) -> None:
        ours = Folders(folders)
        self._folders: Shelf = Shelves(ours, others) if others else ours
        self._http, self._binary = http, binary
        self._ready_s, self._watch_s, self._devices = ready_s, watch_s, devices
        self._free_bytes = free_bytes or available_memory
        self._workers: dict[str, Worker] = {}
        self._asked: dict[str, LoadOptions] = {}
        self._loans = Loans(lender)
        self._loading: Worker | None = None
        self._arrivals = Arrivals(self._gone)
        self._closed = False
        self._starting = asyncio.Lock()
        self._alone: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._support: asyncio.Task[GpuSupport] | None = None

    @property
    def parallel(self) -> int:
        """Streams at a time for each loaded model."""
        return max([worker.options.parallel or 1 for worker in self._workers.values()], default=1)

    @property
    def pids(self) -> dict[str, int]:
        """The process of each model that is loaded or loading, for the memory it takes."""
        known = [*self._workers.items()]
        if self._loading is not None:
            known.append((self._loading.order.alias, self._loading))
        return {id_: worker.pid for id_, worker in known if _runs(worker)}

    async def gpu_support(self) -> GpuSupport:
        """What runs the models here; looked at once in a process of its own, 0.3 s, and seconds
        where its libraries are not in memory yet. Who gives up waiting does not end the look."""
        if self._support is None or _in_vain(self._support):
            look = gpu_support(self._http, self._binary, self._devices)
            self._support = asyncio.create_task(look)
        return await asyncio.shield(self._support)

    async def health(self) -> Health:
        """Whether models can be run here, and whether they run more slowly than they could."""
        return (await self.gpu_support()).health

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
        async with contextlib.aclosing(self._ready(model, options)) as steps:
            async for step in steps:
                if isinstance(step, LoadProgress):
                    yield step
        yield LoadProgress(done=1.0)

    async def unload(self, model: str) -> None:
        """End its process, or its wait for a GPU; its streams end as broken."""
        self._arrivals.stop(model)
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
        async with contextlib.aclosing(self._ready(model)) as steps:
            [worker] = [step async for step in steps if isinstance(step, Worker)]
        async with self._using(worker):
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
        if self._support is not None:
            self._support.cancel()
        self._arrivals.stop()
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
        async with contextlib.aclosing(self._ready(model)) as steps:
            async for step in steps:
                if isinstance(step, LoadProgress):
                    yield step
                else:
                    worker = step
        async with self._using(worker), contextlib.aclosing(ask(worker)) as events:
            async for event in events:
                yield event

    @contextlib.asynccontextmanager
    async def _using(self, worker: Worker) -> AsyncIterator[Worker]:
        """Keep a worker from being ended for its memory, and say how it ended if it does."""
        worker.busy += 1
        worker.loan.touch()
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
            worker.loan.touch()

    def _running(self, model: str) -> Worker | None:
        worker = self._workers.get(model)
        return worker if worker is not None and _runs(worker) else None

    def _suits(self, model: str, options: LoadOptions | None) -> bool:
        """Whether a model that runs does so with `options`; no options suit any."""
        return options in (None, LoadOptions(), self._asked.get(model))

    async def _ready(
        self, model: str, options: LoadOptions | None = None
    ) -> AsyncGenerator[LoadProgress | Worker]:
        """How far it is, where it does not run yet; the last item is its worker."""
        worker = self._running(model)
        if worker is not None and self._suits(model, options):
            yield worker
            return
        yield LoadProgress()
        arriving = self._arrivals.follow(model, lambda tell: self._worker(model, options, tell))
        async with contextlib.aclosing(arriving):
            async for step in arriving:
                yield step

    def _gone(self) -> WorkbenchError:
        """Why nothing is started any more."""
        if self._closed:
            return LinkError("the embedded worker is closed: start the hub again to use it")
        return ModelError("the model was unloaded while it was being loaded: load it again")

    async def _worker(self, model: str, options: LoadOptions | None, tell: Tell) -> Worker:
        """The worker of a model, started where there is none or where it has to be another."""
        async with self._alone.setdefault(model, asyncio.Lock()):
            if self._closed:
                raise self._gone()
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
            self._workers[model] = await self._lent(await self._file(model), wanted, tell)
            self._asked[model] = wanted
            return self._workers[model]

    async def _lent(self, file: ModelFile, options: LoadOptions, tell: Tell) -> Worker:
        """A worker with its memory of a GPU, which it gives back when it ends."""
        waits = False

        def waiting(reason: Sentence) -> None:
            nonlocal waits
            waits = True
            tell(LoadProgress(waiting=reason))

        support = await self._usable()
        on_gpu = support.uses_gpu and options.gpu_layers != 0
        loan = await self._loans.borrow(file, options, waiting, on_gpu=on_gpu)
        if waits:
            tell(LoadProgress())
        try:
            async with self._starting:
                self._arrivals.begin()
                return await self._start(file, support, loan)
        except BaseException:
            loan.give_back()
            raise

    async def _file(self, model: str) -> ModelFile:
        file = await asyncio.to_thread(self._folders.find, model)
        if file is None:
            raise NoModel(
                "there is no model {model} in the folders of the embedded worker; "
                "list the models to see which there are",
                model=shown(model),
            )
        return file

    async def _usable(self) -> GpuSupport:
        support = await self.gpu_support()
        if support.problem:
            raise ModelError(
                "no model can be run here: {problem}; {remedy}",
                problem=support.problem,
                remedy=support.remedy,
            )
        return support

    async def _start(self, file: ModelFile, support: GpuSupport, loan: Loan) -> Worker:
        options = loan.options
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
        self._loading = worker = await start(order, loan, self._http, self._watch_s)
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


def _runs(worker: Worker) -> bool:
    return worker.how_it_ended is None


def _in_vain(look: asyncio.Task[GpuSupport]) -> bool:
    """Whether a look is over and has to be done again."""
    if not look.done():
        return False
    return look.cancelled() or look.exception() is not None or bool(look.result().problem)
