"""The page in JupyterLab, as `workbench lab` opens it: tasks, a conversation, own functions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page, expect

from tests.browser.asking import reconciles_a_sample
from tests.browser.conftest import Shot
from tests.browser.conversing import converse, find_again
from tests.browser.notebook import Notebook
from tests.browser.serving import Served, served
from tests.browser.talker import Talker, hand
from tests.llm.tiny_model import tiny_model
from workbench.session import connect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("lab"), "lab", WORKBENCH_SLOTS="1") as running:
        tiny_model(running.data / "models")
        yield running


@pytest.fixture(scope="module")
def talker(lab: Served, one_page: Page) -> Talker:
    """One notebook for all; what one test did there, the next finds."""
    talker = Talker(one_page)
    run_all(talker, lab)
    return talker


def run_all(talker: Talker, lab: Served) -> None:
    talker.run_notebook(lab.url)
    talker.connected()
    talker.ready()


def test_the_submitter_works_in_jupyterlab(talker: Talker, shot: Shot) -> None:
    talker.choose_model("cypher-v1")
    talker.choose_sample("small")
    talker.submit()
    talker.ends("done")
    talker.drawn()
    assert "GET lab/extensions/plotly.min.js" in talker.answered
    expect(talker.page.get_by_text("get notified about official Jupyter news")).to_have_count(0)
    shot(talker.page, "lab")
    talker.is_clean()


def test_a_question_about_a_batch_is_answered_in_jupyterlab(talker: Talker, shot: Shot) -> None:
    rows = reconciles_a_sample(talker.page).read_text().splitlines()
    assert len(rows) == 30
    shot(talker.page, "lab-runes")
    talker.is_clean()


def test_a_conversation_is_held_and_found_again_on_the_one_board_after_a_second_run(
    lab: Served, talker: Talker, shot: Shot
) -> None:
    def reopen() -> None:
        run_all(talker, lab)
        expect(talker.page.locator(".wb-mesh")).to_have_count(1)
        expect(talker.page.locator(".wb-mesh .wb-gone")).to_be_hidden()

    converse(talker, lab, shot, "lab-chat")
    find_again(talker, reopen)
    talker.is_clean()


def test_code_goes_into_a_new_cell_below(lab: Served, talker: Talker) -> None:
    talker.new()
    talker.say("first")
    talker.page.locator(".wb-chat .wb-box").press("Escape")
    talker.has(2, "stopped")
    with hand(lab.data) as hub:
        hub.make_it_say("```python\nprint(6 * 7)\n```")
        talker.has_settings()
        talker.say("Some code")
        talker.has(4)
    cells = talker.page.locator(".jp-Notebook .jp-CodeCell")
    before = cells.count()
    talker.page.get_by_role("button", name="Insert into a cell").click()
    expect(cells).to_have_count(before + 1)
    expect(talker.page.locator(".jp-Notebook .jp-Cell").last).to_contain_text("print(6 * 7)")
    expect(talker.page.locator(".wb-chat")).to_be_visible()
    talker.is_clean()


THREE_LINES = """from workbench import runes
block = runes.read("../data/samples/block-sim.bin", network="regtest")
runes.block_share(block)"""


def test_three_lines_lead_from_a_raw_block_to_a_reconciled_answer_and_its_figure(
    talker: Talker, shot: Shot
) -> None:
    answer = Notebook(talker.page).runs(THREE_LINES)
    expect(answer).to_contain_text("the fees are what the coinbase claims", timeout=60_000)
    expect(answer.locator(".js-plotly-plot .main-svg").first).to_be_visible()
    expect(answer.locator(".js-plotly-plot .bartext")).to_have_count(3)
    answer.locator(".js-plotly-plot").first.scroll_into_view_if_needed()
    shot(talker.page, "lab-three-lines")
    talker.is_clean()


HARMONIC = """import hashlib
from typing import Annotated
import pandas
from msgspec import Meta
import workbench

@workbench.model(title="Harmonic numbers")
def harmonic(context, terms: Annotated[int, Meta(ge=1, le=50, title="Terms")] = 3):
    "Sums one over n."
    for n in range(terms):
        context.progress(n + 1, terms, "term {n}", n=n + 1)
    print("summed", terms)
    return pandas.DataFrame({"n": range(1, terms + 1)}).assign(sum=lambda t: (1 / t.n).cumsum())

workbench.show_mesh(model=harmonic)"""

ENDLESS = """@workbench.model
def endless():
    return hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000).hex()

workbench.submit(endless)"""

FREED_S = 2.0


def test_a_function_typed_into_a_cell_runs_is_cancelled_and_is_found_after_a_restart(
    lab: Served, new_page: Callable[..., Page], shot: Shot
) -> None:
    visitor = Notebook(new_page(viewport={"width": 1500, "height": 1200}))
    page = visitor.page
    visitor.opens(lab.url)

    form = visitor.runs(HARMONIC)
    expect(page.locator("#wb-model")).to_have_value("harmonic", timeout=60_000)
    page.get_by_label("Terms").fill("7")
    task_id = visitor.submit()
    visitor.ends("done")
    expect(form.locator(".wb-result")).to_contain_text("7 rows")  # or what is said instead
    expect(form.locator(".wb-tablepart tbody tr")).to_have_count(7)
    shot(page, "lab-own-form")

    card = visitor.runs(ENDLESS)
    expect(card.locator('.wb-state[data-state="running"]')).to_be_visible()
    waiting = visitor.runs("workbench.submit(harmonic, terms=2)")
    expect(waiting.locator('.wb-state[data-state="queued"]')).to_be_visible()
    card.get_by_role("button", name="Cancel…").click()
    stopped_at = datetime.now(UTC)
    card.get_by_role("button", name="Stop the work").click()
    expect(waiting.locator('.wb-state[data-state="done"]')).to_be_visible()
    expect(card.locator('.wb-state[data-state="cancelled"]')).to_be_visible()
    shot(page, "lab-own-cancelled")
    assert (started_at(lab) - stopped_at).total_seconds() < FREED_S

    visitor.restarts_the_kernel()
    again = visitor.runs(f"import workbench\nworkbench.run({task_id!r})")
    expect(again.locator('.wb-state[data-state="done"]')).to_be_visible()
    expect(again.locator(".wb-tablepart tbody tr")).to_have_count(7)
    again.get_by_role("tab", name="Log").click()
    expect(again.locator(".wb-log")).to_contain_text("summed 7")
    shot(page, "lab-own-again")
    visitor.is_clean()


def started_at(lab: Served) -> datetime:
    """When the task began that had waited for the only slot."""
    with connect(lab.data, start=False) as bench:
        newest = bench.tasks(1).rows()[0]
    assert newest["model"] == "harmonic"
    return datetime.fromisoformat(str(newest["started_at"])).replace(tzinfo=UTC)
