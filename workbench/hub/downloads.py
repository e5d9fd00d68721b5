"""What `model:*` asks about models to have on this machine: cards, sources, downloads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol
from weakref import WeakSet

import msgspec

from workbench.core import models_wire as wire
from workbench.core.downloads import ENDED, Download, Wanted
from workbench.core.hub_wire import HubMessage, message
from workbench.listener import Connection

TOLD_S = 0.25
"""Progress is sent so often at most."""


class Downloads(Protocol):
    """The queue of downloads, as far as a connection reaches it."""

    def list(self) -> Sequence[Download]: ...

    def watch(self, watcher: Callable[[Download], None]) -> Callable[[], None]: ...

    async def add(self, wanted: Wanted) -> Download: ...

    async def pause(self, download_id: str) -> Download: ...

    async def resume(self, download_id: str) -> Download: ...

    async def cancel(self, download_id: str, keep: bool) -> Download: ...

    async def verify(self, download_id: str) -> Download: ...

    async def move(self, download_id: str, position: int) -> Download: ...

    async def forget(self, download_id: str) -> None: ...


class Library(Protocol):
    """The models that there are, here and at their sources."""

    async def cards(self, *, refresh: bool, context_size: int | None) -> msgspec.Struct: ...

    async def find(self, source: str) -> msgspec.Struct: ...

    async def wanted(
        self, source: str, choice: str | None, into: str | None = None, path: str | None = None
    ) -> Wanted: ...

    async def delete(self, model: str) -> None: ...


class DownloadDesk:
    """One for all connections: every viewer sees the same downloads."""

    def __init__(self, downloads: Downloads, library: Library) -> None:
        self._downloads, self._library = downloads, library
        self._viewers: WeakSet[Connection] = WeakSet()
        self._due: asyncio.TimerHandle | None = None
        self._leave = downloads.watch(self._changed)

    def close(self) -> None:
        """Tell nobody anything more."""
        self._leave()
        if self._due is not None:
            self._due.cancel()

    async def cards(self, connection: Connection, request: wire.ModelCards) -> None:
        """Every model, and whether it fits."""
        wanted = request.data or wire.CardsWanted()
        found = await self._library.cards(refresh=wanted.refresh, context_size=wanted.context_size)
        self._answer(connection, request, "model:cards", found)

    async def find(self, connection: Connection, request: wire.ModelFind) -> None:
        """What a source has."""
        found = await self._library.find(request.data.source)
        self._answer(connection, request, "model:found", found)

    async def download(self, connection: Connection, request: wire.ModelDownload) -> None:
        """Begin, or queue. What is fetched is what the source says now, not what a client says."""
        asked = request.data
        wanted = await self._library.wanted(asked.source, asked.choice, asked.into, asked.path)
        self._answer(connection, request, "model:queued", await self._downloads.add(wanted))

    async def listing(self, connection: Connection, request: wire.ModelDownloads) -> None:
        """All of them, now and whenever one changes."""
        self._viewers.add(connection)
        connection.send(message("model:downloads", self._listed(), request.request_id))

    async def pause(self, connection: Connection, request: wire.ModelPause) -> None:
        """Stop for now."""
        self._told(connection, request, await self._downloads.pause(request.data.download_id))

    async def resume(self, connection: Connection, request: wire.ModelResume) -> None:
        """Go on."""
        self._told(connection, request, await self._downloads.resume(request.data.download_id))

    async def cancel(self, connection: Connection, request: wire.ModelCancel) -> None:
        """Stop for good."""
        asked = request.data
        ended = await self._downloads.cancel(asked.download_id, asked.keep)
        self._told(connection, request, ended)

    async def verify(self, connection: Connection, request: wire.ModelVerify) -> None:
        """Compare the files with what their source declares."""
        self._told(connection, request, await self._downloads.verify(request.data.download_id))

    async def move(self, connection: Connection, request: wire.ModelMove) -> None:
        """Another place in the queue."""
        asked = request.data
        self._told(
            connection, request, await self._downloads.move(asked.download_id, asked.position)
        )

    async def forget(self, connection: Connection, request: wire.ModelForget) -> None:
        """Off the list."""
        await self._downloads.forget(request.data.download_id)
        self._changed()
        self._answer(connection, request, "model:forgotten", request.data)

    async def delete(self, connection: Connection, request: wire.ModelDelete) -> None:
        """Delete a model's files."""
        model = request.data.model
        await self._library.delete(model)
        for each in self._downloads.list():
            if each.model == model and each.state in ENDED:  # it tells of files that are gone
                await self._downloads.forget(each.download_id)
        self._changed()
        self._answer(connection, request, "model:deleted", request.data)

    def _changed(self, _download: Download | None = None) -> None:
        if self._due is None and self._viewers:
            self._due = asyncio.get_running_loop().call_later(TOLD_S, self._publish)

    def _publish(self) -> None:
        self._due = None
        frame = message("model:downloads", self._listed())
        for connection in list(self._viewers):
            connection.offer("downloads", frame)

    def _listed(self) -> dict[str, Any]:
        return {"downloads": msgspec.to_builtins(tuple(self._downloads.list()))}

    def _told(self, connection: Connection, request: HubMessage, download: Download) -> None:
        self._answer(connection, request, "model:transfer", download)

    def _answer(
        self, connection: Connection, request: HubMessage, kind: str, found: msgspec.Struct
    ) -> None:
        data = msgspec.to_builtins(found)
        connection.send(message(kind, data, request.request_id))
