"""Someone who types into the cells of a notebook in JupyterLab."""

from __future__ import annotations

from playwright.sync_api import Locator, expect

from tests.browser.visitor import Visitor


class Notebook(Visitor):
    """Someone who types into cells."""

    def runs(self, code: str) -> Locator:
        """The output of a new cell at the end."""
        page = self.page
        cells = page.locator(".jp-Notebook .jp-CodeCell")
        cells.last.click()
        page.keyboard.press("Escape")
        page.keyboard.press("b")
        page.keyboard.press("Enter")
        page.keyboard.insert_text(code)
        page.keyboard.press("Control+Enter")
        place = cells.last.get_attribute("data-windowed-list-index")
        return page.locator(f'.jp-Cell[data-windowed-list-index="{place}"] .jp-OutputArea')

    def restarts_the_kernel(self) -> None:
        self.page.locator('.lm-MenuBar-item:has-text("Kernel")').click()
        self.page.get_by_text("Restart Kernel…", exact=True).click()
        self.page.locator(".jp-Dialog").get_by_role("button", name="Confirm Kernel Restart").click()
        expect(self.page.locator(".jp-Dialog")).to_have_count(0)
        self.idle()
