"""A reader who talks to a model on the page, and a hand at the hub that makes the model say it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, TimeoutError, expect
from websockets.sync.client import ClientConnection, connect

from tests.browser.visitor import Visitor
from tests.llm.tiny_model import saying

PATIENCE_S = 30.0
READY_MS = 90_000


class Talker(Visitor):
    """Speaks through the chat console."""

    def ready(self) -> None:
        """The console stands, and knows of a model."""
        box = self.page.locator(".wb-chat .wb-box")
        expect(box).to_be_visible(timeout=READY_MS)
        model = self.page.locator(".wb-chathead").get_by_text("Tiny").first
        expect(model).to_be_visible(timeout=READY_MS)

    @property
    def messages(self) -> Locator:
        return self.page.locator(".wb-chat .wb-msg")

    @property
    def last(self) -> Locator:
        """The newest message's text."""
        return self.messages.last.locator(".wb-md")

    def new(self) -> None:
        """A fresh conversation."""
        page = self.page
        new = page.locator(".wb-chat").get_by_role("button", name="New conversation").first
        try:
            new.click(timeout=2_000)
        except TimeoutError:  # the list is closed, or on its way out
            page.locator(".wb-sidebutton").click()
            new.click()
        expect(self.messages).to_have_count(0)

    def say(self, text: str) -> None:
        box = self.page.locator(".wb-chat .wb-box")
        box.fill(text)
        # While an answer is under way, what is written waits in the box.
        expect(self.page.locator('.wb-chat .wb-send[data-state="send"]')).to_be_enabled()
        box.press("Enter")
        expect(box).to_have_value("")

    def has_settings(self) -> None:
        """The page has heard that this conversation has settings: it sends those that it knows."""
        settings = self.page.locator('.wb-chat .wb-quietbutton[data-own="yes"]')
        expect(settings.first).to_be_attached()

    def has(self, count: int, status: str = "done") -> None:
        """So many messages, the last of them with this status."""
        expect(self.messages).to_have_count(count)
        whole = self.page.locator(f'.wb-chat .wb-msg[data-status="{status}"]')
        expect(whole.last).to_be_visible()
        expect(self.messages.last).to_have_attribute("data-status", status)


@contextlib.contextmanager
def hand(data: Path) -> Iterator[Hand]:
    """A hand at the hub of a data folder."""
    said = json.loads((data / "hub.json").read_text())
    address = f"{said['ws']}?token={said['token']}"
    with connect(address, proxy=None, compression=None, max_size=None) as raw:
        yield Hand(raw)


class Hand:
    """Speaks to a hub beside the page."""

    def __init__(self, raw: ClientConnection) -> None:
        self._raw = raw

    def ask(self, kind: str, answer: str, **data: Any) -> dict[str, Any]:
        """Send a message; the data of the first answer of a type."""
        self._raw.send(json.dumps({"type": kind, "data": data}))
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            heard = json.loads(self._raw.recv(PATIENCE_S))
            if heard["type"] == "error":
                raise AssertionError(heard)
            if heard["type"] == answer:
                found: dict[str, Any] = heard["data"]
                return found
        raise AssertionError(f"no {answer}")

    def conversation(self) -> int:
        """The newest conversation."""
        listed = self.ask("conversation:list", "conversation:list", limit=1)
        return int(listed["conversations"][0]["id"])

    def make_it_say(self, text: str | None, max_tokens: int = 400) -> int:
        """From now on the newest conversation's model says this; None lets it babble."""
        number = self.conversation()
        parameters: dict[str, Any] = {"maxTokens": max_tokens, "temperature": 0}
        if text is not None:
            parameters["grammar"] = saying(text)
        self.ask(
            "conversation:update",
            "conversation:changed",
            conversationId=number,
            parameters=parameters,
        )
        return number


def ran_nothing(page: Page) -> bool:
    """Whether no script of a model ever ran."""
    return bool(page.evaluate("() => globalThis.pwned === undefined"))
