"""Language models whose every event a test hands out: the service's place in the hub's tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from workbench.core.llm import ChatRequest, Chosen, ContextOverflow, Done, Event, Token
from workbench.errors import WorkbenchError


class Speaking:
    """Answers a chat with `events`, each waiting for `go` where there is one.

    An exception among the events is raised; `asked` are the requests so far, `ended` says
    how many streams were closed.
    """

    current = "m@b"

    def __init__(self) -> None:
        self.asked: list[ChatRequest] = []
        self.ended = 0
        self.events: list[Event | Exception] = [*answer("Hello", " there")]
        self.longest: int | None = None
        """More turns than these, and the prompt before them, are too long."""
        self.held: asyncio.Event | None = None
        self.hold_after = 0
        self.reached = asyncio.Event()

    def watch(self, watcher: Callable[[], None]) -> None:
        """Nothing is ever loaded here."""

    async def chat(
        self, request: ChatRequest, *, fallbacks: Sequence[str] = ()
    ) -> AsyncGenerator[Event]:
        self.asked.append(request)
        if self.longest is not None and len(request.turns) > self.longest:
            raise ContextOverflow("this is longer than the context")
        try:
            for number, event in enumerate(list(self.events)):
                if self.held is not None and number == self.hold_after:
                    self.reached.set()
                    await self.held.wait()
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.ended += 1

    def __getattr__(self, name: str) -> Any:
        raise WorkbenchError("these models only chat, {name} is not theirs", name=name)


class Unlimited:
    """No limits on rates."""

    def check(self, token: str, endpoint: str) -> None:
        pass


def answer(*pieces: str) -> list[Event]:
    """A whole answer of these pieces."""
    return [Chosen(model="m", backend="b"), *(Token(text=piece) for piece in pieces), Done()]
