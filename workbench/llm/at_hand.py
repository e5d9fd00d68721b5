"""A language model that is loaded already, for those who would not load one: tasks of the mesh."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator
from typing import Protocol

from workbench.core.llm import (
    ChatRequest,
    Chosen,
    Event,
    ModelError,
    NoModel,
    Sampling,
    Token,
    Turn,
)
from workbench.core.llm_gathering import Gathered
from workbench.core.llm_results import Listing

ANSWER_TOKENS = 2048
"""What a model thinks before it answers counts, too."""
READ_CHARS = 100_000
"""A back end that heeds no limit is read no further."""
LOOK_AGAIN_S = 2.0
SESSION = "mesh tasks"
"""All tasks wait in line as one, so that many of them keep no chat waiting for long."""

NONE_LOADED = "no language model is loaded: load one, then run the task again"
TOO_LONG = "the answer of {model} is longer than {most} tokens"


class Models(Protocol):
    """The service of language models, as far as it is asked here."""

    async def models(self, *, refresh: bool = False) -> Listing: ...

    async def is_running(self, model: str) -> bool: ...

    def chat(self, request: ChatRequest) -> AsyncGenerator[Event]: ...


class AtHand:
    """Which model a task would ask now, and what that answers. It never loads one."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def model(self) -> str:
        """The current model, else another one that is loaded, as `id@backend`; empty where there
        is none. Their back ends are asked: some unload a model by themselves."""
        listing = await self._models.models()
        found = await self._running(listing)
        if not found and listing.age_s >= LOOK_AGAIN_S:
            found = await self._running(await self._models.models(refresh=True))
        return found

    async def _running(self, listing: Listing) -> str:
        refs = [
            f"{model.id}@{model.backend}"
            for model in listing.models
            if model.loaded and not model.embedding and model.problem is None
        ]
        for ref in sorted(refs, key=lambda ref: ref != listing.current):
            with contextlib.suppress(NoModel):
                if await self._models.is_running(ref):
                    return ref
        return ""

    async def write(self, prompt: str, seed: int) -> tuple[str, str]:
        """A text, and the model that wrote it; the same seed gives the same text as far as its
        back end can. It waits in line as any chat does. Closed, it frees the model."""
        ref = await self.model()
        if not ref:
            raise NoModel(NONE_LOADED)
        sampling = Sampling(temperature=0.0, max_tokens=ANSWER_TOKENS, seed=seed % 2**32)
        turns = (Turn(role="user", content=prompt),)
        request = ChatRequest(model=ref, turns=turns, sampling=sampling, session=SESSION)
        gathered, length = Gathered(time.monotonic()), 0
        async with contextlib.aclosing(self._models.chat(request)) as events:
            async for event in events:
                # Its turn has come, and it may have been unloaded since: asked, it would be loaded.
                if isinstance(event, Chosen) and not await self._models.is_running(ref):
                    raise NoModel(NONE_LOADED)
                gathered.take(event, time.monotonic())
                length += len(event.text) if isinstance(event, Token) else 0
                if length > READ_CHARS or gathered.finish == "length":
                    raise ModelError(TOO_LONG, model=ref, most=ANSWER_TOKENS)
        return "".join(gathered.pieces), ref
