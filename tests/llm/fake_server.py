"""What the fake servers of language models share: paths, streamed answers, what they were asked."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any, TypeVar

from tests.http_server import Asked, serving
from workbench.http import Http

PATIENCE_S = 20
Route = Callable[[Asked, Any], None]


class Fake:
    """A server by its paths. A test may put another answer in the place of one."""

    calls_itself = "fake"

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.asked: list[tuple[str, Any]] = []
        """Each request's method with its path, and its JSON."""
        self.headers: list[dict[str, str]] = []
        self.left = Event()
        """Set when a client hung up on `hanging`."""
        self.hold = Event()
        """Whatever waits goes on when a test sets it."""
        self.url = ""

    def __call__(self, asked: Asked) -> None:
        asked.server_version, asked.sys_version = self.calls_itself, ""
        value = json.loads(asked.body) if asked.body else None
        where = f"{asked.command} {asked.path}"
        self.asked.append((where, value))
        self.headers.append({name.lower(): text for name, text in asked.headers.items()})
        route = self.routes.get(where)
        if route is None:
            self.unknown(asked)
        else:
            route(asked, value)

    def unknown(self, asked: Asked) -> None:
        """The answer to a path that this kind of server does not have."""
        reply(asked, {"error": {"message": "Not Found", "code": 404}}, 404)

    def values(self, where: str) -> list[Any]:
        """The JSON of each request to one method and path."""
        return [value for path, value in self.asked if path == where]


F = TypeVar("F", bound=Fake)


@contextmanager
def faking(fake: F) -> Iterator[F]:
    """The server for the length of a block."""
    with serving(fake) as server:
        fake.url = server.url
        try:
            yield fake
        finally:
            fake.hold.set()


def client() -> Http:
    """An Http as the hub hands one in."""
    return Http(private_addresses=True)


def reply(asked: Asked, value: Any, status: int = 200) -> None:
    """An ordinary JSON answer."""
    asked.reply(json.dumps(value).encode(), status, Content_Type="application/json; charset=utf-8")


def sse(*values: Any) -> list[bytes]:
    """Each value as an event; a text stands for itself, as [DONE] does."""
    texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
    return [f"data: {text}\n\n".encode() for text in texts]


def begin(asked: Asked, media_type: str = "text/event-stream") -> None:
    """The head of a streamed answer."""
    asked.send_response(200)
    asked.send_header("Content-Type", media_type)
    asked.send_header("Transfer-Encoding", "chunked")
    asked.end_headers()


def send(asked: Asked, part: bytes) -> None:
    """A chunk of it."""
    asked.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
    asked.wfile.flush()


def stream(
    asked: Asked, parts: Iterable[bytes], media_type: str = "text/event-stream", *, end: bool = True
) -> None:
    """A streamed answer; without its `end` the connection is cut, as when a server dies."""
    begin(asked, media_type)
    for part in parts:
        send(asked, part)
    if end:
        send(asked, b"")
    else:
        asked.close_connection = True
        asked.connection.shutdown(socket.SHUT_RDWR)


def hanging(fake: Fake, parts: Iterable[bytes], media_type: str = "text/event-stream") -> Route:
    """A route that sends `parts`, then says nothing more and notes when its client hangs up."""

    def route(asked: Asked, value: Any) -> None:
        asked.connection.settimeout(PATIENCE_S)
        asked.close_connection = True
        try:
            begin(asked, media_type)
            for part in parts:
                send(asked, part)
            gone = asked.connection.recv(1) == b""
        except ConnectionError:  # it left something unread behind
            gone = True
        if gone:
            fake.left.set()

    return route
