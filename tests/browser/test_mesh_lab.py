"""The same page in JupyterLab, as `workbench lab` opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot
from tests.browser.serving import Served, served
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("lab"), "lab") as running:
        yield running


def run_all(visitor: Visitor, url: str) -> None:
    visitor.run_notebook(url)
    visitor.connected()


def test_the_submitter_works_in_jupyterlab(
    site: Served, new_page: Callable[..., Page], shot: Shot
) -> None:
    visitor = Visitor(new_page(viewport={"width": 1500, "height": 1000}))
    run_all(visitor, site.url)
    visitor.choose_model("cypher-v1")
    visitor.choose_sample("small")
    visitor.submit()
    visitor.ends("done")
    visitor.drawn()
    assert "GET lab/extensions/plotly.min.js" in visitor.answered
    expect(visitor.page.get_by_text("get notified about official Jupyter news")).to_have_count(0)
    shot(visitor.page, "lab")
    visitor.is_clean()


def test_running_the_cell_twice_leaves_one_board(
    site: Served, new_page: Callable[..., Page]
) -> None:
    visitor = Visitor(new_page(viewport={"width": 1500, "height": 1000}))
    run_all(visitor, site.url)
    run_all(visitor, site.url)
    expect(visitor.page.locator(".wb-mesh")).to_have_count(1)
    expect(visitor.page.locator(".wb-mesh .wb-gone")).to_be_hidden()
