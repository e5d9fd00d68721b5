"""A page and a hub beside a source of models, and a reader of the model cards."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from playwright.sync_api import Locator, expect

from tests.browser.serving import Served, served
from tests.browser.talker import Talker
from tests.llm.fake_server import faking
from tests.session.test_library import HubWithFiles

READY_MS = 90_000
FETCHED_MS = 60_000
CHATS = "tiny-Q8_0"
"""The choice of `org/tiny` that loads and answers."""


class ModelSite:
    """`source` is a hub of repositories of this machine's own, with the bytes of their files."""

    def __init__(self, running: Served, source: HubWithFiles) -> None:
        self.served, self.source = running, source

    @property
    def file(self) -> Path:
        """Where the model that chats is kept once it is whole."""
        return self.served.data / "models" / "org" / "tiny" / f"{CHATS}.gguf"

    def takes(self, seconds: float | None) -> None:
        """From now on that model is sent over so much time; None is as fast as it goes."""
        file = self.source.files[f"{CHATS}.gguf"]
        file.all_bytes_s = len(file.body) / seconds if seconds else None


@contextlib.contextmanager
def model_site(folder: Path, kind: str) -> Iterator[ModelSite]:
    (folder / "source").mkdir()
    with faking(HubWithFiles(folder / "source")) as source:
        settings = {
            "HF_ENDPOINT": source.url,
            "HF_HUB_CACHE": str(folder / "cache"),
            "WORKBENCH_PRIVATE_ADDRESSES": "1",
        }
        with served(folder, kind, **settings) as running:
            yield ModelSite(running, source)
        for file in source.files.values():
            file.end.set()


class Shopper(Talker):
    """Somebody who looks for a model, fetches it and talks to it."""

    @property
    def models(self) -> Locator:
        return self.page.locator(".wb-modelcards")

    @property
    def row(self) -> Locator:
        """The download."""
        return self.models.locator(".wb-download").filter(has_text=CHATS)

    @property
    def here(self) -> Locator:
        """Cards of the models on this machine."""
        return self.models.locator(".wb-here").get_by_role("article")

    def stands(self) -> None:
        """The cards are there, connected to their hub."""
        live = self.models.locator('.wb-fresh[data-state="live"]')
        expect(live).to_be_visible(timeout=READY_MS)

    def finds(self, source: str) -> Locator:
        """The card of the choice that chats."""
        self.models.locator('[name="source"]').fill(source)
        self.models.locator('[name="source"]').press("Enter")
        return self.models.locator(".wb-found").get_by_role("article", name=CHATS)

    def presses(self, word: str) -> None:
        self.here.get_by_role("button", name=re.compile(f"^{word}: ")).click()

    def is_state(self, state: str) -> None:
        """The download's, as its row says."""
        expect(self.row).to_have_attribute("data-state", state, timeout=FETCHED_MS)

    def has_some(self) -> None:
        """A part of the file is here, and not the whole of it."""
        bar = self.row.get_by_role("progressbar")
        expect(bar).to_have_attribute("aria-valuenow", re.compile(r"^[1-9]\d?$"))


def buys(shopper: Shopper, site: ModelSite, reopen: Callable[[], None]) -> None:
    """From a repository's name to an answer, with the page gone in the midst of the download."""
    choice = shopper.finds("org/tiny")
    expect(choice).to_contain_text("fits memory")
    expect(choice).to_contain_text("of disk left after it")
    site.takes(30)
    choice.get_by_role("button", name=f"Download: {CHATS}").click()
    shopper.is_state("downloading")
    shopper.has_some()
    assert not site.file.exists()
    reopen()
    shopper.has_some()
    shopper.is_state("downloading")
    site.takes(None)
    shopper.is_state("done")
    assert site.file.read_bytes() == site.source.files[site.file.name].body
    shopper.presses("Load")
    expect(shopper.here).to_have_attribute("data-state", "loaded", timeout=READY_MS)


def talks(shopper: Shopper) -> None:
    """To the model whose card is there."""
    shopper.presses("Chat with it")
    expect(shopper.models.get_by_text("The chat asks")).to_be_visible()
    box = shopper.page.locator(".wb-chat .wb-box")
    expect(box).to_be_focused()
    expect(box).to_be_in_viewport()
    shopper.say("Hello")
    expect(shopper.messages).to_have_count(2)
    expect(shopper.last).to_have_text(re.compile(r"\w"), timeout=READY_MS)
    box.press("Escape")
    over = re.compile("^(stopped|done)$")
    expect(shopper.messages.last).to_have_attribute("data-status", over)
