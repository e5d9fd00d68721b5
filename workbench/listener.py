"""The one place that accepts WebSockets, and bounds how much of us a peer may use.

A connection costs others nothing: frames, connections, messages per second and send
buffers are bounded, and a peer that does not read is cut off. `send` never waits.
"""

from __future__ import annotations

import asyncio
import http
import itertools
import json
import logging
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import OPEN

from workbench.errors import LinkError, shown
from workbench.gate import SCOPES, Gate, Refusal, Scope, allows, is_loopback, refuse
from workbench.ports import LOOPBACK, bind

__all__ = [
    "SCOPES",
    "Bounds",
    "Connection",
    "ConnectionGone",
    "Gate",
    "Listener",
    "Scope",
    "Traffic",
    "allows",
    "listen",
]

log = logging.getLogger("workbench.listener")

Handler = Callable[["Connection"], Awaitable[None]]
Health = Callable[[], Mapping[str, Any]]
Figures = Callable[[], tuple[str, bytes]]
"""What a program that watches us reads: its content type, and the page."""


class ConnectionGone(LinkError):
    """The peer closed, or was cut off."""

    code = "gone"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one peer, and all of them together, may ask for."""

    frame_bytes: int = 2 << 20
    """Largest message; a larger one closes the connection with 1009."""
    connections: int = 2048
    """Open connections on this listener."""
    messages_per_s: float = 20_000.0
    """Sustained rate of one connection; beyond it we read more slowly, and TCP tells the peer."""
    burst: float = 40_000.0
    """Messages that may come at once before that rate counts."""
    send_buffer_bytes: int = 4 << 20
    """A connection with more than this waiting to be read is aborted."""
    ping_interval_s: float = 15.0
    ping_timeout_s: float = 20.0


@dataclass(slots=True)
class Traffic:
    """What came and went on one port since it was opened."""

    opened: int = 0
    """Connections that came in."""
    received: int = 0
    sent: int = 0
    sent_bytes: int = 0
    replaced: int = 0
    """Messages that a newer one of their key replaced before there was room for them."""
    aborted: int = 0
    """Connections cut off because they did not read."""
    refused: Counter[int] = field(default_factory=Counter)
    """Handshakes by the status with which they were refused."""


class _Bucket:
    """Messages per second: a token bucket that says how long to wait."""

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate, self._burst, self._level, self._at = rate, burst, burst, now

    def take(self, now: float) -> float:
        """Seconds to wait before this message may be handled."""
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        self._level -= 1
        return max(0.0, -self._level / self._rate)


class _Socket(ServerConnection):
    """A library connection that tells our Connection when there is room again."""

    room: Callable[[], None] | None = None
    admit: Callable[[], bool] = staticmethod(lambda: True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self.admit() and isinstance(transport, asyncio.Transport):
            transport.abort()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.room is not None:
            self.room()


class Connection:
    """One peer that came in. Sending is from the listener's event loop only."""

    def __init__(
        self, raw: _Socket, number: int, scope: Scope, bounds: Bounds, traffic: Traffic
    ) -> None:
        self.id = number
        self.scope: Scope = scope
        peer = raw.remote_address
        self.local = bool(peer) and is_loopback(str(peer[0]))
        self._raw, self._bounds, self._traffic = raw, bounds, traffic
        self._loop = asyncio.get_running_loop()
        self._bucket = _Bucket(bounds.messages_per_s, bounds.burst, self._loop.time())
        self._offers: dict[str, str] = {}
        self._pending_bytes = 0
        self._flush_due = False
        raw.room = self._send_offers

    def __repr__(self) -> str:
        return f"<Connection {self.id} {self.scope}>"

    @property
    def open(self) -> bool:
        return self._raw.protocol.state is OPEN and not self._raw.transport.is_closing()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the peer has not taken yet."""
        return self._pending_bytes + self._raw.transport.get_write_buffer_size()

    async def receive(self) -> str | bytes:
        """The next message. Above the rate it waits, so that the peer is slowed by TCP."""
        try:
            message = await self._raw.recv()
        except ConnectionClosed as closed:
            raise _gone(closed) from None
        self._traffic.received += 1
        wait_s = self._bucket.take(self._loop.time())
        if wait_s > 0.001:
            await asyncio.sleep(wait_s)
        return message

    def send(self, frame: str | bytes) -> None:
        """Queue one message; never waits, never drops. A peer that does not read is cut off."""
        if not self.open:
            return
        if self.waiting_bytes > self._bounds.send_buffer_bytes:
            self.abort()
            return
        data = frame.encode() if isinstance(frame, str) else frame
        if isinstance(frame, str):
            self._raw.protocol.send_text(data)
        else:
            self._raw.protocol.send_binary(data)
        self._pending_bytes += len(data)
        self._traffic.sent += 1
        self._traffic.sent_bytes += len(data)
        if not self._flush_due:  # one write for all messages of this turn of the loop
            self._flush_due = True
            self._loop.call_soon(self._flush)

    def offer(self, key: str, frame: str | None) -> None:
        """Send when there is room; until then a newer one of the same key replaces it.

        None withdraws what still waits under `key`: after a terminal message no older
        progress may follow.
        """
        waited = self._offers.pop(key, None) is not None
        self._traffic.replaced += waited and frame is not None
        if frame is None or not self.open:
            return
        if self._has_room():
            self.send(frame)
        else:
            self._offers[key] = frame

    async def drained(self) -> None:
        """Wait until the peer has taken nearly all that was sent."""
        self._flush()
        try:
            await self._raw.drain()
        except OSError:
            raise ConnectionGone("the connection was lost") from None
        if not self.open:
            raise ConnectionGone("the connection was closed")

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close with a reason (cut to the 123 bytes that a close frame holds)."""
        short = reason.encode()[:123].decode(errors="ignore")
        await self._raw.close(code, short)

    def abort(self) -> None:
        """Cut the peer off at once; what it did not take is lost to it."""
        log.warning("connection.aborted id=%d waiting_bytes=%d", self.id, self.waiting_bytes)
        self._traffic.aborted += 1
        self._offers.clear()
        self._raw.transport.abort()

    def _has_room(self) -> bool:
        return not self._raw.paused and self._pending_bytes < self._raw.write_limit_high

    def _flush(self) -> None:
        self._flush_due = False
        self._pending_bytes = 0
        if self._raw.transport.is_closing():
            return
        chunks = self._raw.protocol.data_to_send()
        small: list[bytes] = []
        for chunk in chunks:
            if chunk and len(chunk) < 1 << 16:
                small.append(chunk)
                continue
            self._write(small)
            self._write([chunk])
        self._write(small)
        self._send_offers()

    def _write(self, chunks: list[bytes]) -> None:
        """Write and clear; an empty chunk is the library's sign for the end of the stream."""
        if chunks == [b""]:
            if self._raw.transport.can_write_eof():
                self._raw.transport.write_eof()
        elif chunks:
            self._raw.transport.write(b"".join(chunks) if len(chunks) > 1 else chunks[0])
        chunks.clear()

    def _send_offers(self) -> None:
        while self._offers and self.open and self._has_room():
            key = next(iter(self._offers))
            self.send(self._offers.pop(key))


