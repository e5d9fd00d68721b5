"""The same conversation in JupyterLab, as `workbench lab` opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot
from tests.browser.conversing import converse, find_again
from tests.browser.serving import Served, served
from tests.browser.talker import Talker
from tests.llm.tiny_model import tiny_model

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("chat-lab"), "lab") as running:
        tiny_model(running.data / "models")
        yield running


def test_a_conversation_is_held_and_found_again(
    lab: Served, new_page: Callable[..., Page], shot: Shot
) -> None:
    talker = Talker(new_page(viewport={"width": 1700, "height": 1000}))

    def run() -> None:
        page = talker.page
        page.goto(lab.url.replace("/lab?", "/lab/tree/workbench.ipynb?reset&lang=en&"))
        expect(page.locator(".jp-Notebook")).to_be_visible(timeout=90_000)
        idle = page.get_by_text("Python 3 (ipykernel) | Idle")
        expect(idle).to_be_visible(timeout=60_000)
        page.locator('.lm-MenuBar-item:has-text("Run")').click()
        page.get_by_text("Run All Cells", exact=True).click()
        talker.ready()

    run()
    converse(talker, lab, shot, "lab-chat")
    find_again(talker, run)
    talker.is_clean()
