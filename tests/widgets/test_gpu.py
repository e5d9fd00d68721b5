"""The metrics panel's Python side: ticks, history, choices, and pages that come and go."""

from __future__ import annotations

import json
import math
from array import array
from pathlib import Path
from typing import Any

import pytest

from tests.widgets.hearing import Clock
from workbench.core.metrics import CATALOGUE
from workbench.widgets.bundle import script
from workbench.widgets.gpu import GpuPanel
from workbench.widgets.link import GRACE_S, PAGES

STATE = Path(__file__).parent.parent / "browser" / "states" / "gpu.json"
TWO = [["gpu.utilization", "0"], ["gpu.power", "0"]]


class Heard(GpuPanel):
    """A panel whose messages to pages are kept with their buffers instead of sent."""

    def __init__(self, **traits: Any) -> None:
        self.messages: list[tuple[dict[str, Any], list[bytes]]] = []
        super().__init__(**traits)

    def send(self, content: Any, buffers: Any = None) -> None:
        packed = [bytes(one) for one in buffers or ()]
        self.messages.append((json.loads(json.dumps(content)), packed))

    @property
    def kinds(self) -> list[str]:
        return [content["kind"] for content, _ in self.messages]

    def look(self, page: str = "a") -> None:
        self.receive({"kind": "hello", "page": page})


def floats(packed: bytes) -> list[float | None]:
    return [None if math.isnan(one) else round(one, 3) for one in array("f", packed)]


def history(**more: Any) -> dict[str, Any]:
    series = {
        "metric": "gpu.power",
        "subject": "0",
        "at": [1_795_184_400_000, 1_795_184_402_500],
        "mean": [100.0, 110.0],
        "low": [90.0, 105.0],
        "high": [120.0, 115.0],
    }
    return {
        "resolution": "raw",
        "stepMs": 2500,
        "since": 1_795_184_400_000,
        "until": 1_795_184_405_000,
        "series": [series],
        **more,
    }


def test_a_tick_travels_as_float32_and_what_is_missing_is_no_number() -> None:
    panel = Heard(columns=TWO)
    panel.look()
    panel.tick(1000, [42.5, None])
    content, [row] = panel.messages[-1]
    assert content == {"kind": "tick", "n": 1, "at": 1000}
    assert floats(row) == [42.5, None]


def test_a_tick_of_eight_gpus_and_all_other_metrics_is_below_a_kilobyte() -> None:
    gpus = [name for name, metric in CATALOGUE.items() if metric.of == "gpu"]
    others = [name for name, metric in CATALOGUE.items() if metric.of != "gpu"]
    columns = [[name, str(gpu)] for gpu in range(8) for name in gpus]
    columns += [[name, ""] for name in others]
    panel = Heard(columns=columns)
    panel.look()
    panel.tick(1_795_184_400_000, [99.9] * len(columns))
    content, [row] = panel.messages[-1]
    assert len(columns) == 95
    assert len(json.dumps(content).encode()) + len(row) < 1000


def test_nothing_is_sent_while_no_page_looks_and_the_newest_values_come_with_the_greeting() -> None:
    panel = Heard(columns=TWO)
    panel.tick(1000, [1.0, 2.0])
    panel.history(history())
    assert panel.messages == []
    panel.look()
    assert panel.kinds == ["snapshot", "history"]
    snapshot, _ = panel.messages[0]
    assert (snapshot["columns"], snapshot["at"], snapshot["values"]) == (TWO, 1000, [1.0, 2.0])


def test_another_order_of_columns_goes_with_the_first_tick_that_has_it() -> None:
    panel = Heard(columns=TWO)
    panel.look()
    panel.tick(1000, [1.0, 2.0])
    panel.columns = [*TWO, ["gpu.fan", "0"]]
    panel.tick(2000, [1.0, 2.0, 3.0])
    panel.tick(3000, [1.0, 2.0, 3.0])
    told = [content.get("columns") for content, _ in panel.messages[1:]]
    assert told == [None, [*TWO, ["gpu.fan", "0"]], None]


def test_columns_that_changed_while_nobody_looked_are_in_the_next_snapshot() -> None:
    panel = Heard(columns=TWO)
    panel.columns = [["host.cpu", ""]]
    panel.tick(1000, [7.0])
    panel.look()
    panel.tick(2000, [8.0])
    assert panel.messages[0][0]["columns"] == [["host.cpu", ""]]
    assert "columns" not in panel.messages[-1][0]


def test_values_that_do_not_fit_the_columns_are_refused() -> None:
    panel = Heard(columns=TWO)
    with pytest.raises(ValueError, match="1 values for 2 columns"):
        panel.tick(1000, [1.0])


def test_history_travels_as_one_buffer_of_seconds_and_numbers() -> None:
    panel = Heard(columns=TWO)
    panel.look()
    panel.history(history())
    content, [numbers] = panel.messages[-1]
    assert content["series"] == [["gpu.power", "0", 2]]
    assert (content["since"], content["stepMs"]) == (1_795_184_400_000, 2500)
    assert floats(numbers) == [0.0, 2.5, 100.0, 110.0, 90.0, 105.0, 120.0, 115.0]


