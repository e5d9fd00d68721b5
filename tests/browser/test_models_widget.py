"""The models drawn without a kernel: what cards say and do, search, filter, keyboard."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot
from tests.browser.harness import presses_while_it_changes
from tests.browser.models_page import MISTRAL, QWEN, Draw, drawing
from tests.browser.test_mesh_widget import CONTRASTS, sent

pytestmark = pytest.mark.browser


@pytest.fixture
def draw(lend_page: Callable[..., Page]) -> Draw:
    return drawing(lend_page)


@pytest.mark.parametrize(
    ("width", "lang", "theme"),
    [
        (1400, "en", "light"),
        (1400, "pt-BR", "dark"),
        (700, "en", "dark"),
        (390, "pt-BR", "light"),
    ],
)
def test_models_and_downloads_are_drawn(
    draw: Draw, shot: Shot, width: int, lang: str, theme: str
) -> None:
    drawn = draw(lang, theme, viewport={"width": width, "height": 900})
    expect(drawn.page.locator(".wb-here").get_by_role("article")).to_have_count(7)
    expect(drawn.page.locator(".wb-found").get_by_role("article")).to_have_count(3)
    expect(drawn.page.locator(".wb-download")).to_have_count(9)
    shot(drawn.page, f"models-{theme}-{lang}-{width}")
    assert drawn.page.evaluate("document.documentElement.scrollWidth") <= width
    assert drawn.page.evaluate(CONTRASTS) == []
    drawn.is_clean()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (QWEN, "fits the GPU needs 3.3 GB with 4,096 tokens of context; 9.2 GB of 25.2 GB free"),
        (MISTRAL, "fits the GPU, but not right now"),
        ("llama3.3:70b", "fits memory, but not right now"),
        ("DeepSeek R1", "does not fit needs 151 GB"),
        ("gpt-oss-120b", "not known whether it fits"),
    ],
)
def test_a_card_says_in_words_whether_it_fits(draw: Draw, name: str, words: str) -> None:
    drawn = draw()
    fit = drawn.card(name).locator(".wb-fit")
    expect(fit).to_contain_text(words)
    expect(fit.locator("svg")).to_have_count(1)


def test_a_card_says_what_the_model_is_and_who_keeps_it(draw: Draw) -> None:
    drawn = draw()
    card = drawn.card("llama3.3:70b")
    for words in ("Ollama", "42.5 GB", "Q4_K_M", "70.6B", "131,072", "llama3.3"):
        expect(card).to_contain_text(words)
    expect(drawn.card(MISTRAL)).to_contain_text("LM Studio")
    expect(drawn.card("DeepSeek R1")).to_contain_text("Hugging Face's cache")
    broken = drawn.card("half.gguf")
    expect(broken).to_contain_text("half.gguf is cut short: it has 1,000,000 bytes")
    expect(broken.get_by_role("button")).to_have_count(1)


def test_search_and_filter_choose_the_cards(draw: Draw) -> None:
    drawn = draw()
    page = drawn.page
    cards = page.locator(".wb-here").get_by_role("article")
    page.get_by_role("searchbox", name="Find a model").fill("llama ollama")
    expect(cards).to_have_count(1)
    page.get_by_role("searchbox", name="Find a model").fill("nothing is called so")
    expect(page.get_by_text("No model matches this search and filter.")).to_be_visible()
    page.get_by_role("searchbox", name="Find a model").fill("")
    shown = page.get_by_role("group", name="Models shown")
    shown.get_by_role("button", name="Loaded 1").click()
    expect(cards).to_have_count(1)
    expect(page.locator(".wb-download")).to_have_count(9)
    expect(page.locator(".wb-downloading")).to_be_hidden()
    shown.get_by_role("button", name="On this machine 6").click()
    expect(cards).to_have_count(6)
    shown.get_by_role("button", name="Downloading").click()
    expect(cards).to_have_count(0)
    expect(page.locator(".wb-downloading")).to_be_visible()


def test_a_model_is_loaded_with_options_within_their_bounds(draw: Draw) -> None:
    drawn = draw()
    card = drawn.card("llama3.3:70b")
    card.get_by_role("button", name="How it is loaded").click()
    context = card.get_by_role("textbox", name="Context (tokens)")
    expect(context).to_be_focused()
    context.fill("999999")
    card.get_by_role("textbox", name="Layers on the GPU").fill("20")
    card.get_by_role("button", name="Load with these").click()
    expect(card.get_by_role("alert")).to_contain_text("allowed: 16 to 131,072")
    context.fill("8192")
    context.press("Enter")
    expect(context).to_be_hidden()
    [asked] = sent(drawn.page, "load")
    assert asked["model"] == "llama3.3:70b@embedded"
    assert asked["options"] == {"contextSize": 8192, "gpuLayers": 20}
    why = {"template": "waiting for GPU {gpu}", "values": {"gpu": "0"}}
    drawn.trait("loading", {asked["model"]: {"done": None, "waiting": why}})
    bar = card.get_by_role("progressbar", name="Loading llama3.3:70b")
    expect(bar).to_have_attribute("aria-valuetext", "waiting for GPU 0")
    drawn.trait("loading", {asked["model"]: {"done": 0.5, "waiting": None}})
    expect(bar).to_have_attribute("aria-valuenow", "50")
    card.get_by_role("button", name="Stop").click()
    assert len(sent(drawn.page, "stop")) == 1
    drawn.trait("loading", {})
    expect(bar).to_be_hidden()
    drawn.is_clean()


def test_a_loaded_model_chats_is_measured_unloaded_and_deleted_after_a_question(
    draw: Draw,
) -> None:
    drawn = draw()
    page, card = drawn.page, drawn.card(QWEN)
    name = "Qwen/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M@embedded"
    words = (
        "writes 41.4 tokens/s · reads 813 tokens/s · first token after 212 ms · 3.4 GB of memory"
    )
    expect(card).to_contain_text(words)
    for button in ("Chat with it", "Benchmark", "Unload", "Verify"):
        card.get_by_role("button", name=button).click()
    for kind in ("chat", "benchmark", "unload"):
        assert [one["model"] for one in sent(page, kind)] == [name]
    assert sent(page, "verify")[0]["downloadId"] == "d8"
    drawn.trait("benchmarks", {name: {"state": "running"}})
    expect(card.get_by_role("progressbar", name=f"Measuring {QWEN}")).to_be_visible()
    drawn.trait("benchmarks", {name: {"error": {"template": "it ended", "values": {}}}})
    expect(card).to_contain_text("it ended")
    page.evaluate("title => model.say({kind: 'chatting', where: 'console', title})", QWEN)
    expect(page.get_by_role("status").get_by_text("The chat asks Qwen3 4B now.")).to_be_visible()
    expect(card.get_by_role("button", name="Delete…")).to_have_count(0)  # unloaded first
    cards = [
        {**each, "state": "on-disk"} for each in drawn.traits["cards"] if each["title"] == QWEN
    ]
    drawn.trait("cards", cards)
    drawn.trait("benchmarks", {})
    card.get_by_role("button", name="Delete…").click()
    question = "Delete Qwen/Qwen3-4B-GGUF/Qwen3-4B-Q4_K_M (2.5 GB)"
    expect(card.get_by_role("alertdialog")).to_contain_text(question)
    page.keyboard.press("Escape")
    assert sent(page, "delete") == []
    card.get_by_role("button", name="Delete…").click()
    card.get_by_role("button", name="Delete", exact=True).click()
    assert [one["model"] for one in sent(page, "delete")] == [name.removesuffix("@embedded")]
    drawn.trait("cards", [])
    expect(page.locator(".wb-here")).to_be_focused()  # near what is gone
    drawn.is_clean()


def test_memory_is_reckoned_with_another_context_and_models_are_looked_for_again(
    draw: Draw,
) -> None:
    drawn = draw()
    page = drawn.page
    page.get_by_label("Memory for a context of").select_option(label="32,768 tokens")
    page.get_by_role("button", name="Look for models again").click()
    assert [one["contextSize"] for one in sent(page, "context")] == [32_768]
    assert len(sent(page, "refresh")) == 1
    drawn.trait("options", {"contextSize": 32_768})
    expect(page.get_by_label("Memory for a context of")).to_have_value("32768")
    room = "GPU: 9.2 GB of 25.2 GB free · memory: 31.4 GB of 67.4 GB free · disk: 41.8 GB free"
    expect(page.get_by_text(room)).to_be_visible()


def test_a_hub_that_is_gone_is_said_and_started_and_a_message_is_closed(draw: Draw) -> None:
    drawn = draw()
    page = drawn.page
    expect(page.locator(".wb-fresh")).to_have_text("live")
    drawn.trait("connection", {"state": "reconnecting", "url": "", "hub": "absent"})
    expect(page.locator(".wb-fresh")).to_have_text("disconnected")
    expect(page.locator(".wb-main.wb-stale")).to_be_visible()
    presses_while_it_changes(page, "Start the hub")
    assert len(sent(page, "startHub")) == 1
    drawn.trait("connection", {"state": "connected", "url": ""})
    expect(page.locator(".wb-main.wb-stale")).to_have_count(0)
    notice = {"template": "version {theirs}", "values": {"theirs": "0.0.9"}, "remedy": "restart"}
    drawn.trait("connection", {"state": "connected", "url": "", "notice": notice})
    expect(page.get_by_role("status").filter(has_text="version 0.0.9")).to_be_visible()
    presses_while_it_changes(page, "Drain and restart the hub")
    assert len(sent(page, "restartHub")) == 1
    starting = {"state": "connected", "url": "", "notice": notice, "hub": "starting"}
    drawn.trait("connection", starting)
    expect(page.get_by_role("button", name="Restarting…")).to_be_disabled()
    old = {"state": "connected", "url": "", "notice": {**notice, "remedy": "update"}}
    drawn.trait("connection", old)
    expect(page.get_by_text("version 0.0.9")).to_be_visible()
    expect(page.get_by_role("button", name="Drain and restart the hub")).to_have_count(0)
    drawn.trait("connection", {"state": "connected", "url": "", "notice": None})
    expect(page.get_by_text("version 0.0.9")).to_be_hidden()
    drawn.trait("problem", {"template": "{model} is loaded: unload it first", "values": {}})
    presses_while_it_changes(page, "Close this message")
    assert len(sent(page, "seen")) == 1


def test_a_machine_without_models_says_what_to_do(draw: Draw) -> None:
    drawn = draw(changed={"cards": [], "downloads": [], "found": None, "machine": {}})
    expect(drawn.page.get_by_text("No model is on this machine yet.")).to_be_visible()
    drawn.trait("listed", False)
    expect(drawn.page.get_by_text("once the hub has told them")).to_be_visible()
    drawn.is_clean()


def test_everything_is_within_reach_of_the_keyboard(draw: Draw) -> None:
    page = draw().page
    unnamed = """() => [...document.querySelectorAll(".wb button, .wb input, .wb select")]
      .filter(one => one.checkVisibility() && (one.tabIndex < 0 || !(one.ariaLabel
        || one.textContent.trim() || one.labels?.length))).map(one => one.outerHTML)"""
    assert page.evaluate(unnamed) == []


def test_a_load_that_another_page_began_is_seen_here(draw: Draw) -> None:
    drawn = draw()
    cards = drawn.traits["cards"]
    named = next(each for each in cards if each["id"] == "llama3.3:70b")
    drawn.trait("cards", [{**each, "loading": each is named} for each in cards])
    card = drawn.card("llama3.3:70b")
    expect(card.get_by_role("progressbar", name="Loading llama3.3:70b")).to_be_visible()
    expect(card.get_by_role("button")).to_have_count(0)
    drawn.trait("cards", [{**each, "loading": False} for each in cards])
    expect(card.get_by_role("button", name="Load: ")).to_be_visible()


def test_models_of_one_title_go_by_their_files_and_by_their_places(draw: Draw) -> None:
    drawn = draw()
    known = drawn.traits["cards"][0]
    ids = ("a/q/Q-Q4_K_M", "a/q/Q-Q8_0", "b/q/Q-Q8_0")
    drawn.trait("cards", [{**known, "id": id_, "place": f"/m/{id_}", "title": "Q"} for id_ in ids])
    headings = drawn.page.locator(".wb-here").get_by_role("heading", level=4)
    expect(headings).to_have_text(["Q-Q4_K_M", "a/q/Q-Q8_0@embedded", "b/q/Q-Q8_0@embedded"])
    names = drawn.page.locator('.wb-here [data-deed="unload"]')
    assert len({each.get_attribute("aria-label") for each in names.all()}) == 3
