"""A file that is still being fetched: its sparse `.part`, and the claim of what is in it.

The claim is written only for bytes that are on the disk already, so that whatever ends the
process, or the machine, it never claims too much.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import Annotated, Any

import msgspec

from workbench.core.downloads import RemoteFile
from workbench.core.segments import Done
from workbench.errors import InputError, StoreError

CLAIM_LIMIT_BYTES = 8 << 20
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


class NoSpace(StoreError):
    """The disk is full: free some of it, and go on from where it stood."""

    code = "no-space"


class Source(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the server says of the file: a later answer that differs is another file's."""

    url: str
    size_bytes: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    etag: str | None = None
    last_modified: str | None = None
    ranges: bool = False
    """Whether the server gives parts of it."""

    @property
    def validator(self) -> str | None:
        """For If-Range, which takes no weak ETag (RFC 9110, 13.1.5)."""
        if self.etag is not None and not self.etag.startswith("W/"):
            return self.etag
        return self.last_modified

    def same(self, other: Source) -> bool:
        """Whether both are one version of the file, as far as the server tells."""
        if self.size_bytes != other.size_bytes:
            return False
        if self.etag is not None and other.etag is not None:
            return self.etag == other.etag
        return None in (self.last_modified, other.last_modified) or (
            self.last_modified == other.last_modified
        )


class Claim(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `.part.json` holds."""

    source: Source
    sha256: str | None
    """As declared when it was begun."""
    done: list[Any]


class PartFile:
    """The bytes of one file on their way; one process at a time has it. Thread-safe writes."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.part = target.with_name(target.name + ".part")
        self.claim = target.with_name(target.name + ".part.json")
        self._new = target.with_name(target.name + ".part.json.new")
        self._fd = -1

    def open(self) -> None:
        """Open it, made where it is missing; StoreError where another process has it."""
        with translated(self.target):
            self.target.parent.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self.part, flags, 0o644)
            if not self._locked():
                self.close()
                raise StoreError(
                    "{file} is being fetched by another process: stop it there, or wait for it",
                    file=self.target.name,
                )

    def _locked(self) -> bool:
        """Whether the file is ours alone, and still has its name: another may just have ended."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return os.path.samestat(os.fstat(self._fd), self.part.lstat())
        except (BlockingIOError, FileNotFoundError):
            return False

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def claimed(self, file: RemoteFile) -> tuple[Source, Done] | None:
        """What of `file` is there already; None where nothing that can be used is."""
        with translated(self.target):
            size = os.fstat(self._fd).st_size
        found = _claimed(self.claim, size)
        if found is None:
            return None
        claim, done = found
        source = claim.source
        fits = (
            source.url == file.url
            and source.ranges
            and size == source.size_bytes
            and file.size_bytes in (None, size)
            and claim.sha256 == file.sha256
        )
        return (source, done) if fits else None

    def begin(self, size_bytes: int) -> None:
        """Empty it, and give it its size: the claim goes first, for it would be wrong."""
        with translated(self.target):
            self.claim.unlink(missing_ok=True)
            _sync_folder(self.target.parent)
            os.ftruncate(self._fd, 0)
            os.ftruncate(self._fd, size_bytes)

    def write(self, view: memoryview, at: int) -> None:
        with translated(self.target):
            while view:
                count = os.pwrite(self._fd, view, at)
                view, at = view[count:], at + count

    def read(self, view: memoryview, at: int) -> int:
        with translated(self.target):
            return os.preadv(self._fd, [view], at)

    def save(self, source: Source, sha256: str | None, done: Done) -> None:
        """Claim `done`, whose bytes were written before this was called."""
        claim = Claim(source=source, sha256=sha256, done=done.to_json())
        with translated(self.target):
            os.fdatasync(self._fd)
            with self._new.open("wb") as file:
                file.write(msgspec.json.encode(claim))
                file.flush()
                os.fsync(file.fileno())
            self._new.replace(self.claim)

    def finish(self) -> None:
        """The whole file takes its name, once it is on the disk."""
        with translated(self.target):
            os.fsync(self._fd)
            self.part.replace(self.target)
            _sync_folder(self.target.parent)
            self._unclaim()

    def tidy(self) -> None:
        """Delete the claim that stays without its part where `finish` was killed half-way."""
        with translated(self.target):
            if not self.part.exists():
                self._unclaim()

    def discard(self) -> None:
        """Nothing of it stays."""
        with translated(self.target):
            self._unclaim()
            self.part.unlink(missing_ok=True)

    def _unclaim(self) -> None:
        self.claim.unlink(missing_ok=True)
        self._new.unlink(missing_ok=True)


class translated(contextlib.ContextDecorator):
    """Turns what the disk says into our sentences."""

    def __init__(self, target: Path) -> None:
        self._name = target.name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, OSError):
            return
        if error.errno in _NO_ROOM:
            raise NoSpace(
                "the disk is full: free some of it, then resume {file}", file=self._name
            ) from None
        if error.errno == errno.EFBIG:
            raise NoSpace(
                "the disk takes no file as large as {file}: use another folder, then resume",
                file=self._name,
            ) from None
        raise StoreError(
            "{file} cannot be written: {reason}", file=self._name, reason=error.strerror or "?"
        ) from None


def claimed_bytes(target: Path) -> int:
    """How many bytes of `target` an unfinished fetch has, as it claims."""
    part = PartFile(target)
    try:
        size = part.part.lstat().st_size
    except OSError:
        return 0
    found = _claimed(part.claim, size)
    return found[1].bytes if found else 0


def remove_part(target: Path) -> None:
    """Delete what a fetch that is over has left of `target`."""
    PartFile(target).discard()


def remove(target: Path) -> None:
    with translated(target):
        target.unlink(missing_ok=True)


def _claimed(path: Path, size: int) -> tuple[Claim, Done] | None:
    """What a claim says of a part of `size` bytes; None where it cannot be so."""
    try:
        if path.stat().st_size > CLAIM_LIMIT_BYTES:
            return None
        claim = msgspec.json.decode(path.read_bytes(), type=Claim)
        return claim, Done.from_json(claim.done, size)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InputError):
        return None


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
