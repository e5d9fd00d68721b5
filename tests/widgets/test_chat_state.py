"""A conversation as deltas: what a page puts together from them is the conversation."""

from __future__ import annotations

from typing import Any

import pytest

from workbench.widgets.chat_state import KEPT_DRAWN, SHOWN_MESSAGES, ChatState
from workbench.widgets.markdown import render


class Wall:
    """Seconds since the epoch, moved by hand."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def message(number: int, role: str = "assistant", content: str = "", **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "conversationId": 1,
        "role": role,
        "content": content,
        "timestamp": "2026-11-20T14:00:00Z",
        "status": "done",
        **more,
    }


class Reader:
    """A page, as static/chat-body.js and chat-thread.js put it together."""

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.shown = {one["id"]: dict(one) for one in snapshot["messages"]}

    def take(self, delta: dict[str, Any]) -> None:
        for change in delta.get("changes", ()):
            getattr(self, change["op"])(change)

    def add(self, change: dict[str, Any]) -> None:
        self.shown[change["message"]["id"]] = dict(change["message"])

    def drop(self, change: dict[str, Any]) -> None:
        for number in change["ids"]:
            del self.shown[number]

    def reason(self, change: dict[str, Any]) -> None:
        one = self.shown[change["id"]]
        one["reasoning"] = one.get("reasoning", "") + change["text"]

    def tool(self, change: dict[str, Any]) -> None:
        one = self.shown[change["id"]]
        one["toolCalls"] = [*one.get("toolCalls", []), change["call"]]

    def text(self, change: dict[str, Any]) -> None:
        one = self.shown[change["id"]]
        if "all" in change:
            one["blocks"] = list(change["all"])
        for place, drawn in change.get("closed", ()):
            one["blocks"][place : place + 1] = [drawn]
        if "tail" in change:
            kept = one["tail"].encode("utf-16-le")[: 2 * change.get("keep", 0)]
            one["tail"] = kept.decode("utf-16-le") + change["tail"]
            one["more"] = ""
        one["more"] += change.get("more", "")

    def end(self, change: dict[str, Any]) -> None:
        self.text(change)
        self.shown[change["id"]] |= change["message"]


SOURCE = "One **bold** 🙂 word\n\n```python\nx = '🙂'\n```\n\n- a\n- b 🙂🙂\n\nend"


def test_a_page_that_follows_an_answer_has_what_a_page_that_comes_later_gets() -> None:
    state = ChatState()
    reader = Reader(state.snapshot())
    state.add(message(1, status="streaming"))
    for at in range(0, len(SOURCE), 3):
        state.chunk(1, SOURCE[at : at + 3])
        reader.take(state.take_delta())
        late = ChatState.snapshot(state)["messages"][0]
        assert reader.shown[1]["blocks"] == late["blocks"]
        assert reader.shown[1]["tail"] + reader.shown[1]["more"] == late["tail"] + late["more"]
    state.end(message(1, content=SOURCE))
    reader.take(state.take_delta())
    assert reader.shown[1]["blocks"] == render(SOURCE)
    assert reader.shown[1]["tail"] == ""
    assert reader.shown[1]["status"] == "done"


def test_the_kept_text_is_the_last_word() -> None:
    state = ChatState()
    reader = Reader(state.snapshot())
    state.add(message(1, status="streaming"))
    state.chunk(1, "some chunk was lost on the way")
    reader.take(state.take_delta())
    state.end(message(1, content="# All of it\n\nhere", status="stopped"))
    reader.take(state.take_delta())
    assert reader.shown[1]["blocks"] == render("# All of it\n\nhere")
    assert reader.shown[1]["status"] == "stopped"


def test_an_answer_under_way_is_found_again_with_its_text_so_far() -> None:
    state = ChatState()
    state.show([message(1, "user", "hello"), message(2, content="so far", status="streaming")])
    reader = Reader(state.snapshot())
    assert "so far" in reader.shown[2]["tail"]
    state.chunk(2, " and on")
    reader.take(state.take_delta())
    assert "so far and on" in reader.shown[2]["tail"]


def test_a_chunk_of_an_unknown_message_begins_one_and_one_of_an_ended_message_is_left_out() -> None:
    state = ChatState()
    state.chunk(5, "hello")
    assert [one["op"] for one in state.take_delta()["changes"]] == ["add", "text"]
    state.end(message(5, content="hello"))
    state.take_delta()
    state.chunk(5, "late")
    state.reason(5, "late")
    assert state.take_delta() == {}
    assert state.source(5) == "hello"


def test_many_chunks_between_two_deltas_are_one_change() -> None:
    state = ChatState()
    state.add(message(1, status="streaming"))
    state.take_delta()
    for letter in "hello":
        state.chunk(1, letter)
    [change] = state.take_delta()["changes"]
    assert change["tail"] == "<p>hello</p>\n"
    assert state.take_delta() == {}


def test_of_an_open_block_only_what_differs_travels() -> None:
    state = ChatState()
    state.add(message(1, status="streaming"))
    state.chunk(1, "🙂 " + "word " * 100)
    state.take_delta()
    state.chunk(1, "more")
    [change] = state.take_delta()["changes"]
    assert len(change["tail"]) < 20
    assert change["keep"] > 400


def test_thoughts_are_told_apart_and_timed() -> None:
    wall = Wall()
    state = ChatState(wall)
    state.add(message(1, status="streaming"))
    reader = Reader(state.snapshot())
    state.reason(1, "hm, ")
    wall.now += 2.5
    state.reason(1, "so")
    reader.take(state.take_delta())
    assert reader.shown[1]["reasoning"] == "hm, so"
    state.chunk(1, "It is.")
    wall.now += 9
    state.end(message(1, content="It is.", reasoning="hm, so"))
    reader.take(state.take_delta())
    assert reader.shown[1]["thoughtMs"] == 2500
    assert state.snapshot()["messages"][0]["thoughtMs"] == 2500


def test_long_thoughts_of_a_finished_answer_travel_when_they_are_asked_for() -> None:
    state = ChatState()
    state.show([message(1, content="x", reasoning="thought " * 2000)])
    [shown] = state.snapshot()["messages"]
    assert "reasoning" not in shown
    assert shown["reasoningChars"] == 16_000
    assert state.reasoning(1) == "thought " * 2000


def test_calls_of_tools_are_told_once() -> None:
    state = ChatState()
    state.add(message(1, status="streaming"))
    reader = Reader(state.snapshot())
    call = {"name": "holders", "arguments": "{}", "id": "1"}
    state.tool(1, call)
    reader.take(state.take_delta())
    assert reader.shown[1]["toolCalls"] == [call]
    state.end(message(1, toolCalls=[call]))
    reader.take(state.take_delta())
    assert reader.shown[1]["toolCalls"] == [call]


def test_messages_that_were_replaced_go_with_what_waited_for_them() -> None:
    state = ChatState()
    state.show([message(1, "user", "a"), message(2, status="streaming")])
    state.chunk(2, "never seen")
    state.drop([2, 99])
    assert state.take_delta()["changes"] == [{"op": "drop", "ids": [2]}]
    assert len(state) == 1


def test_another_conversation_leaves_nothing_of_the_one_before() -> None:
    state = ChatState()
    state.chunk(1, "old")
    state.show([message(7, "user", "new")])
    assert state.take_delta() == {}
    assert [one["id"] for one in state.snapshot()["messages"]] == [7]


def test_a_long_conversation_is_told_from_its_end_and_gone_back_through_in_steps() -> None:
    state = ChatState()
    state.show([message(number, content=f"answer {number}") for number in range(1, 301)])
    snapshot = state.snapshot()
    seen = [one["id"] for one in snapshot["messages"]]
    assert len(seen) == SHOWN_MESSAGES
    while snapshot["earlier"]:
        snapshot = state.earlier(seen[0])
        seen = [one["id"] for one in snapshot["messages"]] + seen
    assert seen == list(range(1, 301))


def test_only_the_newest_messages_stay_drawn() -> None:
    state = ChatState()
    state.show([message(number, content="*x*") for number in range(1, 501)])
    first = state.snapshot()["messages"][0]["id"]
    while state.earlier(first)["earlier"]:
        first -= SHOWN_MESSAGES
    drawn = sum(entry.blocks is not None for entry in state._entries.values())
    assert drawn <= KEPT_DRAWN


def test_a_person_s_words_are_not_drawn_as_markdown() -> None:
    state = ChatState()
    state.show([message(1, "user", "**not bold** <b>")])
    [shown] = state.snapshot()["messages"]
    assert shown["text"] == "**not bold** <b>"
    assert "blocks" not in shown


@pytest.mark.parametrize(("size", "carried"), [(1000, True), (5_000_000, False)])
def test_a_large_picture_is_named_rather_than_carried(size: int, carried: bool) -> None:
    state = ChatState()
    picture = {"mediaType": "image/png", "data": "A" * size}
    state.show([message(1, "user", "look", images=[picture])])
    [image] = state.snapshot()["messages"][0]["images"]
    assert ("data" in image) is carried
    assert image["bytes"] == size * 3 // 4


def test_attachments_travel_with_the_start_of_their_text() -> None:
    state = ChatState()
    state.show([message(1, "user", "x", attachments=[{"name": "df", "text": "y" * 9000}])])
    [shown] = state.snapshot()["messages"][0]["attachments"]
    assert shown["chars"] == 9000
    assert len(shown["text"]) == 4000
