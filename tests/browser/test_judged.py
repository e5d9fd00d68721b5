"""What the page says of a task's pace: a child that stands still, and how long it will take."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import Served, served
from tests.browser.visitor import Visitor
from tests.hub_process import MODELS

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

LONG = os.environ.get("LONG_TESTS") == "1"
UNIT_S = 0.25
UNITS = 240 if LONG else 80
STEP_S = 1.0
"""An ETA is shown in whole seconds: closer than one it cannot be."""

# What a reader sees, ten times a second, with the page's own clock.
WATCH = """() => {
  const text = (selector) => document.querySelector(selector)?.textContent ?? "";
  globalThis.watched = [];
  setInterval(() => watched.push({
    at: performance.now() / 1000,
    state: document.querySelector(".wb-taskhead .wb-state")?.dataset.state,
    times: text(".wb-progressline > :last-child"),
  }), 100);
}"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("judged"), "app", PYTHONPATH=str(MODELS)) as running:
        yield running


@pytest.fixture(scope="module")
def visitor(site: Served, one_page: Page) -> Visitor:
    visitor = Visitor(one_page)
    visitor.open(site.url)
    return visitor


def submit_steady(visitor: Visitor, units: int, unit_s: float) -> None:
    visitor.choose_model("steady")
    visitor.choose_sample("small")
    visitor.page.get_by_label("Units", exact=True).fill(str(units))
    visitor.page.get_by_label("Seconds a unit").fill(str(unit_s))
    visitor.submit()


def tell(site: Served, what: signal.Signals) -> None:
    children = site.engine_children()
    assert children
    for each in children:
        each.send_signal(what)


def standing(page: Page) -> tuple[str | None, str]:
    """Where the bar stands: what a screen reader is told, and what is drawn."""
    bar = page.locator(".wb-big")
    return bar.get_attribute("aria-valuenow"), bar.locator("i").evaluate("bar => bar.style.width")


def test_a_stopped_child_shows_as_a_bar_that_stands_still(site: Served, visitor: Visitor) -> None:
    submit_steady(visitor, units=16, unit_s=0.5)
    bar = visitor.page.locator(".wb-big")
    expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[3-8]\d$"))
    tell(site, signal.SIGSTOP)
    try:
        line = visitor.page.locator(".wb-progressline")
        expect(line).to_contain_text(re.compile(r"no news for [5-9] s"))
        stopped_at = standing(visitor.page)
        expect(line).to_contain_text(re.compile(r"no news for (8|9) s"))
        expect(line).not_to_contain_text("left")
        assert standing(visitor.page) == stopped_at
        assert 30 <= int(stopped_at[0] or 0) < 100
    finally:
        tell(site, signal.SIGCONT)
    expect(line).not_to_contain_text("no news")
    visitor.ends("done")
    expect(bar).to_have_attribute("aria-valuenow", "100")
    visitor.is_clean()


def test_in_its_second_half_the_time_left_is_right_within_30_percent(visitor: Visitor) -> None:
    visitor.page.evaluate(WATCH)
    submit_steady(visitor, UNITS, UNIT_S)
    visitor.ends("done", timeout_s=3 * UNITS * UNIT_S)
    seen: list[dict[str, Any]] = visitor.page.evaluate("watched")
    running = [each["at"] for each in seen if each["state"] == "running"]
    started, ended = running[0], running[-1]
    assert ended - started >= 0.9 * UNITS * UNIT_S
    half = (started + ended) / 2
    later = [each for each in seen if half < each["at"] <= ended]
    guesses = {each["at"]: left_s(each["times"]) for each in later}
    told = {ended - at: guess for at, guess in guesses.items() if guess is not None}
    assert len(told) > 0.9 * len(later), [each["times"] for each in later]
    worst = max(told, key=lambda truth: abs(told[truth] - truth) - max(0.3 * truth, STEP_S))
    assert abs(told[worst] - worst) <= max(0.3 * worst, STEP_S), (told[worst], worst)
    visitor.is_clean()


def left_s(times: str) -> float | None:
    """The seconds of `12 s elapsed · about 8 s left`."""
    found = re.search(r"about (?:(\d+) min )?(\d+) s left", times)
    return 60 * int(found[1] or 0) + int(found[2]) if found else None
