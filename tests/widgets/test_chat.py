"""The chat widget's Python side: greeting, deltas and its own answers, without a kernel."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.widgets.hearing import Clock, Hearing, kinds
from workbench.widgets.chat import TRAITS, ChatWidget
from workbench.widgets.link import GRACE_S

STATES = Path(__file__).parent.parent / "browser" / "states"
ANSWER = {"id": 1, "role": "assistant", "status": "streaming"}


class Heard(Hearing, ChatWidget):
    """A chat widget whose messages to pages are kept instead of sent."""


def test_a_delta_is_numbered_from_the_snapshot_on_and_sent_at_a_flush() -> None:
    widget = Heard()
    widget.receive({"kind": "hello"})
    widget.add(ANSWER)
    widget.chunk(1, "hel")
    widget.chunk(1, "lo")
    assert kinds(widget) == ["snapshot"]
    widget.flush()
    widget.chunk(1, " you")
    widget.flush()
    widget.flush()
    assert kinds(widget) == ["snapshot", "delta", "delta"]
    assert [one["n"] for one in widget.messages] == [0, 1, 2]


def test_a_page_that_comes_in_mid_answer_gets_it_once() -> None:
    widget = Heard()
    widget.receive({"kind": "hello"})
    widget.add(ANSWER)
    widget.chunk(1, "half")
    widget.receive({"kind": "hello"})
    widget.flush()
    assert kinds(widget) == ["snapshot", "delta", "snapshot"]
    assert [one["n"] for one in widget.messages] == [0, 1, 1]
    assert "half" in widget.messages[-1]["messages"][0]["tail"]


def test_nothing_is_drawn_or_sent_while_no_page_looks_and_all_is_there_after() -> None:
    clock = Clock()
    widget = Heard(clock=clock)
    widget.receive({"kind": "hello"})
    widget.add(ANSWER)
    widget.flush()
    clock.now += GRACE_S + 1
    for _ in range(50):
        widget.chunk(1, "word ")
        widget.flush()
    assert kinds(widget) == ["snapshot", "delta"]
    widget.receive({"kind": "ping"})
    assert kinds(widget)[2:] == ["pong", "snapshot"]
    assert widget.messages[-1]["messages"][0]["tail"].count("word") == 50
    widget.chunk(1, "more")
    widget.flush()
    assert widget.messages[-1]["n"] == widget.messages[-2]["n"] + 1


def test_another_conversation_is_shown_at_once_to_those_who_look() -> None:
    widget = Heard()
    widget.show([{"id": 3, "role": "user", "content": "x"}])
    assert widget.messages == []
    widget.receive({"kind": "hello"})
    widget.show([{"id": 4, "role": "user", "content": "y"}])
    assert [one["messages"][0]["id"] for one in widget.messages] == [3, 4]


def test_what_a_page_asks_of_the_text_is_answered_without_the_board() -> None:
    widget = Heard.from_file(STATES / "chat.json")
    assert isinstance(widget, Heard)
    widget.receive({"kind": "source", "messageId": 2})
    widget.receive({"kind": "thoughts", "messageId": 2})
    widget.receive({"kind": "earlier", "messageId": 3})
    source, thoughts, earlier = widget.messages
    assert source["text"].startswith("Two things are worth a look: the **share of premine**")
    assert thoughts["text"].startswith("The person has a DataFrame")
    assert [one["id"] for one in earlier["messages"]] == [1, 2]
    assert earlier["earlier"] == 0


@pytest.mark.parametrize("content", [{"kind": "source", "messageId": "2"}, {"kind": "source"}, 7])
def test_what_cannot_be_understood_is_left_alone(content: Any) -> None:
    widget = Heard()
    widget.receive(content)
    assert widget.messages == []


def test_intents_reach_the_board_as_they_came() -> None:
    widget, heard = Heard(), []
    widget.on_intent(lambda content, _buffers: heard.append(content))
    widget.receive({"kind": "send", "message": "hi", "clientId": "a"})
    assert heard == [{"kind": "send", "message": "hi", "clientId": "a"}]
    widget.reply("refused", clientId="a", error={"text": "no"})
    assert widget.messages == [{"kind": "refused", "clientId": "a", "error": {"text": "no"}}]


@pytest.mark.parametrize("name", ["chat", "chat-streaming", "chat-empty", "chat-new"])
def test_the_states_of_the_visual_tests_can_be_drawn(name: str) -> None:
    widget = ChatWidget.from_file(STATES / f"{name}.json")
    read = json.loads((STATES / f"{name}.json").read_text())
    assert read["traits"].keys() <= set(TRAITS)
    assert len(widget.snapshot()["messages"]) == len(read["messages"])
    assert widget.models == read["traits"]["models"]


def test_every_trait_a_board_sets_is_synced_and_described() -> None:
    synced = set(ChatWidget.class_trait_names(sync=True))
    assert set(TRAITS) <= synced
    assert all(ChatWidget.class_traits()[name].help for name in TRAITS)


def test_names_of_the_joined_script_differ() -> None:
    script = str(ChatWidget()._esm)
    names = re.findall(r"^(?:async )?(?:function|class|const|let) (\w+)", script, re.MULTILINE)
    assert len(names) == len(set(names))
