"""The mesh widget's Python side: greeting, pulse, deltas and intents, without a kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.widgets.hearing import Clock, Hearing, kinds
from workbench.widgets.bundle import script
from workbench.widgets.link import GRACE_S
from workbench.widgets.mesh import MeshWidget
from workbench.widgets.plot import PlotPanel, plain_figure
from workbench.widgets.plotly import plotly_folder, plotly_version

STATE = Path(__file__).parent.parent / "browser" / "states" / "mesh.json"


class Heard(Hearing, MeshWidget):
    """A mesh widget whose messages to pages are kept instead of sent."""


def test_a_pulse_is_answered() -> None:
    widget = Heard()
    widget.receive({"kind": "hello"})
    widget.receive({"kind": "ping"})
    assert kinds(widget) == ["snapshot", "pong"]


def test_nothing_is_sent_while_no_page_looks() -> None:
    clock = Clock()
    widget = Heard(clock=clock)
    widget.state.update("a", state="running")
    widget.flush()
    assert widget.messages == []
    widget.receive({"kind": "hello"})
    clock.now += GRACE_S + 1
    widget.state.update("a", progress=0.5)
    widget.flush()
    assert kinds(widget) == ["snapshot"]


def test_a_page_that_looks_again_gets_everything_at_once() -> None:
    clock = Clock()
    widget = Heard(clock=clock)
    widget.receive({"kind": "hello"})
    clock.now += GRACE_S + 1
    widget.state.update("a", state="running")
    widget.flush()
    widget.receive({"kind": "ping"})
    assert kinds(widget) == ["snapshot", "pong", "snapshot"]
    assert [task["taskId"] for task in widget.messages[-1]["tasks"]] == ["a"]


def test_deltas_are_numbered_from_the_snapshot_on() -> None:
    widget = Heard()
    widget.receive({"kind": "hello"})
    for progress in (0.1, 0.2):
        widget.state.update("a", progress=progress)
        widget.flush()
    assert [message["n"] for message in widget.messages] == [0, 1, 2]


def test_a_flush_without_news_is_silent() -> None:
    widget = Heard()
    widget.receive({"kind": "hello"})
    widget.flush()
    assert kinds(widget) == ["snapshot"]


def test_intents_go_to_the_handler_and_nothing_else_does() -> None:
    widget = Heard()
    heard: list[str] = []
    widget.on_intent(lambda content, _buffers: heard.append(content["kind"]))
    for message in ({"kind": "ping"}, "noise", {"kind": "submit"}, None, {"kind": "cancel"}):
        widget.receive(message)
    assert heard == ["submit", "cancel"]


def test_work_is_brought_home_but_the_pulse_is_answered_where_it_arrives() -> None:
    brought: list[Any] = []
    widget = Heard(dispatch=brought.append)
    widget.receive({"kind": "hello"})
    widget.receive({"kind": "ping"})
    assert kinds(widget) == ["pong"]
    for work in brought:
        work()
    assert kinds(widget) == ["pong", "snapshot"]


def test_a_page_is_drawn_from_a_file() -> None:
    widget = MeshWidget.from_file(STATE)
    assert widget.connection["state"] == "connected"
    assert len(widget.snapshot()["tasks"]) == 18
    assert widget.state.opened(next(iter(widget.state.active)))["lines"]


def test_opened_lines_do_not_come_again_in_the_next_delta() -> None:
    widget = Heard()
    widget.receive({"kind": "hello"})
    widget.state.update("a", state="running")
    widget.state.follow("a")
    widget.state.add_log("a", {"seq": 1, "at": 1, "text": "x"})
    widget.show_opened("a")
    widget.flush()
    assert kinds(widget) == ["snapshot", "delta", "opened"]


@pytest.mark.parametrize("entry", ["mesh.js", "plot.js", "runes.js"])
def test_the_page_s_module_is_whole_and_names_nothing_outside(entry: str) -> None:
    module = script(entry)
    assert "import {" not in module
    assert module.count("export default") == 1
    lines = [line for line in module.splitlines() if not line.startswith("const CATALOGUES")]
    addresses = [line for line in lines if "https://" in line and "placeholder:" not in line]
    assert addresses == []
    assert "cdn." not in module.lower()


def test_the_plotly_file_of_the_server_is_the_one_of_the_package() -> None:
    assert (plotly_folder() / "plotly.min.js").is_file()
    assert plotly_version() == PlotPanel().plotly_version != "0"


def test_a_figure_of_any_make_becomes_plain() -> None:
    class Figure:
        def to_plotly_json(self) -> dict[str, Any]:
            return {"data": [], "layout": {"title": {"text": "t"}}}

    assert plain_figure(Figure()) == plain_figure({"data": [], "layout": {"title": {"text": "t"}}})


def test_streamed_points_travel_as_float32_and_only_to_a_page_that_looks() -> None:
    sent: list[Any] = []

    class Panel(PlotPanel):
        def send(self, content: Any, buffers: Any = None) -> None:
            sent.append((content, buffers))

    panel = Panel({"data": [{"x": [], "y": []}]})
    panel.extend(0, [1.0], [2.0])
    assert sent == []
    panel.receive({"kind": "hello"})
    panel.extend(0, [1.0, 2.0], [3.0, 4.0])
    content, buffers = sent[-1]
    assert content == {"kind": "extend", "trace": 0}
    assert [len(buffer) for buffer in buffers] == [8, 8]
