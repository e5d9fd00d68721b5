"""What `model:*` and `llm:*` ask of the language models."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Protocol, TypeVar
from weakref import WeakSet

import msgspec

from workbench.core import llm_wire as wire
from workbench.core.hub_wire import HubMessage, message
from workbench.core.llm import (
    ChatRequest,
    CompletionRequest,
    Event,
    LoadOptions,
    LoadProgress,
    Sampling,
)
from workbench.core.llm_checks import Checks
from workbench.core.llm_gathering import Gathered
from workbench.core.llm_results import (
    Attempt,
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
from workbench.hub.chat_rows import Journal
from workbench.hub.instants import now
from workbench.listener import Connection

MEASUREMENTS = 1000

M = TypeVar("M", bound=msgspec.Struct)


class LanguageModels(Protocol):
    """The service of language models, as far as a connection reaches it."""

    @property
    def current(self) -> str | None: ...

    def watch(self, watcher: Callable[[], None]) -> None: ...

    async def models(self, *, refresh: bool = False) -> Listing: ...

    def load(self, model: str, options: LoadOptions) -> AsyncGenerator[LoadProgress]: ...

    def switch(
        self, model: str, options: LoadOptions, *, fallbacks: Sequence[str] = ()
    ) -> AsyncGenerator[LoadProgress]: ...

    async def unload(self, model: str) -> None: ...

    def chat(
        self, request: ChatRequest, *, fallbacks: Sequence[str] = ()
    ) -> AsyncGenerator[Event]: ...

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Event]: ...

    async def embed(self, model: str | None, texts: Sequence[str]) -> list[list[float]]: ...

    async def count(self, model: str | None, text: str) -> Count: ...

    async def truncate(
        self, model: str | None, text: str, limit_tokens: int, *, keep: Any = "end"
    ) -> Truncated: ...

    async def split(
        self, model: str | None, text: str, limit_tokens: int, *, overlap_tokens: int = 0
    ) -> list[str]: ...

    def process(
        self,
        model: str | None,
        text: str,
        instruction: str,
        *,
        combine: str = "",
        overlap_tokens: int = 0,
        answer_tokens: int = ...,
        sampling: Sampling | None = None,
    ) -> AsyncGenerator[Progress | Processed]: ...

    def benchmark(
        self,
        model: str | None,
        *,
        runs: int = 3,
        prompt_tokens: int = ...,
        answer_tokens: int = ...,
    ) -> AsyncGenerator[Progress | Benchmark]: ...

    def compare(
        self, models: Sequence[str], request: ChatRequest, *, judge: str | None = None
    ) -> AsyncGenerator[Any]: ...

    def generate(
        self,
        request: ChatRequest,
        checks: Checks,
        *,
        attempts: int = 3,
        fallbacks: Sequence[str] = (),
    ) -> AsyncGenerator[Progress | Attempt | Generated]: ...

    async def recommend(
        self,
        kind: Kind,
        *,
        benchmarks: Sequence[Benchmark] = (),
        comparisons: Sequence[Comparison] = (),
    ) -> Recommendation: ...


RESULTS = (Benchmark, Comparison, Processed, Generated)


class ModelDesk:
    """One for all connections. Every verb ends with one answer; cancelled, it stops its work."""

    def __init__(self, models: LanguageModels, journal: Journal) -> None:
        self._models, self._journal = models, journal
        self._watching: WeakSet[Connection] = WeakSet()
        models.watch(self._changed)

    async def known(self, connection: Connection, request: wire.ModelList) -> None:
        """Every model and back end."""
        listing = await self._models.models(refresh=bool(request.data and request.data.refresh))
        self._watching.add(connection)
        backends = []
        for state in listing.backends:
            document = msgspec.to_builtins(state)
            backends.append({**document.pop("health"), **document})
        data = {
            "models": msgspec.to_builtins(listing.models),
            "backends": backends,
            "current": listing.current,
            "ageS": listing.age_s,
        }
        connection.send(message("model:list", data, request.request_id))

    async def load(self, connection: Connection, request: wire.ModelLoad) -> None:
        """Load one model beside what is loaded."""
        wanted = request.data
        await self._load(connection, request, self._models.load(wanted.model, wanted.options))

    async def switch(self, connection: Connection, request: wire.ModelSwitch) -> None:
        """Load one model instead of the current one."""
        wanted = request.data
        steps = self._models.switch(wanted.model, wanted.options, fallbacks=wanted.fallbacks)
        await self._load(connection, request, steps)

    async def _load(
        self,
        connection: Connection,
        request: wire.ModelLoad | wire.ModelSwitch,
        steps: AsyncGenerator[LoadProgress],
    ) -> None:
        asked = request.data.model
        async with aclosing(steps):
            async for step in steps:
                waiting = msgspec.to_builtins(step.waiting)
                data = {"model": asked, "done": step.done, "waiting": waiting}
                connection.send(message("model:progress", data, request.request_id))
        loaded = {"model": self._models.current or asked}
        connection.send(message("model:loaded", loaded, request.request_id))

    async def unload(self, connection: Connection, request: wire.ModelUnload) -> None:
        """Give a model's memory back."""
        await self._models.unload(request.data.model)
        data = {"model": request.data.model}
        connection.send(message("model:unloaded", data, request.request_id))

    def _changed(self) -> None:
        frame = message("model:changed", {})
        for connection in list(self._watching):
            connection.send(frame)

    # Answers that nobody keeps

    async def chat(self, connection: Connection, request: wire.LlmChat) -> None:
        """Answer a conversation."""
        asked = request.data
        wanted = ChatRequest(
            model=asked.model or "",
            turns=asked.turns,
            sampling=asked.parameters,
            tools=asked.tools,
        )
        events = self._models.chat(wanted, fallbacks=asked.fallbacks)
        await self._stream(connection, request, events)

    async def complete(self, connection: Connection, request: wire.LlmComplete) -> None:
        """Go on with a text."""
        asked = request.data
        wanted = CompletionRequest(
            model=asked.model or "", prompt=asked.prompt, sampling=asked.parameters
        )
        await self._stream(connection, request, self._models.complete(wanted))

    async def _stream(
        self, connection: Connection, request: HubMessage, events: AsyncGenerator[Event]
    ) -> None:
        gathered = Gathered(time.monotonic())
        async with aclosing(events):
            async for event in events:
                gathered.take(event, time.monotonic())
                data = msgspec.to_builtins(event)
                connection.send(message("llm:event", data, request.request_id))
        self._result(connection, request, gathered.answer(time.monotonic()))

    # Texts

    async def embed(self, connection: Connection, request: wire.LlmEmbed) -> None:
        """Vectors."""
        vectors = await self._models.embed(request.data.model, request.data.texts)
        self._result(connection, request, {"vectors": vectors})

    async def count(self, connection: Connection, request: wire.LlmCount) -> None:
        """Tokens."""
        counted = await self._models.count(request.data.model, request.data.text)
        self._result(connection, request, counted)

    async def truncate(self, connection: Connection, request: wire.LlmTruncate) -> None:
        """A text cut to so many tokens."""
        asked = request.data
        cut = await self._models.truncate(asked.model, asked.text, asked.limit, keep=asked.keep)
        self._result(connection, request, cut)

    async def split(self, connection: Connection, request: wire.LlmSplit) -> None:
        """A text in pieces."""
        asked = request.data
        pieces = await self._models.split(
            asked.model, asked.text, asked.limit, overlap_tokens=asked.overlap
        )
        self._result(connection, request, {"pieces": pieces})

    async def process(self, connection: Connection, request: wire.LlmProcess) -> None:
        """A long text, piece by piece."""
        asked = request.data
        steps = self._models.process(
            asked.model,
            asked.text,
            asked.instruction,
            combine=asked.combine,
            overlap_tokens=asked.overlap,
            answer_tokens=asked.answer_tokens,
            sampling=asked.parameters,
        )
        await self._steps(connection, request, steps)

    # Measuring and choosing

    async def benchmark(self, connection: Connection, request: wire.LlmBenchmark) -> None:
        """Measure a model, and keep what was measured."""
        asked = request.data
        steps = self._models.benchmark(
            asked.model,
            runs=asked.runs,
            prompt_tokens=asked.prompt_tokens,
            answer_tokens=asked.answer_tokens,
        )
        found = await self._steps(connection, request, steps)
        if isinstance(found, Benchmark):
            await self._keep_benchmark(found)

    async def compare(self, connection: Connection, request: wire.LlmCompare) -> None:
        """Several models side by side."""
        asked = request.data
        question = ChatRequest(model="", turns=asked.turns, sampling=asked.parameters)
        steps = self._models.compare(asked.models, question, judge=asked.judge)
        found = await self._steps(connection, request, steps)
        if isinstance(found, Comparison):
            await self._keep_comparison(found)

    async def generate(self, connection: Connection, request: wire.LlmGenerate) -> None:
        """Answer until the checks pass."""
        asked = request.data
        wanted = ChatRequest(model=asked.model or "", turns=asked.turns, sampling=asked.parameters)
        steps = self._models.generate(
            wanted, asked.checks, attempts=asked.attempts, fallbacks=asked.fallbacks
        )
        await self._steps(connection, request, steps)

    async def recommend(self, connection: Connection, request: wire.LlmRecommend) -> None:
        """Which model, by what was measured here."""
        kind = request.data.kind if request.data else "chat"
        advice = await self._models.recommend(
            kind,
            benchmarks=await self._measured("benchmark", Benchmark),
            comparisons=await self._measured("comparison", Comparison),
        )
        self._result(connection, request, advice)

    async def _measured(self, kind: str, struct: type[M]) -> list[M]:
        """What was measured on this hub, newest first."""
        rows = await self._journal.read("model_measurements", kind=kind, limit=MEASUREMENTS)
        return [msgspec.json.decode(row["detail"], type=struct) for row in rows]

    async def _steps(
        self, connection: Connection, request: HubMessage, steps: AsyncGenerator[Any]
    ) -> Any:
        """Progress as it comes, then the result."""
        async with aclosing(steps):
            async for step in steps:
                if isinstance(step, RESULTS):
                    self._result(connection, request, step)
                    return step
                data = msgspec.to_builtins(step, enc_hook=str)
                connection.send(message("llm:event", data, request.request_id))
        return None

    async def _keep_benchmark(self, found: Benchmark) -> None:
        row = (
            found.model,
            found.backend,
            "benchmark",
            found.ttft_ms,
            found.tokens_per_second,
            found.memory_bytes,
            _json(found),
            now(),
        )
        await self._journal.append({"model_measurements": [row]})

    async def _keep_comparison(self, found: Comparison) -> None:
        best = found.scores[0].model if found.scores and not found.tie else ""
        row = (best, "", "comparison", None, None, None, _json(found), now())
        await self._journal.append({"model_measurements": [row]})

    def _result(self, connection: Connection, request: HubMessage, found: Any) -> None:
        data = msgspec.to_builtins(found, enc_hook=str)
        connection.send(message("llm:result", data, request.request_id))


def _json(found: msgspec.Struct) -> str:
    return msgspec.json.encode(found).decode()
