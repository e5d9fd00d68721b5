"""The metrics panel of the page that `workbench app` opens, over a hub with a driver to script."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot
from tests.browser.gpu_site import MOVES_MS, GpuSite, Reader, gpu_site
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

BUSY = "GPU 0: GPU utilisation"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GpuSite]:
    with gpu_site(tmp_path_factory.mktemp("gpus"), "app", WORKBENCH_POWER_PRICE="0.3") as site:
        yield site


@pytest.fixture(scope="module")
def opened(site: GpuSite, one_page: Page) -> Reader:
    visitor = Visitor(one_page)
    visitor.open(site.served.url)
    return Reader(visitor)


@pytest.fixture
def reader(site: GpuSite, opened: Reader) -> Reader:
    """One page for all: what one reader chose, the next finds."""
    site.served.revive()
    opened.is_state("live")
    return opened


def test_gauges_move_and_alerts_appear_and_clear(site: GpuSite, reader: Reader, shot: Shot) -> None:
    reader.shows(BUSY, 15)
    reader.panel.get_by_label("Interval", exact=True).select_option("500")
    site.world.gpu(0, utilization=97, temperature_c=91).write()
    reader.shows(BUSY, 97)
    alert = reader.panel.locator(".wb-alerts .wb-alert", has_text="91 °C")
    expect(alert).to_be_visible(timeout=MOVES_MS)
    expect(reader.meter("GPU 0: Temperature")).to_have_attribute(
        "aria-valuetext", re.compile("alert")
    )
    reader.scrolls_there()
    shot(reader.visitor.page, "voila-gpus-alert")
    site.world.gpu(0, utilization=20, temperature_c=50).write()
    reader.shows(BUSY, 20)
    expect(alert).to_be_hidden(timeout=MOVES_MS)
    expect(reader.panel.locator(".wb-alertcard li", has_text="cleared")).not_to_have_count(0)
    reader.visitor.is_clean()


def test_a_reader_switches_selects_pauses_and_takes_a_file(site: GpuSite, reader: Reader) -> None:
    panel = reader.panel
    reader.press("This machine")
    expect(reader.meter("This machine: CPU")).to_be_attached(timeout=MOVES_MS)
    expect(reader.meter(BUSY)).to_have_count(0)
    reader.press("GPU")
    reader.press("GPU 1")
    expect(reader.meter("GPU 1: GPU utilisation")).to_be_attached()
    expect(reader.meter(BUSY)).to_have_count(0)
    reader.press("All")
    reader.press("Pause")
    reader.is_state("paused")
    site.world.gpu(0, utilization=33).write()
    with reader.visitor.page.expect_download() as taken:
        reader.press("Export as CSV")
    assert "gpu.utilization" in taken.value.path().read_text()
    expect(reader.meter(BUSY)).not_to_have_attribute("aria-valuenow", "33")
    reader.press("Refresh")
    reader.shows(BUSY, 33)
    reader.is_state("paused")
    reader.press("Go on")
    reader.is_state("live")
    site.world.gpu(1, lost=True).write()
    expect(panel.locator('.wb-gpustate[data-state="lost"]')).to_be_visible(timeout=MOVES_MS)
    site.world.gpu(1, lost=False).write()


def test_a_task_says_what_it_used(reader: Reader, shot: Shot) -> None:
    visitor = reader.visitor
    visitor.choose_model("cypher-v1")
    visitor.choose_sample("small")
    visitor.submit()
    visitor.ends("done")
    visitor.page.get_by_role("tab", name="Details").click()
    used = visitor.page.locator(".wb-task .wb-details")
    expect(used).to_contain_text("Mean CPU of the machine")
    expect(used).to_contain_text("none was used")
    used.scroll_into_view_if_needed()
    shot(visitor.page, "voila-task-used")


def test_a_killed_hub_is_no_live_one_and_is_started_from_the_panel(
    site: GpuSite, reader: Reader
) -> None:
    site.served.kill_hub()
    reader.is_state("disconnected", MOVES_MS)
    expect(reader.meter(BUSY)).to_have_attribute("aria-valuetext", re.compile("not current"))
    expect(reader.panel).to_contain_text("The hub is not running.", timeout=MOVES_MS)
    site.world.gpu(0, utilization=61).write()
    reader.press("Start the hub")
    reader.is_state("live")
    reader.shows(BUSY, 61)


def test_a_killed_kernel_is_said(site: GpuSite, reader: Reader) -> None:
    kernel = site.kernels()[-1]
    kernel.kill()
    if kernel.parent() is not None:
        kernel.wait(5)
    reader.is_state("silent", MOVES_MS)
    expect(reader.panel.locator(".wb-gone")).to_contain_text("The kernel does not answer.")
