"""DownloadsClient: the models of a hub's machine, what sources have, and downloads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from workbench.clients.hub import HubClient
from workbench.clients.reading import given, read, read_list
from workbench.core.downloads import ENDED, Download
from workbench.errors import InputError

ASKED_S = 5.0

Told = Callable[[Download], object]


class DownloadsClient:
    """Asks one hub. Async; on the loop of its HubClient.

    Downloads belong to the hub: they go on without this client, over restarts, and every client
    sees the same ones.
    """

    def __init__(self, client: HubClient) -> None:
        self.client = client

    async def cards(
        self, *, context_size: int | None = None, refresh: bool = False
    ) -> dict[str, Any]:
        """`cards` and `machine`, keys as on the wire; memory is reckoned for conversations of
        `context_size` tokens."""
        asked = given(refresh=refresh, contextSize=context_size)
        return dict(await self.client.ask("model:cards", asked))

    async def find(self, source: str) -> dict[str, Any]:
        """What there is at `org/name`, an address on the Hugging Face hub, or a file's URL, or
        which repositories words find; keys as on the wire."""
        return dict(await self.client.ask("model:find", {"source": source}))

    async def download(
        self,
        source: str,
        choice: str | None = None,
        *,
        into: str | None = None,
        path: str | None = None,
    ) -> Download:
        """Begin one, or queue it; the one that is there already where the same is asked again.

        `into` names a back end that is to fetch it onto its own disk: `ollama`, `lmstudio`.
        `path` is where the file of a URL is kept, below the models folder.
        """
        asked = given(source=source, choice=choice, into=into, path=path)
        return read(await self.client.ask("model:download", asked), Download)

    async def downloads(self) -> list[Download]:
        """All of them, in the order of the queue. From now on each change comes as a message
        `model:downloads`, which is the client's event `chat`."""
        answer = await self.client.ask("model:downloads")
        return read_list(answer, "downloads", Download)

    async def pause(self, download_id: str) -> Download:
        """Stop for now; what is there is kept, and `resume` goes on. Refused, as `cancel` is, for
        what LM Studio fetches: only it can stop that."""
        return await self._one("model:pause", download_id)

    async def resume(self, download_id: str) -> Download:
        """Go on with a paused, failed or cancelled one."""
        return await self._one("model:resume", download_id)

    async def cancel(self, download_id: str, *, keep: bool) -> Download:
        """Stop for good; `keep` says whether what is there stays for a later `resume`."""
        return await self._one("model:cancel", download_id, keep=keep)

    async def verify(self, download_id: str) -> Download:
        """Read the files of a finished one again and compare their sha256."""
        return await self._one("model:verify", download_id)

    async def move(self, download_id: str, position: int) -> Download:
        """Another place in the queue, from 0."""
        return await self._one("model:move", download_id, position=position)

    async def forget(self, download_id: str) -> None:
        """Take an ended one off the list; its files stay."""
        await self.client.ask("model:forget", {"downloadId": download_id})

    async def delete(self, model: str) -> None:
        """Delete a model's files from the models folder."""
        await self.client.ask("model:delete", {"model": model})

    async def ended(self, download_id: str, told: Told | None = None) -> Download:
        """Wait until one is done, failed or cancelled; `told` hears each change. Whoever stops
        waiting stops nothing. Raises InputError once it is on the list no more."""
        changes: asyncio.Queue[list[Download]] = asyncio.Queue()

        def heard(message: dict[str, Any]) -> None:
            if message.get("type") == "model:downloads":
                changes.put_nowait(read_list(message.get("data"), "downloads", Download))

        leave = self.client.on("chat", heard)
        try:
            changes.put_nowait(await self.downloads())
            while True:
                now = {each.download_id: each for each in await self._next(changes)}
                if self.client.connected and download_id not in now:
                    raise InputError.field("downloadId", download_id, "one that is on the list")
                if told and download_id in now:
                    told(now[download_id])
                if download_id in now and now[download_id].state in ENDED:
                    return now[download_id]
        finally:
            leave()

    async def _next(self, changes: asyncio.Queue[list[Download]]) -> list[Download]:
        """What changed; asked for again after a silence, for a new connection follows nothing."""
        try:
            async with asyncio.timeout(ASKED_S):
                return await changes.get()
        except TimeoutError:
            return await self.downloads() if self.client.connected else []

    async def _one(self, kind: str, download_id: str, **more: Any) -> Download:
        return read(await self.client.ask(kind, {"downloadId": download_id, **more}), Download)
