"""The model cards of the page that `workbench app` opens: from a repository's name to an answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot
from tests.browser.models_site import ModelSite, Shopper, buys, model_site, talks

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelSite]:
    with model_site(tmp_path_factory.mktemp("models"), "app") as site:
        yield site


@pytest.fixture(scope="module")
def shopper(site: ModelSite, one_page: Page) -> Shopper:
    """One page for both; nobody has a model at the end of a test."""
    shopper = Shopper(one_page)
    shopper.page.goto(f"{site.served.url}&lang=en")
    shopper.stands()
    return shopper


def test_a_model_is_found_fetched_over_a_reload_loaded_asked_and_deleted(
    site: ModelSite, shopper: Shopper, shot: Shot
) -> None:
    def reopen() -> None:
        shopper.page.reload()
        shopper.stands()

    buys(shopper, site, reopen)
    talks(shopper)
    shopper.models.scroll_into_view_if_needed()
    shot(shopper.page, "voila-models")
    shopper.presses("Unload")
    expect(shopper.here).to_have_attribute("data-state", "on-disk")
    shopper.presses("Delete…")
    shopper.here.get_by_role("button", name="Delete", exact=True).click()
    expect(shopper.here).to_have_count(0)
    assert not site.file.exists()
    shopper.is_clean()


def test_a_second_viewer_sees_a_download_go_on_after_the_hub_was_killed(
    site: ModelSite, shopper: Shopper, new_page: Callable[..., Page]
) -> None:
    second = Shopper(new_page())
    second.page.goto(f"{site.served.url}&lang=en")
    second.stands()
    site.takes(30)
    choice = shopper.finds("org/tiny")
    choice.get_by_role("button", name="Download: ").click()
    second.has_some()
    site.served.kill_hub()
    expect(second.models.locator('.wb-fresh[data-state="disconnected"]')).to_be_visible()
    site.takes(None)
    site.served.start_hub()
    second.is_state("done")
    shopper.is_state("done")
    assert site.file.read_bytes() == site.source.files[site.file.name].body
    second.is_clean()
