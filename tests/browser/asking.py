"""A question asked on the Runes board of a page, from a sample file to the answer."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Locator, Page, expect


def board_of(page: Page) -> Locator:
    """The board, which draws itself once a reader comes near."""
    board = page.locator(".wb-runes")
    page.get_by_role("navigation", name="Panels of this page").get_by_role(
        "link", name="Runes"
    ).press("Enter")
    expect(board).to_be_in_viewport()
    expect(board).to_be_focused()
    expect(board.locator('#wb-question option[value="runes-reconcile"]')).to_be_attached()
    return board


def reconciles_a_sample(page: Page) -> Path:
    """Keep a sample in the hub and ask whether its supply adds up; the answer as a CSV file."""
    board = board_of(page)
    listed = board.locator("#wb-runes-batch option, .wb-addbatch[open]")  # or there is none
    expect(listed.first).to_be_attached()
    sample = board.locator('.wb-addbatch .wb-segment[data-mode="sample"]').first
    if not sample.is_visible():
        board.locator(".wb-addbatch summary").click()
    sample.click()
    board.locator(".wb-sample", has_text="small.json").click()
    board.get_by_role("button", name="Keep it in the hub").click()
    expect(board.locator("#wb-runes-batch")).to_have_value("sample_small")
    board.locator("#wb-question").select_option("runes-reconcile")
    board.get_by_role("button", name="Ask", exact=True).click()
    expect(board.locator(".wb-answer")).to_have_text("All 29 runes add up to the atomic unit")
    expect(board.locator(".wb-tablepart tbody tr")).to_have_count(29)
    expect(board.locator(".wb-where code").last).to_contain_text("runes.reconcile(connect()")
    with page.expect_download() as download:
        board.get_by_role("button", name="Export answer as CSV").click()
    return Path(download.value.path())
