"""One Chromium per test module: the sync driver's loop must be gone before asyncio tests run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

from tests.browser.chromium import FLAGS, find

SHOTS = Path(__file__).parent / "shots"
STATES = Path(__file__).parent / "states"
WAIT_MS = 30_000
VIEWPORT: ViewportSize = {"width": 1280, "height": 900}

expect.set_options(timeout=WAIT_MS)

Shot = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = find()
    if path is None:
        pytest.fail("no Chromium: run `python -m tests.browser.chromium`")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def make_page(browser: Browser) -> Callable[..., Page]:
    """Makes pages in contexts of their own; options are those of a Playwright context."""

    def make(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": VIEWPORT, **options})
        context.set_default_timeout(WAIT_MS)
        return context.new_page()

    return make


@pytest.fixture(scope="module")
def one_page(make_page: Callable[..., Page]) -> Iterator[Page]:
    """The page of all tests of a module: one kernel is started, and one board drawn."""
    page = make_page(viewport={"width": 1500, "height": 1000})
    yield page
    page.context.close()


@pytest.fixture
def new_page(make_page: Callable[..., Page]) -> Iterator[Callable[..., Page]]:
    """Makes pages for one test."""
    contexts = []

    def make(**options: Any) -> Page:
        page = make_page(**options)
        contexts.append(page.context)
        return page

    yield make
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def kept_pages(browser: Browser) -> dict[str, list[Page]]:
    """Pages that no test draws on at the moment, by their options."""
    return {}


@pytest.fixture
def lend_page(
    kept_pages: dict[str, list[Page]], make_page: Callable[..., Page]
) -> Iterator[Callable[..., Page]]:
    """As `new_page`, for bare pages: a new one costs more than most of them do. The tests of a
    module draw on the same, one after the other: its process and its compiled scripts are kept,
    what a page has stored is not."""
    lent: list[tuple[list[Page], Page]] = []

    def lend(viewport: ViewportSize = VIEWPORT, **options: Any) -> Page:
        free = kept_pages.setdefault(json.dumps(options, sort_keys=True), [])
        page = free.pop() if free else make_page(**options)
        page.set_viewport_size(viewport)
        lent.append((free, page))
        return page

    yield lend
    for free, page in lent:
        page.unroute_all(behavior="ignoreErrors")
        page.mouse.move(0, 0)
        page.evaluate("() => { localStorage.clear(); sessionStorage.clear(); }")
        free.append(page)


@pytest.fixture
def shot() -> Shot:
    """Keeps a picture to be looked at."""
    SHOTS.mkdir(exist_ok=True)

    def take(page: Page, name: str) -> None:
        page.screenshot(path=SHOTS / f"{name}.png", full_page=True)

    return take


@pytest.fixture
def mesh_state() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((STATES / "mesh.json").read_text())
    return read
