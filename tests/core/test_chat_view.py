"""The fold of a conversation: whatever came twice, late or from elsewhere, it ends up right."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.core.chat_view import Change, ChatView

Wire = dict[str, Any]

HERE, ELSEWHERE = 7, 8


def place(message_id: int, conversation_id: int = HERE) -> Wire:
    return {"messageId": message_id, "conversationId": conversation_id}


def message(message_id: int, content: str, status: str = "done", **more: Any) -> Wire:
    shown = {"id": message_id, "conversationId": HERE, "role": "assistant", "content": content}
    return {**shown, "status": status, **more}


def snapshot(*messages: Wire, streaming: Wire | None = None, **conversation: Any) -> Wire:
    return {
        "conversation": {"id": HERE, "title": "t", **conversation},
        "messages": list(messages),
        "streaming": streaming,
    }


@pytest.fixture
def view() -> ChatView:
    view = ChatView()
    view.apply("conversation:snapshot", snapshot(message(1, "hello", role="user")))
    return view


def kinds(changes: list[Change]) -> list[str]:
    return [change.kind for change in changes]


def test_an_answer_grows_from_its_first_chunk_to_its_end(view: ChatView) -> None:
    first = view.apply("chat:streaming", {"chunk": "Good ", "done": False, **place(2)})
    assert kinds(first) == ["add", "chunk"]
    assert view.apply("chat:phase", {**place(2), "phase": "answering"})[0].kind == "streaming"
    view.apply("chat:streaming", {"chunk": "day", "done": False, **place(2)})
    assert view.messages[-1]["content"] == "Good day"
    assert view.streaming is not None
    assert kinds(view.apply("chat:streaming", {"chunk": "", "done": True, **place(2)})) == [
        "streaming"
    ]
    assert kinds(view.apply("chat:message", message(2, "Good day"))) == ["end"]
    assert (view.streaming, view.messages[-1]["status"]) == (None, "done")


def test_late_chunks_of_an_ended_answer_change_nothing(view: ChatView) -> None:
    view.apply("chat:message", message(2, "whole"))
    before = copy.deepcopy(view.messages)
    assert view.apply("chat:streaming", {"chunk": "late", "done": False, **place(2)}) == []
    assert view.apply("chat:reasoning", {"chunk": "late", **place(2)}) == []
    assert view.apply("chat:tool", {"name": "f", "arguments": "{}", "id": "", **place(2)}) == []
    assert view.apply("chat:phase", {**place(2), "phase": "answering"}) == []
    assert view.apply("chat:message", message(2, "who", status="streaming")) == []
    assert view.messages == before


def test_a_replaced_message_never_comes_back(view: ChatView) -> None:
    view.apply("chat:message", message(2, "first"))
    changes = view.apply("chat:replaced", {"conversationId": HERE, "messageIds": [2, 99]})
    assert changes == [Change("drop", {"messageIds": [2]})]
    for late in (2, 99):
        assert view.apply("chat:message", message(late, "first")) == []
        assert view.apply("chat:streaming", {"chunk": "x", "done": False, **place(late)}) == []
    view.apply("chat:history", [message(2, "first")])
    assert [each["id"] for each in view.messages] == [1]


def test_numbered_chunks_are_taken_once_and_a_gap_is_told(view: ChatView) -> None:
    def chunk(text: str, at: int) -> list[Change]:
        return view.apply("chat:streaming", {"chunk": text, "at": at, "done": False, **place(2)})

    chunk("abc", 0)
    assert chunk("abc", 0) == []
    assert chunk("bcd", 1) == [Change("chunk", {"messageId": 2, "text": "d"})]
    assert kinds(chunk("xyz", 9)) == ["gap"]
    assert view.messages[-1]["content"] == "abcd"


def test_reasoning_and_calls_of_tools_are_shown_once(view: ChatView) -> None:
    view.apply("chat:reasoning", {"chunk": "hm", **place(2)})
    call = {"name": "f", "arguments": "{}", "id": "1"}
    assert kinds(view.apply("chat:tool", {**call, **place(2)})) == ["tool"]
    assert view.apply("chat:tool", {**call, **place(2)}) == []
    assert view.messages[-1]["reasoning"] == "hm"
    assert view.messages[-1]["toolCalls"] == [call]


def test_what_belongs_to_another_conversation_is_passed_over(view: ChatView) -> None:
    before = copy.deepcopy(view.messages)
    other = {"messageId": 5, "conversationId": ELSEWHERE}
    assert view.apply("chat:message", {**message(5, "x"), "conversationId": ELSEWHERE}) == []
    assert view.apply("chat:streaming", {"chunk": "x", "done": False, **other}) == []
    assert view.apply("conversation:deleted", {"conversationId": ELSEWHERE}) == []
    elsewhere = {"conversation": {"id": ELSEWHERE}, "messages": [], "streaming": None}
    assert view.apply("conversation:snapshot", elsewhere) == []
    assert view.messages == before


def test_a_late_snapshot_of_the_conversation_before_is_not_shown(view: ChatView) -> None:
    view.want(ELSEWHERE)
    assert (view.messages, view.conversation, view.id) == ([], None, ELSEWHERE)
    assert view.apply("conversation:snapshot", snapshot(message(1, "old"))) == []
    view.want(None)
    assert view.apply("conversation:snapshot", snapshot(message(1, "old"))) == []


def test_what_ends_while_the_snapshot_is_under_way_is_not_lost() -> None:
    view = ChatView(HERE)
    view.apply("chat:streaming", {"chunk": "ab", "done": False, **place(2)})
    view.apply("chat:message", message(2, "abcd"))
    view.apply("conversation:snapshot", snapshot(message(2, "ab", status="streaming")))
    assert view.message(2) == message(2, "abcd")


def test_a_rename_and_a_deletion_are_shown(view: ChatView) -> None:
    changed = {"conversation": {"id": HERE, "title": "new"}}
    assert kinds(view.apply("conversation:changed", changed)) == ["conversation"]
    assert view.conversation == {"id": HERE, "title": "new"}
    assert kinds(view.apply("conversation:deleted", {"conversationId": HERE})) == ["gone"]
    assert (view.conversation, view.messages, view.id) == (None, [], None)


def test_older_messages_come_before_those_that_are_shown(view: ChatView) -> None:
    view.apply("chat:message", message(9, "newest"))
    assert kinds(view.apply("chat:history", [message(1, "hello"), message(5, "older")])) == ["show"]
    assert [each["id"] for each in view.messages] == [1, 5, 9]
    assert view.apply("chat:history", [message(5, "older")]) == []


@pytest.mark.parametrize(
    "kind",
    [
        *("conversation:snapshot", "conversation:changed", "conversation:deleted", "chat:history"),
        *("chat:message", "chat:streaming", "chat:reasoning", "chat:tool", "chat:phase"),
        *("chat:replaced", "from:the-future"),
    ],
)
@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers(0, 9) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        *("conversation", "id", "messages", "streaming", "conversationId"),
                        *("messageId", "messageIds", "chunk", "at", "done", "status", "content"),
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_nothing_that_a_wire_can_hold_breaks_the_fold(kind: str, data: Any) -> None:
    view = ChatView()
    view.apply("conversation:snapshot", snapshot(message(1, "hello")))
    view.apply(kind, data)
    view.apply("chat:message", message(3, "still here"))


class Hub:
    """The truth of one conversation, and every frame that it publishes, in order."""

    def __init__(self) -> None:
        self.messages: list[Wire] = []
        self.under_way: Wire | None = None
        self.frames: list[tuple[str, Any]] = []
        self._last = 0

    def do(self, step: str, text: str) -> None:
        if step == "send" and self.under_way is None:
            spoken = message(self._next(), text, role="user")
            self.messages.append(spoken)
            self._publish("chat:message", spoken)
            self._begin()
        elif step == "again" and self.under_way is None and self.messages:
            gone = self.messages.pop()["id"]
            self._publish("chat:replaced", {"conversationId": HERE, "messageIds": [gone]})
            self._begin()
        elif step in ("say", "think") and self.under_way is not None:
            field, kind = {
                "say": ("content", "chat:streaming"),
                "think": ("reasoning", "chat:reasoning"),
            }[step]
            at = len(self.under_way[field])
            self.under_way[field] += text
            sent = {"chunk": text, "at": at, "done": False, **place(self.under_way["id"])}
            self._publish(kind, sent)
        elif step == "end" and self.under_way is not None:
            ended, self.under_way = self.under_way, None
            ended["status"] = "done"
            self.messages.append(ended)
            self._publish("chat:streaming", {"chunk": "", "done": True, **place(ended["id"])})
            self._publish("chat:message", ended)

    def snapshot(self) -> Wire:
        shown = [*self.messages, *([self.under_way] if self.under_way else [])]
        phase = {**place(self.under_way["id"]), "phase": "answering"} if self.under_way else None
        return copy.deepcopy(snapshot(*shown, streaming=phase))

    def _begin(self) -> None:
        self.under_way = message(self._next(), "", status="streaming", reasoning="")
        self._publish("chat:phase", {**place(self.under_way["id"]), "phase": "queued"})

    def _next(self) -> int:
        self._last += 1
        return self._last

    def _publish(self, kind: str, data: Any) -> None:
        self.frames.append((kind, copy.deepcopy(data)))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "say", "say", "say", "think", "end", "again", "look", "twice"]),
        st.text("abc\u00e9\U0001f600", min_size=1, max_size=4),
        st.integers(0, 30),
    ),
    max_size=50,
)


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_whoever_joins_at_any_moment_sees_exactly_what_the_hub_has(
    steps: list[tuple[str, str, int]],
) -> None:
    """`look` is a viewer that reloads, `twice` any frame since then once more: chunks are
    numbered. A new connection is never sent what came before it."""
    hub, view, began = Hub(), ChatView(), 0
    view.apply("conversation:snapshot", hub.snapshot())
    for step, text, choice in steps:
        sent = len(hub.frames)
        if step == "look":
            view, began = ChatView(), sent
            view.apply("conversation:snapshot", hub.snapshot())
        elif step == "twice":
            if heard := hub.frames[began:]:
                view.apply(*heard[choice % len(heard)])
        else:
            hub.do(step, text)
        for frame in hub.frames[sent:]:
            view.apply(*copy.deepcopy(frame))
        truth = hub.snapshot()["messages"]
        shown = [(m["id"], m["content"], m.get("reasoning", "")) for m in view.messages]
        known = {number for number, *_ in shown}
        expected = [(m["id"], m["content"], m.get("reasoning", "")) for m in truth]
        # An answer that has said nothing yet is known by its phase, and has no message.
        assert shown == [each for each in expected if each[0] in known or each[1] or each[2]]
        assert (view.streaming is None) == (hub.under_way is None)


@given(st.lists(st.text("ab\n\U0001f600", min_size=1, max_size=5), max_size=20), st.integers(0, 20))
def test_a_snapshot_in_mid_stream_and_the_chunks_after_it_give_the_whole_text(
    chunks: list[str], joined: int
) -> None:
    """As existing hubs send them: chunks without numbers."""
    view = ChatView()
    said = message(2, "".join(chunks[:joined]), status="streaming")
    view.apply("conversation:snapshot", snapshot(said))
    for chunk in chunks[joined:]:
        view.apply("chat:streaming", {"chunk": chunk, "done": False, **place(2)})
    assert view.messages[-1]["content"] == "".join(chunks)
