"""Workers that are being started: followed by whoever asked, stopped while they only wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

from workbench.core.llm import LoadProgress
from workbench.errors import WorkbenchError
from workbench.llm.worker_process import Worker

Tell = Callable[[LoadProgress], None]
Start = Callable[[Tell], Coroutine[Any, Any, Worker]]


class Arrivals:
    """For one event loop. `stopped` says what those hear whose start was stopped."""

    def __init__(self, stopped: Callable[[], WorkbenchError]) -> None:
        self._stopped = stopped
        self._waiting: dict[asyncio.Task[Worker], str] = {}

    async def follow(self, model: str, start: Start) -> AsyncGenerator[LoadProgress | Worker]:
        """What `start` tells; the last item is its worker. To close this ends the start."""
        news: asyncio.Queue[LoadProgress | None] = asyncio.Queue()
        starting = asyncio.create_task(start(news.put_nowait))
        self._waiting[starting] = model

        def ended(_: object) -> None:
            self._waiting.pop(starting, None)
            if not starting.cancelled():
                starting.exception()  # looked at: whoever asked may have left
            news.put_nowait(None)

        starting.add_done_callback(ended)
        try:
            while (step := await news.get()) is not None:
                yield step
        finally:
            if not starting.done():
                starting.cancel()
                await asyncio.wait([starting])
        if starting.cancelled():
            raise self._stopped()
        yield starting.result()

    def begin(self) -> None:
        """The start that calls this waits for nothing more: its process is its own matter."""
        if (task := asyncio.current_task()) is not None:
            self._waiting.pop(task, None)

    def stop(self, model: str | None = None) -> None:
        """Stop those that wait for this model, or for any."""
        for task, wanted in list(self._waiting.items()):
            if model in (None, wanted):
                task.cancel()
