"""One file from its source to the disk: resumed, verified, and named only when it is right.

Whatever happens on the way, also `kill -9`, the file is absent, resumable or correct.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from workbench.byte_ranges import Ranges
from workbench.core.downloads import RemoteFile, State, check_file
from workbench.core.lane_count import WORTH_S, LaneCount
from workbench.core.segments import Done
from workbench.core.sentence import Sentence
from workbench.errors import LinkError
from workbench.llm.bandwidth import Bandwidth
from workbench.llm.hashing import Hashing, hash_file
from workbench.llm.lanes import PIECE_BYTES, Changed, Interrupted, Lanes, Patience
from workbench.llm.part_file import NoSpace, PartFile, Source

CONNECTIONS = 6
KEEP_FREE_BYTES = 256 << 20
SAVE_BYTES = 64 << 20
TICK_S = 0.1
RESTARTS = 5
"""How often a file is begun anew, because it changed or its server cannot go on."""


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """In what steps a file is fetched: a test takes smaller ones."""

    piece_bytes: int = PIECE_BYTES
    save_s: float = 2.0
    """How often it is kept what is there; besides, each SAVE_BYTES."""
    settle_s: float = 1.0
    look_s: float = 2.0
    worth_s: float = WORTH_S
    """These three say how the number of connections is found."""

    def lane_count(self, most: int) -> LaneCount:
        return LaneCount(most, settle_s=self.settle_s, look_s=self.look_s, worth_s=self.worth_s)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How far a fetch is. `done_bytes` are on the disk, `checked_bytes` hashed."""

    state: State
    done_bytes: int
    total_bytes: int | None
    checked_bytes: int = 0
    connections: int = 0
    problem: Sentence | None = None
    """Why nothing comes, or why it began anew."""


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is there and right."""

    size_bytes: int
    sha256: str


class Corrupt(LinkError):
    """The bytes are not those that the source declares."""

    code = "corrupt"


class Fetch:
    """Fetches one file into `target`. `run` blocks, in threads that it owns.

    `told` is called in the thread of `run`, about ten times a second. Setting `stop` ends
    it soon; what is there stays, and another `run` goes on from it.
    """

    def __init__(
        self,
        ranges: Ranges,
        file: RemoteFile,
        target: Path,
        *,
        told: Callable[[Told], None],
        stop: threading.Event,
        connections: int = CONNECTIONS,
        cap: Bandwidth | None = None,
        headers: Mapping[str, str] | None = None,
        patience: Patience | None = None,
        pace: Pace | None = None,
        keep_free_bytes: int = KEEP_FREE_BYTES,
    ) -> None:
        check_file(file)
        self._ranges, self._file, self._target = ranges, file, target
        self._told, self._stop = told, stop
        self._connections, self.pace = connections, pace or Pace()
        self._cap, self._patience = cap or Bandwidth(), patience or Patience()
        self._headers, self._keep_free = dict(headers or {}), keep_free_bytes
        self._part = PartFile(target)
        self._note: Sentence | None = None

    def run(self) -> Fetched | None:
        """The file, once it is there and right; None where `stop` came first.

        Raises NoSpace where the disk is full, Refused where the source does not give it,
        Corrupt, LinkError after many tries, InputError for a URL that must not be asked.
        """
        if (found := self._there()) is not None or self._stop.is_set():
            return found
        self._part.open()
        try:
            return self._tried()
        finally:
            self._part.close()

    def _tried(self) -> Fetched | None:
        restarts = 0
        corrupt = False
        while True:
            try:
                return self._once()
            except (Changed, Interrupted, Corrupt) as error:
                restarts += 1
                if isinstance(error, Corrupt):
                    self._part.discard()
                if restarts > RESTARTS or (corrupt and isinstance(error, Corrupt)):
                    raise
                corrupt = corrupt or isinstance(error, Corrupt)
                self._note = Sentence(error.template, error.values)
                self._begin_anew()
                if self._stop.wait(self._patience.wait_s(restarts)):
                    return None

    def _begin_anew(self) -> None:
        self._part.close()
        self._part.open()
        self._part.begin(0)

    def _there(self) -> Fetched | None:
        """The file itself, where it is there already and is what its source declares."""
        if self._file.sha256 is None or not self._target.is_file():
            return None
        size = self._target.stat().st_size
        if self._file.size_bytes not in (None, size):
            return None
        found = hash_file(self._target, self._stop, lambda n: self._tell_checked(n, size))
        if found != self._file.sha256:
            return None
        self._part.tidy()
        return Fetched(size_bytes=size, sha256=found)

    def _once(self) -> Fetched | None:
        source, done = self._part.claimed(self._file) or (None, Done())
        if source is not None:
            self._check_space(source, done, self._keep_free)
        lanes = Lanes(
            self._ranges,
            self._file,
            self._part,
            source=source,
            done=done,
            settled=self._settled,
            headers=self._headers,
            cap=self._cap,
            patience=self._patience,
            piece_bytes=self.pace.piece_bytes,
        )
        work = _Work(self, lanes)
        try:
            return self._verified(lanes, work) if self._received(lanes, work) else None
        finally:
            work.close()

    def _received(self, lanes: Lanes, work: _Work) -> bool:
        """Whether every byte came, before `stop`."""
        count = self.pace.lane_count(self._connections)
        while not lanes.finished():
            if self._stop.is_set():
                return False
            self._tell(lanes, work)
            lanes.tend(self._wanted(lanes, count))
            lanes.woken.wait(TICK_S)
            lanes.woken.clear()
            work.follow()
        return True

    def _wanted(self, lanes: Lanes, count: LaneCount) -> int:
        source = lanes.source
        if source is None or not source.ranges or lanes.trouble:
            return lanes.wanted
        left = source.size_bytes - lanes.done.bytes
        return count.look(time.monotonic(), lanes.received_bytes, left)

    def _verified(self, lanes: Lanes, work: _Work) -> Fetched | None:
        size = lanes.done.bytes
        lanes.close()
        work.follow()
        hashing = work.hashing
        assert hashing is not None  # noqa: S101 - follow makes it once the source is known
        while (found := hashing.result(TICK_S)) is None:
            self._tell_checked(hashing.hashed_bytes, size)
            if self._stop.is_set():
                return None
        if self._file.sha256 not in (None, found):
            raise self._corrupt(found)
        work.close()  # from here on nobody claims that there is a part
        self._part.finish()
        return Fetched(size_bytes=size, sha256=found)

    def _corrupt(self, found: str) -> Corrupt:
        return Corrupt(
            "{file} came with other bytes than its source declares: its sha256 is {found} "
            "instead of {declared}; fetch it again, or look it up again",
            file=self._file.name,
            found=found,
            declared=self._file.sha256,
        )

    def _settled(self, source: Source) -> None:
        self._part.begin(0)
        self._check_space(source, Done(), self._keep_free)
        self._part.begin(source.size_bytes)

    def _check_space(self, source: Source, done: Done, keep_free: int) -> None:
        """NoSpace where the rest of the file does not fit on the disk."""
        free = shutil.disk_usage(self._target.parent).free
        needed = source.size_bytes - done.bytes
        if needed and free - needed < keep_free:
            raise NoSpace(
                "{file} needs {needed_mb} MB more and the disk has {free_mb} MB, of which "
                "{kept_mb} MB stay free: free some of it, then resume",
                file=self._file.name,
                needed_mb=-(-needed // 1_000_000),
                free_mb=free // 1_000_000,
                kept_mb=keep_free // 1_000_000,
            )

    def _tell(self, lanes: Lanes, work: _Work) -> None:
        source = lanes.source
        state: State = "downloading" if source else "resolving"
        self._told(
            Told(
                state="stalled" if lanes.trouble else state,
                done_bytes=lanes.done.bytes,
                total_bytes=source.size_bytes if source else self._file.size_bytes,
                checked_bytes=work.hashing.hashed_bytes if work.hashing else 0,
                connections=lanes.wanted,
                problem=lanes.trouble or self._note,
            )
        )

    def _tell_checked(self, checked: int, size: int) -> None:
        self._told(
            Told(state="verifying", done_bytes=size, total_bytes=size, checked_bytes=checked)
        )

    def save(self, source: Source, done: Done) -> None:
        self._part.save(source, self._file.sha256, done)

    def check_during(self, source: Source, done: Done) -> None:
        """Others use the disk too: stop before it is full to the last byte."""
        self._check_space(source, done, min(self._keep_free, KEEP_FREE_BYTES // 4))

    def hashing(self, source: Source) -> Hashing:
        return Hashing(self._part.read, source.size_bytes)


class _Work:
    """What runs beside the connections: the hash, and a thread that keeps the claim."""

    def __init__(self, fetch: Fetch, lanes: Lanes) -> None:
        self._fetch, self._lanes = fetch, lanes
        self.hashing: Hashing | None = None
        self._closing = threading.Event()
        self._saved = 0
        self._thread = threading.Thread(target=self._keep, name="claim", daemon=True)
        self._thread.start()

    def follow(self) -> None:
        """Let the hash run up to the first gap."""
        source = self._lanes.source
        if source is None:
            return
        if self.hashing is None:
            self.hashing = self._fetch.hashing(source)
        self.hashing.reach(self._lanes.done.prefix)

    def close(self) -> None:
        """Stop all of it; the last claim is written when nobody writes any more."""
        self._lanes.close()
        if self.hashing is not None:
            self.hashing.close()
        self._closing.set()
        self._thread.join()

    def _keep(self) -> None:
        save_s = self._fetch.pace.save_s
        due = time.monotonic() + save_s
        try:
            while not self._closing.wait(min(TICK_S, save_s)):
                grown = self._lanes.received_bytes - self._saved >= SAVE_BYTES
                if grown or time.monotonic() >= due:
                    self._save()
                    due = time.monotonic() + save_s
            self._save()
        except Exception as error:  # a claim that cannot be kept ends the fetch
            self._lanes.fail(error)

    def _save(self) -> None:
        source, received = self._lanes.source, self._lanes.received_bytes
        if source is None or not source.ranges or received == self._saved:
            return
        done = self._lanes.done
        self._fetch.save(source, done)
        self._fetch.check_during(source, done)
        self._saved = received
