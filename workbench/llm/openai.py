"""Any server that speaks OpenAI's protocol: vLLM, SGLang, and a part of LM Studio and llama.cpp."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

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
from workbench.errors import WorkbenchError
from workbench.http import Http
from workbench.llm.openai_events import AnswerReader
from workbench.llm.openai_requests import chat_body, completion_body, refuse_grammar
from workbench.llm.server import FIRST_TOKEN_S, IDLE_S, Server
from workbench.llm.streams import Sse

HEALTH_S = 5.0
EMBED_S = 300.0
PARALLEL = 8
"""Streams at a time where a server does not say: those of this kind queue by themselves."""
_EMBEDS = re.compile(r"\bembed|-embed|_embed|\bbge-|\be5-|\bgte-|minilm", re.IGNORECASE)


class Listed(msgspec.Struct):
    """A model in /v1/models. `max_model_len` is vLLM's."""

    id: str
    owned_by: str | None = None
    max_model_len: int | None = None


class _List(msgspec.Struct):
    data: list[Listed]


class _Vector(msgspec.Struct):
    embedding: list[float]
    index: int = 0


class _Vectors(msgspec.Struct):
    data: list[_Vector]


_LIST = msgspec.json.Decoder(_List)
_VECTORS = msgspec.json.Decoder(_Vectors)


class OpenAI:
    """One such server. Its models are those that it serves; it loads and unloads none."""

    def __init__(
        self,
        name: str,
        url: str,
        key: str | None = None,
        kind: str = "openai",
        *,
        http: Http,
        parallel: int = PARALLEL,
        first_token_s: float = FIRST_TOKEN_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self.name, self.kind, self.parallel = name, kind, parallel
        self.server = Server(http, name, url, key, first_token_s=first_token_s, idle_s=idle_s)
        self.url = self.server.url

    async def health(self) -> Health:
        """Whether it lists its models."""
        try:
            await self.server.get("/v1/models", _LIST, HEALTH_S)
        except WorkbenchError as error:
            return Health(ok=False, note=str(error))
        return Health(ok=True)

    async def models(self) -> list[LanguageModel]:
        """The models that it serves."""
        return [
            LanguageModel(
                id=model.id,
                backend=self.name,
                loaded=True,
                context_size=model.max_model_len,
                embedding=embeds(model.id),
            )
            for model in (await self.server.get("/v1/models", _LIST)).data
        ]

    async def load(self, model: str, options: LoadOptions) -> AsyncGenerator[LoadProgress]:
        """Only makes sure that the model is served."""
        if model not in {known.id for known in await self.models()}:
            raise NoModel("{backend} has no model {model}", backend=self.name, model=model)
        yield LoadProgress(done=1.0)

    async def unload(self, model: str) -> None:
        """Always a ModelError: the protocol has no word for it."""
        raise ModelError(
            "{backend} keeps {model} as long as it runs: stop the server to free its memory",
            backend=self.name,
            model=model,
        )

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Event]:
        """Answer a conversation."""
        refuse_grammar(request.sampling, self.name)
        async with contextlib.aclosing(self.ask_chat(request)) as events:
            async for event in events:
                yield event

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Event]:
        """Go on with a text."""
        refuse_grammar(request.sampling, self.name)
        async with contextlib.aclosing(self.ask_completion(request)) as events:
            async for event in events:
                yield event

    def ask_chat(
        self,
        request: ChatRequest,
        more: Mapping[str, Any] | None = None,
        reader: AnswerReader | None = None,
    ) -> AsyncGenerator[Event]:
        """As `chat`, with fields that only one kind of server knows."""
        body = {**chat_body(request), **(more or {})}
        return self._stream("/v1/chat/completions", body, request.model, reader)

    def ask_completion(
        self, request: CompletionRequest, more: Mapping[str, Any] | None = None
    ) -> AsyncGenerator[Event]:
        """As `complete`, with fields that only one kind of server knows."""
        body = {**completion_body(request), **(more or {})}
        return self._stream("/v1/completions", body, request.model, None)

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text."""
        if not texts:
            return []
        value = {"model": model, "input": list(texts), "encoding_format": "float"}
        found = await self.server.post(
            "/v1/embeddings", value, _VECTORS, model=model, limit_s=EMBED_S
        )
        vectors = [entry.embedding for entry in sorted(found.data, key=lambda entry: entry.index)]
        return one_each(vectors, texts, self.name)

    async def count_tokens(self, model: str, text: str) -> int | None:
        """None: the protocol has no tokenizer."""
        return None

    async def close(self) -> None:
        """Nothing to give back: connections are the caller's."""

    async def _stream(
        self, path: str, body: Any, model: str, reader: AnswerReader | None
    ) -> AsyncGenerator[Event]:
        reader = reader or AnswerReader(self.name, model)
        parser = Sse(self.name)
        async with contextlib.aclosing(
            self.server.events(path, body, parser, model=model)
        ) as batches:
            async for batch in batches:
                for one in batch:
                    for event in reader.read(one):
                        yield event
                if reader.ended:
                    break
        for event in reader.end():
            yield event


def embeds(model: str) -> bool:
    """Whether a model's name is that of one that embeds: /v1/models does not tell."""
    return _EMBEDS.search(model) is not None


def one_each(vectors: list[list[float]], texts: Sequence[str], backend: str) -> list[list[float]]:
    """`vectors`, checked to be one for each text."""
    if len(vectors) != len(texts):
        raise BackendBroken(
            "{backend} sent {got} vectors for {asked} texts",
            backend=backend,
            got=len(vectors),
            asked=len(texts),
        )
    return vectors
