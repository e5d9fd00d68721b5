"""The work of one download: its files fetched here, or a back end followed that fetches it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

from workbench.byte_ranges import Ranges
from workbench.core.downloads import RemoteFile
from workbench.errors import LinkError, StoreError
from workbench.llm.bandwidth import Bandwidth
from workbench.llm.download_entry import Entry, OnDisk
from workbench.llm.fetching import Fetch, Told
from workbench.llm.hashing import hash_file
from workbench.llm.lanes import Patience
from workbench.llm.pulls import Following, Pull

Result = TypeVar("Result")
Heard = Callable[[Entry, threading.Event, int, Told], None]
"""Told, on the loop, what became of one part of an entry; the event is the `stop` of its work."""
Pulling = Callable[[str, str], Awaitable[Pull]]
"""Gives the way to have a model at a back end, (name of the back end, model). Raises LinkError
while that one is away."""


class Damaged(StoreError):
    """A file is not as it was fetched."""

    code = "damaged"


async def no_pulls(backend: str, model: str) -> Pull:
    """For a queue that knows no back ends."""
    raise LinkError("{backend} is not connected: start it, then resume", backend=backend)


class Work:
    """Does what an entry wants. For one loop; what blocks runs in threads of its own."""

    def __init__(
        self,
        disk: OnDisk,
        ranges: Ranges,
        heard: Heard,
        *,
        cap: Bandwidth,
        connections: int,
        headers: Callable[[RemoteFile], Mapping[str, str]],
        pulls: Pulling,
        patience: Patience,
        keep_free_bytes: int,
        threads: int,
    ) -> None:
        self._disk, self._ranges, self._heard = disk, ranges, heard
        self._cap, self._connections, self._headers = cap, connections, headers
        self._pulls, self._patience, self._keep_free = pulls, patience, keep_free_bytes
        self._threads = ThreadPoolExecutor(threads, "download")

    def close(self) -> None:
        self._threads.shutdown(wait=False)
        self._ranges.close()

    async def fetch(self, entry: Entry) -> None:
        """Have all of it; without an end where its `stop` came first."""
        await (self._follow(entry) if entry.kept.wanted.backend else self._fetch_files(entry))

    async def verify(self, entry: Entry) -> None:
        """Hash its files again. Raises Damaged."""
        loop, stop = asyncio.get_running_loop(), entry.stop
        for index, file in enumerate(entry.kept.wanted.files):
            size, path = entry.done[index], self._disk.place(file.name)

            def told(checked: int, index: int = index, size: int = size) -> None:
                what = Told(state="verifying", done_bytes=checked, total_bytes=size)
                loop.call_soon_threadsafe(self._heard, entry, stop, index, what)

            if not await asyncio.to_thread(path.is_file):
                entry.damaged(index)
                raise Damaged("{file} is no longer there: fetch it again", file=file.name)
            found = await self._in_thread(partial(hash_file, path, stop, told))
            entry.done[index] = size
            if found is None:
                break
            if found != entry.kept.sha256[index]:
                entry.damaged(index)
                await asyncio.to_thread(self._disk.unname, file.name)
                raise Damaged("{file} is damaged on the disk: fetch it again", file=file.name)
        entry.becomes("done")

    async def _fetch_files(self, entry: Entry) -> None:
        """One after the other."""
        stop = entry.stop
        for index, file in enumerate(entry.kept.wanted.files):
            if await asyncio.to_thread(self._disk.is_whole, entry, index):
                continue
            found = await self._in_thread(self._fetch_of(entry, index, file).run)
            if found is None:
                return
            entry.finished(index, found.size_bytes, found.sha256)
            if stop.is_set() and index + 1 < len(entry.done):
                return
        entry.becomes("done")

    def _fetch_of(self, entry: Entry, index: int, file: RemoteFile) -> Fetch:
        loop, stop = asyncio.get_running_loop(), entry.stop

        def told(what: Told) -> None:
            loop.call_soon_threadsafe(self._heard, entry, stop, index, what)

        return Fetch(
            self._ranges,
            file,
            self._disk.place(file.name),
            told=told,
            stop=stop,
            connections=self._connections,
            cap=self._cap,
            headers=self._headers(file),
            patience=self._patience,
            keep_free_bytes=self._keep_free,
        )

    async def _follow(self, entry: Entry) -> None:
        wanted, stop = entry.kept.wanted, entry.stop
        if stop.is_set():
            return
        find = partial(self._pulls, wanted.backend, wanted.model)
        entry.following = Following(find, partial(self._heard, entry, stop, 0), self._patience)
        try:
            if await entry.following.run():
                entry.becomes("done")
        finally:
            entry.following = None

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
