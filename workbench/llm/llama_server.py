"""llama.cpp's own server: its OpenAI part, and what only it tells (health, slots, tokens).

Source: llama.cpp's documentation of its server, compared with what build 2026.10 really sends.
The router mode (several models, loaded on demand) is written from descriptions of it, and was
never compared.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from pathlib import PurePath
from typing import Any

import msgspec

from workbench.core.llm import (
    BackendBroken,
    Busy,
    ChatRequest,
    CompletionRequest,
    Event,
    Health,
    LanguageModel,
    LoadOptions,
    LoadProgress,
    ModelError,
    NoModel,
    Sampling,
)
from workbench.errors import WorkbenchError
from workbench.http import Http
from workbench.llm.openai import HEALTH_S, OpenAI, embeds
from workbench.llm.server import FIRST_TOKEN_S, IDLE_S

LOAD_S = 1800.0
_POLL_S = (0.02, 0.5)  # the first pause between two looks, and the longest


class _Meta(msgspec.Struct):
    n_ctx: int | None = None
    n_ctx_train: int | None = None
    n_params: int | None = None
    size: int | None = None
    ftype: str | None = None


class _Architecture(msgspec.Struct):
    input_modalities: list[str] = []


class _Status(msgspec.Struct):
    value: str = "loaded"
    failed: bool = False


class _Model(msgspec.Struct):
    id: str
    aliases: list[str] = []
    meta: _Meta | None = None
    architecture: _Architecture | None = None
    status: _Status | None = None
    """Only in router mode."""

    @property
    def loaded(self) -> bool:
        return self.status is None or self.status.value == "loaded"


class _List(msgspec.Struct):
    data: list[_Model]


class _Settings(msgspec.Struct):
    n_ctx: int | None = None


class _Props(msgspec.Struct):
    total_slots: int | None = None
    build_info: str | None = None
    default_generation_settings: _Settings | None = None
    chat_template_caps: dict[str, bool] = {}


class _Tokens(msgspec.Struct):
    tokens: list[int]


_LIST = msgspec.json.Decoder(_List)
_PROPS = msgspec.json.Decoder(_Props)
_TOKENS = msgspec.json.Decoder(_Tokens)
_ANYTHING = msgspec.json.Decoder(Any)


class LlamaServer:
    """One llama.cpp server, wherever it runs: the embedded worker is one too."""

    def __init__(
        self,
        name: str,
        url: str,
        key: str | None = None,
        kind: str = "llama-server",
        *,
        http: Http,
        first_token_s: float = FIRST_TOKEN_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self.name, self.kind, self.parallel = name, kind, 1
        self._openai = OpenAI(
            name, url, key, kind, http=http, first_token_s=first_token_s, idle_s=idle_s
        )
        self._server = self._openai.server
        self.url = self._server.url
        self._known: frozenset[str] = frozenset()

    async def health(self) -> Health:
        """Whether it answers; not while it is loading its model."""
        try:
            await self._server.get("/health", _ANYTHING, HEALTH_S)
            props = await self._props()
        except WorkbenchError as error:
            return Health(ok=False, note=str(error))
        return Health(ok=True, version=props.build_info)

    async def models(self) -> list[LanguageModel]:
        """Its model, by its alias; in router mode all that it could load."""
        listed = (await self._server.get("/v1/models", _LIST)).data
        self._known = frozenset(name for model in listed for name in (model.id, *model.aliases))
        props = await self._props()
        return [self._described(model, props) for model in listed]

    async def load(self, model: str, options: LoadOptions) -> AsyncGenerator[LoadProgress]:
        """Wait until the model is ready. `options` are the server's own business."""
        latest = asyncio.get_running_loop().time() + LOAD_S
        pause, longest = _POLL_S
        asked = False
        while not await self._ready(model, asked=asked):
            asked = True
            yield LoadProgress()
            if asyncio.get_running_loop().time() > latest:
                raise BackendBroken(
                    "{backend} did not load {model} within {limit_s} s",
                    backend=self.name,
                    model=model,
                    limit_s=LOAD_S,
                )
            await asyncio.sleep(pause)
            pause = min(2 * pause, longest)
        yield LoadProgress(done=1.0)

    async def unload(self, model: str) -> None:
        """In router mode; a ModelError where the server has one model for life."""
        found = await self._find(model)
        if found.status is None:
            raise ModelError(
                "{backend} keeps {model} as long as it runs: stop the server to free its memory",
                backend=self.name,
                model=model,
            )
        if found.status.value != "unloaded":
            await self._server.post("/models/unload", {"model": model}, _ANYTHING, model=model)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Event]:
        """Answer a conversation."""
        await self._check(request.model)
        more = _more(request.sampling)
        async with contextlib.aclosing(self._openai.ask_chat(request, more)) as events:
            async for event in events:
                yield event

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Event]:
        """Go on with a text."""
        await self._check(request.model)
        more = _more(request.sampling)
        if request.sampling.json_schema is not None:
            more["json_schema"] = request.sampling.json_schema
        async with contextlib.aclosing(self._openai.ask_completion(request, more)) as events:
            async for event in events:
                yield event

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text; InputError where the server was not started for it."""
        await self._check(model)
        return await self._openai.embed(model, texts)

    async def count_tokens(self, model: str, text: str) -> int | None:
        """Exactly, without the tokens that mark a beginning or an end."""
        await self._check(model)
        value = {"model": model, "content": text, "add_special": False}
        return len((await self._server.post("/tokenize", value, _TOKENS, model=model)).tokens)

    async def close(self) -> None:
        """Nothing to give back: connections are the caller's."""

    async def _props(self) -> _Props:
        props = await self._server.get("/props", _PROPS, HEALTH_S)
        self.parallel = max(1, props.total_slots or 1)
        return props

    async def _check(self, model: str) -> None:
        """NoModel for another model than the server's, which it would answer for regardless."""
        if model not in self._known:
            await self.models()
        if model not in self._known:
            raise self._no_model(model)

    async def _find(self, model: str) -> _Model:
        for known in (await self._server.get("/v1/models", _LIST)).data:
            if model == known.id or model in known.aliases:
                return known
        raise self._no_model(model)

    async def _ready(self, model: str, *, asked: bool) -> bool:
        try:
            await self._server.get("/health", _ANYTHING, HEALTH_S)
            found = await self._find(model)
        except Busy:  # "Loading model"
            return False
        if found.loaded:
            return True
        if not asked:
            await self._server.post("/models/load", {"model": model}, _ANYTHING, model=model)
        elif found.status and found.status.failed:
            raise ModelError(
                "{backend} cannot load {model}: its log says why", backend=self.name, model=model
            )
        return False

    def _described(self, model: _Model, props: _Props) -> LanguageModel:
        meta, architecture = model.meta or _Meta(), model.architecture
        settings = props.default_generation_settings or _Settings()
        return LanguageModel(
            id=model.id,
            backend=self.name,
            title=PurePath(model.id).stem if "/" in model.id else "",
            loaded=model.loaded,
            size_bytes=meta.size,
            context_size=meta.n_ctx or settings.n_ctx or meta.n_ctx_train,
            quantization=meta.ftype.removeprefix("all ") if meta.ftype else None,
            parameters=_short(meta.n_params),
            images="image" in architecture.input_modalities if architecture else None,
            tools=props.chat_template_caps.get("supports_tool_calls"),
            embedding=embeds(model.id),
        )

    def _no_model(self, model: str) -> NoModel:
        return NoModel("{backend} has no model {model}", backend=self.name, model=model)


def _more(sampling: Sampling) -> dict[str, Any]:
    more: dict[str, Any] = {"return_progress": True, "cache_prompt": True}
    if sampling.grammar is not None:
        more["grammar"] = sampling.grammar
    return more


def _short(parameters: int | None) -> str | None:
    """A count of parameters as people say it, such as `7B`."""
    if parameters is None:
        return None
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if parameters >= unit:
            return f"{parameters / unit:.3g}{letter}"
    return str(parameters)
