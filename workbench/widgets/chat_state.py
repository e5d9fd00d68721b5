"""What the chat console shows, as plain data: one conversation, drawn block by block as deltas."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from workbench.widgets.markdown import render
from workbench.widgets.markdown_stream import Change, StreamingMarkdown

SHOWN_MESSAGES = 40
"""Messages of a snapshot, and of each step back."""
KEPT_DRAWN = 100
"""The newest messages whose HTML is kept; older ones are drawn again when asked for."""
REASONING_CHARS = 4_000
"""Longer thoughts of a finished answer travel when a reader opens them."""
ATTACHMENT_CHARS = 4_000
IMAGE_CHARS = 2_000_000

Message = dict[str, Any]
Delta = dict[str, Any]


class Entry:
    """One message: as the wire told it, and as far as it is drawn."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.stream: StreamingMarkdown | None = None
        self.blocks: list[str] | None = None
        self.unfed: list[str] = []
        self.reasons: list[str] = []
        self.unsent_reason: list[str] = []
        self.thinking_since: float | None = None
        self.thought_ms: int | None = None
        self.sent_tail = ""
        if message.get("status") == "streaming":
            self.stream = StreamingMarkdown()
            self.unfed = [str(message.get("content") or "")]

    @property
    def source(self) -> str:
        """The Markdown of the message so far."""
        if self.stream is None:
            return str(self.message.get("content") or "")
        return self.stream.source + "".join(self.unfed)

    @property
    def reasoning(self) -> str:
        """What the model thought so far."""
        return str(self.message.get("reasoning") or "") + "".join(self.reasons)

    def drawn(self) -> list[str]:
        """The blocks of a message that is whole, drawn at the first use."""
        if self.blocks is None:
            self.blocks = render(self.source)
        return self.blocks


class ChatState:
    """The messages of one conversation. `wall` gives seconds since the epoch."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._entries: dict[int, Entry] = {}
        self._changes: list[Delta] = []
        self._moved: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def now_ms(self) -> int:
        """The clock of the page's instants."""
        return int(self._wall() * 1000)

    def show(self, messages: Iterable[Mapping[str, Any]]) -> None:
        """Another conversation, or the same anew: what was here is gone."""
        self._entries = {int(one["id"]): Entry(dict(one)) for one in messages}
        self.forget_changes()

    def add(self, message: Mapping[str, Any]) -> None:
        """One more message; one that is known already is taken as it is now."""
        message_id = int(message["id"])
        known = self._entries.get(message_id)
        if known is not None and message.get("status") != "streaming":
            self.end(message)
            return
        entry = self._entries[message_id] = Entry(dict(message))
        self._settle(entry)
        self._changes.append({"op": "add", "message": self.shown(entry)})
        self._let_go()

    def chunk(self, message_id: int, text: str) -> None:
        """More of an answer under way. It is drawn when a delta is taken, not before."""
        entry = self._under_way(message_id)
        if entry is not None:
            self._stop_thinking(entry)
            entry.unfed.append(text)
            self._moved[message_id] = None

    def reason(self, message_id: int, text: str) -> None:
        """More of what the model thinks before it answers."""
        entry = self._under_way(message_id)
        if entry is not None:
            if entry.thinking_since is None:
                entry.thinking_since = self._wall()
            entry.reasons.append(text)
            entry.unsent_reason.append(text)
            self._moved[message_id] = None

    def tool(self, message_id: int, call: Mapping[str, Any]) -> None:
        """The model asks for a tool: {name, arguments, id}."""
        entry = self._under_way(message_id)
        if entry is not None:
            entry.message["toolCalls"] = [*entry.message.get("toolCalls", ()), dict(call)]
            self._changes.append({"op": "tool", "id": message_id, "call": dict(call)})

    def end(self, message: Mapping[str, Any]) -> None:
        """The message as it is kept; its content is the last word, whatever was streamed."""
        message_id = int(message["id"])
        entry = self._entries.get(message_id)
        if entry is None:
            self.add(message)
            return
        self._stop_thinking(entry)
        change = self._finish(entry, str(message.get("content") or ""))
        reasoning = message.get("reasoning") or entry.reasoning
        entry.message = {**dict(message), "reasoning": reasoning}
        entry.reasons, entry.unsent_reason = [], []
        self._moved.pop(message_id, None)
        told = {name: value for name, value in self.shown(entry).items() if name not in DRAWN}
        self._changes.append({"op": "end", "id": message_id, "message": told, **change})

    def drop(self, message_ids: Iterable[int]) -> None:
        """These are no longer part of the conversation: edited, or answered anew."""
        gone = [int(one) for one in message_ids if int(one) in self._entries]
        for message_id in gone:
            del self._entries[message_id]
            self._moved.pop(message_id, None)
        if gone:
            self._changes.append({"op": "drop", "ids": gone})

    def source(self, message_id: int) -> str | None:
        """The Markdown of one message; None where there is no such message."""
        entry = self._entries.get(message_id)
        return None if entry is None else entry.source

    def reasoning(self, message_id: int) -> str:
        """All that the model thought before one answer."""
        entry = self._entries.get(message_id)
        return "" if entry is None else entry.reasoning

    def snapshot(self) -> Delta:
        """The newest messages, drawn, and how many come before them."""
        for entry in self._entries.values():
            self._settle(entry)
        self.forget_changes()
        entries = list(self._entries.values())
        newest = entries[-SHOWN_MESSAGES:]
        return {
            "now": self.now_ms(),
            "messages": [self.shown(entry) for entry in newest],
            "earlier": len(entries) - len(newest),
        }

    def earlier(self, before: int) -> Delta:
        """Messages that come before message `before`, drawn, and how many come before those."""
        ids = list(self._entries)
        end = ids.index(before) if before in self._entries else len(ids)
        start = max(0, end - SHOWN_MESSAGES)
        entries = [self._entries[one] for one in ids[start:end]]
        said = {"messages": [self.shown(one) for one in entries], "earlier": start}
        self._let_go()
        return said

    def take_delta(self) -> Delta:
        """What changed since the last call; empty where nothing did."""
        changes, self._changes = self._changes, []
        for message_id in self._moved:
            changes.extend(self._grown(self._entries[message_id]))
        self._moved.clear()
        return {"now": self.now_ms(), "changes": changes} if changes else {}

    def forget_changes(self) -> None:
        """Nobody looks: the next snapshot tells it all."""
        self._changes.clear()
        self._moved.clear()

    def shown(self, entry: Entry) -> Message:
        """A message as a page gets it: drawn, without what only the store needs."""
        message = entry.message
        told = {name: message[name] for name in PLAIN if message.get(name) is not None}
        if entry.stream is not None:
            told |= {"blocks": list(entry.stream.blocks), "tail": entry.stream.tail}
            told["more"] = entry.stream.more
        elif message.get("role") == "user":
            told["text"] = entry.source
        else:
            told["blocks"] = entry.drawn()
        reasoning = entry.reasoning
        if reasoning:
            told["reasoningChars"] = len(reasoning)
            told["thoughtMs"] = entry.thought_ms
            if entry.stream is not None or len(reasoning) <= REASONING_CHARS:
                told["reasoning"] = reasoning
        return told | _carried(message)

    def _under_way(self, message_id: int) -> Entry | None:
        """The answer that is being written, made where it is new; None for one that has ended."""
        entry = self._entries.get(message_id)
        if entry is None:
            self.add({"id": message_id, "role": "assistant", "status": "streaming"})
            entry = self._entries[message_id]
        return None if entry.stream is None else entry

    def _stop_thinking(self, entry: Entry) -> None:
        if entry.thinking_since is not None and entry.thought_ms is None:
            entry.thought_ms = int((self._wall() - entry.thinking_since) * 1000)

    def _settle(self, entry: Entry) -> None:
        """Draw all that came, and take it as sent: a whole message follows."""
        if entry.stream is not None:
            entry.stream.feed("".join(entry.unfed))
            entry.sent_tail = entry.stream.tail
        entry.unfed, entry.unsent_reason = [], []

    def _grown(self, entry: Entry) -> list[Delta]:
        changes: list[Delta] = []
        message_id = entry.message["id"]
        if entry.unsent_reason:
            text = "".join(entry.unsent_reason)
            changes.append({"op": "reason", "id": message_id, "text": text})
            entry.unsent_reason = []
        if entry.unfed and entry.stream is not None:
            change = entry.stream.feed("".join(entry.unfed))
            entry.unfed = []
            said = {"op": "text", "id": message_id, **_told(change, entry)}
            if entry.thought_ms is not None:
                said["thoughtMs"] = entry.thought_ms
            changes.append(said)
        return changes

    def _finish(self, entry: Entry, content: str) -> Delta:
        """The drawn rest of an answer; all of it where the kept text is another one."""
        stream, unfed = entry.stream, "".join(entry.unfed)
        entry.stream, entry.unfed = None, []
        if stream is None or stream.source + unfed != content:
            entry.blocks = None
            entry.message = {**entry.message, "content": content}
            return {"all": entry.drawn(), "tail": ""}
        change = stream.feed(unfed).then(stream.finish())
        entry.blocks = list(stream.blocks)
        return _told(change, entry)

    def _let_go(self) -> None:
        """Only the newest stay drawn: memory does not grow with what was scrolled through."""
        for entry in list(self._entries.values())[:-KEPT_DRAWN]:
            entry.blocks = None


