"""The model cards in JupyterLab: what is fetched goes on while the notebook is closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Shot
from tests.browser.models_site import ModelSite, Shopper, buys, model_site, talks

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelSite]:
    with model_site(tmp_path_factory.mktemp("models"), "lab") as site:
        yield site


def test_a_model_is_found_fetched_over_a_reload_loaded_and_asked(
    site: ModelSite, new_page: Callable[..., Page], shot: Shot
) -> None:
    shopper = Shopper(new_page(viewport={"width": 1500, "height": 1000}))

    def reopen() -> None:
        shopper.run_notebook(site.served.url)
        shopper.stands()

    reopen()
    buys(shopper, site, reopen)
    talks(shopper)
    shopper.models.scroll_into_view_if_needed()
    shot(shopper.page, "lab-models")
    shopper.is_clean()
