"""A real `/ws` endpoint on a free port, over a real store, with a task feed that tests drive."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from tests.hub.machine import Machine
from tests.hub.speaking import Speaking, Unlimited
from workbench.hub.connections import Dashboard, Monitoring
from workbench.hub.ledger import Ledger
from workbench.hub.sampling import Sampler
from workbench.listener import Gate, Listener, listen
from workbench.store import Store

TOKENS = {"token-admin": "admin", "token-submit": "submit", "token-view": "view"}


class Feed:
    """The node's place: tests say what changes."""

    def __init__(self) -> None:
        self.tasks: dict[str, Mapping[str, Any]] = {}
        self.callbacks: list[Callable[[Mapping[str, Any]], None]] = []

    def snapshot(self, task_id: str) -> Mapping[str, Any] | None:
        return self.tasks.get(task_id)

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
    """What a test of `/ws` needs."""

    def __init__(
        self, listener: Listener, feed: Feed, store: Store, models: Speaking, machine: Machine
    ) -> None:
        self.listener, self.feed, self.store, self.models = listener, feed, store, models
        self.machine = machine

    @contextlib.asynccontextmanager
    async def peer(self, scope: str = "admin", **given: Any) -> AsyncIterator[Peer]:
        uri = f"ws://127.0.0.1:{self.listener.port}/ws?token=token-{scope}"
        async with connect(uri, proxy=None, compression=None, max_size=None, **given) as raw:
            yield Peer(raw)


@pytest.fixture
async def endpoint(tmp_path: Path) -> AsyncIterator[Endpoint]:
    async with serving_ws(tmp_path) as endpoint:
        yield endpoint


@contextlib.asynccontextmanager
async def serving_ws(folder: Path, monitoring: Monitoring | None = None) -> AsyncIterator[Endpoint]:
    """The endpoint over the store of a folder, which may have served before."""
    feed, models, machine = Feed(), Speaking(), Machine(folder)
    async with await Store.open(folder, query_memory_mb=512, query_limit_s=5) as store:
        ledger = Ledger(machine.reading, machine.owners)
        dashboard = Dashboard(
            questions=store,
            sampler=Sampler(machine.read),
            ledger=ledger,
            tasks=feed,
            journal=store,
            models=models,
            rates=Unlimited(),
            owners=machine.owners,
            monitoring=monitoring,
        )
        await dashboard.start()
        listener = await listen(
            dashboard.serve,
            path="/ws",
            port=0,
            gate=Gate(TOKENS),  # type: ignore[arg-type]
        )
        yield Endpoint(listener, feed, store, models, machine)
        await listener.close()
        await dashboard.close()
        await ledger.close()
        assert feed.callbacks == []
