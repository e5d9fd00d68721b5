"""The chat console drawn from JSON files, without a kernel: what a reader sees and can do."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import STATES, Shot
from tests.browser.harness import BarePage, page_files, presses_around, presses_while_it_changes
from tests.browser.test_mesh_widget import CONTRASTS, sent
from tests.widgets.test_markdown import HOSTILE
from workbench.widgets.chat import ChatWidget

pytestmark = pytest.mark.browser


class Live(ChatWidget):
    """A chat widget whose messages go to a page drawn by the harness."""

    def __init__(self, **traits: Any) -> None:
        self.page: Page | None = None
        super().__init__(**traits)

    def send(self, content: Any, buffers: Any = None) -> None:
        if self.page is not None and content["kind"] != "pong":
            self.page.evaluate("content => model.say(content)", json.loads(json.dumps(content)))

    def drawn(self) -> None:
        """Send what changed, and wait for the frame that draws it."""
        self.flush()
        assert self.page is not None
        self.page.evaluate(
            "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )


class Drawn:
    """A page with a conversation, and the Python side that can go on with it."""

    def __init__(self, bare: BarePage, widget: Live) -> None:
        self.bare, self.page, self.widget = bare, bare.page, widget
        widget.receive({"kind": "ping"})
        widget.page = bare.page

    def trait(self, name: str, value: Any) -> None:
        self.page.evaluate("([name, value]) => model.set(name, value)", [name, value])

    def is_clean(self) -> None:
        self.bare.is_clean()


Draw = Callable[..., Drawn]


@pytest.fixture
def draw(lend_page: Callable[..., Page]) -> Draw:
    def open_page(
        name: str = "chat",
        lang: str = "en",
        theme: str = "light",
        on: Page | None = None,
        **options: Any,
    ) -> Drawn:
        state: dict[str, Any] = json.loads((STATES / f"{name}.json").read_text())
        widget = Live.from_file(STATES / f"{name}.json")
        assert isinstance(widget, Live)
        shown = {"traits": state["traits"], **widget.snapshot()}
        bare = BarePage(on or lend_page(**options), page_files(widget, shown, theme))
        bare.open(f"?lang={lang}" if lang else "")
        return Drawn(bare, widget)

    return open_page


def message(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "conversationId": 8,
        "role": "assistant",
        "content": "",
        "timestamp": "2026-11-20T14:20:00Z",
        "status": "streaming",
        "model": "qwen3-8b",
        "backend": "lmstudio",
        **more,
    }


@pytest.mark.parametrize(
    ("width", "lang", "theme"),
    [
        (1280, "en", "light"),
        (1280, "pt-BR", "dark"),
        (390, "pt-BR", "light"),
        (390, "en", "dark"),
        (320, "pt-BR", "dark"),
        (320, "en", "light"),
    ],
)
def test_a_conversation_is_drawn(draw: Draw, shot: Shot, theme: str, lang: str, width: int) -> None:
    drawn = draw("chat", lang, theme, viewport={"width": width, "height": 900})
    page = drawn.page
    expect(page.locator(".wb-msg")).to_have_count(8)
    expect(page.locator(".wb-msg math").first).to_be_attached()
    expect(page.locator(".wb-md th").first).to_have_text("rune")
    expect(page.locator(".wb-stopped")).to_have_text("stopped" if lang == "en" else "parado")
    shot(page, f"chat-{theme}-{lang}-{width}")
    page.locator(".wb-thread").evaluate("thread => { thread.scrollTop = 0; }")
    page.locator(".wb-thoughts:visible > summary").first.click()
    shot(page, f"chat-{theme}-{lang}-{width}-top")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    drawn.is_clean()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["chat-streaming", "chat-empty", "chat-new"])
def test_a_beginning_and_an_answer_under_way_are_drawn(
    draw: Draw, shot: Shot, name: str, theme: str
) -> None:
    drawn = draw(name, theme=theme)
    shot(drawn.page, f"{name}-{theme}")
    said = {"chat-streaming": "38.4 tokens/s", "chat-empty": "ollama serve", "chat-new": "Qwen3"}
    expect(drawn.page.locator(".wb-thread")).to_contain_text(said[name])
    drawn.is_clean()


def test_an_answer_grows_and_what_stands_above_stays_where_it_is(draw: Draw) -> None:
    drawn = draw("chat-new")
    page, widget = drawn.page, drawn.widget
    source = json.loads((STATES / "chat.json").read_text())["messages"][1]["content"]
    widget.add(message(1, role="user", content="And?", status="done"))
    widget.add(message(2))
    widget.drawn()
    page.evaluate("""() => { globalThis.jumps = []; globalThis.tops = new Map();
      globalThis.look = () => {
        for (const block of document.querySelectorAll(".wb-block:not(.wb-end)")) {
        const top = block.offsetTop, before = tops.get(block);
        if (before !== undefined && before !== top) jumps.push([before, top, block.textContent]);
        tops.set(block, top); } }; }""")
    for at in range(0, len(source), 9):
        widget.chunk(2, source[at : at + 9])
        widget.drawn()
        page.evaluate("look()")
    assert page.evaluate("tops.size") >= 8
    assert page.evaluate("jumps") == []
    widget.end(message(2, content=source, status="done"))
    widget.drawn()
    page.evaluate("look()")
    assert page.evaluate("jumps") == []
    expect(page.locator(".wb-msg").last.locator(".wb-md")).to_contain_text("names checked against")
    drawn.is_clean()


def test_a_growing_answer_looks_at_its_end_as_if_it_were_drawn_at_once(draw: Draw) -> None:
    drawn = draw("chat")
    page, widget = drawn.page, drawn.widget
    source = json.loads((STATES / "chat.json").read_text())["messages"][1]["content"]
    for number in range(20, 22):
        widget.add(message(number))
    for at in range(0, len(source), 23):
        widget.chunk(20, source[at : at + 23])
        widget.drawn()
    for number in range(20, 22):
        widget.end(message(number, content=source, status="done"))
    widget.drawn()
    grown, whole = (page.locator(".wb-msg").nth(place).locator(".wb-md") for place in (8, 9))
    plain = "element => element.innerHTML.replaceAll('wb-block wb-end', 'wb-block')"
    assert grown.evaluate(plain) == whole.evaluate(plain)


def test_words_that_are_selected_stay_selected_while_the_answer_goes_on(draw: Draw) -> None:
    drawn = draw("chat-new")
    widget = drawn.widget
    widget.chunk(2, "the first words of a sentence")
    widget.drawn()
    drawn.page.evaluate("""() => { const text = document.querySelector(".wb-end p").firstChild;
      getSelection().setBaseAndExtent(text, 4, text, 15); }""")
    for _ in range(5):
        widget.chunk(2, " and **more** of it")
        widget.drawn()
    widget.chunk(2, "\n\nand a second paragraph")
    widget.drawn()
    assert drawn.page.evaluate("getSelection().toString()") == "first words"


def test_the_end_is_followed_only_while_the_reader_is_at_the_end(draw: Draw) -> None:
    drawn = draw("chat-streaming")
    page, widget = drawn.page, drawn.widget
    thread = page.locator(".wb-thread")
    gap = "e => Math.round(e.scrollHeight - e.scrollTop - e.clientHeight)"
    widget.chunk(4, "\n\none more line" * 10)
    widget.drawn()
    assert thread.evaluate(gap) == 0
    expect(page.locator(".wb-newest")).to_be_hidden()
    thread.hover()
    page.mouse.wheel(0, -60)
    expect(page.locator(".wb-newest")).to_be_visible()
    top = thread.evaluate("e => e.scrollTop")
    for _ in range(5):
        widget.chunk(4, "\n\none more line" * 5)
        widget.drawn()
    assert thread.evaluate("e => e.scrollTop") == top
    page.locator(".wb-newest").click()
    assert thread.evaluate(gap) == 0
    widget.chunk(4, "\n\nand the last" * 5)
    widget.drawn()
    assert thread.evaluate(gap) == 0


def test_stop_reacts_before_anybody_answers_and_the_mark_stays(draw: Draw) -> None:
    drawn = draw("chat-streaming")
    page, widget = drawn.page, drawn.widget
    page.evaluate("() => { model.mute = true; }")
    button = page.locator(".wb-send")
    expect(button).to_have_text("Stop")
    button.click()
    expect(button).to_have_text("Stopping…", timeout=500)
    expect(button).to_be_disabled()
    expect(page.locator(".wb-phase:visible strong")).to_have_text("Stopping…", timeout=500)
    assert [one["conversationId"] for one in sent(page, "stop")] == [7]
    content = widget.state.source(4) or ""
    widget.end(message(4, content=content, status="stopped", finish="stopped"))
    widget.drawn()
    drawn.trait("streaming", None)
    last = page.locator(".wb-msg").last
    expect(last.locator(".wb-stopped")).to_have_text("stopped")
    expect(button).to_have_text("Send")


def test_escape_stops_and_can_ask_again_where_no_answer_comes(draw: Draw) -> None:
    drawn = draw("chat-streaming")
    page = drawn.page
    page.locator(".wb-box").press("Escape")
    assert len(sent(page, "stop")) == 1
    expect(page.locator(".wb-send")).to_have_text("Stop", timeout=8000)
    page.locator(".wb-thread").press("Escape")
    assert len(sent(page, "stop")) == 2


def test_a_message_can_never_run_script(draw: Draw) -> None:
    drawn = draw("chat-new")
    page, widget = drawn.page, drawn.widget
    page.evaluate("() => { globalThis.hacked = () => { globalThis.ran = true; }; }")
    for number, source in enumerate(HOSTILE, start=10):
        widget.add(message(number, role="user", content=source, status="done"))
        widget.add(message(number + 1000, content=source, status="done", reasoning=source))
        widget.chunk(number + 2000, source)
        widget.reason(number + 3000, source)
        widget.tool(number + 3000, {"name": source, "arguments": source, "id": "1"})
        broken = {"message": source, "template": source, "values": {}}
        widget.add(message(number + 4000, status="broken", error=broken, model=source))
    widget.drawn()
    drawn.trait("conversations", [{"id": 1, "title": one, "found": one} for one in HOSTILE])
    drawn.trait("problem", {"template": HOSTILE[1], "values": {}})
    page.wait_for_timeout(300)
    assert page.evaluate("globalThis.ran ?? globalThis.window.hacked === 1") is False
    acting = "() => document.querySelectorAll('.wb :is(script, iframe, style, form img)').length"
    assert page.evaluate(acting) == 0
    handlers = """() => [...document.querySelectorAll('.wb *')].flatMap(e => e.getAttributeNames())
      .filter(name => name.startsWith('on')).length"""
    assert page.evaluate(handlers) == 0
    drawn.is_clean()


def test_enter_sends_shift_enter_breaks_the_line_and_an_input_method_is_left_alone(
    draw: Draw,
) -> None:
    drawn = draw("chat-new")
    page = drawn.page
    box = page.locator(".wb-box")
    box.click()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    box.evaluate("""box => { for (const how of [{ isComposing: true }, { keyCode: 229 }])
      box.dispatchEvent(new KeyboardEvent(
        "keydown", { key: "Enter", bubbles: true, ...how })); }""")
    assert sent(page, "send") == []
    page.keyboard.press("Enter")
    [said] = sent(page, "send")
    assert said["message"] == "one\ntwo"
    assert re.fullmatch(r"[0-9a-f]{32}", said["clientId"])
    expect(box).to_have_value("")
    expect(box).to_be_focused()
    expect(page.locator(".wb-msg")).to_have_text("one\ntwo")
    drawn.widget.add(message(1, role="user", content="one\ntwo", status="done"))
    drawn.widget.drawn()
    expect(page.locator(".wb-msg")).to_have_count(1)


def test_a_refused_message_is_back_in_its_box(draw: Draw) -> None:
    page = draw("chat-new").page
    page.locator(".wb-box").fill("too much")
    page.keyboard.press("Enter")
    page.locator(".wb-box").press("Enter")
    page.evaluate("""() => model.say({ kind: "refused", clientId: model.sent.find(
      one => one.kind === "send").clientId, error: { text: "the hub said no" } })""")
    expect(page.locator(".wb-box")).to_have_value("too much")
    expect(page.locator(".wb-composer .wb-fault")).to_have_text("the hub said no")
    expect(page.locator(".wb-msg")).to_have_count(0)


def test_what_is_typed_is_no_shortcut_of_the_notebook(draw: Draw) -> None:
    page = draw("chat-new").page
    page.evaluate("""() => { globalThis.keys = []; for (const kind of ["keydown", "keyup"])
      document.addEventListener(kind, event => keys.push(event.key)); }""")
    page.locator(".wb-box").press_sequentially("dd")
    page.locator(".wb-box").press("Escape")
    assert page.evaluate("keys") == []
    expect(page.locator(".wb-chat")).to_have_attribute("data-lm-suppress-shortcuts", "true")


def test_arrow_up_edits_the_last_message_and_escape_leaves_it(draw: Draw) -> None:
    page = draw("chat").page
    page.locator(".wb-box").press("ArrowUp")
    edited = page.get_by_label("Your message, to be changed")
    expect(edited).to_be_focused()
    expect(edited).to_have_value("Plot their shares over time.")
    edited.press("Escape")
    expect(edited).to_have_count(0)
    expect(page.locator(".wb-box")).to_be_focused()
    page.locator(".wb-box").press("ArrowUp")
    edited.fill("Plot them by day.")
    edited.press("Enter")
    [said] = sent(page, "edit")
    assert (said["messageId"], said["message"]) == (7, "Plot them by day.")


def test_an_answer_is_asked_for_anew_and_a_broken_one_says_why(draw: Draw) -> None:
    page = draw("chat").page
    broken = page.locator('.wb-msg[data-status="broken"]')
    expect(broken.locator(".wb-broken")).to_contain_text("the back end lmstudio went away")
    broken.get_by_role("button", name="Try again").click()
    page.locator(".wb-msg").nth(1).hover()
    page.locator(".wb-msg").nth(1).get_by_role("button", name="Answer anew").click()
    assert [one["messageId"] for one in sent(page, "regenerate")] == [8, 2]


def test_start_and_end_are_told_to_a_screen_reader_and_no_token_is(draw: Draw) -> None:
    drawn = draw("chat-new")
    page, widget = drawn.page, drawn.widget
    log = page.get_by_role("log")
    expect(log).to_have_attribute("aria-live", "off")
    status = page.locator(".wb-sr[role=status]")
    page.evaluate("""() => { globalThis.told = []; new MutationObserver(() => told.push(
      document.querySelector(".wb-sr[role=status]").textContent)).observe(
      document.querySelector(".wb-sr[role=status]"),
      { childList: true, characterData: true, subtree: true }); }""")
    widget.add(message(2))
    for _ in range(20):
        widget.chunk(2, "word ")
        widget.drawn()
    widget.end(message(2, content="word " * 20, status="done"))
    widget.drawn()
    expect(status).to_have_text("The answer is complete.")
    assert page.evaluate("told") == ["The answer has begun.", "The answer is complete."]


def test_the_phases_of_an_answer_are_told_one_after_the_other(draw: Draw) -> None:
    drawn = draw("chat-new")
    page = drawn.page
    drawn.widget.add(message(2))
    drawn.widget.drawn()
    line = page.locator(".wb-phase")
    base = {"conversationId": 8, "messageId": 2, "tokens": 0, "elapsedMs": 61_000}
    for more, words in [
        ({"phase": "queued", "position": 2}, r"Waiting, place 2 in the queue.*1 min 0\d s"),
        ({"phase": "loading", "progress": 0.4}, r"Loading the model 40%"),
        ({"phase": "prompt", "progress": 0.25}, r"Reading the prompt 25%"),
        ({"phase": "thinking", "tokens": 12}, r"Thinking.*12 tokens"),
        (
            {"phase": "answering", "tokens": 30, "tokensPerSecond": 21.5},
            r"Answering.*21\.5 tokens/s",
        ),
    ]:
        drawn.trait("streaming", {**base, **more})
        expect(line).to_have_text(re.compile(words))


def test_a_dataframe_is_attached_by_its_name_and_seen_before_it_is_sent(draw: Draw) -> None:
    page = draw("chat").page
    box = page.locator(".wb-box")
    box.click()
    page.keyboard.type("compare @m")
    offers = page.get_by_role("listbox")
    expect(offers.get_by_role("option")).to_have_count(1)
    expect(offers).to_contain_text("1,204,332 × 6")
    page.keyboard.press("Enter")
    expect(box).to_have_value("compare @mints ")
    expect(box).to_be_focused()
    assert [one["frame"] for one in sent(page, "preview")] == ["mints"]
    said_of = """() => model.say({ kind: "preview", name: "mints",
      text: "height int64\\n840001", rows: 1204332, tokens: 310 })"""
    presses_around(
        page.get_by_role("button", name="Leave out mints"), lambda: page.evaluate(said_of)
    )
    expect(page.locator(".wb-chiprow")).to_have_count(0)
    box.press_sequentially("@m")
    expect(offers.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    page.evaluate(said_of)
    chip = page.locator(".wb-chiprow")
    expect(chip).to_contain_text("≈ 310 tokens")
    chip.locator("summary").click()
    expect(chip.locator("pre")).to_be_visible()
    expect(chip.locator("pre")).to_contain_text("height int64")
    page.keyboard.press("Escape")
    box.focus()
    page.keyboard.press("Enter")
    [said] = sent(page, "send")
    assert said["attachments"] == ["mints"]
    expect(page.locator(".wb-chiprow")).to_have_count(0)


def png(width: int, height: int) -> bytes:
    def part(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    rows = (b"\0" + b"\x40\x80\xc0" * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    ends = part(b"IDAT", zlib.compress(rows)) + part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + ends


PASTE = """([data, what]) => { const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
  const files = [new File([bytes], "plot.png", { type: "image/png" })];
  const event = new Event(what, { bubbles: true, cancelable: true });
  const carried = what === "paste" ? "clipboardData" : "dataTransfer";
  Object.defineProperty(event, carried, { value: { files } });
  document.querySelector(".wb-box").dispatchEvent(event); }"""


def test_a_picture_goes_along_where_the_model_looks_at_it(draw: Draw) -> None:
    import base64

    drawn = draw("chat-new")
    page = drawn.page
    data = base64.b64encode(png(2000, 1000)).decode()
    page.evaluate(PASTE, [data, "paste"])
    expect(page.locator(".wb-composer .wb-fault")).to_contain_text("does not look at pictures")
    drawn.trait("conversation", {"id": 8, "model": "gemma-3-12b-it@lmstudio"})
    expect(page.get_by_role("button", name="Attach a picture")).to_be_visible()
    page.evaluate(PASTE, [data, "drop"])
    expect(page.locator(".wb-thumb img")).to_be_visible()
    page.locator(".wb-box").press("Enter")
    [said] = sent(page, "send")
    [image] = said["images"]
    size = page.evaluate(
        """image => new Promise(done => { const one = new Image();
      one.onload = () => done([one.width, one.height]);
      one.src = `data:${image.mediaType};base64,${image.data}`; })""",
        image,
    )
    assert size == [1568, 784]
    drawn.is_clean()


def test_models_are_found_picked_loaded_and_their_lack_of_a_gpu_is_said(draw: Draw) -> None:
    drawn = draw("chat")
    page = drawn.page
    pill = page.locator(".wb-modelpill")
    expect(pill).to_contain_text("Qwen3 8B")
    pill.click()
    dialog = page.get_by_role("dialog", name="Models")
    expect(dialog.locator(".wb-modelrow")).to_have_count(4)
    expect(dialog).not_to_contain_text("Nomic")
    expect(dialog).to_contain_text("running on CPU: this build has no GPU support")
    expect(dialog).to_contain_text("start LM Studio, Ollama or your own llama-server")
    dialog.get_by_label("Find a model").fill("gemma q4")
    expect(dialog.locator(".wb-modelrow")).to_have_count(1)
    expect(dialog).to_contain_text("8.2 GB")
    load = dialog.get_by_role("button", name="Load Gemma 3 12B")
    presses_around(load, lambda: drawn.trait("loading", {"model": "another", "done": 0.1}))
    expect(load).to_be_focused()
    dialog.get_by_label("Find a model").press("ArrowDown")
    page.keyboard.press("Enter")
    assert sent(page, "load")[0]["model"] == "gemma-3-12b-it@lmstudio"
    assert sent(page, "pick")[0]["model"] == "gemma-3-12b-it@lmstudio"
    expect(dialog).to_be_hidden()
    expect(pill).to_be_focused()
    drawn.trait("loading", {"model": "gemma-3-12b-it@lmstudio", "done": 0.31})
    expect(pill).to_contain_text("loading… 31%")
    pill.click()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(pill).to_be_focused()


def test_sampling_is_checked_before_it_is_sent_and_what_is_not_shown_stays(draw: Draw) -> None:
    drawn = draw("chat")
    page = drawn.page
    drawn.trait(
        "conversation", {"id": 7, "parameters": {"temperature": 0.7, "grammar": 'root ::= "a"'}}
    )
    page.get_by_role("button", name="Settings").click()
    temperature = page.get_by_label("Temperature")
    expect(temperature).to_have_value("0.7")
    temperature.fill("9")
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_text("allowed: 0 to 5")).to_be_visible()
    expect(temperature).to_be_focused()
    assert sent(page, "settings") == []
    temperature.fill("0,2")
    page.get_by_label("Seed").fill("7")
    page.get_by_label("Stop at (one per line)").fill("END\n###")
    page.get_by_label("Kept instructions").select_option("terse")
    page.get_by_role("button", name="Apply").click()
    [said] = sent(page, "settings")
    assert said["system"] == "You answer in few words, with code first."
    assert said["parameters"] == {
        "grammar": 'root ::= "a"',
        "temperature": 0.2,
        "seed": 7,
        "stop": ["END", "###"],
    }
    page.get_by_role("button", name="Settings").click()
    page.get_by_role("button", name="Reset").click()
    page.get_by_role("button", name="Apply").click()
    assert sent(page, "settings")[1]["parameters"] == {"grammar": 'root ::= "a"'}


def test_a_template_asks_for_its_variables_and_the_draft_can_be_kept(draw: Draw) -> None:
    page = draw("chat-new").page
    templates = page.get_by_role("button", name="Templates")
    templates.click()
    page.get_by_role("button", name="Review this code").first.click()
    page.get_by_role("textbox", name="language").fill("SQL")
    page.get_by_role("textbox", name="concern").fill("speed")
    page.get_by_role("textbox", name="code", exact=True).fill("SELECT 1")
    page.get_by_role("button", name="Put it into the box").click()
    box = page.locator(".wb-box")
    expect(box).to_have_value("Review this SQL code for speed:\n\n```SQL\nSELECT 1\n```")
    expect(box).to_be_focused()
    templates.click()
    page.get_by_label("Name of the template").fill("my review")
    page.get_by_role("button", name="Keep as template").click()
    [said] = sent(page, "savePrompt")
    assert (said["name"], said["promptKind"]) == ("my review", "template")
    page.evaluate('() => model.say({ kind: "promptSaved", name: "my review" })')
    expect(page.locator(".wb-templates")).to_contain_text("Kept.")


def test_conversations_are_searched_renamed_and_deleted_after_a_question(draw: Draw) -> None:
    page = draw("chat").page
    page.get_by_label("Search conversations").fill("window")
    page.wait_for_function("() => model.sent.some(one => one.kind === 'search')")
    assert sent(page, "search")[-1]["text"] == "window"
    row = page.locator(".wb-talk").nth(1)
    row.hover()
    row.get_by_role("button", name="Rename").click()
    page.get_by_label("Title of the conversation").fill("Windows")
    page.keyboard.press("Enter")
    assert sent(page, "rename")[0]["title"] == "Windows"
    row.hover()
    row.get_by_role("button", name="Delete").click()
    expect(row.get_by_role("button", name="Keep")).to_be_focused()
    page.keyboard.press("Escape")
    assert sent(page, "delete") == []
    row.hover()
    row.get_by_role("button", name="Delete").click()
    row.get_by_role("button", name="Delete", exact=True).click()
    assert [one["conversationId"] for one in sent(page, "delete")] == [6]
    page.locator(".wb-talkopen").nth(2).click()
    assert [one["conversationId"] for one in sent(page, "open")] == [5]
    page.get_by_role("button", name="New conversation").click()
    assert len(sent(page, "create")) == 1


def test_a_conversation_is_exported_by_the_browser(draw: Draw) -> None:
    page = draw("chat").page
    page.get_by_role("button", name="Export").click()
    page.get_by_role("button", name="Markdown (to read)").click()
    assert sent(page, "export")[0]["format"] == "markdown"
    with page.expect_download() as waiting:
        page.evaluate("""() => model.say({ kind: "export", name: "odd-runes.md",
          mediaType: "text/markdown", content: "# Odd runes" })""")
    assert waiting.value.suggested_filename == "odd-runes.md"
    assert waiting.value.path().read_text() == "# Odd runes"


def test_code_and_messages_are_copied_as_they_were_written(draw: Draw) -> None:
    drawn = draw("chat", permissions=["clipboard-read", "clipboard-write"])
    page = drawn.page
    page.evaluate("""() => { globalThis.copied = []; document.execCommand = () =>
      copied.push(document.activeElement.value ?? getSelection().toString()); }""")
    code = page.locator("figure.wb-code").first
    code.get_by_role("button", name="Copy").click()
    expect(code).to_contain_text("Copied")
    assert page.evaluate("copied[0]").startswith("import duckdb\nfrom sklearn.ensemble")
    answer = page.locator(".wb-msg").nth(1)
    answer.hover()
    answer.get_by_role("button", name="Copy the message").click()
    assert [one["messageId"] for one in sent(page, "source")] == [2]
    page.evaluate('() => model.say({ kind: "source", messageId: 2, text: "**as written**" })')
    page.wait_for_function("() => copied.length === 2")
    assert page.evaluate("copied[1]") == "**as written**"
    drawn.is_clean()


NOTEBOOK = """() => { globalThis.cells = [];
  model.widget_manager = { context: { model: { sharedModel: {
    cells, insertCell: (at, cell) => cells.splice(at, 0, cell) } } } }; }"""


def test_code_goes_into_a_cell_only_where_there_are_cells(draw: Draw) -> None:
    drawn = draw("chat-new")
    page, widget = drawn.page, drawn.widget
    widget.add(message(2, content="```python\nx\n```", status="done"))
    widget.drawn()
    expect(page.locator("figure.wb-code button")).to_have_count(1)
    page.evaluate(NOTEBOOK)
    widget.add(message(3, content="```python\nprint(1)\n```", status="done"))
    widget.drawn()
    page.get_by_role("button", name="Insert into a cell").click()
    expect(page.locator("figure.wb-code").last).to_contain_text("Inserted")
    assert page.evaluate("cells") == [{"cell_type": "code", "source": "print(1)"}]
    drawn.is_clean()


def test_earlier_messages_come_in_above_without_moving_what_is_read(draw: Draw) -> None:
    drawn = draw("chat-new")
    page, widget = drawn.page, drawn.widget
    widget.show([message(n, content=f"answer {n}\n\n" * 3, status="done") for n in range(1, 131)])
    widget.drawn()
    expect(page.locator(".wb-msg")).to_have_count(40)
    thread = page.locator(".wb-thread")
    thread.evaluate("e => { e.scrollTop = 90; }")
    page.wait_for_function("() => model.sent.some(one => one.kind === 'earlier')")
    place = "() => document.querySelector('.wb-msg[data-key=\"91\"]').getBoundingClientRect().top"
    before = page.evaluate(place)
    widget.receive(sent(page, "earlier")[0])
    expect(page.locator(".wb-msg")).to_have_count(80)
    assert abs(page.evaluate(place) - before) < 2
    expect(page.locator(".wb-before")).to_have_text("Show 50 earlier messages")


def test_the_page_holds_a_bounded_number_of_messages_however_long_it_goes_on(draw: Draw) -> None:
    drawn = draw("chat-new")
    for number in range(1, 400):
        drawn.widget.add(message(number, content="an answer", status="done"))
        if number % 20 == 0:
            drawn.widget.drawn()
    assert drawn.page.locator(".wb-msg").count() <= 120
    expect(drawn.page.locator(".wb-msg").last).to_be_in_viewport()


def test_a_kernel_that_is_gone_and_a_hub_that_is_gone_are_said(draw: Draw) -> None:
    drawn = draw("chat")
    page = drawn.page
    drawn.trait("connection", {"state": "failed", "url": "", "hub": "absent"})
    expect(page.get_by_text("The hub is not running.")).to_be_visible()
    expect(page.locator(".wb-why")).to_have_text("waits for the hub")
    page.locator(".wb-box").fill("kept")
    page.keyboard.press("Enter")
    assert sent(page, "send") == []
    expect(page.locator(".wb-box")).to_have_value("kept")
    presses_while_it_changes(page, "Start the hub")
    assert len(sent(page, "startHub")) == 1
    drawn.trait("connection", {"state": "connected", "url": ""})
    expect(page.get_by_text("The hub is not running.")).to_be_hidden()
    page.evaluate("() => { model.mute = true; }")
    expect(page.get_by_text("The kernel does not answer.")).to_be_visible()
    page.evaluate("() => { model.mute = false; }")
    expect(page.get_by_text("The kernel does not answer.")).to_be_hidden()


def test_a_lost_delta_is_noticed_and_asked_for_again(draw: Draw) -> None:
    page = draw("chat").page
    before = len(sent(page, "hello"))
    page.evaluate('() => model.say({ kind: "delta", n: 7, changes: [] })')
    assert len(sent(page, "hello")) == before + 1


def test_a_page_without_a_model_says_how_to_get_one(draw: Draw) -> None:
    drawn = draw("chat-empty")
    page = drawn.page
    expect(page.locator(".wb-start")).to_contain_text("ollama pull qwen3:4b")
    presses_while_it_changes(page, "Look again")
    assert len(sent(page, "refreshModels")) == 1
    expect(page.locator(".wb-why")).to_have_text("waits for a model")
    drawn.trait("models", [{"id": "tiny", "backend": "ollama", "loaded": True}])
    expect(page.locator(".wb-start")).to_contain_text("What would you like to know?")
    page.locator(".wb-starter").first.click()
    expect(page.locator(".wb-box")).to_have_value(re.compile("etching"))
    expect(page.locator(".wb-box")).to_be_focused()


def test_the_budget_of_tokens_says_whether_it_is_an_estimate(draw: Draw) -> None:
    drawn = draw("chat")
    page = drawn.page
    expect(page.locator(".wb-tokens")).to_have_text("≈ 1,240 of 8,192 tokens")
    page.locator(".wb-box").fill("more words")
    page.wait_for_function("() => model.sent.some(one => one.kind === 'budget')")
    drawn.trait("budget", {"used": 9000, "context": 8192, "exact": True})
    expect(page.locator(".wb-tokens")).to_have_text("9,000 of 8,192 tokens")
    meter = page.get_by_role("meter")
    expect(meter).to_have_attribute("data-full", "over")
    expect(meter).to_have_attribute("aria-valuetext", "9,000 of 8,192 tokens")


def test_a_narrow_page_has_its_conversations_in_a_drawer(draw: Draw, shot: Shot) -> None:
    page = draw("chat", viewport={"width": 390, "height": 900}).page
    expect(page.locator(".wb-side")).to_be_hidden()
    page.get_by_role("button", name="Conversations", exact=True).click()
    expect(page.get_by_label("Search conversations")).to_be_focused()
    shot(page, "chat-drawer")
    page.locator(".wb-talkopen").nth(1).click()
    expect(page.locator(".wb-side")).to_be_hidden()


def test_every_word_of_the_portuguese_page_is_portuguese(draw: Draw) -> None:
    parts = ["button", "label", "h2", "h3", "h4", "option", ".wb-hint", ".wb-phase", "summary"]
    read = """parts => [...document.querySelectorAll(parts)].flatMap(e => [e.textContent,
      e.getAttribute("aria-label"), e.title, e.placeholder]).filter(Boolean).map(w => w.trim())"""
    # Names of models, back ends and what a person wrote are the same in every language.
    names = {"lmstudio", "ollama", "Ollama", "Qwen3", "LM", "llama", "Review", "explainExplain"}
    words: dict[str, set[str]] = {}
    page = None
    for lang in ("en", "pt-BR"):
        words[lang] = set()
        for name in ("chat", "chat-streaming", "chat-empty", "chat-new"):
            page = draw(name, lang, on=page).page
            for button in page.locator("[aria-haspopup=dialog]").all():
                if button.is_enabled():
                    button.click()
                    words[lang] |= set(page.evaluate(read, ",".join(f".wb {one}" for one in parts)))
                    button.click()
            words[lang] |= set(
                page.evaluate(read, ",".join(f".wb {one}" for one in [*parts, "input", "textarea"]))
            )
    data = "".join(path.read_text() for path in STATES.glob("chat*.json"))
    own = {one for one in words["en"] & words["pt-BR"] if not set(re.findall(r"\w+", one)) & names}
    same = {one for one in own if len(one) > 2 and one not in data}
    assert same <= {"English", "Português"}


def test_the_language_switch_keeps_what_was_written(draw: Draw) -> None:
    page = draw("chat", lang="", locale="pt-PT").page
    expect(page.locator(".wb-send")).to_have_text("Enviar")
    page.locator(".wb-box").fill("meio escrito")
    page.get_by_role("button", name="English").click()
    expect(page.locator(".wb-send")).to_have_text("Send")
    expect(page.locator(".wb-box")).to_have_value("meio escrito")
    expect(page.locator(".wb-msg")).to_have_count(8)
    expect(page.locator(".wb")).to_have_attribute("lang", "en")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["chat", "chat-streaming", "chat-empty"])
def test_every_word_can_be_read_against_its_ground(draw: Draw, theme: str, name: str) -> None:
    page = draw(name, theme=theme).page
    page.locator(".wb-modelpill").click()
    page.add_style_tag(content=".wb-deeds, .wb-took { opacity: 1 !important; }")
    assert page.evaluate(CONTRASTS) == []


def test_everything_that_can_be_pressed_has_a_name(draw: Draw) -> None:
    page = draw("chat").page
    page.get_by_role("button", name="Settings").click()
    unnamed = """() => [...document.querySelectorAll(".wb :is(button, input, textarea, select)")]
      .filter(e => e.checkVisibility() && !e.disabled && !e.closest(".wb-md"))
      .filter(e => !(e.textContent.trim() || e.ariaLabel || e.labels?.length || e.title))
      .map(e => e.outerHTML)"""
    assert page.evaluate(unnamed) == []


def test_nothing_moves_where_a_reader_wants_no_motion(draw: Draw) -> None:
    page = draw("chat-streaming", reduced_motion="reduce").page
    moving = """() => document.getAnimations().filter(one => one.playState === "running").length"""
    assert page.evaluate(moving) == 0


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("button", ["wb-modelpill", "Settings", "Export", "Templates"])
def test_a_panel_opens_whole_inside_the_console(draw: Draw, width: int, button: str) -> None:
    drawn = draw("chat", viewport={"width": width, "height": 800})
    page = drawn.page
    page.add_style_tag(content="body { padding-top: 700px }")
    page.locator(".wb-frame").scroll_into_view_if_needed()
    if button.startswith("wb-"):
        page.locator(f".{button}").click()
    else:
        names = {"Settings": "Instruction and sampling"}
        title = names.get(button, button)
        named = page.get_by_role("button", name=button).or_(page.get_by_title(title))
        named.filter(visible=True).first.click()
    panel = page.locator(".wb-panel:visible")
    expect(panel).to_have_count(1)
    inner, outer = panel.bounding_box(), page.locator(".wb-frame").bounding_box()
    assert inner and outer
    assert inner["x"] >= outer["x"]
    assert inner["y"] >= outer["y"]
    assert inner["x"] + inner["width"] <= outer["x"] + outer["width"]
    assert inner["y"] + inner["height"] <= outer["y"] + outer["height"]
    assert page.locator(".wb-frame").evaluate("frame => frame.scrollLeft") == 0
    drawn.is_clean()
