"""What a run used, on a task's page and below an answer, without a kernel."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import STATES
from tests.browser.harness import BarePage, page_files
from tests.browser.test_mesh_widget import sent
from workbench.widgets.chat import ChatWidget
from workbench.widgets.mesh import MeshWidget

pytestmark = pytest.mark.browser

USED = {
    "startedAt": 1_764_000_000_000,
    "endedAt": 1_764_000_012_500,
    "gpus": ["0"],
    "shared": False,
    "samples": 6,
    "peakMemoryMB": 6123.4,
    "meanUtilization": 71.5,
    "peakTemperatureC": None,
    "meanPowerW": 210.0,
    "energyWh": 0.7291,
    "cost": None,
    "currency": "",
    "meanCpu": 12.0,
    "peakHostMemoryMB": 9000.0,
    "resolution": "raw",
}
SHARED = {**USED, "gpus": ["0", "1"], "shared": True, "cost": 0.0123, "currency": "EUR"}


def say(page: Page, content: dict[str, Any]) -> None:
    page.evaluate("content => model.say(content)", content)


def test_a_tasks_details_ask_for_what_it_used(
    lend_page: Callable[..., Page], mesh_state: dict[str, Any]
) -> None:
    bare = BarePage(lend_page(), page_files(MeshWidget(), mesh_state, "light"))
    bare.open("?lang=en")
    page = bare.page
    assert sent(page, "metrics") == []
    page.get_by_role("tab", name="Details").click()
    (asked,) = sent(page, "metrics")
    details = page.locator(".wb-task .wb-details")
    say(page, {"kind": "metrics", "taskId": asked["taskId"], "metrics": USED})
    for fact in ("6,123 MB", "72 %", "0.729 Wh", "Peak temperatureunknown"):
        expect(details).to_contain_text(fact)
    expect(details).to_contain_text("unknown: no price per kWh is set")
    say(page, {"kind": "metrics", "taskId": "another", "metrics": SHARED})
    expect(details).not_to_contain_text("EUR")
    error = {"template": "", "values": {}, "text": "the hub said no"}
    say(page, {"kind": "metrics", "taskId": asked["taskId"], "error": error})
    expect(details).to_contain_text("What it usedthe hub said no")
    page.locator(".wb-rowlink").nth(2).click()
    expect(details).not_to_contain_text("What it used")
    bare.is_clean()


def test_an_answer_says_what_it_used_when_a_reader_asks(lend_page: Callable[..., Page]) -> None:
    state = json.loads((STATES / "chat.json").read_text())
    widget = ChatWidget.from_file(STATES / "chat.json")
    shown = {"traits": state["traits"], **widget.snapshot()}
    bare = BarePage(lend_page(), page_files(widget, shown, "light"))
    bare.open("?lang=en")
    page = bare.page
    answer = page.locator('.wb-msg[data-role="assistant"][data-status="done"]').first
    button = answer.get_by_role("button", name="What it used")
    button.click()
    (asked,) = sent(page, "metrics")
    say(page, {"kind": "metrics", "messageId": asked["messageId"], "metrics": SHARED})
    used = answer.locator(".wb-used")
    expect(used).to_contain_text("Time: 13 s · GPUs: 0, 1 (all: nobody says which it used)")
    expect(used).to_contain_text("Cost: 0.0123 EUR")
    expect(button).to_have_attribute("aria-expanded", "true")
    button.click()
    expect(used).to_be_hidden()
    never = {**USED, "startedAt": None}
    button.click()
    say(page, {"kind": "metrics", "messageId": asked["messageId"], "metrics": never})
    expect(used).to_have_text("nothing: it never ran")
    bare.is_clean()
