"""A conversation with a real model in the page that `workbench app` opens."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot
from tests.browser.conversing import converse, find_again
from tests.browser.serving import Served, served
from tests.browser.talker import Talker, hand, ran_nothing
from tests.llm.tiny_model import tiny_model

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

HOSTILE = """Here 🎉 it is:

```python
print("rune")
```

The fee is $\\frac{a}{b}$, and <script>globalThis.pwned = 1</script> stays text.

<img src=x onerror="globalThis.pwned = 2">[link](javascript:globalThis.pwned=3)"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("chat"), "app") as running:
        tiny_model(running.data / "models")
        yield running


@pytest.fixture(scope="module")
def talker(site: Served, one_page: Page) -> Talker:
    """One page for all; each test begins a conversation of its own."""
    talker = Talker(one_page)
    talker.page.goto(f"{site.url}&lang=en")
    talker.ready()
    return talker


def test_a_conversation_is_held_stopped_edited_regenerated_and_found_again(
    site: Served, talker: Talker, shot: Shot
) -> None:
    converse(talker, site, shot, "voila-chat")

    def reopen() -> None:
        talker.page.reload()
        talker.ready()

    find_again(talker, reopen)
    talker.is_clean()


def test_what_a_model_says_is_drawn_and_never_run(site: Served, talker: Talker, shot: Shot) -> None:
    page = talker.page
    talker.new()
    talker.say("first")
    page.locator(".wb-chat .wb-box").press("Escape")
    talker.has(2, "stopped")
    with hand(site.data) as hub:
        hub.make_it_say(HOSTILE)
        talker.has_settings()
        talker.say("Show me")
        talker.has(4)
    expect(talker.last).to_contain_text("Here 🎉 it is:")
    expect(talker.last.locator("pre code")).to_have_text('print("rune")')
    expect(talker.last.locator("pre .tok-nb").first).to_be_attached()  # coloured
    expect(talker.last.locator("math mfrac")).to_be_attached()
    expect(talker.last).to_contain_text("<script>globalThis.pwned = 1</script> stays text.")
    expect(talker.last.locator("img, script, a[href^=javascript]")).to_have_count(0)
    assert ran_nothing(page)
    shot(page, "voila-chat-hostile")
    talker.is_clean()


def test_thoughts_and_tools_are_shown_apart_to_a_second_viewer(
    site: Served, talker: Talker
) -> None:
    talker.new()
    talker.say("first")
    talker.page.locator(".wb-chat .wb-box").press("Escape")
    talker.has(2, "stopped")
    with hand(site.data) as hub:
        number = hub.make_it_say("<think>\nhm, two of them\n</think>\n\nTwo.")
        hub.ask("chat:send", "chat:message", message="How many?", conversationId=number)
        talker.has(4)
        expect(talker.last).to_have_text("Two.")
        thoughts = talker.messages.last.locator(".wb-thoughts")
        thoughts.locator("summary").click()
        expect(thoughts).to_contain_text("hm, two of them")

        hub.make_it_say(None, max_tokens=200)
        tool = {
            "name": "mints",
            "parameters": {
                "type": "object",
                "properties": {"rune": {"const": "UNCOMMON•GOODS"}},
                "required": ["rune"],
            },
        }
        hub.ask("chat:send", "chat:message", message="Look", conversationId=number, tools=[tool])
        expect(talker.messages).to_have_count(6)
        card = talker.messages.last.locator(".wb-toolcall")
        expect(card).to_contain_text("mints")
        expect(card).to_contain_text("UNCOMMON•GOODS")
    talker.is_clean()


def test_an_answer_goes_on_while_its_page_reloads(site: Served, talker: Talker) -> None:
    talker.new()
    talker.say("first")
    talker.page.locator(".wb-chat .wb-box").press("Escape")
    talker.has(2, "stopped")
    with hand(site.data) as hub:
        hub.make_it_say(None, max_tokens=6000)
        talker.has_settings()
        talker.say("Go on")
        expect(talker.messages).to_have_count(4)
        talker.page.reload()
        talker.ready()
        expect(talker.messages).to_have_count(4)
        expect(talker.last).to_have_text(re.compile(r"\w.{50,}", re.DOTALL))
        expect(talker.messages.last).to_have_attribute("data-status", "done", timeout=60_000)
    talker.is_clean()


def test_the_whole_page_speaks_the_language_that_was_chosen_at_its_head(
    site: Served, talker: Talker
) -> None:
    page = talker.page
    [portuguese, english] = [
        page.get_by_role("button", name=name) for name in ("Português", "English")
    ]
    expect(portuguese).to_have_count(1)
    portuguese.click()
    expect(page.locator(".wb-mesh h2").first).to_have_text("Tarefas da malha")
    expect(page.locator(".wb-chat .wb-box")).to_have_attribute("aria-label", "Mensagem")
    expect(portuguese).to_be_focused()
    english.click()
    expect(page.locator(".wb-chat .wb-box")).to_have_attribute("aria-label", "Message")
    talker.is_clean()
