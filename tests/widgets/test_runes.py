"""The Runes widget's Python side: what a page is told, without a kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.widgets.hearing import Hearing, kinds
from workbench.widgets.runes import RunesWidget

STATE = Path(__file__).parent.parent / "browser" / "states" / "runes.json"


class Heard(Hearing, RunesWidget):
    """A Runes widget whose messages to pages are kept instead of sent."""

    files: tuple[bytes, ...] = ()

    def send(self, content: Any, buffers: Any = None) -> None:
        super().send(content)
        self.files = tuple(buffers or ())


def test_a_page_is_drawn_from_a_file_with_the_answers_that_it_opens() -> None:
    widget = Heard.from_file(STATE)
    assert [each["alias"] for each in widget.batches] == ["b1211_fac6c387", "sample_small"]
    assert {each["part"] for each in widget.models} == {"question", "model"}
    widget.receive({"kind": "hello"})
    widget.receive({"kind": "open", "taskId": "reconcile"})
    snapshot, opened = widget.messages
    states = {each["taskId"]: each["state"] for each in snapshot["tasks"]}
    assert states == {"reconcile": "done", "share": "done", "refused": "rejected"}
    assert "result" not in snapshot["tasks"][0]
    assert opened["result"]["data"]["answer"]["values"] == {"runes": 29}


def test_a_file_travels_beside_its_name() -> None:
    widget = Heard()
    widget.give((b"a,b\n",), name="answer.csv", mediaType="text/csv")
    assert widget.messages == [{"kind": "exported", "name": "answer.csv", "mediaType": "text/csv"}]
    assert widget.files == (b"a,b\n",)


def test_what_a_person_wants_reaches_the_board_as_it_came() -> None:
    widget, wanted = Heard(), []
    widget.on_intent(lambda content, _buffers: wanted.append(content))
    widget.receive({"kind": "search", "number": 1, "alias": "b1", "text": "oas"})
    assert wanted == [{"kind": "search", "number": 1, "alias": "b1", "text": "oas"}]
    assert kinds(widget) == []
