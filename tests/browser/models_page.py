"""The models drawn from a JSON file in a bare page: cards, downloads, and what the kernel sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Locator, Page

from tests.browser.conftest import STATES
from tests.browser.harness import BarePage, page_files
from workbench.widgets.models import ModelsWidget

FILE = STATES / "models.json"
GEMMA = "gemma-3-12b-it-Q4_K_M"
QWEN, MISTRAL = "Qwen3 4B", "Mistral Small 24B Instruct 2501"


class Drawn:
    """A page with the models, and what the kernel would set on it."""

    def __init__(self, bare: BarePage, traits: dict[str, Any]) -> None:
        self.bare, self.page, self.traits = bare, bare.page, traits

    def trait(self, name: str, value: Any) -> None:
        self.traits[name] = value
        self.page.evaluate("([name, value]) => model.set(name, value)", [name, value])

    def card(self, name: str) -> Locator:
        return self.page.locator(".wb-here").get_by_role("article", name=name, exact=True)

    def row(self, name: str) -> Locator:
        return self.page.locator(".wb-download").filter(has_text=name)

    def bar(self, name: str) -> Locator:
        return self.row(name).get_by_role("progressbar")

    def download(self, name: str, **changes: Any) -> None:
        """The next state of one download."""
        self.trait(
            "downloads",
            [
                {**each, **changes} if name in each["model"] else each
                for each in self.traits["downloads"]
            ],
        )

    def is_clean(self) -> None:
        self.bare.is_clean()


Draw = Callable[..., Drawn]


def drawing(lend_page: Callable[..., Page]) -> Draw:
    """Draws a page; `changed` are other traits than the file's, `options` those of a page."""

    def open_page(
        lang: str = "en",
        theme: str = "light",
        changed: dict[str, Any] | None = None,
        **options: Any,
    ) -> Drawn:
        traits = {**json.loads(FILE.read_text())["traits"], **(changed or {})}
        bare = BarePage(lend_page(**options), page_files(ModelsWidget(), {"traits": traits}, theme))
        bare.open(f"?lang={lang}")
        return Drawn(bare, traits)

    return open_page
