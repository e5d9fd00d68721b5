"""The metrics panel in JupyterLab: it is live there too, and keeps no kernel that nobody sees."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Shot
from tests.browser.gpu_site import GpuSite, Reader, gpu_site
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

IDLE_S = 4
CULLED_S = 30.0


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuSite]:
    """Jupyter ends a kernel that was idle for some seconds, also one with an open page."""
    told = {"cull_idle_timeout": IDLE_S, "cull_interval": 1, "cull_connected": True}
    jupyter = {"MappingKernelManager": told}
    with gpu_site(tmp_path_factory.mktemp("gpus"), "lab", jupyter) as site:
        yield site


def test_a_hidden_panel_lets_its_kernel_be_culled_and_a_seen_one_does_not(
    site: GpuSite, new_page: Callable[..., Page], shot: Shot
) -> None:
    visitor = Visitor(new_page(viewport={"width": 1500, "height": 1000}))
    visitor.run_notebook(site.served.url)
    reader = Reader(visitor)
    reader.is_state("live")
    site.world.gpu(0, utilization=44).write()
    reader.shows("GPU 0: GPU utilisation", 44)
    (kernel,) = site.kernels()
    visitor.page.wait_for_timeout(1000 * (IDLE_S + 2))  # longer than an idle kernel would live
    reader.is_state("live", 1000)
    assert kernel.is_running()
    reader.scrolls_there()
    shot(visitor.page, "lab-gpus")
    hide(visitor.page)
    kernel.wait(CULLED_S)
    visitor.is_clean()


def hide(page: Page) -> None:
    """Another tab of JupyterLab comes before the notebook, whose panel stays open behind it."""
    page.keyboard.press("Control+Shift+L")
    page.locator(".jp-Launcher").first.wait_for(state="visible")
