"""A real WebSocket server that speaks `/ws` over a few canned Arrow tables."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pyarrow
from websockets.asyncio.server import Server, ServerConnection, serve

TABLE = pyarrow.table({"n": list(range(25)), "name": [f"<b>{n}</b>" for n in range(25)]})
CHUNK_ROWS = 10


class SpeakingHub:
    """Answers any SQL by a table; SQL with `broken` by an error, with `slow` never."""

    def __init__(self, table: pyarrow.Table = TABLE) -> None:
        self.table = table
        self.heard: list[dict[str, Any]] = []
        self.connections: list[ServerConnection] = []
        self.news = asyncio.Condition()
        self._server: Server | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def start(self, port: int = 0) -> None:
        self._server = await serve(self._serve, "127.0.0.1", port, compression=None)
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close(code=1012, reason="drained")
            await self._server.wait_closed()
            self._server = None

    async def drop(self) -> None:
        for connection in self.connections:
            connection.transport.abort()
        self.connections.clear()

    async def until(self, condition: Callable[[], bool], within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s), self.news:
            await self.news.wait_for(condition)

    def kinds(self) -> list[str]:
        return [message["type"] for message in self.heard]

    async def say(self, kind: str, data: Any) -> None:
        for connection in self.connections:
            await connection.send(json.dumps({"type": kind, "data": data}))

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        with contextlib.suppress(Exception):
            async for frame in connection:
                message = json.loads(frame)
                self.heard.append(message)
                await self._answer(connection, message)
                async with self.news:
                    self.news.notify_all()

    async def _answer(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        async def say(kind: str, data: Any = None) -> None:
            answer = {"type": kind, "data": data, "requestId": message.get("requestId")}
            await connection.send(json.dumps(answer))

        kind = message["type"]
        if kind == "ping":
            await say("pong")
        elif kind == "monitoring:subscribe":
            await say("monitoring:subscribed", message["data"])
            await say("metrics", {"cpu": {"usage": 1.0}, "memory": {"usedPercent": 2.0}})
        elif kind == "task:subscribe":
            task = {"id": message["data"]["taskId"], "title": "x", "status": "running"}
            await say("task:update", {"task": task})
        elif kind == "query" and "broken" in message["data"]["sql"]:
            template = "the query failed: {reason}"
            error = {"message": "the query failed: syntax", "code": "invalid"}
            await say("error", {**error, "template": template, "values": {"reason": "syntax"}})
        elif kind == "query" and "slow" not in message["data"]["sql"]:
            for number, part in enumerate(stream(self.table)):
                await say("query:batch", {"n": number})
                await connection.send(part)
            done = {"rows": self.table.num_rows, "truncated": True, "elapsedMs": 12}
            await say("query:done", {**done, "asOf": 1_764_000_000_000})


def stream(table: pyarrow.Table) -> list[bytes]:
    """A table as the frames of one Arrow IPC stream, cut at odd places."""
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=CHUNK_ROWS)
    whole = sink.getvalue().to_pybytes()
    third = len(whole) // 3
    return [whole[:third], whole[third : 2 * third], whole[2 * third :]]


@contextlib.asynccontextmanager
async def speaking() -> AsyncIterator[SpeakingHub]:
    hub = SpeakingHub()
    await hub.start()
    try:
        yield hub
    finally:
        await hub.stop()
