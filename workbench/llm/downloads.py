"""The queue of downloads: in order, some at a time, kept over a restart of the hub."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

import msgspec

from workbench.byte_ranges import Ranges
from workbench.core.download_states import Verb, after_restart, check, ended_by
from workbench.core.downloads import ENDED, Download, RemoteFile, Wanted, check_wanted
from workbench.core.sentence import Sentence
from workbench.errors import InputError, StoreError, WorkbenchError
from workbench.llm.bandwidth import Bandwidth
from workbench.llm.download_entry import Entry, OnDisk
from workbench.llm.download_journal import Journal, JournalFile, Kept
from workbench.llm.download_work import Pulling, Work, no_pulls
from workbench.llm.fetching import CONNECTIONS, KEEP_FREE_BYTES, Told
from workbench.llm.lanes import Patience

log = logging.getLogger(__name__)

DOWNLOAD_LIMIT = 200
TOLD_S = 0.25
"""Progress is told this often at most; a change of state at once."""

Given = ParamSpec("Given")
Result = TypeVar("Result")
Watcher = Callable[[Download], None]


def _in_turn(
    call: Callable[Concatenate[Downloads, Given], Coroutine[None, None, Result]],
) -> Callable[Concatenate[Downloads, Given], Coroutine[None, None, Result]]:
    """One change after the other: none begins on what another is still ending or deleting."""

    @wraps(call)
    async def turned(downloads: Downloads, /, *args: Given.args, **more: Given.kwargs) -> Result:
        async with downloads.turn:
            return await call(downloads, *args, **more)

    return turned


class Downloads:
    """Downloads into one folder, and those of back ends onto their own disks. Everything is
    called on one loop; `start` comes first.

    `headers` gives what is sent with a file's URL, such as a token; it is never kept and goes
    to no other host. `pulls` gives the way to have a model at a back end. Each call that changes
    something returns once that is on the disk.
    """

    def __init__(
        self,
        folder: Path,
        ranges: Ranges,
        journal: Journal | None = None,
        *,
        at_once: int = 2,
        cap_bytes_s: float | None = None,
        connections: int = CONNECTIONS,
        headers: Callable[[RemoteFile], Mapping[str, str]] = lambda file: {},
        pulls: Pulling = no_pulls,
        patience: Patience | None = None,
        keep_free_bytes: int = KEEP_FREE_BYTES,
    ) -> None:
        self.cap = Bandwidth(cap_bytes_s)
        self._disk, self._at_once = OnDisk(folder), at_once
        self._journal = journal or JournalFile(folder)
        self._work = Work(
            self._disk,
            ranges,
            self._hear,
            cap=self.cap,
            connections=connections,
            headers=headers,
            pulls=pulls,
            patience=patience or Patience(),
            keep_free_bytes=keep_free_bytes,
            threads=at_once + 2,
        )
        self._entries: list[Entry] = []
        self._watchers: list[Watcher] = []
        self._saving, self.turn = asyncio.Lock(), asyncio.Lock()
        self._open = False

    async def start(self) -> None:
        """Read what was kept, and go on with what was under way."""
        for kept in await asyncio.to_thread(self._journal.load):
            entry = Entry(msgspec.structs.replace(kept, state=after_restart(kept.state)))
            entry.done = await asyncio.to_thread(self._disk.done_bytes, entry)
            self._entries.append(entry)
        self._open = True
        self._fill()

    async def close(self) -> None:
        """Stop what runs; the next `start` goes on with it."""
        self._open = False
        running = [entry for entry in self._entries if entry.task]
        for entry in running:
            entry.halt()
        await asyncio.gather(*(entry.task for entry in running if entry.task))
        with contextlib.suppress(StoreError):
            await self._save()
        self._work.close()

    def list(self) -> tuple[Download, ...]:
        return tuple(entry.shown(at) for at, entry in enumerate(self._entries))

    def wanted(self, download_id: str) -> Wanted:
        """What one is to fetch."""
        return self._find(download_id).kept.wanted

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` with each download that changed; the result ends that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher) if watcher in self._watchers else None

    @_in_turn
    async def add(self, wanted: Wanted) -> Download:
        """Put it at the end of the queue. One that is under way already is given back."""
        check_wanted(wanted)
        before = next((entry for entry in self._entries if entry.is_for(wanted)), None)
        if before is not None and before.state not in ENDED:
            before.check_same(wanted)
            return self._shown(before)
        if len(self._entries) >= DOWNLOAD_LIMIT:
            raise InputError(
                "there are {limit} downloads already: forget some that are over",
                limit=DOWNLOAD_LIMIT,
            )
        if before is not None:
            await self._settled(before)
            self._entries.remove(before)
        count = wanted.parts
        existed = await asyncio.to_thread(self._disk.existed, wanted)
        entry = Entry(
            Kept(
                download_id=secrets.token_hex(8),
                wanted=wanted,
                state="queued",
                created_at=time.time_ns() // 1_000_000,
                done=(0,) * count,
                sha256=(None,) * count,
                existed=existed,
            )
        )
        self._entries.append(entry)
        return await self._changed(entry)

    @_in_turn
    async def pause(self, download_id: str) -> Download:
        entry = self._allowed("pause", download_id)
        entry.check_stoppable()
        if not await self._settled(entry):
            entry.becomes("paused")
        return await self._changed(entry)

    @_in_turn
    async def resume(self, download_id: str) -> Download:
        return await self._again(self._allowed("resume", download_id))

    @_in_turn
    async def cancel(self, download_id: str, keep: bool) -> Download:
        """End it. Unless `keep`, whatever it has fetched is deleted."""
        entry = self._allowed("cancel", download_id)
        entry.check_stoppable()
        await self._settled(entry)
        if entry.state == "done":  # meanwhile, or it was only being verified
            return await self._changed(entry)
        entry.becomes("cancelled", kept_partial=keep and sum(entry.done) > 0)
        if not keep:
            await asyncio.to_thread(self._disk.delete, entry)
            entry.clear()
        return await self._changed(entry)

    @_in_turn
    async def verify(self, download_id: str) -> Download:
        """Hash its files again; one that differs makes it failed, and a retry fetches it."""
        entry = self._allowed("verify", download_id)
        if entry.kept.wanted.backend:
            raise InputError(
                "{backend} has verified {model} itself: no file of it is in the models folder",
                backend=entry.kept.wanted.backend,
                model=entry.model,
            )
        if not all(entry.kept.sha256):
            return await self._again(entry)
        entry.becomes("verifying")
        entry.checking = True
        self._begin(entry, self._work.verify(entry))
        return await self._changed(entry)

    @_in_turn
    async def move(self, download_id: str, position: int) -> Download:
        """Give it another place in the queue; what runs goes on."""
        entry = self._find(download_id)
        self._entries.remove(entry)
        self._entries.insert(max(0, min(position, len(self._entries))), entry)
        shown = await self._changed(entry)
        for other in self._entries:
            if other is not entry:
                self._tell(other)
        return shown

    @_in_turn
    async def forget(self, download_id: str) -> None:
        """Take it off the list. Files that are whole stay; a partial one is deleted."""
        entry = self._allowed("forget", download_id)
        await self._settled(entry)
        await asyncio.to_thread(self._disk.delete_parts, entry)
        self._entries.remove(entry)
        await self._save()
        for other in self._entries:
            self._tell(other)

    def _find(self, download_id: str) -> Entry:
        for entry in self._entries:
            if entry.kept.download_id == download_id:
                return entry
        raise InputError.field("downloadId", download_id, "the id of a download that is listed")

    def _allowed(self, verb: Verb, download_id: str) -> Entry:
        entry = self._find(download_id)
        check(verb, entry.model, entry.state)
        return entry

    async def _settled(self, entry: Entry) -> bool:
        """Wait until nothing works on it any more; whether it has ended by itself meanwhile."""
        while entry.task is not None:
            entry.halt()
            await asyncio.wait([entry.task])
        return entry.state in ENDED

    async def _again(self, entry: Entry) -> Download:
        entry.becomes("queued")
        return await self._changed(entry)

    async def _changed(self, entry: Entry) -> Download:
        """Keep it, let the queue go on, and tell everybody."""
        self._tell(entry)
        try:
            await self._save()
        finally:
            self._fill()
        return self._shown(entry)

    async def _save(self) -> None:
        async with self._saving:
            kept = tuple(entry.kept for entry in self._entries)
            await asyncio.to_thread(self._journal.save, kept)

    def _shown(self, entry: Entry) -> Download:
        return entry.shown(self._entries.index(entry))

    def _tell(self, entry: Entry) -> None:
        if entry not in self._entries:
            return
        entry.told_at = time.monotonic()
        shown = self._shown(entry)
        for watcher in tuple(self._watchers):
            watcher(shown)

    def _fill(self) -> None:
        """Begin with those whose turn it is."""
        for entry in self._entries:
            running = sum(other.task is not None for other in self._entries)
            if not self._open or running >= self._at_once:
                return
            if entry.state == "queued" and entry.task is None:
                entry.becomes("resolving")
                self._begin(entry, self._work.fetch(entry))
                self._tell(entry)

    def _begin(self, entry: Entry, work: Coroutine[None, None, None]) -> None:
        entry.stop = threading.Event()
        entry.task = asyncio.create_task(self._guarded(entry, work))

    async def _guarded(self, entry: Entry, work: Coroutine[None, None, None]) -> None:
        """Do it, and turn whatever ends it into a state."""
        try:
            await work
        except WorkbenchError as error:
            state, remedy = ended_by(error)
            entry.becomes(state, Sentence(error.template, error.values), remedy)
        except Exception as error:
            log.exception("downloads.failed", extra={"model": entry.model})
            reason = Sentence(
                "{model} could not be fetched: {reason}",
                {"model": entry.model, "reason": type(error).__name__},
            )
            entry.becomes("failed", reason, "retry")
        finally:
            entry.task, entry.checking = None, False
        if not entry.stop.is_set():
            self._tell(entry)
        with contextlib.suppress(StoreError):  # a full disk; what is kept is then a little old
            await self._save()
        self._fill()

    def _hear(self, entry: Entry, stop: threading.Event, index: int, told: Told) -> None:
        if stop.is_set() or stop is not entry.stop or entry.task is None:
            return  # it came late
        now = time.monotonic()
        if entry.hear(index, told, now) or now - entry.told_at >= TOLD_S:
            self._tell(entry)
