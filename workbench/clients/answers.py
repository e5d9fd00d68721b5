"""Answers that belong to a question: routed by requestId or uploadId to whoever waits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from workbench.clients.faults import fault
from workbench.errors import LinkError

ANSWER_S = 30.0

Queue = asyncio.Queue[dict[str, Any] | LinkError]


class Answers:
    """Who waits for which answer on one connection."""

    def __init__(self) -> None:
        self._waiting: dict[str, Queue] = {}

    @contextmanager
    def of(self, key: str) -> Iterator[Queue]:
        """Everything that comes with this key, while the block runs."""
        queue = self._waiting[key] = asyncio.Queue()
        try:
            yield queue
        finally:
            del self._waiting[key]

    def route(self, message: dict[str, Any]) -> None:
        """Hand a message to whoever waits for it; one that nobody wants is dropped."""
        for key in ("uploadId", "requestId"):
            queue = self._waiting.get(str(message.get(key)))
            if queue is not None:
                queue.put_nowait(message)
                return

    def give_back(self, error: LinkError) -> None:
        """The connection is gone, and with it the answers that were to come."""
        for queue in self._waiting.values():
            queue.put_nowait(error)


async def next_answer(queue: Queue, kind: str, within_s: float = ANSWER_S) -> dict[str, Any]:
    """The next message. Raises what the other side refused, and LinkError for its silence."""
    try:
        async with asyncio.timeout(within_s):
            answer = await queue.get()
    except TimeoutError:
        template = "the node did not answer {type} within {limit_s} s: try again"
        raise LinkError(template, type=kind, limit_s=within_s) from None
    if isinstance(answer, LinkError):
        raise answer
    if answer.get("type") == "error":
        raise fault(answer)
    return answer
