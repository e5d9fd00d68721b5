"""The chat console as a widget: what a board tells it comes down, what a person wants goes up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import traitlets

from workbench.widgets.bundle import script, style
from workbench.widgets.chat_state import ChatState
from workbench.widgets.link import LinkedWidget

TRAITS = (
    *("connection", "models", "backends", "current", "loading", "conversation", "conversations"),
    *("more", "streaming", "prompts", "frames", "budget", "problem", "host"),
)


class ChatWidget(LinkedWidget):
    """Draws a `ChatState` and small traits; messages travel as numbered deltas of drawn HTML.

    A sentence is `{"template", "values", "text"}`; instants are ms since the epoch; names of
    fields are those of core/chat.py and core/llm.py on the wire. Intents that the board answers:

    send {message, clientId, attachments: [frame names], images: [{mediaType, data: base64}],
    model, system, parameters}, stop, regenerate {messageId, model}, edit {messageId, message,
    model}, open {conversationId}, create, rename {conversationId, title}, delete
    {conversationId}, export {conversationId, format}, search {text}, older (of the list of
    conversations), pick {model}, load {model}, unload {model}, refreshModels, settings {system,
    parameters}, preview {frame}, savePrompt {name, content, title, promptKind}, deletePrompt
    {name, promptKind}, budget {draft, attachments}, metrics {messageId}, startHub, restartHub.

    Replies: sent {clientId, messageId}, refused {clientId, error}, preview {name, text, rows,
    tokens, error}, export {name, mediaType, content}, promptSaved {name},
    promptRefused {error}, metrics {messageId, metrics or error}.
    """

    _esm = script("chat.js")
    _css = style("base.css", "chat.css")

    connection = traitlets.Dict(
        help="{state, url, attempt, maxAttempts, retryAt, error, hub: absent | starting}"
    ).tag(sync=True)
    models: Any = traitlets.List(help="[LanguageModel]").tag(sync=True)
    backends: Any = traitlets.List(
        help="[{name, kind, url, ok, version, note, remedy, parallel, inFlight, breaker}]"
    ).tag(sync=True)
    current: Any = traitlets.Unicode(
        allow_none=True, default_value=None, help="the model that answers where none is picked"
    ).tag(sync=True)
    loading: Any = traitlets.Dict(
        allow_none=True, default_value=None, help="{model, done: 0..1 or None}"
    ).tag(sync=True)
    conversation: Any = traitlets.Dict(help="{id, title, model, system, parameters}, or {}").tag(
        sync=True
    )
    conversations: Any = traitlets.List(help="[{id, title, updatedAt, messages, found}]").tag(
        sync=True
    )
    more = traitlets.Bool(False, help="whether there are older conversations").tag(sync=True)
    streaming: Any = traitlets.Dict(
        allow_none=True, default_value=None, help="Streaming, or None while nothing is written"
    ).tag(sync=True)
    prompts: Any = traitlets.List(help="[Prompt]").tag(sync=True)
    frames: Any = traitlets.List(help="[{name, rows, columns: a count}]").tag(sync=True)
    budget: Any = traitlets.Dict(help="{used, context, exact}, in tokens").tag(sync=True)
    problem: Any = traitlets.Dict(
        allow_none=True, default_value=None, help="a sentence, with a remedy"
    ).tag(sync=True)
    host: Any = traitlets.List(help="[{there, said, remedy}]").tag(sync=True)

    def __init__(self, state: ChatState | None = None, **traits: Any) -> None:
        self.state = state or ChatState()
        super().__init__(**{"connection": {"state": "connecting", "url": ""}, **traits})
        self.on_intent(lambda content, _buffers: self._answer(content))

    @classmethod
    def from_file(cls, path: str | Path) -> ChatWidget:
        """Draw a conversation from a JSON file: `{"traits": {...}, "messages": [Message]}`."""
        read: Mapping[str, Any] = json.loads(Path(path).read_text("utf-8"))
        known = {name: value for name, value in read.get("traits", {}).items() if name in TRAITS}
        widget = cls(**known)
        widget.state.show(read.get("messages", ()))
        return widget

    def show(self, messages: Iterable[Mapping[str, Any]]) -> None:
        """A whole conversation, oldest message first; an answer under way has its text so far."""
        self.state.show(messages)
        if self.watched:
            self.greet()

    def add(self, message: Mapping[str, Any]) -> None:
        """One more message at the end; seen at the next `flush`."""
        self.state.add(message)

    def chunk(self, message_id: int, text: str) -> None:
        """More of an answer; an unknown id begins one."""
        self.state.chunk(message_id, text)

    def reason(self, message_id: int, text: str) -> None:
        """More of what the model thinks before it answers."""
        self.state.reason(message_id, text)

    def tool(self, message_id: int, call: Mapping[str, Any]) -> None:
        """The model asks for a tool: {name, arguments, id}."""
        self.state.tool(message_id, call)

    def end(self, message: Mapping[str, Any]) -> None:
        """The message as it is kept; what was streamed of it gives way where it differs."""
        self.state.end(message)

    def drop(self, message_ids: Iterable[int]) -> None:
        """Take messages out of the conversation."""
        self.state.drop(message_ids)

    def flush(self) -> None:
        """Send what changed since the last time, if anything did and somebody looks."""
        if not self.watched:
            self.state.forget_changes()
            return
        delta = self.state.take_delta()
        if delta:
            self.tell("delta", delta)

    def reply(self, kind: str, **said: Any) -> None:
        """An answer to an intent (see the class)."""
        self.send({"kind": kind, **said})

    def snapshot(self) -> dict[str, Any]:
        """The newest messages, drawn; a page asks for those before them as it needs them."""
        return self.state.snapshot()

    def greet(self) -> None:
        """Send everything there is to show. What waits for the next delta is told before."""
        self.flush()
        super().greet()

    def _answer(self, content: Mapping[str, Any]) -> None:
        """What a page asks of the conversation as it is here; the rest is for the board."""
        kind, message_id = content.get("kind"), content.get("messageId")
        if not isinstance(message_id, int):
            return
        if kind == "source":
            self.reply("source", messageId=message_id, text=self.state.source(message_id))
        elif kind == "thoughts":
            self.reply("thoughts", messageId=message_id, text=self.state.reasoning(message_id))
        elif kind == "earlier":
            self.reply("earlier", before=message_id, **self.state.earlier(message_id))
