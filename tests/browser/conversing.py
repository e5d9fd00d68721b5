"""What a person does with a conversation, in whichever page it stands."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.conftest import Shot
from tests.browser.serving import Served
from tests.browser.talker import Talker, hand


def converse(talker: Talker, data: Served, shot: Shot, name: str) -> None:
    """Held, stopped, edited, regenerated: what a person does with a conversation."""
    page = talker.page
    talker.new()
    talker.say("What is a rune?")
    with hand(data.data) as hub:
        page.locator(".wb-send").filter(has_text="Stop").or_(
            talker.messages.nth(1)
        ).first.wait_for()
        talker.page.locator(".wb-chat .wb-box").press("Escape")
        expect(talker.messages).to_have_count(2)
        expect(talker.messages.last).to_have_attribute("data-status", "stopped")
        expect(talker.messages.last.locator(".wb-stopped")).to_have_text("stopped")

        hub.make_it_say("A rune is a token.")
        talker.messages.last.hover()
        talker.messages.last.get_by_role("button", name="Answer anew").click()
        talker.has(2)
        expect(talker.last).to_have_text("A rune is a token.")

        hub.make_it_say("Since block 840000.")
        talker.messages.first.hover()
        talker.messages.first.get_by_role("button", name="Edit and send again").click()
        page.locator(".wb-edit textarea").fill("Since when are there runes?")
        page.locator(".wb-edit").get_by_role("button", name="Send").click()
        expect(talker.last).to_have_text("Since block 840000.")
        expect(talker.messages).to_have_count(2)
        expect(talker.messages.first).to_contain_text("Since when are there runes?")
    shot(page, name)


def find_again(talker: Talker, reopen: Callable[[], None]) -> None:
    """After a reload the conversation is there, and the search finds it among others."""
    talker.new()
    talker.say("Something else")
    talker.page.locator(".wb-chat .wb-box").press("Escape")
    talker.has(2, "stopped")
    reopen()
    page = talker.page
    if not page.locator(".wb-chat").get_by_label("Search conversations").is_visible():
        page.locator(".wb-sidebutton").click()
    page.locator(".wb-chat").get_by_label("Search conversations").fill("block 840000")
    found = page.locator(".wb-chat .wb-talk, .wb-chat .wb-talks li").filter(has_text="rune")
    expect(found).to_have_count(1)
    found.get_by_role("button").first.click()
    expect(talker.last).to_have_text("Since block 840000.")
