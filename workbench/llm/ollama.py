"""Ollama by its own protocol, which tells more than its OpenAI part: what is loaded, and timings.

Source: Ollama's docs/api.md and api/types.go. It shortens a conversation that is too long
without a word unless it is told `truncate: false`.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import msgspec

from workbench.core.llm import (
    ChatRequest,
    CompletionRequest,
    Event,
    Health,
    LanguageModel,
    LoadOptions,
    LoadProgress,
    Sampling,
    Turn,
)
from workbench.errors import WorkbenchError
from workbench.http import Http
from workbench.llm.ollama_events import OllamaReader
from workbench.llm.openai import EMBED_S, HEALTH_S, embeds, one_each
from workbench.llm.openai_requests import refuse_grammar, tool_body
from workbench.llm.pulls import OllamaPull, Pull
from workbench.llm.server import FIRST_TOKEN_S, IDLE_S, Server
from workbench.llm.streams import Ndjson

LOAD_S = 1800.0
KEEP_ALIVE = "30m"
_ALL_LAYERS = 999
_SAME = (
    *("temperature", "top_p", "top_k", "min_p", "repeat_penalty"),
    *("presence_penalty", "frequency_penalty", "seed"),
)


class _Details(msgspec.Struct):
    family: str | None = None
    parameter_size: str | None = None
    quantization_level: str | None = None


class _Model(msgspec.Struct):
    name: str
    size: int | None = None
    details: _Details | None = None
    context_length: int | None = None
    """In /api/ps: as loaded."""


class _List(msgspec.Struct):
    models: list[_Model] | None = None


class _Shown(msgspec.Struct):
    capabilities: list[str] = []
    model_info: dict[str, Any] = {}


class _Version(msgspec.Struct):
    version: str


class _Vectors(msgspec.Struct):
    embeddings: list[list[float]]


_LIST = msgspec.json.Decoder(_List)
_SHOWN = msgspec.json.Decoder(_Shown)
_VERSION = msgspec.json.Decoder(_Version)
_VECTORS = msgspec.json.Decoder(_Vectors)
_ANYTHING = msgspec.json.Decoder(Any)


class Ollama:
    """One Ollama. `parallel` is what OLLAMA_NUM_PARALLEL says there: no question tells it."""

    kind = "ollama"

    def __init__(
        self,
        name: str,
        url: str,
        key: str | None = None,
        *,
        http: Http,
        parallel: int = 1,
        keep_alive: str = KEEP_ALIVE,
        first_token_s: float = FIRST_TOKEN_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self.name, self.parallel = name, parallel
        self._server = Server(http, name, url, key, first_token_s=first_token_s, idle_s=idle_s)
        self.url = self._server.url
        self._keep_alive = keep_alive
        self._shown: dict[str, _Shown] = {}
        self._options: dict[str, dict[str, Any]] = {}

    async def health(self) -> Health:
        """Whether it tells its version."""
        try:
            found = await self._server.get("/api/version", _VERSION, HEALTH_S)
        except WorkbenchError as error:
            return Health(ok=False, note=str(error))
        return Health(ok=True, version=found.version)

    async def models(self) -> list[LanguageModel]:
        """Every model on its disk, with what /api/show tells; asked once for each."""
        listed = (await self._server.get("/api/tags", _LIST)).models or []
        running = (await self._server.get("/api/ps", _LIST)).models or []
        contexts = {model.name: model.context_length for model in running}
        return [self._described(model, await self._show(model.name), contexts) for model in listed]

    async def load(self, model: str, options: LoadOptions) -> AsyncGenerator[LoadProgress]:
        """Load with these options, which later requests repeat: others would load it anew."""
        self._options[model] = _load_options(options)
        yield LoadProgress()
        path, value = self._warm_up(model, embedding=options.embedding or embeds(model))
        try:
            await self._server.post(path, value, _ANYTHING, model=model, limit_s=LOAD_S)
        except BaseException:
            self._options.pop(model, None)
            raise
        yield LoadProgress(done=1.0)

    async def unload(self, model: str) -> None:
        """Give its memory back, by keeping it alive for no time."""
        self._options.pop(model, None)
        value = {"model": model, "keep_alive": 0, "stream": False}
        await self._server.post("/api/generate", value, _ANYTHING, model=model)

    def pull(self, model: str) -> Pull:
        """The way to have a model on its disk."""
        return OllamaPull(self._server, model)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Event]:
        """Answer a conversation."""
        value = self._common(request.model, request.sampling)
        value["messages"] = [_message(turn, request.turns) for turn in request.turns]
        if request.tools:
            value["tools"] = [tool_body(tool) for tool in request.tools]
        async with contextlib.aclosing(self._stream("/api/chat", value)) as events:
            async for event in events:
                yield event

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Event]:
        """Go on with a text, without a template around it."""
        value = self._common(request.model, request.sampling)
        value |= {"prompt": request.prompt, "raw": True}
        async with contextlib.aclosing(self._stream("/api/generate", value)) as events:
            async for event in events:
                yield event

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text; one that is too long is refused, not cut."""
        if not texts:
            return []
        value = {
            "model": model,
            "input": list(texts),
            "truncate": False,
            "keep_alive": self._keep_alive,
            "options": self._options.get(model, {}),
        }
        found = await self._server.post("/api/embed", value, _VECTORS, model=model, limit_s=EMBED_S)
        return one_each(found.embeddings, texts, self.name)

    async def count_tokens(self, model: str, text: str) -> int | None:
        """None: it has no tokenizer to ask."""
        return None

    async def close(self) -> None:
        """Nothing to give back: connections are the caller's."""

    async def _show(self, model: str) -> _Shown:
        """What a model can; nothing where it cannot say so: one bad file hides no other model."""
        if model not in self._shown:
            try:
                shown = await self._server.post("/api/show", {"model": model}, _SHOWN, model=model)
            except WorkbenchError:
                return _Shown()
            self._shown[model] = shown
        return self._shown[model]

    def _described(
        self, model: _Model, shown: _Shown, contexts: dict[str, int | None]
    ) -> LanguageModel:
        details, able = model.details or _Details(), shown.capabilities
        return LanguageModel(
            id=model.name,
            backend=self.name,
            loaded=model.name in contexts,
            size_bytes=model.size,
            context_size=contexts.get(model.name) or _context(shown),
            quantization=details.quantization_level or None,
            parameters=details.parameter_size or None,
            architecture=details.family or None,
            images="vision" in able if able else None,
            tools="tools" in able if able else None,
            embedding="embedding" in able or embeds(model.name),
        )

    def _warm_up(self, model: str, *, embedding: bool) -> tuple[str, dict[str, Any]]:
        """A request without a prompt only loads; one that embeds does not generate."""
        value = {
            "model": model,
            "options": self._options[model],
            "keep_alive": self._keep_alive,
        }
        if embedding:
            return "/api/embed", {**value, "input": []}
        return "/api/generate", {**value, "stream": False}

    def _common(self, model: str, sampling: Sampling) -> dict[str, Any]:
        refuse_grammar(sampling, self.name)
        value: dict[str, Any] = {
            "model": model,
            "stream": True,
            "truncate": False,
            "shift": False,
            "keep_alive": self._keep_alive,
            "options": {**self._options.get(model, {}), **_options(sampling)},
        }
        if sampling.json_schema is not None:
            value["format"] = sampling.json_schema
        return value

    async def _stream(self, path: str, value: dict[str, Any]) -> AsyncGenerator[Event]:
        model = value["model"]
        reader, parser = OllamaReader(self.name, model), Ndjson(self.name)
        async with contextlib.aclosing(
            self._server.events(path, value, parser, model=model)
        ) as batches:
            async for batch in batches:
                for one in batch:
                    for event in reader.read(one):
                        yield event
                if reader.ended:
                    break
        for event in reader.end():
            yield event


