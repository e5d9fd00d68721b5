"""A task and a map below their cells, drawn from plain data: what a reader sees and can do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot
from tests.browser.harness import BarePage, page_files, sent
from workbench.widgets.map import MapWidget
from workbench.widgets.run import RunWidget

pytestmark = pytest.mark.browser

Draw = Callable[..., BarePage]


@pytest.fixture
def draw(lend_page: Callable[..., Page]) -> Draw:
    def open_page(
        widget: Any, state: dict[str, Any], query: str = "?lang=en", theme: str = "light", **at: Any
    ) -> BarePage:
        bare = BarePage(lend_page(**at), page_files(widget, state, theme))
        bare.open(query)
        return bare

    return open_page


def of(mesh_state: dict[str, Any], state: str) -> str:
    """The id of the first task in this state."""
    found = [each["taskId"] for each in mesh_state["tasks"] if each["state"] == state]
    return str(found[0])


@pytest.mark.parametrize(("width", "lang", "theme"), [(900, "en", "light"), (390, "pt-BR", "dark")])
def test_a_running_task_shows_its_progress_and_its_log_and_is_cancelled(
    draw: Draw, mesh_state: dict[str, Any], shot: Shot, width: int, lang: str, theme: str
) -> None:
    widget = RunWidget(task_id=of(mesh_state, "running"))
    mesh_state["traits"].pop("problem", None)
    at = {"width": width, "height": 700}
    bare = draw(widget, mesh_state, f"?lang={lang}", theme, viewport=at)
    page = bare.page
    expect(page.locator(".wb-taskhead .wb-state")).to_have_attribute("data-state", "running")
    expect(page.locator(".wb-big")).to_have_attribute("aria-valuenow", "62")
    expect(page.locator(".wb-line").first).to_be_visible()
    shot(page, f"run-{theme}-{lang}-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".wb-taskhead .wb-button").click()
    page.locator(".wb-danger").click()
    assert [each["taskId"] for each in sent(page, "cancel")] == [widget.task_id]
    bare.is_clean()


def test_a_task_that_is_done_shows_its_table_and_has_no_button(
    draw: Draw, mesh_state: dict[str, Any], shot: Shot
) -> None:
    widget = RunWidget(task_id=next(iter(mesh_state["opened"])))
    for task_id, opened in mesh_state["opened"].items():
        if opened.get("result") and opened["result"].get("tables"):
            widget.task_id = task_id
    result = mesh_state["opened"][widget.task_id]["result"]
    result["data"] = {**result["data"], "value": {"loss": 0.25, "curve": [1]}}
    bare = draw(widget, mesh_state, viewport={"width": 900, "height": 900})
    page = bare.page
    expect(page.locator(".wb-tablepart tbody tr").first).to_be_visible()
    expect(page.locator(".wb-facts")).to_contain_text("Loss0.25")  # a function's own dictionary
    expect(page.locator(".wb-taskhead .wb-actions")).to_be_empty()
    shot(page, "run-done")
    page.get_by_role("tab", name="Details").click()
    page.evaluate(
        "([taskId, source]) => model.say({ kind: 'metrics', taskId, metrics: {}, source })",
        [widget.task_id, "def double(n):\n    return 2 * n\n"],
    )
    page.get_by_text("Source", exact=True).click()
    expect(page.locator(".wb-pane pre:visible")).to_contain_text("return 2 * n")
    bare.is_clean()


def test_a_task_that_is_first_heard_of_when_it_is_done_shows_its_result(
    draw: Draw, mesh_state: dict[str, Any]
) -> None:
    widget = RunWidget(task_id=of(mesh_state, "done"))
    (task,) = [each for each in mesh_state["tasks"] if each["taskId"] == widget.task_id]
    late = {**mesh_state, "tasks": [], "opened": {}}
    bare = draw(widget, late, viewport={"width": 900, "height": 900})
    page = bare.page
    page.wait_for_function("model.sent.some((one) => one.kind === 'open')")
    page.evaluate("(task) => model.say({ kind: 'delta', n: 1, tasks: [task], logs: {} })", task)
    expect(page.locator('.wb-state[data-state="done"]')).to_be_visible()
    assert len(sent(page, "open")) == 2


COUNTS = {
    "total": 40, "done": 21, "failed": 3, "cancelled": 1, "running": 2, "waiting": 13,
    "began": 1_700_000_000_000, "ended": 1_700_000_047_000,
}  # fmt: skip
ERROR = {"template": "{kind}: {reason}", "values": {"kind": "ValueError", "reason": "no rows"}}
FAILURES = [
    {"number": 3, "batch": "blocks-0003.json", "taskId": "a", "state": "failed", "error": ERROR},
    {"number": 7, "batch": "blocks-0007.json", "taskId": "b", "state": "timeout", "error": ERROR},
    {"number": 8, "batch": "a-rather-long-name-of-a-file-" + "x" * 60, "taskId": "c",
     "state": "failed", "error": {**ERROR, "values": {"kind": "KeyError", "reason": "'a' " * 30}}},
    {"number": 12, "batch": "12", "taskId": "d", "state": "cancelled", "error": None},
]  # fmt: skip


@pytest.mark.parametrize(("width", "lang", "theme"), [(900, "en", "light"), (390, "pt-BR", "dark")])
def test_a_map_shows_one_bar_its_counts_and_its_failures(
    draw: Draw, shot: Shot, width: int, lang: str, theme: str
) -> None:
    widget = MapWidget(title="double", counts=COUNTS, failures=FAILURES)
    at = {"width": width, "height": 700}
    bare = draw(widget, {}, f"?lang={lang}", theme, viewport=at)
    page = bare.page
    expect(page.locator(".wb-big")).to_have_attribute("aria-valuenow", "63")
    expect(page.locator(".wb-counts li")).to_have_count(5)
    expect(page.locator(".wb-failures li")).to_have_count(4)
    expect(page.locator(".wb-failures li").first).to_contain_text("ValueError: no rows")
    shot(page, f"map-{theme}-{lang}-{width}")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator(".wb-mapcard .wb-button").nth(0).click()
    page.locator(".wb-mapcard .wb-button").nth(1).click()
    assert len(sent(page, "again")) == len(sent(page, "cancel")) == 1
    bare.is_clean()
