"""What the parts that use models ask of the service, and one whole answer from it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from workbench.core.llm import ChatRequest, Chosen, Event
from workbench.core.llm_gathering import Gathered
from workbench.core.llm_results import Answer, Count
from workbench.llm.router import Instance

Clock = Callable[[], float]


class Models(Protocol):
    """Models that can be found, asked and counted with."""

    async def find(self, model: str | None) -> list[Instance]: ...

    def chat(
        self, request: ChatRequest, *, fallbacks: Sequence[str] = ()
    ) -> AsyncGenerator[Event]: ...

    async def count(self, model: str | None, text: str) -> Count: ...


async def answered(models: Models, request: ChatRequest, clock: Clock) -> Answer:
    """The whole answer. Times are from the instant at which an instance was free for it."""
    gathering = Gathered(clock())
    async with contextlib.aclosing(models.chat(request)) as events:
        async for event in events:
            if type(event) is Chosen:
                gathering = Gathered(clock())
            gathering.take(event, clock())
    return gathering.answer(clock())