PLAIN = (
    *("id", "role", "status", "timestamp", "model", "backend"),
    *("toolCalls", "usage", "finish", "leftOut", "error"),
)
DRAWN = frozenset({"blocks", "tail", "more"})


def _told(change: Change, entry: Entry) -> Delta:
    """A change on the wire. Of an open block only what differs travels: `keep` characters (as
    JavaScript counts them) of what was sent stay."""
    told: Delta = {}
    if change.closed:
        told["closed"] = [list(one) for one in change.closed]
    if change.tail is not None:
        keep = _common(entry.sent_tail, change.tail)
        told["keep"] = len(change.tail[:keep].encode("utf-16-le")) // 2
        told["tail"] = change.tail[keep:]
        entry.sent_tail = change.tail
    if change.more:
        told["more"] = change.more
    return told


def _common(before: str, after: str) -> int:
    """How many leading characters are the same, found by halving."""
    low, high = 0, min(len(before), len(after))
    while low < high:
        middle = (low + high + 1) // 2
        if before[low:middle] == after[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _carried(message: Mapping[str, Any]) -> Message:
    """Attachments with the start of their text, pictures as far as they are small."""
    carried: Message = {}
    attachments: Sequence[Mapping[str, Any]] = message.get("attachments") or ()
    if attachments:
        carried["attachments"] = [
            {"name": one["name"], "text": one["text"][:ATTACHMENT_CHARS], "chars": len(one["text"])}
            for one in attachments
        ]
    images: Sequence[Mapping[str, Any]] = message.get("images") or ()
    if images:
        carried["images"] = [
            {"mediaType": one["mediaType"], "bytes": one.get("bytes") or _size(one)}
            | ({"data": one["data"]} if 0 < len(one.get("data") or "") <= IMAGE_CHARS else {})
            for one in images
        ]
    return carried


def _size(image: Mapping[str, Any]) -> int:
    """Bytes of a picture in base64."""
    return len(image.get("data") or "") * 3 // 4
