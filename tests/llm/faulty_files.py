"""A real HTTP server of files: ranges, ETag, If-Range as they should be, and faults on demand."""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.http_server import Asked, Server, serving

Fault = Callable[["Files", Asked], None]
"""Answers one request in its own way."""


def content(size: int, seed: int = 0) -> bytes:
    """Bytes that differ everywhere, so that a piece in the wrong place is noticed."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


class Files:
    """Serves `body` at every path. Each fault is for one request, in order; then all is well."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.etag: str | None = '"one"'
        self.last_modified: str | None = None
        self.ranges = self.heeds_if_range = True
        self.each_bytes_s: float | None = None
        """What one connection gets."""
        self.all_bytes_s: float | None = None
        """What all of them get together."""
        self._due = 0.0
        self.faults: list[Fault] = []
        self.asked: list[str | None] = []
        """The Range of each request."""
        self.sent_bytes = 0
        self.most_at_once = self._at_once = 0
        self._lock = threading.Lock()
        self.reached = threading.Event()
        """Set once `reached_bytes` were sent."""
        self.reached_bytes = 1
        self.end = threading.Event()
        """Set when the test is over: nobody hangs on."""
        self.url = ""

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    def __call__(self, asked: Asked) -> None:
        with self._lock:
            self.asked.append(asked.headers.get("range"))
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            fault = self.faults.pop(0) if self.faults else None
        try:
            fault(self, asked) if fault else self.answer(asked)
        except (ConnectionError, TimeoutError):
            asked.close_connection = True
        finally:
            with self._lock:
                self._at_once -= 1

    def answer(self, asked: Asked, *, stop_after: int | None = None) -> None:
        """The usual answer; `stop_after` sends so many bytes of it and no more."""
        body, (start, end) = self.body, self.head(asked)
        piece = (
            body[start:end] if stop_after is None else body[start : min(end, start + stop_after)]
        )
        self.send(asked, piece)

    def head(self, asked: Asked) -> tuple[int, int]:
        """Sends the head, and says which bytes are to follow it."""
        size = len(self.body)
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", asked.headers.get("range", ""))
        wanted = asked.headers.get("if-range")
        same = not self.heeds_if_range or wanted in (None, self.etag, self.last_modified)
        if found is None or not self.ranges or not same:
            return self._headed(asked, 200, 0, size)
        start, end = int(found[1]), min(size, int(found[2] or size - 1) + 1)
        if start >= size:
            asked.reply(status=416, Content_Range=f"bytes */{size}")
            return 0, 0
        return self._headed(asked, 206, start, end)

    def _headed(self, asked: Asked, status: int, start: int, end: int) -> tuple[int, int]:
        asked.send_response(status)
        if status == 206:
            asked.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(self.body)}")
        for name, value in (("ETag", self.etag), ("Last-Modified", self.last_modified)):
            if value is not None:
                asked.send_header(name, value)
        asked.send_header("Content-Length", str(end - start))
        asked.end_headers()
        return start, end

    def send(self, asked: Asked, piece: bytes) -> None:
        pace = self.each_bytes_s or self.all_bytes_s
        step = 64 * 1024 if pace is None else max(1, int(pace / 50))
        due, view = time.monotonic(), memoryview(piece)
        while view:
            count = asked.wfile.write(view[:step]) or step
            view = view[count:]
            due = self._sent(count, due)
            if self.end.wait(max(0.0, due - time.monotonic())):
                return

    def _sent(self, count: int, due: float) -> float:
        """When this connection may send again."""
        with self._lock:
            self.sent_bytes += count
            if self.sent_bytes >= self.reached_bytes:
                self.reached.set()
            if self.all_bytes_s is not None:
                self._due = max(self._due, time.monotonic() - 0.1) + count / self.all_bytes_s
                return self._due
        return due + count / self.each_bytes_s if self.each_bytes_s is not None else 0.0


def busy(status: int = 503, **headers: object) -> Fault:
    return lambda files, asked: asked.reply(status=status, **headers)


def reset_after(count: int) -> Fault:
    """The connection is reset in the middle of the body."""

    def fault(files: Files, asked: Asked) -> None:
        files.answer(asked, stop_after=count)
        asked.wfile.flush()
        asked.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        asked.close_connection = True
        asked.connection.close()

    return fault


def short_by(count: int) -> Fault:
    """The body ends before the length that its head states."""

    def fault(files: Files, asked: Asked) -> None:
        start, end = files.head(asked)
        files.send(asked, files.body[start : end - count])
        asked.close_connection = True

    return fault


def stalled_after(count: int) -> Fault:
    """Some bytes, and then silence on an open connection."""

    def fault(files: Files, asked: Asked) -> None:
        files.answer(asked, stop_after=count)
        files.end.wait(30)
        asked.close_connection = True

    return fault


def wrong_bytes(files: Files, asked: Asked) -> None:
    """As many bytes as there should be, one of them another."""
    right = files.body
    at = len(right) // 2
    files.body = right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :]
    try:
        files.answer(asked)
    finally:
        files.body = right


def leads_to(url: str) -> Fault:
    return lambda files, asked: asked.reply(status=302, Location=url)


@contextmanager
def files(body: bytes) -> Iterator[tuple[Files, Server]]:
    """A server of one file for the length of a block."""
    served = Files(body)
    with serving(served) as server:
        served.url = server.url + "/model.gguf"
        try:
            yield served, server
        finally:
            served.end.set()
