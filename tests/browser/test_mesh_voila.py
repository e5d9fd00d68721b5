"""The page that `workbench app` opens, with a real hub behind it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.browser.asking import reconciles_a_sample
from tests.browser.conftest import Shot
from tests.browser.serving import Served, served
from tests.browser.visitor import Visitor
from workbench.widgets.bundle import catalogue

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

SHARED = Path(os.environ.get("WORKBENCH_SHARED", "../shared")) / "data" / "runes" / "blocks"
REAL_FEES_SAT = 5_026_183


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("voila"), "app") as running:
        yield running


@pytest.fixture(scope="module")
def opened(site: Served, one_page: Page) -> Visitor:
    visitor = Visitor(one_page)
    visitor.open(site.url)
    return visitor


@pytest.fixture
def visitor(opened: Visitor) -> Visitor:
    """One page for all: what one test left there, the next finds."""
    opened.connected()
    return opened


def test_a_sample_is_submitted_watched_and_drawn(visitor: Visitor, shot: Shot) -> None:
    page = visitor.page
    visitor.choose_model("cypher-v1")
    visitor.choose_sample("large")
    visitor.submit()
    visitor.ends("done")
    expect(page.locator(".wb-big")).to_have_attribute("aria-valuenow", "100")
    visitor.drawn()
    expect(page.locator(".wb-historytable tbody tr")).to_have_count(1)
    assert "GET voila/labextensions/plotly.min.js" in visitor.answered
    assert visitor.missing == []
    drivers = page.locator(".js-plotly-plot .bartext:visible")
    expect(drivers).not_to_have_count(0)  # each names itself in its part of a bar
    shot(page, "voila-cypher-en")
    visitor.is_clean()


def test_a_task_is_cancelled_in_two_steps_and_outlives_the_hub(
    site: Served, visitor: Visitor
) -> None:
    page = visitor.page
    visitor.choose_model("cypher-v1")
    visitor.choose_sample("large")
    page.get_by_label("Analysis depth").fill("5")
    page.locator("#wb-cache").uncheck()
    visitor.submit()
    page.get_by_role("button", name="Cancel…").click()
    page.get_by_role("button", name="Stop the work").click()
    visitor.ends("cancelled")
    site.stop_hub()
    expect(page.locator('.wb-mesh .wb-pill:not([data-state="connected"])')).to_be_visible()
    site.start_hub()
    page.reload()
    visitor.connected()
    states = page.locator(".wb-historytable .wb-state")
    expect(states.filter(has_text="cancelled")).to_have_count(1)
    expect(states.filter(has_text="done")).not_to_have_count(0)
    visitor.is_clean()


@pytest.mark.shared
def test_the_real_block_is_decoded_stored_and_drawn(visitor: Visitor, shot: Shot) -> None:
    if not SHARED.is_dir():
        pytest.skip("WORKBENCH_SHARED names no folder with the real block")
    page = visitor.page
    visitor.choose_model("block-import")
    visitor.choose_files([SHARED / "866342.bin.xz", SHARED / "866342_spent_utxos.json.gz"])
    visitor.submit()
    visitor.ends("done")
    facts = page.locator(".wb-facts")
    expect(facts).to_contain_text(f"{REAL_FEES_SAT:,}")
    expect(facts).to_contain_text(re.compile(r"fees agree\s*yes", re.IGNORECASE))
    visitor.drawn()
    expect(page.locator(".wb-where code")).to_contain_text("b866342_")
    shot(page, "voila-block")
    page.get_by_role("button", name="Analyse this batch").click()
    expect(page.locator("#wb-model")).to_have_value("cypher-v1")
    visitor.submit()
    visitor.ends("done")
    expect(page.locator(".wb-taskhead")).to_contain_text("batch:b866342_")
    visitor.drawn()
    visitor.is_clean()


def test_a_killed_hub_is_said_and_started_again_from_the_page(
    site: Served, visitor: Visitor
) -> None:
    page = visitor.page
    site.kill_hub()
    gone = page.locator(".wb-absent")
    expect(gone).to_contain_text("The hub is not running.")
    gone.get_by_role("button", name="Start the hub").click()
    visitor.connected()
    expect(gone).to_be_hidden()


def test_a_refusal_of_the_node_stands_on_the_page(visitor: Visitor) -> None:
    page = visitor.page
    visitor.choose_model("cypher-v1")
    page.locator('.wb-segment[data-mode="url"]').first.click()
    page.get_by_label("Address of the input").fill("file:///etc/passwd")
    page.locator(".wb-submit").click()
    expect(page.locator(".wb-fault:visible, .wb-problem:visible").first).to_have_text(
        "inputDataURL is 'file:///etc/passwd'; allowed: https:, http:, upload:<sha256>, "
        "batch:<alias>, or a file in the data folder"
    )
    assert page.locator(".wb-historytable tbody tr", has_text="passwd").count() <= 1


def test_a_question_about_a_batch_is_answered_and_taken_along(visitor: Visitor, shot: Shot) -> None:
    rows = reconciles_a_sample(visitor.page).read_text().splitlines()
    assert len(rows) == 30
    assert '"170141183752128236358417578185590013350"' in rows[1]
    shot(visitor.page, "voila-runes")
    visitor.page.locator(".wb-mesh").scroll_into_view_if_needed()
    visitor.is_clean()


def test_a_reload_shows_the_tasks_again_in_dark_too(visitor: Visitor, shot: Shot) -> None:
    visitor.page.emulate_media(color_scheme="dark")
    visitor.page.reload()
    visitor.connected()
    expect(visitor.page.locator(".wb-historytable tbody tr")).not_to_have_count(0)
    expect(visitor.page.locator('.wb-mesh[data-theme="dark"]')).to_be_visible()
    assert brightness(visitor.page, "#main") < brightness(visitor.page, ".wb-card")
    expect(visitor.page.locator("a.anchor-link:visible")).to_have_count(0)
    visitor.page.locator(".wb-rowlink").last.click()
    visitor.drawn()
    shot(visitor.page, "voila-dark")
    visitor.is_clean()


def brightness(page: Page, selector: str) -> int:
    colour = page.locator(selector).first.evaluate("at => getComputedStyle(at).backgroundColor")
    return sum(map(int, re.findall(r"\d+", colour)[:3]))


def test_a_killed_kernel_is_noticed_within_10_s(site: Served, visitor: Visitor) -> None:
    kernels = [
        process
        for process in psutil.process_iter(["cmdline", "environ", "create_time"])
        if "ipykernel_launcher" in " ".join(process.info["cmdline"] or ())
        and (process.info["environ"] or {}).get("WORKBENCH_DATA") == str(site.data)
    ]
    newest = max(kernels, key=lambda process: float(process.info["create_time"]))
    parent = newest.parent()
    newest.kill()
    if parent is not None:
        newest.wait(5)
    expect(visitor.page.locator(".wb-mesh .wb-gone")).to_be_visible()
    again = visitor.page.locator(".wb-mesh").get_by_role("button", name="Reload the page")
    expect(again).to_be_visible()


def test_an_analysis_is_a_page_of_sentences_tables_and_figures(
    site: Served, new_page: Callable[..., Page], shot: Shot
) -> None:
    visitor = Visitor(new_page(color_scheme="dark", viewport={"width": 400, "height": 5000}))
    page = visitor.page
    page.goto(site.url.replace("workbench.ipynb", "mint-fairness.ipynb"))
    expect(page.locator(".js-plotly-plot .bartext").first).to_be_visible(timeout=90_000)
    expect(page.locator(".js-plotly-plot")).to_have_count(3)
    expect(page.get_by_text("412 mints were asked for, to 132 receivers")).to_be_visible()
    folded = page.locator("details", has_text="How this came about").first
    expect(folded.get_by_text("Formulas")).to_be_hidden()
    folded.locator("summary").click()
    expect(folded.get_by_text("Formulas")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    edition = page.get_by_role("link", name="Em português")
    assert edition.evaluate("it => it.href").endswith("/voila/render/mint-fairness.pt-BR.ipynb")
    shot(page, "voila-analysis-dark-narrow")
    visitor.is_clean()


def test_the_portuguese_page_holds_no_english_sentence(
    site: Served, new_page: Callable[..., Page], shot: Shot
) -> None:
    visitor = Visitor(new_page())
    visitor.open(site.url, "pt-BR")
    page = visitor.page
    page.locator(".wb-mesh .wb-pill").click()
    expect(page.locator(".wb-chat .wb-box")).to_be_visible()
    english = {key for key, text in catalogue("pt-BR").items() if key != text}
    said = page.evaluate(
        """() => { const found = [];
           const walk = document.createTreeWalker(document.querySelector("#main"), 4);
           while (walk.nextNode()) {
             const { parentElement: at, textContent } = walk.currentNode;
             if (at.offsetParent && !at.closest("code, option")) found.push(textContent.trim());
           }
           return found.filter(Boolean); }"""
    )
    assert len(said) > 20
    assert [text for text in said if text in english] == []
    expect(page.locator("html")).to_have_attribute("lang", "pt-BR")
    page.keyboard.press("Escape")
    shot(page, "voila-pt")
    links = page.get_by_role("navigation").get_by_role("link")
    assert links.all_text_contents() == ["Tarefas da malha", "Chat", "Runas", "Métricas", "Modelos"]
    expect(page.locator(".wb-languages:visible")).to_have_count(1)  # one for all panels
    page.get_by_role("button", name="English").click()
    expect(links.first).to_have_text("Mesh tasks")
    for name in links.all_text_contents():
        expect(page.locator(f'.wb[role="region"][aria-label="{name}"]')).to_have_count(1)
