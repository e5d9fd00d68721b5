"""show_chat(): the chat console on this process's session."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.boards.board import DeskBoard, show
from workbench.boards.chat_desk import ChatDesk
from workbench.boards.frames import described, listed, pick
from workbench.boards.home import Home
from workbench.boards.hub_watch import LINK_STATES, said
from workbench.boards.machine import model_hint
from workbench.boards.notebook import Names, Notebook
from workbench.clients.hub import HubClient
from workbench.core.chat_view import Change, ChatView
from workbench.errors import WorkbenchError
from workbench.runtime import Runtime
from workbench.session import Workbench, connect
from workbench.widgets.chat import ChatWidget

FLUSH_S = 0.04
LOOK_S = 1.0
HUB_LOOK_S = 2.0


class ChatBoard(DeskBoard[ChatWidget, ChatDesk]):
    """Wires one ChatWidget to a hub: the view at home, the ChatDesk on the runtime's thread.

    The board has a connection of its own: what it follows is nobody else's business.
    """

    def __init__(
        self,
        home: Home,
        *,
        session: Callable[[], Workbench] = connect,
        background: Runtime | None = None,
        names: Names | None = None,
    ) -> None:
        super().__init__(
            home,
            ChatWidget(dispatch=home.call),
            "chat board",
            draw_s=FLUSH_S,
            session=session,
            background=background,
        )
        self._draft: dict[str, Any] = {}
        self.view = ChatView()
        self._notebook = Notebook(names, self._list_frames)
        self._list_frames()
        self._start()

    def close(self) -> None:
        """Close the board's connection soon; an answer under way goes on at the hub."""
        self._notebook.close()
        super().close()

    # On the runtime's thread

    async def _live(self) -> None:
        workbench = await self._session()
        client = HubClient(locate=lambda: (workbench.hub.ws, workbench.hub.token))
        self._desk = ChatDesk(client, self._tell, self._reply)
        self._hear(client, *LINK_STATES, "chat")
        await client.connect(wait_s=0)
        self._tell("host", await asyncio.to_thread(model_hint, workbench.data))
        await self._keep_fresh(workbench)

    def _heard(self, name: str, data: dict[str, Any]) -> None:
        self._tell(name, data)
        desk = self._desk
        if desk is not None and name == "connected":
            self._spawn(desk.catch_up())
        if desk is not None and data.get("type") == "model:changed":
            self._spawn(desk.list_models())

    async def _keep_fresh(self, workbench: Workbench) -> None:
        """What a page that looks again has missed; a hub that went and came."""
        watched, looked = False, 0.0
        while True:
            await asyncio.sleep(LOOK_S)
            if self.widget.watched and not watched:
                self._drawing.ask()
            watched, looked = self.widget.watched, looked + LOOK_S
            if watched and looked >= HUB_LOOK_S and not self._asked_desk().client.connected:
                looked = 0.0
                await self._watch.look(workbench)

    def _reply(self, kind: str, said: Mapping[str, Any]) -> None:
        self._home.call(lambda: self.widget.reply(kind, **said))

    # At home: the view, the widget

    def _take(self, name: str, data: Any) -> None:
        if name == "chat":
            self._fold(str(data.get("type")), data.get("data"))
        elif name == "opened":
            self._open(data)
        else:
            super()._take(name, data)

    def _flush(self) -> None:
        if self.widget.watched:
            self.widget.streaming = self.view.streaming
        self.widget.flush()

    def _fold(self, kind: str, data: Any) -> None:
        for change in self.view.apply(kind, data):
            self._show(change)
        if kind == "conversation:changed" and isinstance(data, dict):
            self._list_conversation(data.get("conversation"))
        elif kind == "conversation:deleted" and isinstance(data, dict):
            gone = data.get("conversationId")
            kept = [each for each in self.widget.conversations if each.get("id") != gone]
            self.widget.conversations = kept

    def _show(self, change: Change) -> None:
        """One change of the view, told to the widget."""
        widget, data = self.widget, change.data
        match change.kind:
            case "show":
                widget.show(self.view.messages)
                self._show_conversation()
            case "conversation" | "gone":
                self._show_conversation()
                if change.kind == "gone":
                    widget.show([])
            case "add":
                widget.add(data["message"])
            case "chunk":
                widget.chunk(data["messageId"], data["text"])
            case "reason":
                widget.reason(data["messageId"], data["text"])
            case "tool":
                widget.tool(data["messageId"], data["call"])
            case "end":
                widget.end(data["message"])
            case "drop":
                widget.drop(data["messageIds"])
            case "gap":
                self._spawn(self._asked_desk().follow_anew())

    def _show_conversation(self) -> None:
        shown = self.view.conversation or self._draft
        names = ("id", "title", "model", "system", "parameters")
        self.widget.conversation = {name: shown[name] for name in names if name in shown}

    def _list_conversation(self, conversation: Any) -> None:
        """A conversation that changed stands first in the list, unless one is searched for."""
        if not isinstance(conversation, dict) or (self._desk and self._desk.search):
            return
        others = [
            each for each in self.widget.conversations if each.get("id") != conversation.get("id")
        ]
        self.widget.conversations = [conversation, *others]

    def _open(self, conversation_id: int | None) -> None:
        """Show this conversation from its next snapshot on; None for one that is to begin."""
        self.view.want(conversation_id)
        if conversation_id is None:
            self.widget.show([])
            self._show_conversation()

    def _list_frames(self) -> None:
        found = listed(self._notebook.names)
        if found != self.widget.frames:
            self.widget.frames = found

    # Intents

    def _act(self, kind: str, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        handler = self._HANDLERS.get(kind)
        if handler is None:
            super()._act(kind, content, buffers)
        else:
            handler(self, content)

    def _refuse(self, content: Mapping[str, Any], error: WorkbenchError) -> None:
        if content.get("kind") == "send":
            self.widget.reply("refused", clientId=content.get("clientId"), error=said(error))
        else:
            super()._refuse(content, error)

    def _send(self, content: dict[str, Any]) -> None:
        attachments = self._attached(content.get("attachments"))
        conversation_id, draft = self.view.id, dict(self._draft)
        work = self._asked_desk().send(content, attachments, conversation_id, draft)
        self._draft = {}
        self._spawn(work)

    def _attached(self, names: Any) -> list[dict[str, str]]:
        """The frames as they are now, in the words that the preview shows."""
        given = names if isinstance(names, list) else []
        found = [described(str(each), pick(self._notebook.names, str(each))) for each in given]
        return [{"name": each.name, "text": each.text} for each in found]

    def _preview(self, content: dict[str, Any]) -> None:
        name = str(content.get("frame"))
        try:
            frame = described(name, pick(self._notebook.names, name))
        except WorkbenchError as error:
            self.widget.reply("preview", name=name, error=said(error))
            return
        model = (self.view.conversation or self._draft).get("model")
        self._spawn(self._asked_desk().preview(frame, model))

    def _budget(self, content: dict[str, Any]) -> None:
        attached = [each["text"] for each in self._attached(content.get("attachments"))]
        conversation = self.view.conversation or self._draft
        texts = [*attached, str(content.get("draft") or "")]
        budget = self._asked_desk().budget
        self._runtime.call(budget.ask, conversation, list(self.view.messages), texts)

    def _settings(self, content: dict[str, Any]) -> None:
        names = {"pick": ("model",), "rename": ("title",)}.get(
            str(content["kind"]), ("system", "parameters")
        )
        settings = {name: content[name] for name in names if name in content}
        conversation_id = content.get("conversationId", self.view.id)
        if conversation_id is None:
            self._draft |= settings
            self._show_conversation()
        else:
            self._spawn(self._asked_desk().update(conversation_id, settings))

    def _create(self, _content: dict[str, Any]) -> None:
        kept = (self.view.conversation or self._draft).get("model")
        self._draft = {"model": kept} if kept else {}
        self._open(None)
        if self._desk is not None:
            self._spawn(self._desk.open(None))

    def _asked(self, content: dict[str, Any]) -> None:
        """Everything else goes to the hub as it is."""
        work = self._asked_desk().do(str(content["kind"]), content, self.view.id)
        if content["kind"] == "open":
            self._open(int(content["conversationId"]))
        self._spawn(work)

    _HANDLERS: Mapping[str, Callable[[ChatBoard, dict[str, Any]], None]] = {
        "send": _send,
        "preview": _preview,
        "budget": _budget,
        "pick": _settings,
        "rename": _settings,
        "settings": _settings,
        "create": _create,
        **dict.fromkeys(
            (
                *("stop", "regenerate", "edit", "open", "delete", "export", "search", "older"),
                *("load", "unload", "refreshModels", "savePrompt", "deletePrompt", "metrics"),
            ),
            _asked,
        ),
    }


def show_chat() -> ChatWidget:
    """The chat console. Shown again, the board that was there is replaced."""
    return show(ChatBoard)
