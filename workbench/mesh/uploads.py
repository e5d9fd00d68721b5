"""Uploads in acknowledged slices: kept by content, verified, resumed where they broke off."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.core import mesh_wire
from workbench.core.mesh_wire import FRAME_BYTES, UploadMessage
from workbench.errors import InputError, StoreError
from workbench.mesh.inputs import Inputs

STALE_S = 24 * 3600
RESERVE_BYTES = 512 << 20
"""Free disk that uploads never touch."""

TOO_LARGE = "{field} is {bytes}; allowed: at most {limit_bytes} bytes"
NO_ROOM = "there is no room for {bytes} more bytes of uploads: {remedy}"
FULL_QUOTA = "remove old files from the inputs folder, or try again later"
FULL_DISK = (
    "there is no room for {bytes} more bytes of uploads: the node leaves {reserve} MiB of its disk "
    "free for its journal, and {free} MiB are free now; free space on that disk"
)
NO_UPLOAD = "a binary frame came without an upload: send upload first"
LARGE_SLICE = "a binary frame has {bytes} bytes; allowed: at most {limit_bytes}"
EMPTY_SLICE = "a binary frame of an upload is empty; allowed: 1 to {limit_bytes} bytes"
TOO_MUCH = "the upload {name} has more than the {bytes} bytes that were announced: send it again"
WRONG_CONTENT = (
    "the upload {name} has the SHA-256 {found}, announced was {announced}: send it again"
)
TAKEN_OVER = "the upload {name} goes on in another connection"
DISK_FAILED = "the upload {name} cannot be stored: {reason}"


class NoRoom(StoreError):
    """The node's disk, or the part of it that uploads may use, is full."""

    code = "busy"


@dataclass(slots=True, eq=False)
class Upload:
    """One upload under way."""

    message: UploadMessage
    part: Path
    received: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


