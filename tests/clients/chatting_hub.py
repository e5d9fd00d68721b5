"""The hub's own `/ws` on loopback, over a real store and the real service of language models.

Only the back end behind the service is a double (tests/llm/scripted.py): it says what a test
wrote, and no engine is behind it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tests.hub.conftest import TOKENS, Feed
from tests.hub.machine import Machine
from tests.hub.speaking import Unlimited
from tests.llm.scripted import Scripted
from workbench.clients.hub import HubClient
from workbench.hub.connections import Dashboard
from workbench.hub.ledger import Ledger
from workbench.hub.sampling import Sampler
from workbench.listener import Gate, Listener, listen
from workbench.llm.service import Service
from workbench.store import Store


class ChattingHub:
    """`url` and `token` for a client, `backend` for what the model says."""

    token = "token-admin"

    def __init__(self, dashboard: Dashboard, backend: Scripted) -> None:
        self.backend = backend
        self._dashboard = dashboard
        self._listener: Listener | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/ws"

    async def listen(self) -> None:
        gate = Gate(TOKENS)  # type: ignore[arg-type]
        serve = self._dashboard.serve
        self._listener = await listen(serve, path="/ws", port=self._port, gate=gate)
        self._port = self._listener.port

    async def close(self) -> None:
        """Every connection is closed; answers under way go on."""
        if self._listener is not None:
            await self._listener.close()
            self._listener = None

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[HubClient]:
        client = HubClient(self.url, self.token, reconnect_delay=0.05)
        await client.connect()
        try:
            yield client
        finally:
            await client.disconnect()


@contextlib.asynccontextmanager
async def chatting(folder: Path, backend: Scripted | None = None) -> AsyncIterator[ChattingHub]:
    backend = backend or Scripted()

    async def servers() -> Sequence[Scripted]:
        return [backend]

    async with await Store.open(folder, query_memory_mb=512, query_limit_s=5) as store:
        service = Service(servers=servers)
        machine = Machine(folder)
        dashboard = Dashboard(
            questions=store,
            sampler=Sampler(machine.read),
            ledger=Ledger(machine.reading, machine.owners),
            tasks=Feed(),
            journal=store,
            models=service,
            rates=Unlimited(),
        )
        await dashboard.start()
        hub = ChattingHub(dashboard, backend)
        await hub.listen()
        try:
            yield hub
        finally:
            await hub.close()
            await dashboard.close()
            await service.close()
