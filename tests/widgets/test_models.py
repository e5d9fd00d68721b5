"""The model cards' Python side: what a page is given, what a person wants, and answers."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from tests.widgets.hearing import Hearing, kinds
from workbench.core.cards import Card, Machine
from workbench.core.downloads import Download, State
from workbench.widgets.bundle import STATIC, catalogue
from workbench.widgets.models import TRAITS, ModelsWidget

STATE = Path(__file__).parent.parent / "browser" / "states" / "models.json"
FILE = json.loads(STATE.read_text())["traits"]


class Heard(Hearing, ModelsWidget):
    """The models whose messages to pages are kept instead of sent."""


def test_a_file_draws_all_that_the_hub_tells() -> None:
    widget = ModelsWidget.from_file(STATE)
    assert {name: getattr(widget, name) for name in TRAITS} == FILE


def test_what_the_file_shows_is_what_the_hub_would_send() -> None:
    cards = (*FILE["cards"], *FILE["found"]["cards"])
    every = [(Card, card) for card in cards] + [(Download, each) for each in FILE["downloads"]]
    for struct, told in (*every, (Machine, FILE["machine"])):
        known = msgspec.convert(told, struct)
        assert json.loads(msgspec.json.encode(known)) == told


def test_the_file_says_only_what_the_hub_can_say() -> None:
    told = [each["problem"] for each in (*FILE["downloads"], *FILE["cards"]) if each["problem"]]
    assert told
    assert {each["template"] for each in told} <= catalogue("pt-BR").keys()


def test_the_file_has_a_download_in_every_state() -> None:
    every = msgspec.json.schema(State)["enum"]
    assert sorted(each["state"] for each in FILE["downloads"]) == sorted(every)


@pytest.mark.parametrize("state", msgspec.json.schema(State)["enum"])
def test_every_state_of_a_download_has_a_sign_and_words(state: str) -> None:
    words = (STATIC / "models-words.js").read_text()
    signs, said = words.split("const downloadWords")
    assert f"{state}: " in signs.split("DOWNLOAD_SIGN")[1]
    assert f"{state}: t(" in said


def test_a_widget_begins_without_a_word_of_the_hub() -> None:
    widget = ModelsWidget()
    assert widget.connection == {"state": "connecting", "url": ""}
    assert widget.options == {"contextSize": None}
    assert (widget.cards, widget.downloads, widget.found, widget.listed) == ([], [], None, False)


def test_an_intent_goes_to_whoever_handles_it_and_a_greeting_does_not() -> None:
    widget = Heard()
    wanted: list[str] = []
    widget.on_intent(lambda content, _buffers: wanted.append(content["kind"]))
    widget.receive({"kind": "hello", "page": "a"})
    widget.receive({"kind": "pause", "downloadId": "d0"})
    assert wanted == ["pause"]
    assert kinds(widget) == ["snapshot"]


def test_an_answer_reaches_the_page_as_it_was_said() -> None:
    widget = Heard()
    widget.reply("chatting", model="m@b", title="M", where="list")
    assert widget.messages == [{"kind": "chatting", "model": "m@b", "title": "M", "where": "list"}]


def test_what_servers_say_is_text_and_never_becomes_an_element() -> None:
    for path in STATIC.glob("models*.js"):
        assert "innerHTML" not in path.read_text()
