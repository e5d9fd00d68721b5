"""A real WebSocket server that speaks the mesh protocol as a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

Script = Callable[["SpeakingNode", ServerConnection, dict[str, Any]], Any]


class SpeakingNode:
    """Keeps what it heard; answers by `script`, or as a small honest node would."""

    def __init__(self, script: Script | None = None, token: str | None = None) -> None:
        self.script, self.token = script, token
        self.heard: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.slices: list[int] = []
        self.connections: list[ServerConnection] = []
        self.tasks: dict[str, list[dict[str, Any]]] = {}
        self.partials: dict[str, bytes] = {}
        self.drop_after_slices: int | None = None
        self.slow_ack: asyncio.Event | None = None
        self.news = asyncio.Condition()
        self._server: Server | None = None
        self._upload: dict[str, Any] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/mesh"

    async def start(self, port: int = 0) -> None:
        self._server = await serve(
            self._serve,
            "127.0.0.1",
            port,
            process_request=self._check,
            compression=None,
            max_size=2 << 20,
        )
        self.port = next(iter(self._server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def drop(self) -> None:
        """Cut every connection without a word."""
        for connection in self.connections:
            connection.transport.abort()
        self.connections.clear()

    async def until(self, condition: Callable[[], bool], within_s: float = 10.0) -> None:
        async with asyncio.timeout(within_s), self.news:
            await self.news.wait_for(condition)

    def count(self, kind: str) -> int:
        return sum(message.get("type") == kind for message in self.heard)

    async def say(self, **message: Any) -> None:
        """To every connection."""
        for connection in self.connections:
            await connection.send(json.dumps(message))

    def _check(self, connection: ServerConnection, request: Request) -> Response | None:
        self.headers.append(dict(request.headers.raw_items()))
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return connection.respond(401, "wrong token: see hub.json\n")
        return None

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        await self._tell()
        with contextlib.suppress(Exception):
            async for frame in connection:
                if isinstance(frame, bytes):
                    await self._slice(connection, frame)
                else:
                    await self._message(connection, json.loads(frame))
                await self._tell()
        if connection in self.connections:
            self.connections.remove(connection)

    async def _tell(self) -> None:
        async with self.news:
            self.news.notify_all()

    async def _message(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        self.heard.append(message)
        if self.script is not None:
            returned = self.script(self, connection, message)
            if asyncio.iscoroutine(returned):
                await returned
            return
        await self._honest(connection, message)

    async def _honest(self, connection: ServerConnection, message: dict[str, Any]) -> None:
        async def say(**answer: Any) -> None:
            await connection.send(json.dumps(answer))

        kind, task_id = message["type"], message.get("taskId")
        if kind == "task":
            log = self.tasks.setdefault(task_id, [])
            if not log:
                log += finished(task_id)
            for each in log:
                await say(**each)
        elif kind == "attach":
            for each in self.tasks.get(task_id, []):
                if each.get("seq", 0) > message["after"]:
                    await say(**each)
        elif kind == "models":
            listed = [{"name": "cypher-v1", "version": "1", "title": "Cypher"}]
            await say(type="models", models=listed, requestId=message["requestId"])
        elif kind == "tasks":
            error = {"error": "limit is 0; allowed: int >= 1", "code": "invalid"}
            await say(type="error", requestId=message["requestId"], **error)
        elif kind == "upload":
            self._upload = message
            held = self.partials.setdefault(message["sha256"], b"")
            await say(type="uploadProgress", uploadId=message["uploadId"], received=len(held))

    async def _slice(self, connection: ServerConnection, frame: bytes) -> None:
        assert self._upload is not None
        self.slices.append(len(frame))
        if self.slow_ack is not None:
            await self.slow_ack.wait()
        digest, upload_id = self._upload["sha256"], self._upload["uploadId"]
        if self.drop_after_slices is not None and len(self.slices) > self.drop_after_slices:
            self.drop_after_slices = None
            connection.transport.abort()
            return
        self.partials[digest] += frame
        held = self.partials[digest]
        answer = {"type": "uploadProgress", "uploadId": upload_id, "received": len(held)}
        if len(held) == self._upload["size"]:
            assert hashlib.sha256(held).hexdigest() == digest
            answer = {"type": "uploaded", "uploadId": upload_id}
            answer["inputDataURL"] = f"upload:{digest}"
        await connection.send(json.dumps(answer))


def finished(task_id: str) -> list[dict[str, Any]]:
    """What a node says about a task that goes well."""
    return [
        {"type": "taskAccepted", "taskId": task_id, "state": "queued", "seq": 1, "attempt": 1},
        {"type": "log", "taskId": task_id, "content": "begun", "seq": 2, "level": "info"},
        {"type": "taskProgress", "taskId": task_id, "progress": 0.5, "statusText": "half"},
        {"type": "taskResult", "taskId": task_id, "success": True, "result": {"x": 1}, "seq": 3},
    ]


@contextlib.asynccontextmanager
async def speaking(script: Script | None = None, **more: Any) -> AsyncIterator[SpeakingNode]:
    node = SpeakingNode(script, **more)
    await node.start()
    try:
        yield node
    finally:
        await node.stop()
