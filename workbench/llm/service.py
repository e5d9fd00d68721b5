"""The service over all back ends: what a hub asks of language models, whichever runs them.

A model is named `id` (any back end that has it) or `id@backend` (that one); None or an empty
name leaves the choice to the service: the current one, else a loaded one, else the smallest
that fits into memory.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Callable, Sequence

import msgspec

from workbench.core.llm import (
    ChatRequest,
    CompletionRequest,
    Done,
    Event,
    LoadOptions,
    LoadProgress,
    ModelError,
    NoModel,
    Sampling,
)
from workbench.core.llm_checks import Checks
from workbench.core.llm_results import (
    Attempt,
    BackendState,
    Benchmark,
    Comparison,
    Count,
    Generated,
    Kind,
    Listing,
    Processed,
    Progress,
    Recommendation,
    Truncated,
)
from workbench.core.metrics import LlmReading
from workbench.core.sentence import Sentence
from workbench.errors import LinkError
from workbench.llm import checks as checking
from workbench.llm import compare, generate, measure, process, recommend
from workbench.llm import text as fitting
from workbench.llm.answering import Answering
from workbench.llm.backend import Backend
from workbench.llm.catalogue import BOUND_S, Catalogue, Servers, available_memory
from workbench.llm.loading import Loads
from workbench.llm.meter import Meter
from workbench.llm.pulls import Pulls
from workbench.llm.router import QUEUE_LIMIT, Instance, Router
from workbench.llm.switching import Switching, preferred
from workbench.llm.tokens import Tokens

ANY = LoadOptions()
LOOK_AGAIN_S = 2.0
"""A model that is not in a list older than this is looked for again before it is refused."""


async def no_servers() -> Sequence[Backend]:
    """For a service with none but its own back ends."""
    return ()


class Service:
    """For one event loop. `servers` finds running servers, at the first use and at a refresh;
    `own` are always there: the embedded worker, and servers that were configured.

    Streams are stopped by closing them (`contextlib.aclosing`): the slot is then free.
    """

    def __init__(
        self,
        *,
        servers: Servers = no_servers,
        own: Sequence[Backend] = (),
        clock: Callable[[], float] = time.monotonic,
        list_bound_s: float = BOUND_S,
        queue_limit: int = QUEUE_LIMIT,
        memory: Callable[[], int] = available_memory,
    ) -> None:
        self._clock = clock
        self._memory = memory
        self._router = Router(clock=clock, queue_limit=queue_limit)
        self._catalogue = Catalogue(servers, own, clock=clock, bound_s=list_bound_s, memory=memory)
        self._tokens = Tokens()
        self._loads = Loads(self._loaded, self._catalogue.tell)
        self._switching = Switching(self._catalogue, self._loads, self.find)
        self._meter = Meter(clock)
        self._answering = Answering(
            self._router, self._loads, self.find, self._tokens.hear, self._meter
        )

    @property
    def current(self) -> str | None:
        """The model that was loaded last, as `id@backend`; None where none was."""
        return "@".join(self._catalogue.current) if self._catalogue.current else None

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` whenever a model is being loaded, is loaded or unloaded, comes or goes."""
        self._catalogue.watchers.append(watcher)

    @property
    def loading(self) -> set[str]:
        """The models that are being loaded now, as `id@backend`."""
        return self._loads.under_way

    def readings(self) -> tuple[LlmReading, ...]:
        """How the models did in the last minute: all together first, then each."""
        return self._meter.readings()

    @property
    def tokens_written(self) -> int:
        """Tokens of all answers since the hub's start, up to the last reading."""
        return round(self._meter.total.tokens)

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """What the last switch tried, in order, and why each failed that did."""
        return tuple(self._switching.attempts)

    async def refreshed(self) -> None:
        """Files came or went: the back ends are asked again, and whoever watches is told."""
        await self._update(refresh=True)
        self._catalogue.tell()

    async def models(self, *, refresh: bool = False) -> Listing:
        """Every model and back end; asked of the back ends at most every five minutes."""
        await self._update(refresh=refresh)
        try:
            current = self._catalogue.choose()[0].ref
        except ModelError:
            current = None
        return Listing(
            models=tuple(self._catalogue.models()),
            backends=self.backends(),
            current=current,
            age_s=self._catalogue.age_s,
        )

    def backends(self) -> tuple[BackendState, ...]:
        """The back ends as last asked, with what they are doing now. Asks nobody."""
        now = self._clock()
        return tuple(
            BackendState(
                name=name,
                kind=entry.backend.kind,
                url=entry.backend.url,
                health=entry.health,
                parallel=entry.backend.parallel,
                in_flight=self._router.seat(name).in_flight,
                breaker=self._router.seat(name).breaker.state(now),
            )
            for name, entry in self._catalogue.entries.items()
        )

    async def find(self, model: str | None) -> list[Instance]:
        """The instances of a model, or of the one that is chosen. Raises NoModel."""
        refreshed = await self._update()
        try:
            return self._catalogue.find(model) if model else self._catalogue.choose()
        except NoModel:
            if refreshed or self._catalogue.age_s < LOOK_AGAIN_S:
                raise
        await self._update(refresh=True)
        return self._catalogue.find(model) if model else self._catalogue.choose()

    async def pulling(self, backend: str | None = None) -> dict[str, Pulls]:
        """The back ends that can fetch models onto their own disks, by name; looked for anew
        where `backend` is named and none of them."""
        refreshed = await self._update()
        known = backend is None or backend in self._catalogue.pulling()
        if not known and not refreshed and self._catalogue.age_s >= LOOK_AGAIN_S:
            await self._update(refresh=True)
        return self._catalogue.pulling()

    async def is_running(self, model: str) -> bool:
        """Whether a back end has the model loaded, asked of the back ends now."""
        for instance in await self.find(model):
            await self._catalogue.update_one(instance.name)
        return any(instance.model.loaded for instance in await self.find(model))

    async def load(
        self, model: str | None, options: LoadOptions = ANY
    ) -> AsyncGenerator[LoadProgress]:
        """Load a model; it is the current one afterwards. Callers at a time share one load.

        Of several instances the first that is loaded already is taken, else the first.
        """
        instance = preferred(await self.find(model))
        loading = self._loads.follow(instance.backend, instance.model.id, options)
        async with contextlib.aclosing(loading):
            async for step in loading:
                yield step
        self._catalogue.current = (instance.model.id, instance.name)

    async def unload(self, model: str) -> None:
        """Give a model's memory back, on every back end that has it. Answers under way break,
        and a load under way is stopped.
        """
        for instance in await self.find(model):
            await self._loads.stop(instance.name, instance.model.id)
            await instance.backend.unload(instance.model.id)
            self._catalogue.mark(instance.name, instance.model.id, loaded=False)
            if self._catalogue.current == (instance.model.id, instance.name):
                self._catalogue.current = None

    def switch(
        self, model: str, options: LoadOptions = ANY, *, fallbacks: Sequence[str] = ()
    ) -> AsyncGenerator[LoadProgress]:
        """Unload the current model and load this one; where that fails the fallbacks in order,
        then the old one as it was. `current` and `attempts` then say what it became, and why.

        Raises the first failure where nothing could be loaded. A model that is not there is
        found out before the old one is unloaded.
        """
        return self._switching.run((model, *fallbacks), options)

    def chat(self, request: ChatRequest, *, fallbacks: Sequence[str] = ()) -> AsyncGenerator[Event]:
        """Answer a conversation: Queued, Chosen, LoadProgress, then what the back end says.

        Other instances and then the fallbacks stand in only while nothing of the answer was
        shown; a Chosen event then says which, and why. Raises what the last one raised.
        """

        def ask(instance: Instance) -> AsyncGenerator[Event]:
            return instance.backend.chat(msgspec.structs.replace(request, model=instance.model.id))

        return self._answering.stream((request.model, *fallbacks), request.session, ask)

    def complete(
        self, request: CompletionRequest, *, fallbacks: Sequence[str] = ()
    ) -> AsyncGenerator[Event]:
        """Go on with a text; in all else as `chat`."""

        def ask(instance: Instance) -> AsyncGenerator[Event]:
            return instance.backend.complete(
                msgspec.structs.replace(request, model=instance.model.id)
            )

        return self._answering.stream((request.model, *fallbacks), "", ask)

    async def embed(self, model: str | None, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, by a model that embeds. Fails over like an answer."""
        await self._update()
        ref = model or self._catalogue.choose(embedding=True)[0].ref
        vectors: list[list[float]] = []

        async def ask(instance: Instance) -> AsyncGenerator[Event]:
            vectors.extend(await instance.backend.embed(instance.model.id, texts))
            yield Done()

        async with contextlib.aclosing(self._answering.stream((ref,), "", ask)) as events:
            async for _ in events:
                pass
        return vectors

    async def count(self, model: str | None, text: str) -> Count:
        """Tokens of a text: exact where the model is loaded and its back end can tell."""
        return await self._tokens.count(await self._counting(model), text)

    async def truncate(
        self, model: str | None, text: str, limit_tokens: int, *, keep: str = "end"
    ) -> Truncated:
        """A text cut to its last (or first) tokens."""
        return await fitting.truncate(await self._counter(model), text, limit_tokens, keep)

    async def split(
        self, model: str | None, text: str, limit_tokens: int, *, overlap_tokens: int = 0
    ) -> list[str]:
        """Parts of at most so many tokens, cut where the text lets it, as Markdown."""
        return await fitting.split(await self._counter(model), text, limit_tokens, overlap_tokens)

    def benchmark(
        self,
        model: str | None,
        *,
        runs: int = 3,
        prompt_tokens: int = measure.PROMPT_TOKENS,
        answer_tokens: int = measure.ANSWER_TOKENS,
        memory_bytes: int | None = None,
    ) -> AsyncGenerator[Progress | Benchmark]:
        """How fast a model is here; `memory_bytes` is what a caller measured it to take."""
        return measure.benchmark(
            self,
            model,
            runs=runs,
            prompt_tokens=prompt_tokens,
            answer_tokens=answer_tokens,
            memory_bytes=memory_bytes,
            clock=self._clock,
        )

    def compare(
        self, models: Sequence[str], request: ChatRequest, *, judge: str | None = None
    ) -> AsyncGenerator[Progress | compare.Heard | Comparison]:
        """The same request to several models; `judge` names the model that judges them."""
        return compare.compare(self, models, request, judge=judge, clock=self._clock)

    def generate(
        self,
        request: ChatRequest,
        checks: Checks,
        *,
        attempts: int = 3,
        fallbacks: Sequence[str] = (),
    ) -> AsyncGenerator[Progress | Attempt | Generated]:
        """An answer that passes its checks, by so many attempts of each model in turn."""
        return generate.generate(
            self, request, checks, attempts=attempts, fallbacks=fallbacks, clock=self._clock
        )

    def validate(self, answer: str, checks: Checks) -> tuple[Sentence, ...]:
        """What is wrong with an answer; empty where it passes."""
        return checking.validate(answer, checks)

    def process(
        self,
        model: str | None,
        text: str,
        instruction: str,
        *,
        combine: str = "",
        overlap_tokens: int = 0,
        answer_tokens: int = process.ANSWER_TOKENS,
        sampling: Sampling | None = None,
    ) -> AsyncGenerator[Progress | Processed]:
        """Work through a long text in parts, and put the results together."""
        return process.process(
            self,
            model,
            text,
            instruction,
            combine=combine,
            overlap_tokens=overlap_tokens,
            answer_tokens=answer_tokens,
            sampling=sampling,
            clock=self._clock,
        )

    async def recommend(
        self,
        kind: Kind,
        *,
        benchmarks: Sequence[Benchmark] = (),
        comparisons: Sequence[Comparison] = (),
        memory_bytes: int | None = None,
    ) -> Recommendation:
        """Which model for a kind of task; without `memory_bytes` by what is free here now."""
        await self._update()
        return recommend.recommend(
            kind,
            self._catalogue.models(),
            benchmarks=benchmarks,
            comparisons=comparisons,
            memory_bytes=self._memory() if memory_bytes is None else memory_bytes,
        )

    async def close(self) -> None:
        """Stop loads, and give every back end's connections and processes back."""
        await self._loads.close()
        await self._catalogue.close()

    async def _update(self, *, refresh: bool = False) -> bool:
        done = await self._catalogue.update(refresh=refresh)
        if done:
            for name, entry in self._catalogue.entries.items():
                if entry.health.ok:
                    self._router.seat(name).breaker.retry(self._clock())
        return done

    async def _loaded(self, backend: Backend, model: str, options: LoadOptions) -> None:
        """After a load: what it told (its context, its parallelism) is asked anew."""
        self._switching.options[model, backend.name] = options
        await self._catalogue.update_one(backend.name)
        self._catalogue.mark(backend.name, model, loaded=True)

    async def _counting(self, model: str | None) -> Instance | None:
        """The instance that counts; None where there is none, for then it is estimated."""
        try:
            return preferred(await self.find(model))
        except (NoModel, LinkError):
            if model:
                raise
            return None

    async def _counter(self, model: str | None) -> fitting.Counter:
        instance = await self._counting(model)

        async def count(piece: str) -> Count:
            return await self._tokens.count(instance, piece)

        return count
