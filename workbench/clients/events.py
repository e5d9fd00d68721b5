"""Handlers by event name: called on the client's loop, never allowed to break the client."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Callable, Iterable
from typing import Any

from workbench.core.mesh_config import snake
from workbench.errors import InputError

Handler = Callable[[dict[str, Any]], Any]

log = logging.getLogger("workbench.clients")


class Handlers:
    """`on` and `off`. A handler takes one dictionary and may be a coroutine function."""

    def __init__(self, names: Iterable[str]) -> None:
        self._by_name: dict[str, list[Handler]] = {name: [] for name in names}
        self._running: set[asyncio.Task[Any]] = set()

    def on(self, name: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` at each event of that name; returns the function that ends it."""
        if not callable(handler):
            raise InputError.field("handler", handler, "a function of one dictionary")
        self._of(name).append(handler)
        return lambda: self.off(name, handler)

    def off(self, name: str, handler: Handler | None = None) -> None:
        """Call `handler`, or without one any handler of the name, no longer."""
        handlers = self._of(name)
        if handler is None:
            handlers.clear()
        elif handler in handlers:
            handlers.remove(handler)

    def emit(self, name: str, data: dict[str, Any]) -> None:
        """Tell every handler of that name."""
        for handler in list(self._by_name.get(name, ())):
            self.call(handler, name, data)

    def call(self, handler: Handler, name: str, data: dict[str, Any]) -> None:
        """Tell one handler; what it raises is logged."""
        try:
            returned = handler(data)
        except Exception:
            log.exception("handler.failed event=%s", name)
            return
        if inspect.iscoroutine(returned):
            task = asyncio.get_running_loop().create_task(returned, name=f"on-{name}")
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("handler.failed event=%s", task.get_name(), exc_info=task.exception())

    def _of(self, name: Any) -> list[Handler]:
        known = self._by_name.get(snake(name)) if isinstance(name, str) else None
        if known is None:
            raise InputError.field("event", name, ", ".join(self._by_name))
        return known
