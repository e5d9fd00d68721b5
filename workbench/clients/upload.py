"""A file carried to a node in acknowledged slices, and on from where it stopped."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from workbench.clients.answers import Queue, next_answer
from workbench.errors import InputError, LinkError, ProtocolError

SLICE_BYTES = 1 << 20
NAME_CHARS = 255
ANSWER_S = 60.0
RESUMES = 5
RECONNECT_S = 60.0

Progress = Callable[[int, int], Any]
"""Called with the bytes that the node has confirmed, and all bytes."""


class Carrier(Protocol):
    """The client, as far as an upload needs it."""

    def answers(self, key: str) -> AbstractContextManager[Queue]: ...
    def say(self, message: dict[str, Any]) -> None: ...
    def say_slice(self, part: bytes) -> None: ...
    async def until_connected(self, wait_s: float) -> None: ...


class Source:
    """What is uploaded: bytes, or a file that is read slice by slice."""

    def __init__(self, content: Path | str | bytes, name: str) -> None:
        self._bytes = content if isinstance(content, bytes) else None
        self._path = None if isinstance(content, bytes) else Path(content).expanduser()
        self.name = (name or (self._path.name if self._path else "data"))[-NAME_CHARS:]

    async def measure(self) -> tuple[int, str]:
        """Size in bytes and SHA-256. Raises InputError for a file that cannot be read."""
        return await asyncio.to_thread(self._measure)

    async def slice(self, start: int) -> bytes:
        if self._path is None:
            return (self._bytes or b"")[start : start + SLICE_BYTES]
        return await asyncio.to_thread(self._read, self._path, start)

    def _measure(self) -> tuple[int, str]:
        if self._path is None:
            content = self._bytes or b""
            return len(content), hashlib.sha256(content).hexdigest()
        try:
            with self._path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
                return stream.tell(), digest
        except OSError as error:
            raise _unreadable(self._path, error) from None

    @staticmethod
    def _read(path: Path, start: int) -> bytes:
        try:
            with path.open("rb") as stream:
                stream.seek(start)
                return stream.read(SLICE_BYTES)
        except OSError as error:
            raise _unreadable(path, error) from None


async def upload(
    carrier: Carrier, content: Path | str | bytes, *, name: str = "", progress: Progress | None
) -> str:
    """Carry all of it over; the `upload:<sha256>` by which a task names it."""
    source = Source(content, name)
    size, digest = await source.measure()
    header: dict[str, Any] = {
        "type": "upload",
        "uploadId": uuid.uuid4().hex,
        "name": source.name,
        "size": size,
        "sha256": digest,
    }
    for left in reversed(range(RESUMES)):
        try:
            return await _carry(carrier, source, header, progress)
        except ProtocolError:
            raise
        except LinkError:
            if not left:
                raise
        await carrier.until_connected(RECONNECT_S)
        header["resume"] = True
    raise AssertionError("the last round returns or raises")


async def _carry(
    carrier: Carrier, source: Source, header: dict[str, Any], progress: Progress | None
) -> str:
    size = header["size"]
    with carrier.answers(header["uploadId"]) as answers:
        carrier.say(header)
        while True:
            answer = await next_answer(answers, "upload", ANSWER_S)
            url = answer.get("inputDataURL")
            held = size if isinstance(url, str) else int(answer.get("received") or 0)
            await _tell(progress, held, size)
            if isinstance(url, str):
                return url
            if held < size:
                part = await source.slice(held)
                if not part:
                    template = "{name} became shorter while it was sent: send it again"
                    raise InputError(template, name=source.name)
                carrier.say_slice(part)


async def _tell(progress: Progress | None, held: int, size: int) -> None:
    if progress is not None:
        told = progress(held, size)
        if inspect.isawaitable(told):
            await told


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(
        "{path} cannot be read: {reason}", path=str(path), reason=error.strerror or str(error)
    )