def _gone(closed: ConnectionClosed) -> ConnectionGone:
    frame = closed.rcvd or closed.sent
    code = frame.code if frame else 1006
    return ConnectionGone("the connection was closed with code {code}", code=int(code))


@dataclass(slots=True)
class Listener:
    """An open port. `close` tells every peer why."""

    port: int
    path: str
    servers: list[Server] = field(default_factory=list)
    connections: dict[int, Connection] = field(default_factory=dict)
    traffic: Traffic = field(default_factory=Traffic)

    async def close(self, code: int = 1012, reason: str = "", limit_s: float = 10.0) -> None:
        """Take no more peers, close those there are, wait until their handlers have ended.

        A handler that has not ended after `limit_s` is cancelled.
        """
        short = reason.encode()[:123].decode(errors="ignore")
        for server in self.servers:
            server.close(code=code, reason=short)
        closing = asyncio.gather(*(server.wait_closed() for server in self.servers))
        try:
            await asyncio.wait_for(asyncio.shield(closing), limit_s)
        except TimeoutError:
            for task in [task for server in self.servers for task in server.handler_tasks]:
                task.cancel()
            await closing


async def listen(
    handler: Handler,
    *,
    path: str,
    hosts: Sequence[str] = LOOPBACK,
    port: int = 0,
    sockets: Sequence[socket.socket] = (),
    gate: Gate,
    bounds: Bounds | None = None,
    health: Health = dict,
    figures: Figures | None = None,
) -> Listener:
    """Open one port on every one of `hosts` and hand each admitted peer to `handler`.

    Port 0 takes the same free port on all hosts. Raises SettingsError for a taken one.
    `sockets` that are bound already stand in for hosts and port. `/health` answers anybody
    on this machine, `/metrics` with `figures` whoever has a token.
    """
    bounds = bounds or Bounds()
    sockets = list(sockets) or bind(hosts, port)
    listener = Listener(port=sockets[0].getsockname()[1], path=path)
    admission = _Admission(handler, path, gate, bounds, health, figures, listener)
    try:
        for each in sockets:
            listener.servers.append(await admission.serve(each))
    except BaseException:
        for each in sockets:
            each.close()
        raise
    return listener