def test_seven_days_of_instants_keep_a_tenth_of_a_second() -> None:
    end = 1_795_184_400_000
    since = end - 7 * 86_400_000
    series = {**history()["series"][0], "at": [since, end - 100]}
    panel = Heard()
    panel.look()
    panel.history(history(since=since, until=end, series=[series]))
    _, [numbers] = panel.messages[-1]
    assert abs(array("f", numbers)[1] * 1000 - (end - 100 - since)) < 100


def test_a_hidden_page_is_not_looked_at_from_that_moment_on() -> None:
    panel = Heard(columns=TWO)
    panel.look()
    assert panel.watched
    panel.receive({"kind": "hidden", "page": "a"})
    assert not panel.watched
    panel.tick(1000, [1.0, 2.0])
    assert panel.kinds == ["snapshot"]


def test_a_page_that_is_seen_again_is_greeted_with_what_it_missed() -> None:
    panel = Heard(columns=TWO)
    panel.look()
    panel.receive({"kind": "hidden", "page": "a"})
    panel.tick(1000, [1.0, 2.0])
    panel.receive({"kind": "ping", "page": "a"})
    assert panel.kinds == ["snapshot", "pong", "snapshot"]
    assert panel.messages[-1][0]["values"] == [1.0, 2.0]


def test_a_page_beside_a_hidden_one_goes_on() -> None:
    panel = Heard(columns=TWO)
    panel.look("a")
    panel.look("b")
    panel.receive({"kind": "hidden", "page": "a"})
    panel.tick(1000, [1.0, 2.0])
    assert panel.kinds[-1] == "tick"
    panel.receive({"kind": "ping", "page": "a"})  # it missed nothing: no snapshot
    assert panel.kinds[-1] == "pong"


def test_the_board_hears_when_somebody_looks_and_when_nobody_does_any_more() -> None:
    seen: list[bool] = []
    panel = Heard()
    panel.on_watched(seen.append)
    panel.look("a")
    panel.look("b")
    panel.receive({"kind": "hidden", "page": "a"})
    panel.receive({"kind": "hidden", "page": "b"})
    panel.receive({"kind": "hidden", "page": "b"})
    assert seen == [True, True, False]


def test_a_page_that_is_gone_without_a_word_is_no_longer_looked_at_after_the_grace_time() -> None:
    clock = Clock()
    panel = Heard(clock=clock)
    panel.look()
    clock.now += GRACE_S + 1
    assert not panel.watched


def test_pages_without_end_are_not_kept_without_end() -> None:
    panel = Heard()
    for number in range(10 * PAGES):
        panel.receive({"kind": "ping", "page": str(number)})
    assert len(panel._pages) == PAGES
    assert panel.watched


@pytest.mark.parametrize(
    ("said", "option", "value"),
    [
        ({"kind": "configure", "intervalMs": 500}, "intervalMs", 500),
        ({"kind": "configure", "intervalMs": 1}, "intervalMs", 500),
        ({"kind": "configure", "intervalMs": "soon"}, "intervalMs", 2000),
        ({"kind": "configure", "intervalMs": math.nan}, "intervalMs", 2000),
        ({"kind": "window", "seconds": 86_400}, "windowS", 86_400),
        ({"kind": "window", "seconds": 1e12}, "windowS", 7 * 86_400),
        ({"kind": "pause", "paused": True}, "paused", True),
        ({"kind": "view", "view": "host"}, "view", "host"),
        ({"kind": "view", "view": "else"}, "view", "gpu"),
        ({"kind": "select", "gpus": ["1"]}, "selected", ["1"]),
        ({"kind": "select", "gpus": ["9"]}, "selected", None),
        ({"kind": "select", "gpus": None}, "selected", None),
    ],
)
def test_what_a_person_chooses_stands_in_the_options(
    said: dict[str, Any], option: str, value: Any
) -> None:
    panel = Heard(gpus=[{"gpuId": "0"}, {"gpuId": "1"}])
    seen: list[Any] = []
    panel.on_intent(lambda _content, _buffers: seen.append(panel.options[option]))
    panel.receive(said)
    assert seen == [value]


def test_a_reply_carries_the_file_that_was_asked_for() -> None:
    panel = Heard()
    panel.reply("exported", [b"a,b\r\n"], name="metrics.csv", mediaType="text/csv")
    assert panel.messages == [
        ({"kind": "exported", "name": "metrics.csv", "mediaType": "text/csv"}, [b"a,b\r\n"])
    ]


def test_a_panel_is_drawn_from_a_file() -> None:
    panel = GpuPanel.from_file(STATE)
    snapshot = panel.snapshot()
    assert len(snapshot["values"]) == len(snapshot["columns"]) == len(panel.columns)
    assert panel.state.history is not None
    assert {gpu["state"] for gpu in panel.gpus} == {"ok", "lost"}


def test_the_page_s_module_is_whole_and_names_nothing_outside() -> None:
    module = script("gpu.js")
    assert "import {" not in module
    assert module.count("export default") == 1
    assert "cdn." not in module.lower()
