"""Finding a model and downloading it, drawn without a kernel: each state, each button."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot
from tests.browser.harness import presses_around
from tests.browser.models_page import FILE, GEMMA, Draw, drawing
from tests.browser.test_mesh_widget import CONTRASTS, sent

pytestmark = pytest.mark.browser


@pytest.fixture
def draw(lend_page: Callable[..., Page]) -> Draw:
    return drawing(lend_page)


def test_a_source_is_looked_for_and_its_choices_are_downloaded(draw: Draw) -> None:
    found = json.loads(FILE.read_text())["traits"]["found"]
    drawn = draw(changed={"found": None, "downloads": []})
    page = drawn.page
    page.get_by_role("button", name="Find", exact=True).click()
    expect(page.get_by_role("alert").get_by_text("type where the model is")).to_be_visible()
    field = page.get_by_role("textbox", name="Get a model")
    expect(field).to_be_focused()
    field.fill(" google/gemma-3-12b-it-GGUF ")
    field.press("Enter")
    assert [one["source"] for one in sent(page, "find")] == ["google/gemma-3-12b-it-GGUF"]
    drawn.trait("found", {"text": found["text"], "busy": True, "error": None, "cards": []})
    expect(page.get_by_role("button", name="Looking…")).to_be_disabled()
    drawn.trait("found", found)
    expect(page.get_by_role("status").get_by_text("3 choices to download")).to_be_attached()
    result = page.locator(".wb-found")
    gemma = result.get_by_role("article", name=GEMMA)
    expect(gemma).to_contain_text("gated: ask its publisher for access")
    expect(gemma).to_contain_text("34.5 GB of disk left after it")
    largest = result.get_by_role("article").last
    expect(largest).to_contain_text("too much for the disk: free some space first")
    expect(largest.get_by_role("button")).to_be_disabled()
    gemma.get_by_role("button", name="Download").click()
    [asked] = sent(page, "download")
    assert (asked["source"], asked["choice"]) == (found["text"], GEMMA)
    page.get_by_role("button", name="Close what was found").click()
    assert len(sent(page, "closeFound")) == 1
    drawn.trait("found", None)
    expect(result).to_be_hidden()
    drawn.is_clean()


def test_words_find_repositories_and_one_is_looked_into(draw: Draw, shot: Shot) -> None:
    drawn = draw(changed={"found": None, "downloads": []})
    page = drawn.page
    hits = [
        {"name": "Qwen/Qwen3-8B-GGUF", "downloads": 203_441, "likes": 88, "licence": "apache-2.0"},
        {"name": "unsloth/Qwen3-8B-GGUF", "downloads": 91_020, "likes": 1, "gated": "auto"},
    ]
    told = {"text": "qwen3 8b", "busy": False, "error": None, "repository": None, "cards": []}
    drawn.trait("found", {**told, "hits": hits})
    found = page.locator(".wb-found")
    expect(found).to_contain_text("2 repositories with GGUF files, the most downloaded first")
    expect(found).to_contain_text("203,441 downloads · 88 likes · licence apache-2.0")
    expect(found).to_contain_text("91,020 downloads · 1 like · gated")
    shot(page, "models-search")
    assert page.evaluate(CONTRASTS) == []
    found.get_by_role("button", name="unsloth/Qwen3-8B-GGUF").click()
    assert [one["source"] for one in sent(page, "find")] == ["unsloth/Qwen3-8B-GGUF"]
    drawn.trait("found", {**told, "text": "nothing", "hits": []})
    expect(found).to_contain_text("No repository with GGUF files is called so.")
    expect(found.get_by_role("listitem")).to_have_count(0)
    drawn.is_clean()


def test_a_model_is_kept_where_its_reader_says(draw: Draw) -> None:
    drawn = draw(changed={"downloads": []})
    page = drawn.page
    gemma = page.locator(".wb-found").get_by_role("article", name=GEMMA)
    gemma.get_by_role("button", name="Download").click()
    keeper = page.get_by_label("Keep it in")
    assert keeper.locator("option").all_text_contents() == [
        "the models folder",
        "LM Studio",
        "Ollama",
    ]
    keeper.select_option("Ollama")
    gemma.get_by_role("button", name="Download").click()
    assert [one["into"] for one in sent(page, "download")] == [None, "ollama"]
    field = page.get_by_role("textbox", name="Get a model")
    field.fill("")
    by_name = page.get_by_role("button", name="Fetch by its name in Ollama")
    by_name.click()
    expect(page.get_by_text("type the name that Ollama has for it")).to_be_visible()
    field.fill("qwen3:4b")
    by_name.click()
    asked = sent(page, "download")[-1]
    assert (asked["source"], asked["choice"], asked["into"]) == ("qwen3:4b", None, "ollama")
    drawn.trait("fetchers", [])
    expect(keeper).to_be_hidden()
    expect(by_name).to_be_hidden()
    drawn.is_clean()


@pytest.mark.parametrize(
    ("backend", "name", "stops"), [("lmstudio", "LM Studio", False), ("ollama", "Ollama", True)]
)
def test_what_another_program_fetches_is_stopped_only_where_it_takes_the_word(
    draw: Draw, backend: str, name: str, stops: bool
) -> None:
    downloads = json.loads(FILE.read_text())["traits"]["downloads"]
    drawn = draw(changed={"downloads": [{**each, "backend": backend} for each in downloads]})
    row = drawn.row(GEMMA)
    expect(row).to_contain_text(name)
    for word in ("Pause", "Cancel"):
        expect(row.get_by_role("button", name=word)).to_have_count(int(stops))
    if stops:
        row.get_by_role("button", name="Cancel…").click()
        expect(row).to_contain_text(f"stays with {name}")
        row.get_by_role("button", name="Stop it").click()
        [asked] = sent(drawn.page, "cancel")
        assert asked["keep"]
    expect(drawn.page.get_by_role("button", name="Verify: ")).to_have_count(0)
    drawn.is_clean()


def test_a_source_that_is_none_is_said_at_its_field(draw: Draw) -> None:
    drawn = draw(changed={"found": None})
    error = {"template": "{text} names no model", "values": {"text": "'x'"}}
    drawn.trait("found", {"text": "x", "busy": False, "error": error, "cards": []})
    expect(drawn.page.get_by_text("'x' names no model")).to_be_visible()
    field = drawn.page.get_by_role("textbox", name="Get a model")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect(drawn.page.locator(".wb-found")).to_be_hidden()


@pytest.mark.parametrize(
    ("name", "words", "buttons"),
    [
        ("gemma", "downloading", ["Pause", "Earlier", "Later", "Cancel…"]),
        ("Qwen3-30B", "stalled", ["Pause", "Earlier", "Later", "Cancel…"]),
        ("phi-4", "waits its turn", ["Pause", "Earlier", "Later", "Cancel…"]),
        ("starcoder2", "is looked up", ["Pause", "Earlier", "Later", "Cancel…"]),
        ("granite", "paused", ["There is space now: go on", "Cancel…"]),
        ("SmolLM3", "verifying", ["Pause", "Earlier", "Later", "Cancel…"]),
        ("Llama-3.3", "failed", ["Try again", "Take off the list"]),
        ("Falcon3", "called off", ["Go on after all", "Delete what is there…"]),
        ("Qwen3-4B", "complete and verified", ["Verify", "Take off the list"]),
    ],
)
def test_each_state_of_a_download_has_its_words_and_its_buttons(
    draw: Draw, name: str, words: str, buttons: list[str]
) -> None:
    drawn = draw()
    row = drawn.row(name)
    expect(row.locator(".wb-state")).to_have_text(words)
    labels = row.get_by_role("button").evaluate_all("all => all.map(one => one.ariaLabel)")
    assert [label.partition(": ")[0] for label in labels if ": go on" not in label] == [
        button for button in buttons if ": go on" not in button
    ]
    assert len(labels) == len(buttons)


def test_a_bar_moves_in_words_and_a_button_keeps_its_focus(draw: Draw) -> None:
    drawn = draw()
    bar = drawn.bar("gemma")
    words = "downloading, 42% · 3.1 GB of 7.3 GB · 48.6 MB/s · about 1 min 27 s left"
    expect(bar).to_have_attribute("aria-valuetext", words)
    expect(bar).to_have_attribute("aria-valuenow", "42")
    expect(drawn.bar("starcoder2")).not_to_have_attribute("aria-valuenow", re.compile(".*"))
    presses_around(
        drawn.row("gemma").get_by_role("button", name="Pause"),
        lambda: drawn.download("Qwen3-30B", state="paused"),  # another place in the queue below it
    )
    assert [one["downloadId"] for one in sent(drawn.page, "pause")] == ["d0"]
    expect(drawn.row("gemma").get_by_role("button", name="Pause")).to_be_focused()
    drawn.download("gemma", doneBytes=7_000_000_000, etaS=6.2)
    expect(bar).to_have_attribute("aria-valuenow", "95")
    expect(drawn.row("gemma").get_by_role("button", name="Pause")).to_be_focused()
    drawn.download("gemma", state="paused", speedBytesS=None, etaS=None)
    expect(drawn.row("gemma").get_by_role("button", name="Go on")).to_be_focused()
    expect(bar).to_have_attribute("aria-valuetext", "paused, 95% · 7 GB of 7.3 GB")
    told = drawn.page.get_by_role("status").get_by_text(f"{GEMMA}: paused")
    expect(told).to_be_attached()
    drawn.is_clean()


def test_a_cancel_asks_whether_what_is_there_is_kept(draw: Draw) -> None:
    drawn = draw()
    row = drawn.row("gemma")
    row.get_by_role("button", name="Cancel…").click()
    question = row.get_by_role("alertdialog")
    expect(question).to_contain_text("(3.1 GB) can be kept, to go on another day, or deleted")
    expect(question.get_by_role("button", name="Back")).to_be_focused()
    drawn.download("gemma", doneBytes=3_200_000_000)
    drawn.page.keyboard.press("Escape")
    expect(row.get_by_role("button", name="Cancel…")).to_be_focused()
    assert sent(drawn.page, "cancel") == []
    for answer in ("Stop and keep", "Stop and delete"):
        row.get_by_role("button", name="Cancel…").click()
        row.get_by_role("button", name=answer).click()
    assert [one["keep"] for one in sent(drawn.page, "cancel")] == [True, False]
    drawn.row("phi-4").get_by_role("button", name="Cancel…").click()
    assert sent(drawn.page, "cancel")[-1]["downloadId"] == "d2"
    expect(drawn.page.get_by_role("alertdialog")).to_have_count(0)
    drawn.row("Falcon3").get_by_role("button", name="Delete what is there…").click()
    drawn.row("Falcon3").get_by_role("button", name="Delete", exact=True).click()
    assert sent(drawn.page, "cancel")[-1]["keep"] is False
    drawn.is_clean()


def test_whoever_changes_the_order_by_keyboard_stays_on_the_button(draw: Draw) -> None:
    drawn = draw()
    downloads = drawn.traits["downloads"]
    for name, word in (("phi-4", "Earlier"), ("Qwen3-30B", "Later")):
        button = drawn.row(name).get_by_role("button", name=word)
        button.focus()
        drawn.trait("downloads", [downloads[0], downloads[2], downloads[1], *downloads[3:]])
        expect(button).to_be_focused()
        drawn.trait("downloads", downloads)
        expect(button).to_be_focused()


def test_finished_downloads_leave_the_list_together(draw: Draw) -> None:
    drawn = draw()
    tidy = drawn.page.get_by_role("button", name="Take finished ones off the list")
    expect(tidy).to_be_hidden()  # one has a button of its own
    every = [{**each, "state": "done"} for each in drawn.traits["downloads"][:3]]
    drawn.trait("downloads", [*every, *drawn.traits["downloads"][3:]])
    tidy.click()
    ids = [one["downloadId"] for one in sent(drawn.page, "forget")]
    assert ids == ["d0", "d1", "d2", "d8"]


def test_a_file_whose_source_declares_no_sum_is_not_called_verified(draw: Draw) -> None:
    drawn = draw()
    drawn.download("Qwen3-4B", verified=False)
    row = drawn.row("Qwen3-4B")
    expect(row).to_contain_text("complete; its source declares no sum")
    expect(row).not_to_contain_text("verified")


def test_downloads_are_paused_gone_on_with_moved_verified_and_forgotten(draw: Draw) -> None:
    drawn = draw()
    page = drawn.page
    drawn.row("gemma").get_by_role("button", name="Pause").click()
    drawn.row("granite").get_by_role("button", name="There is space now: go on").click()
    drawn.row("Llama-3.3").get_by_role("button", name="Try again").click()
    drawn.row("phi-4").get_by_role("button", name="Earlier").click()
    drawn.row("starcoder2").get_by_role("button", name="Later").click()
    drawn.row("Qwen3-4B").get_by_role("button", name="Verify").click()
    drawn.row("Qwen3-4B").get_by_role("button", name="Take off the list").click()
    expect(drawn.row("gemma").get_by_role("button", name="Earlier")).to_be_disabled()
    assert [one["downloadId"] for one in sent(page, "pause")] == ["d0"]
    assert [one["downloadId"] for one in sent(page, "resume")] == ["d4", "d6"]
    moved = [(one["downloadId"], one["position"]) for one in sent(page, "move")]
    assert moved == [("d2", 1), ("d3", 5)]
    assert [one["downloadId"] for one in sent(page, "verify")] == ["d8"]
    assert [one["downloadId"] for one in sent(page, "forget")] == ["d8"]
