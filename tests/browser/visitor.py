"""A reader of the page: opens it, submits, looks; and keeps what the page did behind the scenes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, Request, Response, expect

LOCAL = re.compile(r"^(https?|wss?)://(localhost|127\.0\.0\.1|\[::1\])[:/]|^(data|blob|about):")


class Visitor:
    """Errors of the page and requests that left the machine are collected from the start."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        self.foreign: list[str] = []
        self.answered: set[str] = set()
        self.missing: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._watch)
        page.on("response", self._note)

    def _watch(self, request: Request) -> None:
        if not LOCAL.match(request.url):
            self.foreign.append(request.url)

    def _note(self, response: Response) -> None:
        what = f"{response.request.method} {urlsplit(response.url).path.lstrip('/')}"
        self.answered.add(what)
        if response.status >= 400:
            self.missing.append(f"{response.status} {what}")

    def open(self, url: str, lang: str = "en") -> None:
        self.page.goto(f"{url}&lang={lang}")
        self.connected()

    def opens(self, url: str) -> None:
        """The app notebook in JupyterLab, with a kernel that waits."""
        self.page.goto(url.replace("/lab?", "/lab/tree/workbench.ipynb?reset&lang=en&"))
        expect(self.page.locator(".jp-Notebook")).to_be_visible(timeout=90_000)
        self.idle()

    def idle(self) -> None:
        idle = self.page.get_by_text("Python 3 (ipykernel) | Idle")
        expect(idle).to_be_visible(timeout=60_000)

    def run_notebook(self, url: str) -> None:
        """Open the app notebook and run its cells by the menu."""
        self.opens(url)
        self.page.locator('.lm-MenuBar-item:has-text("Run")').click()
        self.page.get_by_text("Run All Cells", exact=True).click()

    def connected(self) -> None:
        pill = self.page.locator('.wb-mesh .wb-pill[data-state="connected"]')
        expect(pill).to_be_visible(timeout=90_000)
        option = self.page.locator('#wb-model option[value="cypher-v1"]')
        expect(option).to_be_attached(timeout=60_000)

    def choose_model(self, name: str) -> None:
        self.page.locator("#wb-model").select_option(name)

    def choose_sample(self, name: str) -> None:
        self.page.locator('.wb-segment[data-mode="sample"]').first.click()
        self.page.locator(".wb-sample", has_text=name).first.click()

    def choose_files(self, paths: Sequence[Path]) -> None:
        self.page.locator("input[type=file]").first.set_input_files(list(paths))
        expect(self.page.locator(".wb-ready")).to_have_count(len(paths), timeout=60_000)

    def submit(self) -> str:
        """The id of the task, once the node has accepted it."""
        before = self.task_id()
        self.page.locator(".wb-submit").click()
        self.page.wait_for_function(
            "before => (document.querySelector('.wb-details code')?.textContent ?? '') !== before",
            arg=before,
        )
        return self.task_id()

    def task_id(self) -> str:
        codes = self.page.locator(".wb-details dd code")
        return codes.first.text_content() or "" if codes.count() else ""

    def ends(self, state: str, timeout_s: float = 120) -> None:
        shown = self.page.locator(f'.wb-taskhead .wb-state[data-state="{state}"]')
        expect(shown).to_be_visible(timeout=timeout_s * 1000)

    def drawn(self) -> None:
        expect(self.page.locator(".wb-plot .main-svg").first).to_be_visible(timeout=60_000)
        expect(self.page.locator(".wb-tablepart tbody tr").first).to_be_visible(timeout=60_000)

    def is_clean(self) -> None:
        assert not self.errors, self.errors
        assert not self.foreign, self.foreign
