"""Files on their way from a page to the node: spooled slice by slice, acknowledged, carried on."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.errors import InputError

OPEN_UPLOADS = 8
SIZE_LIMIT = 2 * 10**9
"""Bytes. The node has a lower limit of its own; this one bounds the spool folder."""

Reply = Callable[..., None]
Complete = Callable[["Spooled"], None]


class Spooled:
    """One file as far as it has come."""

    def __init__(self, upload_id: str, name: str, size: int, folder: Path) -> None:
        self.upload_id = upload_id
        self.name = name
        self.size = size
        self.received = 0
        self.path = folder / f"{abs(hash(upload_id)):x}.part"
        self.path.write_bytes(b"")

    def add(self, offset: int, part: memoryview) -> None:
        """Append the slice that comes next; one that is here already is passed over."""
        if offset < self.received:
            return
        if offset > self.received or self.received + len(part) > self.size:
            raise InputError(
                "{name}: a slice at byte {offset} does not follow byte {received}: "
                "try again, it goes on from there",
                name=self.name,
                offset=offset,
                received=self.received,
            )
        with self.path.open("ab") as file:
            file.write(part)
        self.received += len(part)


class Uploads:
    """Answers the `upload` intents of a page (see widgets/static/upload.js)."""

    def __init__(self, reply: Reply, complete: Complete) -> None:
        self._reply = reply
        self._complete = complete
        self._open: dict[str, Spooled] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="workbench-upload-")

    def handle(self, content: Mapping[str, Any], buffers: Sequence[memoryview]) -> None:
        """One step: begin, slice or drop. What is wrong is answered, never raised."""
        upload_id = str(content.get("uploadId"))
        try:
            step = content.get("step")
            if step == "begin":
                self._begin(upload_id, content)
            elif step == "slice" and upload_id in self._open:
                self._slice(self._open[upload_id], int(content.get("offset", 0)), buffers)
            elif step == "drop":
                self.forget(upload_id)
        except InputError as error:
            self.fail(upload_id, error)
        except OSError as error:
            self.fail(upload_id, InputError("the file cannot be kept: {reason}", reason=str(error)))

    def fail(self, upload_id: str, error: Exception) -> None:
        """Tell the page; the upload stays as far as it came, to go on from there."""
        said = {
            "text": str(error),
            "template": getattr(error, "template", ""),
            "values": getattr(error, "values", {}),
        }
        self._reply("upload", uploadId=upload_id, error=said)

    def forget(self, upload_id: str) -> None:
        """The file is not needed any more."""
        spooled = self._open.pop(upload_id, None)
        if spooled is not None:
            with contextlib.suppress(OSError):
                spooled.path.unlink()

    def close(self) -> None:
        """Remove everything."""
        self._open.clear()
        self._folder.cleanup()

    def _begin(self, upload_id: str, content: Mapping[str, Any]) -> None:
        spooled = self._open.get(upload_id)
        if spooled is None:
            spooled = self._make(upload_id, content)
        self._acknowledge(spooled)
        if spooled.received == spooled.size:
            self._complete(spooled)

    def _make(self, upload_id: str, content: Mapping[str, Any]) -> Spooled:
        size, name = content.get("size"), str(content.get("name"))[:255]
        if not isinstance(size, int) or not 0 < size <= SIZE_LIMIT:
            raise InputError.field(f"the size of {name}", size, f"integer from 1 to {SIZE_LIMIT}")
        while len(self._open) >= OPEN_UPLOADS:
            self.forget(next(iter(self._open)))
        spooled = Spooled(upload_id, name, size, Path(self._folder.name))
        self._open[upload_id] = spooled
        return spooled

    def _slice(self, spooled: Spooled, offset: int, buffers: Sequence[memoryview]) -> None:
        before = spooled.received
        spooled.add(offset, memoryview(buffers[0]).cast("B") if buffers else memoryview(b""))
        self._acknowledge(spooled)
        if before < spooled.received == spooled.size:
            self._complete(spooled)

    def _acknowledge(self, spooled: Spooled) -> None:
        self._reply("upload", uploadId=spooled.upload_id, acknowledged=spooled.received)