class _Admission:
    """What happens between a TCP connection and its handler."""

    def __init__(
        self,
        handler: Handler,
        path: str,
        gate: Gate,
        bounds: Bounds,
        health: Health,
        figures: Figures | None,
        listener: Listener,
    ) -> None:
        self._handler, self._path, self._gate = handler, path, gate
        self._bounds, self._health, self._listener = bounds, health, listener
        self._figures = figures
        self._numbers = itertools.count(1)
        self._scopes: dict[int, Scope] = {}

    async def serve(self, sock: socket.socket) -> Server:
        bounds = self._bounds
        return await serve(
            self._run,
            sock=sock,
            process_request=self._check,
            compression=None,
            server_header=None,
            max_size=bounds.frame_bytes,
            write_limit=1 << 16,
            ping_interval=bounds.ping_interval_s,
            ping_timeout=bounds.ping_timeout_s,
            close_timeout=5,
            logger=_silent_logger(),
            create_connection=self._connection_type(),
        )

    def _connection_type(self) -> type[_Socket]:
        """A peer that never finishes its handshake is counted too."""

        def admit() -> bool:
            waiting = sum(len(server.handler_tasks) for server in self._listener.servers)
            return waiting <= self._bounds.connections + 64

        return type("_Admitted", (_Socket,), {"admit": staticmethod(admit)})

    def _check(self, raw: ServerConnection, request: Request) -> Response | None:
        path = urlsplit(request.path).path
        if request.method != "GET":
            template = "{method} is not taken at {path}: only GET is"
            method = shown(request.method)
            return self._refused(raw, refuse(405, template, method=method, path=shown(path)))
        if path == "/health":
            refusal = self._gate.check_host(request)
            return self._refused(raw, refusal) if refusal else _healthy(raw, self._health())
        figures = self._figures if path == "/metrics" else None
        if path != self._path and figures is None:
            template = "there is nothing at {path}: connect to {right}, or ask /health"
            return self._refused(raw, refuse(404, template, path=shown(path), right=self._path))
        found = self._gate.check(request)
        if isinstance(found, Refusal):
            return self._refused(raw, found)
        return self._admit(raw, found) if figures is None else _page(raw, *figures())

    def _admit(self, raw: ServerConnection, scope: Scope) -> Response | None:
        if len(self._listener.connections) + len(self._scopes) >= self._bounds.connections:
            template = "all {limit} connections are taken: close one and try again"
            return self._refused(raw, refuse(503, template, limit=self._bounds.connections))
        self._scopes[id(raw)] = scope
        raw.connection_lost_waiter.add_done_callback(lambda _: self._scopes.pop(id(raw), None))
        return None

    def _refused(self, raw: ServerConnection, refusal: Refusal) -> Response:
        self._listener.traffic.refused[int(refusal.status)] += 1
        response = raw.respond(refusal.status, f"{refusal.error}\n")
        if refusal.status == http.HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = "Bearer"
        if refusal.status == http.HTTPStatus.METHOD_NOT_ALLOWED:
            response.headers["Allow"] = "GET"
        return response

    async def _run(self, raw: ServerConnection) -> None:
        if not isinstance(raw, _Socket):
            raise TypeError("a listener's connection is made by its own type")
        scope = self._scopes.pop(id(raw))
        traffic = self._listener.traffic
        connection = Connection(raw, next(self._numbers), scope, self._bounds, traffic)
        traffic.opened += 1
        self._listener.connections[connection.id] = connection
        try:
            await self._handler(connection)
        except (ConnectionGone, ConnectionClosed):
            pass
        except Exception:
            log.exception("connection.failed id=%d", connection.id)
            await connection.close(1011, "the hub failed on this connection; its log says why")
        finally:
            del self._listener.connections[connection.id]


def _healthy(raw: ServerConnection, report: Mapping[str, Any]) -> Response:
    return _page(raw, "application/json", (json.dumps(dict(report)) + "\n").encode())


def _page(raw: ServerConnection, kind: str, body: bytes) -> Response:
    response = raw.respond(http.HTTPStatus.OK, "")
    response.body = body
    for name, value in (("Content-Type", kind), ("Content-Length", str(len(body)))):
        del response.headers[name]
        response.headers[name] = value
    response.headers["Cache-Control"] = "no-store"
    return response


def _silent_logger() -> logging.Logger:
    """The library's own logger prints request lines, and with them tokens, at DEBUG."""
    quiet = logging.getLogger("workbench.listener.library")
    quiet.setLevel(logging.CRITICAL)
    return quiet