class Uploads:
    """Partial uploads lie in `uploads/<sha256>.part`, whole ones among the inputs."""

    def __init__(
        self,
        folder: Path,
        inputs: Inputs,
        *,
        limit_bytes: int,
        disk_bytes: int,
        reserve_bytes: int = RESERVE_BYTES,
    ) -> None:
        self._folder, self._inputs = folder / "uploads", inputs
        self._limit, self._disk_bytes = limit_bytes, disk_bytes
        self._reserve = reserve_bytes
        self._by_connection: dict[int, Upload] = {}
        self._by_content: dict[str, Upload] = {}

    def prepare(self) -> None:
        """Make the folder; remove partial uploads of more than a day ago."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in self._folder.glob("*.part"):
            if part.stat().st_mtime < time.time() - STALE_S:
                part.unlink(missing_ok=True)

    async def begin(self, connection: int, message: UploadMessage) -> dict[str, Any]:
        """Where the client is to go on from, or that everything is here already."""
        self.gone(connection)
        if message.size > self._limit:
            raise InputError(TOO_LARGE, field="size", bytes=message.size, limit_bytes=self._limit)
        if await asyncio.to_thread(self._have, message):
            return mesh_wire.uploaded(message.upload_id, message.sha256, **echo(message))
        upload = Upload(message, self._folder / f"{message.sha256}.part")
        await asyncio.to_thread(self._take_up, upload)
        self._by_connection[connection] = upload
        self._by_content[message.sha256] = upload
        if upload.received == message.size:
            return await self._finish(connection, upload)
        return _progress(upload)

    async def slice(self, connection: int, part: bytes) -> dict[str, Any]:
        """Store one binary frame; the acknowledgement says how much there is now."""
        upload = self._by_connection.get(connection)
        if upload is None:
            raise InputError(NO_UPLOAD)
        message = upload.message
        if self._by_content.get(message.sha256) is not upload:
            self.gone(connection)
            raise InputError(TAKEN_OVER, name=message.name)
        if not part:
            raise InputError(EMPTY_SLICE, limit_bytes=FRAME_BYTES)
        if len(part) > FRAME_BYTES:
            raise InputError(LARGE_SLICE, bytes=len(part), limit_bytes=FRAME_BYTES)
        if upload.received + len(part) > message.size:
            await self._drop(connection, upload)
            raise InputError(TOO_MUCH, name=message.name, bytes=message.size)
        try:
            await asyncio.to_thread(_append, upload, part)
        except OSError as error:
            await self._drop(connection, upload)
            reason = error.strerror or str(error)
            raise NoRoom(DISK_FAILED, name=message.name, reason=reason) from None
        if upload.received < message.size:
            return _progress(upload)
        return await self._finish(connection, upload)

    def current(self, connection: int) -> UploadMessage | None:
        """The upload that a connection's next binary frame belongs to."""
        upload = self._by_connection.get(connection)
        return upload.message if upload else None

    def gone(self, connection: int) -> None:
        """A connection ended, or begins another upload: what it sent stays, to be taken up."""
        upload = self._by_connection.pop(connection, None)
        if upload is not None and self._by_content.get(upload.message.sha256) is upload:
            del self._by_content[upload.message.sha256]

    async def _finish(self, connection: int, upload: Upload) -> dict[str, Any]:
        message, found = upload.message, upload.digest.hexdigest()
        if found != message.sha256:
            await self._drop(connection, upload)
            raise InputError(
                WRONG_CONTENT, name=message.name, found=found, announced=message.sha256
            )
        await asyncio.to_thread(durable, upload.part, self._inputs.path_of(found))
        self.gone(connection)
        return mesh_wire.uploaded(message.upload_id, found, **echo(message))

    async def _drop(self, connection: int, upload: Upload) -> None:
        self.gone(connection)
        await asyncio.to_thread(upload.part.unlink, missing_ok=True)

    def _have(self, message: UploadMessage) -> bool:
        path = self._inputs.path_of(message.sha256)
        if not path.is_file() or path.stat().st_size != message.size:
            return False
        os.utime(path)
        return True

    def _take_up(self, upload: Upload) -> None:
        """Read again what lies there of an earlier try; cut off what cannot belong to it."""
        part, size = upload.part, upload.message.size
        held = part.stat().st_size if part.exists() else 0
        if held > size:
            part.unlink()
            held = 0
        self._check_room(size - held, part)
        with part.open("ab+") as stream:
            stream.seek(0)
            while block := stream.read(FRAME_BYTES):
                upload.digest.update(block)
        upload.received = held

    def _check_room(self, more: int, but: Path) -> None:
        promised = sum(
            upload.message.size for upload in self._by_content.values() if upload.part != but
        )
        active = {upload.part for upload in self._by_content.values()} | {but}
        idle = [part for part in self._folder.glob("*.part") if part not in active]
        used = self._inputs.used_bytes() + promised + sum(part.stat().st_size for part in idle)
        if used + more > self._disk_bytes:
            raise NoRoom(NO_ROOM, bytes=more, remedy=FULL_QUOTA)
        free = shutil.disk_usage(self._folder).free
        if free - more < self._reserve:
            raise NoRoom(FULL_DISK, bytes=more, reserve=self._reserve >> 20, free=free >> 20)


def echo(message: UploadMessage) -> dict[str, Any]:
    """What an answer about an upload repeats of it."""
    return {} if message.request_id is None else {"requestId": message.request_id}


def _progress(upload: Upload) -> dict[str, Any]:
    message = upload.message
    return mesh_wire.upload_progress(
        message.upload_id, upload.received, message.size, **echo(message)
    )


def _append(upload: Upload, part: bytes) -> None:
    with upload.part.open("r+b") as stream:
        stream.seek(upload.received)
        stream.write(part)
    upload.digest.update(part)
    upload.received += len(part)


def durable(part: Path, target: Path) -> None:
    """Durable before it is promised: a task that names it must find it after a crash."""
    with part.open("rb+") as stream:
        os.fsync(stream.fileno())
    part.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