def _options(sampling: Sampling) -> dict[str, Any]:
    options = {name: value for name in _SAME if (value := getattr(sampling, name)) is not None}
    if sampling.max_tokens is not None:
        options["num_predict"] = sampling.max_tokens
    if sampling.stop:
        options["stop"] = sampling.stop
    return options


def _load_options(options: LoadOptions) -> dict[str, Any]:
    layers = _ALL_LAYERS if options.gpu_layers == -1 else options.gpu_layers
    wanted = {
        "num_gpu": layers,
        "num_ctx": options.context_size,
        "num_batch": options.batch_size,
        "num_thread": options.threads,
        "main_gpu": options.main_gpu,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def _context(shown: _Shown) -> int | None:
    """The most that the model can, from a key such as `llama.context_length`."""
    found = (v for k, v in shown.model_info.items() if k.endswith(".context_length"))
    value = next(found, None)
    return value if isinstance(value, int) else None


def _message(turn: Turn, turns: Sequence[Turn]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": turn.content}
    if turn.images:
        message["images"] = [base64.b64encode(image.data).decode("ascii") for image in turn.images]
    if turn.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "function": {"name": call.name, "arguments": _object(call.arguments)}}
            for call in turn.tool_calls
        ]
    if turn.role == "tool":
        message["tool_call_id"] = turn.tool_call_id
        called = (call for other in turns for call in other.tool_calls)
        if name := next((call.name for call in called if call.id == turn.tool_call_id), ""):
            message["tool_name"] = name
    return message


def _object(arguments: str) -> Any:
    """Arguments as the object that Ollama wants; empty where a model wrote no JSON."""
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
