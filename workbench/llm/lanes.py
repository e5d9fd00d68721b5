"""The connections that fetch one file: each takes a piece, writes it, and takes the next."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping

import msgspec

from workbench.byte_ranges import Body, Cut, Later, Ranges, Refused
from workbench.core.downloads import RemoteFile
from workbench.core.segments import Done, Range
from workbench.core.sentence import Sentence
from workbench.errors import InputError, LinkError, ProtocolError
from workbench.llm.bandwidth import Bandwidth
from workbench.llm.part_file import PartFile, Source

PIECE_BYTES = 32 << 20
BUFFER_BYTES = 1 << 20
LEAST_BYTES = 16 << 10
FILL_S = 0.1
"""About how long one reading should take: progress is seen, and little is lost with a link."""
SIZE_TRIES = 2
LATER_S = 300.0
"""The longest that a server's Retry-After is heeded."""

Settled = Callable[[Source], None]
"""Told what the file is, before its first byte is written; raises what forbids it."""


class Changed(LinkError):
    """The file at the source is no longer the one that was begun."""

    code = "changed"


class Interrupted(LinkError):
    """The link broke, and this server cannot go on from where it stood."""

    code = "interrupted"


class WrongSize(LinkError):
    """The source has another size than was declared: rarely by chance, so tried a few times."""

    code = "wrong-size"


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How often a connection is opened anew without a byte in between, and how soon."""

    tries: int = 12
    first_s: float = 1.0
    most_s: float = 60.0

    def wait_s(self, failures: int) -> float:
        """Twice as long each time, less a random part, so that many do not come back at once."""
        full = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 30))
        return full * random.uniform(0.5, 1.0)  # noqa: S311 - nothing secret hangs on it


class _Piece:
    """Bytes [at, end) that one connection fetches; `end` is None until the size is known."""

    __slots__ = ("at", "cut", "end")

    def __init__(self, at: int, end: int | None) -> None:
        self.at, self.end, self.cut = at, end, Cut()


class Lanes:
    """What the connections of one file share. `wanted` of them run while there is work.

    `woken` is set whenever one ends. `trouble` says why nothing comes, None while it does.
    """

    def __init__(
        self,
        ranges: Ranges,
        file: RemoteFile,
        part: PartFile,
        *,
        source: Source | None,
        done: Done,
        settled: Settled,
        headers: Mapping[str, str],
        cap: Bandwidth,
        patience: Patience,
        piece_bytes: int = PIECE_BYTES,
    ) -> None:
        self._ranges, self._file, self._part = ranges, file, part
        self._settled, self._headers = settled, headers
        self._cap, self._patience, self._piece_bytes = cap, patience, piece_bytes
        self._lock = threading.Lock()
        self._halt = threading.Event()
        self._threads: list[threading.Thread] = []
        self._pieces: set[_Piece] = set()
        self._running = 0
        self._done, self.source = done, source
        self._failure: Exception | None = None
        self.woken = threading.Event()
        self.wanted, self.received_bytes = 1, 0
        self.trouble: Sentence | None = None

    @property
    def done(self) -> Done:
        """A copy: what is written by now."""
        with self._lock:
            return self._done.copy()

    def finished(self) -> bool:
        """Whether every byte is there. Raises what ended the connections otherwise."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            return self.source is not None and not self._done.missing(self.source.size_bytes)

    def tend(self, wanted: int) -> None:
        """Let up to `wanted` connections run: starts one more where there is a piece for it."""
        with self._lock:
            several = self.wanted == 1 and wanted > 1
            self.wanted = wanted
            if several:
                self._shorten()
            if self._running >= wanted or self._next() is None:
                return
            self._running += 1
        thread = threading.Thread(target=self._run, name="fetch", daemon=True)
        self._threads = [*(t for t in self._threads if t.is_alive()), thread]
        thread.start()

    def fail(self, error: Exception) -> None:
        """Something else than a connection found that it cannot go on."""
        with self._lock:
            self._failure = self._failure or error
        self._end()

    def close(self) -> None:
        """End every connection, whatever it waits for, and wait until none writes."""
        self._end()
        for thread in self._threads:
            thread.join()

    def _end(self) -> None:
        self._halt.set()
        with self._lock:
            pieces = tuple(self._pieces)
        for piece in pieces:
            piece.cut()
        self.woken.set()

    def _run(self) -> None:
        buffer, failures, before = memoryview(bytearray(BUFFER_BYTES)), 0, -1
        try:
            while (piece := self._take()) is not None:
                try:
                    self._fetch(piece, buffer)
                except LinkError as error:
                    failures = 1 if self.received_bytes > before else failures + 1
                    before = self.received_bytes
                    self._bear(error, failures)
                finally:
                    self._put_back(piece)
        except Exception as error:  # whatever it is, it ends the whole fetch, not this thread only
            if not self._halt.is_set():
                self.fail(error)
        finally:
            with self._lock:
                self._running -= 1
            self.woken.set()

    def _bear(self, error: LinkError, failures: int) -> None:
        """Wait before the next try, or raise where there is none."""
        if self._halt.is_set() or isinstance(error, Changed | ProtocolError):
            raise error
        if self.source is not None and not self.source.ranges:
            raise Interrupted(error.template, **error.values)
        if failures > (SIZE_TRIES if isinstance(error, WrongSize) else self._patience.tries):
            raise error
        self.trouble = Sentence(error.template, error.values)
        wait_s = self._patience.wait_s(failures)
        if isinstance(error, Later) and error.after_s is not None:
            wait_s = max(wait_s, min(error.after_s, LATER_S))
        self._halt.wait(wait_s)

    def _take(self) -> _Piece | None:
        """The next piece for a connection; None where it is to end."""
        with self._lock:
            if self._halt.is_set() or self._running > self.wanted:
                return None
            found = self._next()
            if found is None:
                return None
            piece = _Piece(*found)
            self._pieces.add(piece)
            return piece

    def _next(self) -> tuple[int, int | None] | None:
        if self.source is None:
            return None if self._pieces else (0, None)
        size = self.source.size_bytes
        under_way: list[Range] = [(p.at, p.end) for p in self._pieces if p.end is not None]
        length = self._piece_bytes if self.wanted > 1 else None
        return self._done.next_piece(size, length, under_way)

    def _shorten(self) -> None:
        """Whoever has all the rest keeps a piece of it, so that there is work for others."""
        for piece in self._pieces:
            if piece.end is not None:
                piece.end = min(piece.end, piece.at + self._piece_bytes)

    def _put_back(self, piece: _Piece) -> None:
        with self._lock:
            self._pieces.discard(piece)

    def _fetch(self, piece: _Piece, buffer: memoryview) -> None:
        source, size = self.source, self.source.size_bytes if self.source else None
        try:
            with self._ranges.open(
                self._file.url,
                start=piece.at,
                end=None if piece.end == size else piece.end,
                if_range=source.validator if source and source.ranges else None,
                headers=self._headers,
                cut=piece.cut,
            ) as body:
                self._meet(body, piece)
                self._read(body, piece, buffer)
        except Refused as error:
            if error.status != 416:
                raise
            self._beyond(piece)

    def _meet(self, body: Body, piece: _Piece) -> None:
        """Look whether it is the file that was begun; the first answer says which that is."""
        found = source_of(self._file, body)
        if self.source is None:
            self._settle(found)
            piece.end = found.size_bytes
        elif not found.same(self.source):
            raise _changed(self._file)
        if body.start == piece.at:
            return
        if body.status == 200 and found.validator != self.source_validator:
            raise _changed(self._file)
        raise LinkError(
            "the server of {file} sends other bytes than it was asked for", file=self._file.name
        )

    @property
    def source_validator(self) -> str | None:
        return self.source.validator if self.source else None

    def _beyond(self, piece: _Piece) -> None:
        """416: the file ends before the piece; an empty one ends before its first byte."""
        if self.source is not None or piece.at or self._file.size_bytes:
            raise _changed(self._file)
        self._settle(Source(url=self._file.url, size_bytes=0))

    def _settle(self, source: Source) -> None:
        self._settled(source)
        with self._lock:
            self.source = source

    def _read(self, body: Body, piece: _Piece, buffer: memoryview) -> None:
        step = LEAST_BYTES
        while piece.end is not None and piece.at < piece.end and not self._halt.is_set():
            began = time.monotonic()
            room = min(self._cap.step(step), piece.end - piece.at)
            count = body.readinto(buffer[:room])
            if count == 0:
                raise LinkError("{file} ends before its stated size", file=self._file.name)
            took_s = time.monotonic() - began
            step = min(step * 2, BUFFER_BYTES) if took_s < FILL_S else max(step // 2, LEAST_BYTES)
            self._cap.take(count, self._halt)
            self._part.write(buffer[:count], piece.at)
            self._wrote(piece, count)

    def _wrote(self, piece: _Piece, count: int) -> None:
        with self._lock:
            self._done.add(piece.at, piece.at + count)
            piece.at += count
            self.received_bytes += count
            self.trouble = None


def source_of(file: RemoteFile, body: Body) -> Source:
    """What an answer says of the file; LinkError where it is not as long as declared."""
    total = file.size_bytes if body.total_bytes is None else body.total_bytes
    if total is None:
        raise InputError(
            "the server of {file} does not say how large it is; name a URL whose server does",
            file=file.name,
        )
    if file.size_bytes not in (None, total):
        raise WrongSize(
            "{file} has {found} bytes at its source instead of {declared}: look it up again",
            file=file.name,
            found=total,
            declared=file.size_bytes,
        )
    found = Source(url=file.url, size_bytes=total, etag=body.etag, last_modified=body.last_modified)
    # With neither, parts of two versions could be put together, and nobody would notice.
    joins = file.sha256 is not None or found.validator is not None
    return msgspec.structs.replace(found, ranges=body.accepts_ranges and joins)


def _changed(file: RemoteFile) -> Changed:
    return Changed("{file} changed at its source: it is fetched anew", file=file.name)
