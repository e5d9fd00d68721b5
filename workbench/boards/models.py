"""show_models(): the model cards and downloads on this process's session."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.boards.board import show, shown
from workbench.boards.chat import ChatBoard
from workbench.boards.home import Home
from workbench.boards.hub_watch import LINK_STATES
from workbench.boards.looked_at import LOOK_S, LookedAtBoard
from workbench.boards.models_desk import VERBS, ModelsDesk
from workbench.clients.hub import HubClient
from workbench.runtime import Runtime
from workbench.session import Workbench, connect
from workbench.widgets.models import ModelsWidget

DRAW_S = 0.2
CARDS_S = 30.0
"""What is free of GPU, memory and disk is asked for again so often."""
CONTEXT = (16, 16_777_216)

Chat = Callable[[str], bool]
"""Lets a chat console of this process ask a model; False where there is none."""


def no_console(_model: str) -> bool:
    """There is no chat console in this process."""
    return False


class ModelsBoard(LookedAtBoard[ModelsWidget, ModelsDesk]):
    """Wires one ModelsWidget to a hub. Downloads belong to the hub: closing this ends none.

    While no page looks, nothing is drawn and no card is asked for.
    """

    def __init__(
        self,
        home: Home,
        *,
        session: Callable[[], Workbench] = connect,
        background: Runtime | None = None,
        chat: Chat = no_console,
    ) -> None:
        widget = ModelsWidget(dispatch=home.call)
        super().__init__(
            home,
            widget,
            "models board",
            draw_s=DRAW_S,
            session=session,
            background=background,
        )
        self._chat = chat
        self._shown_s = 0.0  # since what is free was last asked for
        self._start()

    # On the runtime's thread

    async def _live(self) -> None:
        workbench = await self._session()
        client = HubClient(locate=lambda: (workbench.hub.ws, workbench.hub.token))
        self._desk = ModelsDesk(client, self._tell)
        self._hear(client, *LINK_STATES, "chat")
        if self.widget.watched:
            self._looked_at.set()
        await client.connect(wait_s=0)
        await self._keep_fresh(workbench)

    def _heard(self, name: str, data: dict[str, Any]) -> None:
        if name != "chat":
            self._tell(name, data)
            if name == "connected" and self.widget.watched:
                self._work("catchUp", {})
        elif not self.widget.watched:
            return  # a page that looks again is caught up with
        elif data.get("type") == "model:downloads":
            self._hear_downloads(data.get("data"))
        elif data.get("type") == "model:changed":
            self._work("cards", {})

    def _hear_downloads(self, data: Any) -> None:
        downloads = data.get("downloads") if isinstance(data, dict) else None
        if isinstance(downloads, list):
            self._tell("downloads", downloads)

    def _freshen(self) -> None:
        self._shown_s += LOOK_S
        if self._shown_s >= CARDS_S:
            self._shown_s = 0.0
            self._work("cards", {})

    def _look(self) -> None:
        """A page looks (again)."""
        self._looked_at.set()
        if self._desk is not None:
            self._work("catchUp", {})

    # At home: the widget

    def _take(self, name: str, data: Any) -> None:
        if name == "models":
            self.widget.cards = data.get("cards") or []
            self.widget.machine = data.get("machine") or {}
            self.widget.fetchers = data.get("fetchers") or []
            self.widget.listed = True
        elif name == "downloads":
            self._take_downloads(data)
        elif name == "step":
            self.widget.loading = _with(self.widget.loading, *data)
        elif name == "measure":
            self.widget.benchmarks = _with(self.widget.benchmarks, *data)
        elif name == "chatting":
            self._say_chat(data)
        else:
            super()._take(name, data)

    def _take_downloads(self, downloads: list[dict[str, Any]]) -> None:
        """What has become whole, or was there before, is a model now, or none any more."""
        before, now = (_ended(each) for each in (self.widget.downloads, downloads))
        self.widget.downloads = downloads
        if now != before and self.widget.listed:
            self._work("cards", {})

    def _say_chat(self, told: Mapping[str, Any]) -> None:
        named = [each for each in self.widget.cards if _name(each) == told["model"]]
        title = named[0]["title"] if named else str(told["model"])
        self.widget.reply("chatting", **told, title=title)

    def _flush(self) -> None:
        """Each trait was set as it was told."""

    # Intents, at home

    def _watched(self, watched: bool) -> None:
        if watched:
            self._runtime.call(self._look)

    def _act(self, kind: str, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        if kind == "seen":
            self.widget.problem = None
        elif kind == "closeFound":
            self._runtime.call(self._asked_desk().forget_found)
            self.widget.found = None
        elif kind == "context":
            size = _tokens(content.get("contextSize"))
            self.widget.options = {**self.widget.options, "contextSize": size}
            self._work(kind, {"contextSize": size})
        elif kind == "chat" and self._chat(str(content.get("model"))):
            self._say_chat({"model": content.get("model"), "where": "console"})
        elif kind in INTENTS:
            self._work(kind, content)
        else:
            super()._act(kind, content, buffers)

    def _work(self, kind: str, content: Mapping[str, Any]) -> None:
        self._spawn(self._asked_desk().do(kind, content))


INTENTS = (
    *VERBS,
    *("find", "download", "load", "unload", "benchmark", "stop", "delete", "chat", "refresh"),
)


def _with(known: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """`known` with another value of one name; None takes it out."""
    changed = {**known, name: value}
    return changed if value is not None else {key: known[key] for key in known if key != name}


def _ended(downloads: Sequence[Mapping[str, Any]]) -> set[str]:
    return {str(each["downloadId"]) for each in downloads if each["state"] == "done"}


def _name(card: Mapping[str, Any]) -> str:
    """As everything that is asked of a model names it."""
    return f"{card['id']}@{card['backend']}" if card.get("backend") else str(card["id"])


def _tokens(value: Any) -> int | None:
    """A size of context within what can be loaded; anything else is none."""
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
        return None
    return int(min(max(value, CONTEXT[0]), CONTEXT[1]))


def show_models() -> ModelsWidget:
    """The model cards. Shown again, the board that was there is replaced."""
    return show(_with_the_console)


def _with_the_console(home: Home) -> ModelsBoard:
    return ModelsBoard(home, chat=_ask_in_the_console)


def _ask_in_the_console(model: str) -> bool:
    """The chat console of this process, if there is one, asks this model from now on."""
    console = shown(ChatBoard)
    if console is not None:
        console.widget.receive({"kind": "pick", "model": model})
    return console is not None
