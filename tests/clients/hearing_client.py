"""What a MeshClient tells, kept for a test; and a source of endpoints whose word is a test's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from workbench.clients.mesh import MeshClient
from workbench.core.endpoint import Endpoint, Named, Outcome


class Heard:
    """Every event of some names, and a wait for one."""

    def __init__(self, client: MeshClient, *names: str) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._news = asyncio.Event()
        for name in names:
            client.on(name, lambda data, name=name: self._hear(name, data))

    def _hear(self, name: str, data: dict[str, Any]) -> None:
        self.events.append((name, data))
        self._news.set()

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    async def until(self, name: str, times: int = 1) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while self.names.count(name) < times:
                self._news.clear()
                await self._news.wait()
        return [data for each, data in self.events if each == name][times - 1]


class Said:
    """An EndpointSource that prefers what it was told last, and keeps what is reported."""

    def __init__(self, named: Named | None = None) -> None:
        self.named = named
        self.reports: list[tuple[str, str]] = []
        self.callbacks: list[Callable[[], None]] = []
        self._news = asyncio.Event()

    async def until(self, name: str, kind: str) -> None:
        """Wait for a report."""
        async with asyncio.timeout(10):
            while (name, kind) not in self.reports:
                self._news.clear()
                await self._news.wait()

    def say(self, named: Named | None) -> None:
        self.named = named
        for callback in list(self.callbacks):
            callback()

    def preferred(self) -> Named | None:
        return self.named

    def on_change(self, callback: Callable[[], None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def report(self, endpoint: Named, outcome: Outcome) -> None:
        name = endpoint.name if isinstance(endpoint, Endpoint) else endpoint
        self.reports.append((name, outcome.kind))
        self._news.set()
