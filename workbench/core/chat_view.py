"""One shown conversation, folded from what the wire says of it, in whatever order it comes.

A snapshot is the base and chunks continue it. What came twice, what belongs to another
conversation, and what is late for a message that has ended or was replaced changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

Wire = dict[str, Any]

_WHOLE = ("chat:message", "chat:replaced")
"""What holds by itself: chunks count only after the snapshot that they continue."""


class Change(NamedTuple):
    """What a fold did, for whoever draws it.

    `show` (anew, as a whole), `conversation`, `add` {message}, `chunk` and `reason`
    {messageId, text}, `tool` {messageId, call}, `end` {message}, `drop` {messageIds},
    `streaming`, `gone`, and `gap`: something was missed, a snapshot would mend it.
    """

    kind: str
    data: Wire


class ChatView:
    """The conversation, its messages (oldest first, without replaced ones), and how far the
    answer under way is. Messages are as on the wire; nobody else changes them."""

    def __init__(self, wanted: int | None = None) -> None:
        self.conversation: Wire | None = None
        self.messages: list[Wire] = []
        self.streaming: Wire | None = None
        self.wanted = wanted
        """The conversation to be shown; None for the first that a snapshot brings."""
        self._closed = False
        self._replaced: set[int] = set()
        self._early: list[tuple[str, Any]] = []
        self._folds: dict[str, Callable[[Any], list[Change]]] = {
            "conversation:snapshot": self._snapshot,
            "conversation:changed": self._changed,
            "conversation:deleted": self._deleted,
            "chat:history": self._history,
            "chat:message": self._message,
            "chat:streaming": self._chunk,
            "chat:reasoning": self._reasoning,
            "chat:tool": self._tool,
            "chat:phase": self._phase,
            "chat:replaced": self._drop,
        }

    @property
    def id(self) -> int | None:
        """The conversation that is shown, or is to be."""
        return self.conversation.get("id") if self.conversation else self.wanted

    def message(self, message_id: int) -> Wire | None:
        return next((each for each in self.messages if each["id"] == message_id), None)

    def want(self, conversation_id: int | None) -> None:
        """Show this one from its next snapshot on, until then nothing; of None, nothing at all."""
        self.conversation, self.messages, self.streaming = None, [], None
        self.wanted, self._closed = conversation_id, conversation_id is None
        self._replaced.clear()
        self._early.clear()

    def apply(self, kind: str, data: Any) -> list[Change]:
        """One message of the wire. What is unknown or malformed changes nothing."""
        fold = self._folds.get(kind)
        if fold is None or not isinstance(data, dict | list):
            return []
        if self.conversation is None and kind in _WHOLE and self._concerns(data):
            self._early.append((kind, data))
        return fold(data)

    # The folds

    def _snapshot(self, data: Any) -> list[Change]:
        conversation = _object(data, "conversation")
        if conversation is None or not _is_id(conversation.get("id")) or self._closed:
            return []
        if self.wanted is not None and conversation["id"] != self.wanted:
            return []
        if self.conversation is None or self.conversation["id"] != conversation["id"]:
            self._replaced.clear()
            self.messages = []
        known = {each["id"]: each for each in self.messages}
        self.conversation, self.wanted = dict(conversation), conversation["id"]
        self.messages = [
            _further(known.get(each["id"]), each) for each in self._fit(data.get("messages"))
        ]
        self.streaming = self._under_way(_object(data, "streaming"))
        early, self._early = self._early, []
        for kind, said in early:  # it was on its way while the snapshot was taken
            self._folds[kind](said)
        return [Change("show", {})]

    def _changed(self, data: Any) -> list[Change]:
        conversation = _object(data, "conversation")
        if conversation is None or not self._ours(conversation.get("id")):
            return []
        self.conversation = dict(conversation)
        return [Change("conversation", {})]

    def _deleted(self, data: Any) -> list[Change]:
        if not self._ours(_field(data, "conversationId")):
            return []
        self.want(None)
        return [Change("gone", {})]

    def _history(self, data: Any) -> list[Change]:
        """Older messages, perhaps with some that are known."""
        found = list(self._fit(data))
        fresh = {each["id"] for each in found} - {each["id"] for each in self.messages}
        if not fresh:
            return []
        known = {each["id"]: each for each in self.messages}
        merged = {**known, **{each["id"]: _further(known.get(each["id"]), each) for each in found}}
        self.messages = [merged[key] for key in sorted(merged)]
        return [Change("show", {})]

    def _message(self, data: Any) -> list[Change]:
        for message in self._fit([data]):
            known = self.message(message["id"])
            if known is None:
                self._insert(message)
                return [Change("add", {"message": message}), *self._settle(message)]
            kept = _further(known, message)
            if kept == known:
                return []
            self._swap(kept)
            return [Change("end", {"message": kept}), *self._settle(kept)]
        return []

    def _chunk(self, data: Any) -> list[Change]:
        if not self._ours(_field(data, "conversationId")) or not _is_id(data.get("messageId")):
            return []
        if not data.get("done"):
            return self._grow(data, "content", "chunk")
        if self.streaming is None or self.streaming.get("messageId") != data["messageId"]:
            return []
        self.streaming = None
        return [Change("streaming", {})]

    def _reasoning(self, data: Any) -> list[Change]:
        return self._grow(data, "reasoning", "reason")

    def _tool(self, data: Any) -> list[Change]:
        message, begun = self._growing(data)
        call = {name: _field(data, name) for name in ("name", "arguments", "id")}
        if message is None or call in message.get("toolCalls", ()):
            return begun
        grown = {**message, "toolCalls": [*message.get("toolCalls", ()), call]}
        self._swap(grown)
        return [*begun, Change("tool", {"messageId": message["id"], "call": call})]

    def _phase(self, data: Any) -> list[Change]:
        if not self._ours(_field(data, "conversationId")):
            return []
        under_way = self._under_way(data)
        if under_way is None or under_way == self.streaming:
            return []
        self.streaming = under_way
        return [Change("streaming", {})]

    def _drop(self, data: Any) -> list[Change]:
        given = _field(data, "messageIds")
        if not self._ours(_field(data, "conversationId")) or not isinstance(given, list):
            return []
        gone = {each for each in given if _is_id(each)}
        self._replaced |= gone
        dropped = [each["id"] for each in self.messages if each["id"] in gone]
        self.messages = [each for each in self.messages if each["id"] not in gone]
        changes = [Change("drop", {"messageIds": dropped})] if dropped else []
        if self.streaming is not None and self.streaming.get("messageId") in gone:
            self.streaming = None
            changes.append(Change("streaming", {}))
        return changes

    # Inside

    def _ours(self, conversation_id: Any) -> bool:
        return self.conversation is not None and conversation_id == self.conversation["id"]

    def _concerns(self, data: Any) -> bool:
        return self.wanted is not None and _field(data, "conversationId") == self.wanted

    def _fit(self, given: Any) -> Iterable[Wire]:
        """The messages among `given` that belong here, oldest first, each once."""
        if not isinstance(given, list):
            return []
        found: dict[int, Wire] = {}
        for each in given:
            if self._belongs(each):
                found[each["id"]] = _further(found.get(each["id"]), dict(each))
        return [found[key] for key in sorted(found)]

    def _belongs(self, message: Any) -> bool:
        return (
            isinstance(message, dict)
            and _is_id(message.get("id"))
            and self._ours(message.get("conversationId"))
            and not message.get("replaced")
            and message["id"] not in self._replaced
        )

    def _grow(self, data: Any, field: str, kind: str) -> list[Change]:
        """Append a chunk. `at`, where it is told, says how many characters stand before it."""
        message, begun = self._growing(data)
        chunk, at = _field(data, "chunk"), _field(data, "at")
        if message is None or not isinstance(chunk, str):
            return begun
        text = str(message.get(field) or "")
        if _is_id(at):
            if at > len(text):
                return [*begun, Change("gap", {})]
            chunk = chunk[len(text) - at :]
        if not chunk:
            return begun
        self._swap({**message, field: text + chunk})
        return [*begun, Change(kind, {"messageId": message["id"], "text": chunk})]

    def _growing(self, data: Any) -> tuple[Wire | None, list[Change]]:
        """The answer under way that a chunk belongs to, begun with its first one."""
        message_id = _field(data, "messageId")
        if not self._ours(_field(data, "conversationId")) or not _is_id(message_id):
            return None, []
        if message_id in self._replaced:
            return None, []
        known = self.message(message_id)
        if known is not None:
            return (known if _open(known) else None), []
        begun = {
            "id": message_id,
            "conversationId": data["conversationId"],
            "role": "assistant",
            "content": "",
            "status": "streaming",
        }
        self._insert(begun)
        return begun, [Change("add", {"message": begun})]

    def _insert(self, message: Wire) -> None:
        at = len(self.messages)
        while at and self.messages[at - 1]["id"] > message["id"]:
            at -= 1
        self.messages.insert(at, message)

    def _swap(self, message: Wire) -> None:
        """Put a newer state in place. Looked for from the end, where answers grow."""
        for at in range(len(self.messages) - 1, -1, -1):
            if self.messages[at]["id"] == message["id"]:
                self.messages[at] = message
                return

    def _settle(self, message: Wire) -> list[Change]:
        """An answer that has ended is no longer under way."""
        under_way = self.streaming is not None and self.streaming.get("messageId") == message["id"]
        if not under_way or _open(message):
            return []
        self.streaming = None
        return [Change("streaming", {})]

    def _under_way(self, streaming: Wire | None) -> Wire | None:
        """A phase of a message that has not ended."""
        if streaming is None or not _is_id(streaming.get("messageId")):
            return None
        known = self.message(streaming["messageId"])
        ended = known is not None and not _open(known)
        return None if ended or streaming["messageId"] in self._replaced else dict(streaming)


def _further(known: Wire | None, said: Mapping[str, Any]) -> Wire:
    """Of two states of one message the one that got further: ended, else the longer text."""
    if known is None:
        return dict(said)
    if _open(known) != _open(said):
        return known if _open(said) else dict(said)
    if not _open(said):
        return dict(said)
    grown = dict(said)
    for field in ("content", "reasoning"):
        texts = str(known.get(field) or ""), str(said.get(field) or "")
        grown[field] = max(texts, key=len)
    grown["toolCalls"] = max(known.get("toolCalls") or [], said.get("toolCalls") or [], key=len)
    return grown


def _open(message: Mapping[str, Any]) -> bool:
    return message.get("status") == "streaming"


def _object(data: Any, name: str) -> Wire | None:
    found = _field(data, name)
    return found if isinstance(found, dict) else None


def _field(data: Any, name: str) -> Any:
    return data.get(name) if isinstance(data, dict) else None


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
