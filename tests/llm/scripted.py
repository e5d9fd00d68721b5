"""A double at the Backend protocol: every stream says what the test wrote, no engine is behind it.

A script is a list of steps: an event is said, an exception is raised, an asyncio.Event is
waited for. Streams count as in flight from their first step until they are closed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import msgspec

from workbench.core.llm import (
    ChatRequest,
    CompletionRequest,
    Done,
    Event,
    Health,
    LanguageModel,
    LoadOptions,
    LoadProgress,
    NoModel,
    Token,
    Turn,
    Usage,
)

Step = Event | Exception | asyncio.Event
Script = Sequence[Step]

HELLO: Script = (Token(text="Hel"), Token(text="lo"), Done())


def words(text: str) -> int:
    """A tokenizer: up to four letters, or any one other character, are a token."""
    return len(re.findall(r"\w{1,4}|\W", text))


def said(text: str, *, prompt_tokens: int | None = None) -> Script:
    """An answer of one piece for each token of `words`, with its usage."""
    pieces = re.findall(r"\w{1,4}|\W", text)
    usage = Usage(prompt_tokens=prompt_tokens, completion_tokens=len(pieces))
    return (*(Token(text=piece) for piece in pieces), usage, Done())


def asked(content: str = "hi", *, model: str = "m", session: str = "") -> ChatRequest:
    return ChatRequest(model=model, turns=(Turn(role="user", content=content),), session=session)


class Scripted:
    """`answer` gives the script of a request; `models` are ids, or whole LanguageModels."""

    kind = "scripted"

    def __init__(
        self,
        name: str = "one",
        models: Sequence[str | LanguageModel] = ("m",),
        *,
        parallel: int = 1,
        loaded: bool = True,
        answer: Callable[[ChatRequest], Script] = lambda request: HELLO,
        load: Callable[[str], Sequence[LoadProgress | Exception | asyncio.Event]] = lambda id_: (
            LoadProgress(done=0.5),
            LoadProgress(done=1.0),
        ),
        tokenizer: Callable[[str], int] | None = words,
        health: Health | None = None,
    ) -> None:
        self.name = name
        self.url = f"http://127.0.0.1/{name}"
        self.parallel = parallel
        self.answer = answer
        self.load_script = load
        self.tokenizer = tokenizer
        self.healthy = health or Health(ok=True)
        self.known = {
            model.id: model
            for model in (
                m if isinstance(m, LanguageModel) else LanguageModel(id=m, backend=name)
                for m in models
            )
        }
        self.loaded = set(self.known) if loaded else {m.id for m in self.known.values() if m.loaded}
        self.requests: list[ChatRequest] = []
        self.loads: list[tuple[str, LoadOptions]] = []
        self.unloads: list[str] = []
        self.counted: list[str] = []
        self.listings = 0
        self.in_flight = 0
        self.most_in_flight = 0
        self.loading = 0
        self.closed = False
        self.hold_list: asyncio.Event | None = None
        self.started = asyncio.Event()

    async def health(self) -> Health:
        self.listings += 1
        if self.hold_list is not None:
            await self.hold_list.wait()
        return self.healthy

    async def models(self) -> list[LanguageModel]:
        return [
            msgspec.structs.replace(model, loaded=model.id in self.loaded)
            for model in self.known.values()
        ]

    async def load(self, model: str, options: LoadOptions) -> AsyncGenerator[LoadProgress]:
        self.loads.append((model, options))
        self.loading += 1
        self.started.set()
        try:
            async for step in _played(self.load_script(model)):
                yield step
            self.loaded.add(model)
        finally:
            self.loading -= 1

    async def unload(self, model: str) -> None:
        self.unloads.append(model)
        self.loaded.discard(model)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Event]:
        self.requests.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.started.set()
        try:
            if request.model not in self.loaded:
                raise NoModel("the model {model} is not loaded", model=request.model)
            async for step in _played(self.answer(request)):
                yield step
        finally:
            self.in_flight -= 1

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Event]:
        chat = ChatRequest(
            model=request.model,
            turns=(Turn(role="user", content=request.prompt),),
            sampling=request.sampling,
        )
        stream = self.chat(chat)
        try:
            async for event in stream:
                yield event
        finally:
            await stream.aclose()

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        return [[float(len(text))] for text in texts]

    async def count_tokens(self, model: str, text: str) -> int | None:
        self.counted.append(text)
        return None if self.tokenizer is None else self.tokenizer(text)

    async def close(self) -> None:
        self.closed = True


async def _played(script: Sequence[Any]) -> AsyncGenerator[Any]:
    for step in script:
        if isinstance(step, asyncio.Event):
            await step.wait()
        elif isinstance(step, Exception):
            raise step
        else:
            await asyncio.sleep(0)
            yield step


class Ticking:
    """A clock that a test moves by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
