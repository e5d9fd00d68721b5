"""LM Studio: its models by its own REST v1, conversations by its OpenAI part.

Sources: lmstudio.ai/docs/developer/rest (list, load, unload; 0.4 and later) and, for its
errors, its bug tracker. Never compared with the program itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec

from workbench.core.llm import (
    ChatRequest,
    CompletionRequest,
    ContextOverflow,
    Done,
    Event,
    Health,
    LanguageModel,
    LoadOptions,
    LoadProgress,
    NoModel,
    Reasoning,
    Token,
    ToolCall,
)
from workbench.errors import WorkbenchError
from workbench.http import Http
from workbench.llm.openai import HEALTH_S, OpenAI
from workbench.llm.openai_events import AnswerReader
from workbench.llm.openai_requests import refuse_grammar
from workbench.llm.pulls import LMStudioPull, Pull
from workbench.llm.server import FIRST_TOKEN_S, IDLE_S

LOAD_S = 1800.0
PARALLEL = 4
"""Its default for "max concurrent predictions"; more wait in its own queue."""


class _Config(msgspec.Struct):
    context_length: int | None = None


class _Instance(msgspec.Struct):
    id: str
    config: _Config | None = None


class _Quantization(msgspec.Struct):
    name: str | None = None


class _Capabilities(msgspec.Struct):
    vision: bool | None = None
    trained_for_tool_use: bool | None = None


class _Model(msgspec.Struct):
    key: str
    type: str = "llm"
    display_name: str | None = None
    architecture: str | None = None
    quantization: _Quantization | None = None
    size_bytes: int | None = None
    params_string: str | None = None
    loaded_instances: list[_Instance] = []
    max_context_length: int | None = None
    capabilities: _Capabilities | None = None

    @property
    def context(self) -> int | None:
        """Tokens, as loaded; None while it is not."""
        sizes = [one.config.context_length for one in self.loaded_instances if one.config]
        return min((size for size in sizes if size), default=None)


class _List(msgspec.Struct):
    models: list[_Model]


_LIST = msgspec.json.Decoder(_List)
_ANYTHING = msgspec.json.Decoder(Any)


class LMStudio:
    """One LM Studio. It has no tokenizer to ask and tells nothing while it loads.

    A request for a model that is not loaded makes it load one "just in time", and two such
    requests may load it twice: so here every request loads it first, one at a time.
    """

    kind = "lmstudio"

    def __init__(
        self,
        name: str,
        url: str,
        key: str | None = None,
        *,
        http: Http,
        parallel: int = PARALLEL,
        first_token_s: float = FIRST_TOKEN_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self.name, self.parallel = name, parallel
        self._openai = OpenAI(
            name, url, key, self.kind, http=http, first_token_s=first_token_s, idle_s=idle_s
        )
        self._server = self._openai.server
        self.url = self._server.url
        self._loading = asyncio.Lock()

    async def health(self) -> Health:
        """Whether it lists its models."""
        try:
            await self._server.get("/api/v1/models", _LIST, HEALTH_S)
        except WorkbenchError as error:
            return Health(ok=False, note=str(error))
        return Health(ok=True)

    async def models(self) -> list[LanguageModel]:
        """Every model that was downloaded."""
        return [self._described(model) for model in await self._list()]

    async def load(self, model: str, options: LoadOptions) -> AsyncGenerator[LoadProgress]:
        """Load a model, unless it is loaded already, with whatever options."""
        if not (await self._find(model)).loaded_instances:
            yield LoadProgress()
            await self._load_once(model, options)
        yield LoadProgress(done=1.0)

    async def unload(self, model: str) -> None:
        """Unload each of its instances."""
        for instance in (await self._find(model)).loaded_instances:
            value = {"instance_id": instance.id}
            await self._server.post("/api/v1/models/unload", value, _ANYTHING, model=model)

    def pull(self, model: str) -> Pull:
        """The way to have a model on its disk."""
        return LMStudioPull(self._server, model)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Event]:
        """Answer a conversation; the model is loaded before, where it is not."""
        refuse_grammar(request.sampling, self.name)
        found = await self._find(request.model)
        if not found.loaded_instances:
            yield LoadProgress()
            found = await self._load_once(request.model)
        reader, said = AnswerReader(self.name, request.model), False
        asking = self._openai.ask_chat(request, reader=reader)
        async with contextlib.aclosing(asking) as events:
            async for event in events:
                said = said or isinstance(event, Token | Reasoning | ToolCall)
                if isinstance(event, Done) and not said:
                    self._check_length(found, reader)
                yield event

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Event]:
        """Go on with a text; the model is loaded before, where it is not."""
        if not (await self._find(request.model)).loaded_instances:
            yield LoadProgress()
            await self._load_once(request.model)
        async with contextlib.aclosing(self._openai.complete(request)) as events:
            async for event in events:
                yield event

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text."""
        await self._load_once(model)
        return await self._openai.embed(model, texts)

    async def count_tokens(self, model: str, text: str) -> int | None:
        """None: it has no tokenizer to ask."""
        return None

    async def close(self) -> None:
        """Nothing to give back: connections are the caller's."""

    async def _load_once(self, model: str, options: LoadOptions | None = None) -> _Model:
        """The model with its instances, after the load that somebody else may have waited for."""
        async with self._loading:
            if not (found := await self._find(model)).loaded_instances:
                value = {"model": model, **_load_options(options or LoadOptions())}
                path = "/api/v1/models/load"
                await self._server.post(path, value, _ANYTHING, model=model, limit_s=LOAD_S)
                found = await self._find(model)
            return found

    async def _list(self) -> list[_Model]:
        return (await self._server.get("/api/v1/models", _LIST)).models

    async def _find(self, model: str) -> _Model:
        for known in await self._list():
            if model == known.key or model in {one.id for one in known.loaded_instances}:
                return known
        raise NoModel("{backend} has no model {model}", backend=self.name, model=model)

    def _check_length(self, model: _Model, reader: AnswerReader) -> None:
        """It answers a prompt that is too long with silence (its bug 2339)."""
        prompt, context = reader.prompt_tokens, model.context
        if prompt is not None and context is not None and prompt >= context:
            raise ContextOverflow(
                "this is longer than the context of {model} at {backend} ({said}): shorten it, or "
                "load the model with a larger context",
                model=model.key,
                backend=self.name,
                said=f"{prompt} > {context}",
            )

    def _described(self, model: _Model) -> LanguageModel:
        able = model.capabilities or _Capabilities()
        return LanguageModel(
            id=model.key,
            backend=self.name,
            title=model.display_name or "",
            loaded=bool(model.loaded_instances),
            size_bytes=model.size_bytes,
            context_size=model.context or model.max_context_length,
            quantization=model.quantization.name if model.quantization else None,
            parameters=model.params_string,
            architecture=model.architecture,
            images=able.vision,
            tools=able.trained_for_tool_use,
            embedding=model.type == "embedding",
        )


def _load_options(options: LoadOptions) -> dict[str, Any]:
    """What its REST part takes; layers, threads and cache types are set in the program only."""
    wanted = {
        "context_length": options.context_size,
        "eval_batch_size": options.batch_size,
        "flash_attention": options.flash_attention,
    }
    return {name: value for name, value in wanted.items() if value is not None}
