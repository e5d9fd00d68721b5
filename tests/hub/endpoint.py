"""The hub's own `/ws` on loopback, over a real store; its tasks and GPUs are what a test sets."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect

from tests.hub.library import EmptyLibrary
from tests.hub.machine import Machine
from tests.hub.speaking import Speaking, Unlimited
from workbench.byte_ranges import Ranges
from workbench.clients.hub import HubClient
from workbench.hub.connections import Dashboard, Monitoring
from workbench.hub.ledger import Ledger
from workbench.hub.sampling import Sampler
from workbench.listener import Gate, Listener, listen
from workbench.llm.downloads import Downloads
from workbench.store import Store

TOKENS = {"token-admin": "admin", "token-submit": "submit", "token-view": "view"}


class Feed:
    """The node's place: tests say what changes."""

    def __init__(self) -> None:
        self.tasks: dict[str, Mapping[str, Any]] = {}
        self.older: dict[str, Mapping[str, Any]] = {}
        self.callbacks: list[Callable[[Mapping[str, Any]], None]] = []

    def snapshot(self, task_id: str) -> Mapping[str, Any] | None:
        return self.tasks.get(task_id)

    def must_look_up(self, task_id: str) -> bool:
        return task_id in self.older

    async def looked_up(self, task_id: str) -> Mapping[str, Any] | None:
        return self.older[task_id]

    def follow(self, callback: Callable[[Mapping[str, Any]], None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def change(self, task_id: str, **values: Any) -> None:
        task = {"id": task_id, "title": "steady", "status": "running", **values}
        self.tasks[task_id] = task
        for callback in self.callbacks:
            callback(task)


class Peer:
    """A client that speaks JSON."""

    def __init__(self, raw: ClientConnection) -> None:
        self.raw = raw

    async def say(self, kind: str, data: Any = None, **more: Any) -> None:
        document = {"type": kind, **({} if data is None else {"data": data}), **more}
        await self.raw.send(json.dumps(document))

    async def hear(self) -> dict[str, Any]:
        frame = await self.raw.recv()
        assert isinstance(frame, str)
        heard: dict[str, Any] = json.loads(frame)
        return heard

    async def ask(self, kind: str, data: Any = None, **more: Any) -> dict[str, Any]:
        await self.say(kind, data, **more)
        return await self.hear()


class Endpoint:
    """What a test of `/ws` needs: `machine` is what is measured, `feed` its tasks, `models` what
    answers; `store` and `ledger` are there while it serves.
    """

    token = "token-admin"

    def __init__(
        self, folder: Path, *, models: Any = None, monitoring: Monitoring | None = None
    ) -> None:
        self.machine, self.feed = Machine(folder), Feed()
        self.models = models or Speaking()
        self._folder, self._monitoring = folder, monitoring
        self._listener: Listener | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._port}/ws"

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Self]:
        """Over the store of its folder, which may have served before."""
        async with await Store.open(
            self._folder, query_memory_mb=512, query_limit_s=5
        ) as self.store:
            self._downloads = Downloads(self._folder / "models", Ranges(private_addresses=True))
            await self._downloads.start()
            self.ledger = Ledger(self.machine.reading, self.machine.owners)
            self._dashboard = Dashboard(
                questions=self.store,
                sampler=Sampler(self.machine.read),
                ledger=self.ledger,
                tasks=self.feed,
                journal=self.store,
                models=self.models,
                library=EmptyLibrary(),
                downloads=self._downloads,
                rates=Unlimited(),
                owners=self.machine.owners,
                monitoring=self._monitoring,
            )
            await self._dashboard.start()
            await self.listen()
            try:
                yield self
            finally:
                await self.close()
                await self._dashboard.close()
                await self._downloads.close()
                await self.ledger.close()
        assert self.feed.callbacks == []

    async def listen(self) -> None:
        """Where it listened before."""
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
    async def peer(self, scope: str = "admin", **given: Any) -> AsyncIterator[Peer]:
        uri = f"{self.url}?token=token-{scope}"
        async with connect(uri, proxy=None, compression=None, max_size=None, **given) as raw:
            yield Peer(raw)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[HubClient]:
        client = HubClient(self.url, self.token, reconnect_delay=0.05)
        await client.connect()
        try:
            yield client
        finally:
            await client.disconnect()
