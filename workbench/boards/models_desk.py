"""What the model cards ask of a hub, on the runtime's thread; what comes of it is told home."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import msgspec

from workbench.boards.hub_watch import said, tried
from workbench.clients.downloads import DownloadsClient
from workbench.clients.hub import HubClient
from workbench.clients.llm import LanguageClient
from workbench.core.llm import LoadOptions
from workbench.core.wire import convert
from workbench.errors import WorkbenchError

Tell = Callable[[str, Any], None]
Work = Coroutine[Any, Any, Any]

GIVEN = ("choice", "into")
VERBS = ("pause", "resume", "verify", "forget", "cancel", "move")


class ModelsDesk:
    """The models, sources and downloads of one hub, as one board shows them.

    `tell(name, value)` hands home what is shown: the widget's traits, and `step` (model, what is
    under way with it or None), `measure` (model, what came of a benchmark), `chatting`.
    """

    def __init__(self, client: HubClient, tell: Tell) -> None:
        self.client = client
        self.context_size: int | None = None
        """Tokens that memory is reckoned with; None for each model's own default."""
        self._models, self._llm = DownloadsClient(client), LanguageClient(client)
        self._tell = tell
        self._listing = asyncio.Lock()
        self._wanting = self._anew = False
        self._asked = 0
        self._under_way: dict[str, asyncio.Task[Any]] = {}

    async def close(self) -> None:
        await self.client.disconnect()

    # Shown without being asked

    async def catch_up(self) -> None:
        """After each connection, and when a page looks again: everything."""
        if not self.client.connected:
            return
        await self._llm.models()  # from now on the hub says when models change
        await self._downloads()
        await self.cards()
        self._tell("problem", None)

    async def _downloads(self) -> None:
        """As they stand, and from now on with each change."""
        self._tell("downloads", msgspec.to_builtins(await self._models.downloads()))

    async def cards(self, *, refresh: bool = False) -> None:
        """What there is and whether it fits now. Of many that ask at once the last is asked
        for."""
        self._wanting, self._anew = True, self._anew or refresh
        async with self._listing:
            if not self._wanting or not self.client.connected:
                return
            anew, self._wanting, self._anew = self._anew, False, False
            found = await self._models.cards(context_size=self.context_size, refresh=anew)
            self._tell("models", found)

    # At a person's word

    def do(self, kind: str, content: Mapping[str, Any]) -> Work:
        """The work for an intent that goes to the hub."""
        model = str(content.get("model"))
        if kind in VERBS:
            return tried(lambda: self._verb(kind, content), self._tell)
        works: dict[str, Callable[[], Work]] = {
            "catchUp": self.catch_up,
            "cards": self.cards,
            "refresh": lambda: self.cards(refresh=True),
            "context": lambda: self._reckon(content.get("contextSize")),
            "find": lambda: self._find(str(content.get("source"))),
            "download": lambda: self._download(content),
            "load": lambda: self._alone(model, self._load(model, content.get("options"))),
            "unload": lambda: self._then_cards(self._llm.unload(model)),
            "benchmark": lambda: self._alone(model, self._measure(model)),
            "stop": lambda: self._stop(model),
            "delete": lambda: self._then_cards(self._models.delete(model)),
            "chat": lambda: self._chat(model),
        }
        return tried(works[kind], self._tell)

    async def _then_cards(self, work: Work) -> None:
        await work
        await self.cards()

    async def _reckon(self, context_size: Any) -> None:
        self.context_size = context_size
        await self.cards()

    async def _verb(self, verb: str, content: Mapping[str, Any]) -> None:
        """Of one download. Everybody who looks hears of the change; whoever asked, at once."""
        download_id = str(content.get("downloadId"))
        if verb == "cancel":
            await self._models.cancel(download_id, keep=bool(content.get("keep")))
        elif verb == "move":
            await self._models.move(download_id, int(content.get("position") or 0))
        else:
            await getattr(self._models, verb)(download_id)
        await self._downloads()

    async def _find(self, source: str) -> None:
        """What there is at a source. Of several asked for, the last counts."""
        self._asked += 1
        mine = self._asked
        nothing: dict[str, Any] = {"cards": [], "hits": []}
        told = {"text": source, "busy": False, "error": None, **nothing}
        self._tell("found", {**told, "busy": True})
        try:
            told |= _short(await self._models.find(source))
        except WorkbenchError as error:
            told["error"] = said(error)
        if mine == self._asked:
            self._tell("found", told)

    def forget_found(self) -> None:
        """What was asked for last is no longer wanted."""
        self._asked += 1

    async def _download(self, content: Mapping[str, Any]) -> None:
        choice, into = (str(content[name]) if content.get(name) else None for name in GIVEN)
        await self._models.download(str(content.get("source")), choice, into=into)
        await self._downloads()

    # What takes its time with one model, and can be stopped

    async def _alone(self, model: str, work: Work) -> None:
        """One thing at a time with one model: a second press of the button does nothing."""
        if model in self._under_way:
            work.close()
            return
        task = self._under_way[model] = asyncio.ensure_future(work)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        finally:
            task.cancel()
            self._under_way.pop(model, None)

    async def _stop(self, model: str) -> None:
        """Whoever stops waiting for it stops the work at the hub."""
        if model in self._under_way:
            self._under_way[model].cancel()

    async def _load(self, model: str, options: Any) -> None:
        def told(step: Mapping[str, Any]) -> None:
            now = {"done": step.get("done"), "waiting": step.get("waiting")}
            self._tell("step", (model, now))

        self._tell("step", (model, {"done": None, "waiting": None}))
        try:
            await self._llm.load(model, convert(options or {}, LoadOptions), told=told)
        finally:
            self._tell("step", (model, None))
        await self.cards()

    async def _measure(self, model: str) -> None:
        self._tell("measure", (model, {"state": "running"}))
        found: dict[str, Any] | None = None
        try:
            result = msgspec.to_builtins(await self._llm.benchmark(model))
            found = {"result": {name: result[name] for name in MEASURED}}
        except WorkbenchError as error:
            found = {"error": said(error)}
        finally:
            self._tell("measure", (model, found))
        await self.cards()

    async def _chat(self, model: str) -> None:
        """A conversation with this model, first in the list of every chat console."""
        await self.client.ask("conversation:create", {"model": model})
        self._tell("chatting", {"model": model, "where": "list"})


MEASURED = (
    *("model", "backend", "ttftMs", "tokensPerSecond", "promptTokensPerSecond"),
    *("memoryBytes", "memoryMeasured"),
)


def _short(found: Mapping[str, Any]) -> dict[str, Any]:
    """An answer of `model:find` without the lists of files, which nothing shows."""
    repository = found.get("repository")
    cards: Sequence[Any] = found.get("cards") or ()
    if isinstance(repository, dict):
        unshown = ("files", "choices")
        repository = {name: each for name, each in repository.items() if name not in unshown}
    return {"repository": repository, "cards": list(cards), "hits": found.get("hits") or []}
