"""The same conversation in JupyterLab, as `workbench lab` opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot
from tests.browser.conversing import converse, find_again
from tests.browser.serving import Served, served
from tests.browser.talker import Talker, hand
from tests.llm.tiny_model import tiny_model

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("chat-lab"), "lab") as running:
        tiny_model(running.data / "models")
        yield running


def run_all(talker: Talker, url: str) -> None:
    talker.run_notebook(url)
    talker.ready()


def test_a_conversation_is_held_and_found_again(
    lab: Served, new_page: Callable[..., Page], shot: Shot
) -> None:
    talker = Talker(new_page(viewport={"width": 1700, "height": 1000}))

    run_all(talker, lab.url)
    converse(talker, lab, shot, "lab-chat")
    find_again(talker, lambda: run_all(talker, lab.url))
    talker.is_clean()


def test_code_goes_into_a_new_cell_below(lab: Served, new_page: Callable[..., Page]) -> None:
    talker = Talker(new_page(viewport={"width": 1700, "height": 1000}))
    run_all(talker, lab.url)
    talker.new()
    talker.say("first")
    talker.page.locator(".wb-chat .wb-box").press("Escape")
    talker.has(2, "stopped")
    with hand(lab.data) as hub:
        hub.make_it_say("```python\nprint(6 * 7)\n```")
        talker.say("Some code")
        talker.has(4)
    cells = talker.page.locator(".jp-Notebook .jp-CodeCell")
    before = cells.count()
    talker.page.get_by_role("button", name="Insert into a cell").click()
    expect(cells).to_have_count(before + 1)
    expect(talker.page.locator(".jp-Notebook .jp-Cell").last).to_contain_text("print(6 * 7)")
    expect(talker.page.locator(".wb-chat")).to_be_visible()
    talker.is_clean()
