"""Reads event streams and lines of JSON as they come in, cut anywhere; pure and bounded.

Sources: the HTML standard's "Server-sent events" (interpreting an event stream), and ndjson.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec

from workbench.core.llm import BackendBroken

T = TypeVar("T")
EVENT_LIMIT_BYTES = 4 * 1024 * 1024
_CARRIAGE_RETURN = 13

NOTHING = frozenset({b"", b"null"})
"""What a raw field holds that is not there."""

ServerEvent = tuple[str, bytes]
"""An event's name, empty for an ordinary one, and its data."""


class Parser(Protocol):
    """Makes events of bytes. Raises BackendBroken for what it cannot hold."""

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that `chunk` ends."""

    def end(self) -> list[ServerEvent]:
        """The events that the end of the bytes ends."""


class Lines:
    r"""Cuts bytes into lines; each of \n, \r\n and \r ends one, wherever the bytes were cut."""

    def __init__(self, backend: str, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self._backend, self._limit_bytes = backend, limit_bytes
        self._rest = bytearray()
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` ends, without their ends."""
        if self._after_cr and chunk:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if not chunk:
            return []
        lines = chunk.splitlines()
        self._after_cr = chunk[-1] == _CARRIAGE_RETURN
        tail = b"" if chunk[-1] in b"\r\n" else lines.pop()
        if lines and self._rest:
            lines[0] = bytes(self._rest) + lines[0]
            self._rest.clear()
        self._rest += tail
        if len(self._rest) > self._limit_bytes:
            raise too_long(self._backend, self._limit_bytes)
        return lines

    def end(self) -> bytes:
        """What stands behind the last line's end."""
        rest = bytes(self._rest)
        self._rest.clear()
        return rest


class Sse:
    """Server-sent events. One that the end of the stream cuts off is dropped, as the standard says.

    Comments and fields other than `event` and `data` are passed over.
    """

    def __init__(self, backend: str, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self._backend, self._limit_bytes = backend, limit_bytes
        self._lines = Lines(backend, limit_bytes)
        self._first = True
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The events that `chunk` ends."""
        events: list[ServerEvent] = []
        for line in self._lines.feed(chunk):
            if line:
                self._field(line)
            elif self._data:
                events.append((self._name, b"\n".join(self._data)))
                self._name, self._data, self._size = "", [], 0
            else:
                self._name = ""
        return events

    def end(self) -> list[ServerEvent]:
        """Nothing: an event ends with an empty line."""
        return []

    def _field(self, line: bytes) -> None:
        if self._first:
            self._first = False
            line = line.removeprefix(b"\xef\xbb\xbf")
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            self._data.append(value)
            self._size += len(value) + 1
            if self._size > self._limit_bytes:
                raise too_long(self._backend, self._limit_bytes)
        elif field == b"event":
            self._name = value[:64].decode(errors="replace")


class Ndjson:
    """One JSON value in each line; empty lines are passed over."""

    def __init__(self, backend: str, limit_bytes: int = EVENT_LIMIT_BYTES) -> None:
        self._lines = Lines(backend, limit_bytes)

    def feed(self, chunk: bytes) -> list[ServerEvent]:
        """The values whose lines `chunk` ends."""
        return [("", line) for line in self._lines.feed(chunk) if line.strip()]

    def end(self) -> list[ServerEvent]:
        """The last value, where no line end stood behind it."""
        rest = self._lines.end()
        return [("", rest)] if rest.strip() else []


def decoded(data: bytes, decoder: msgspec.json.Decoder[T], backend: str) -> T:
    """`data` as what `decoder` expects; BackendBroken where it is something else."""
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BackendBroken(
            "{backend} sent what cannot be read: {reason}", backend=backend, reason=str(error)
        ) from None


def too_long(backend: str, limit_bytes: int) -> BackendBroken:
    """The error for one event that does not end."""
    return BackendBroken(
        "{backend} sent an event of more than {limit} bytes", backend=backend, limit=limit_bytes
    )
