"""The page's own promises: no kernel left behind, nothing from elsewhere, language and theme."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from tests.browser.serving import _end, _free_port
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]

# Each load starts a kernel, about 4 s of one core: the full number on request.
RELOADS, TABS = (20, 5) if os.environ.get("LONG_TESTS") == "1" else (2, 2)
CELL = """
import anywidget
import ipywidgets

class Drawn(anywidget.AnyWidget):
    _esm = "export default {render({el}) {el.textContent = 'drawn ' + 6 * 7}}"

ipywidgets.VBox([ipywidgets.Button(description="a button"), Drawn()])
"""
SERVE = """
import sys
from pathlib import Path
from workbench import page
page.CULL_IDLE_S, page.CULL_LOOK_S = 20, 5
folder = Path(sys.argv[1])
page.run("app", data=folder / "data", port=int(sys.argv[2]), browser=False, folder=folder,
         ready=lambda url: print(url, flush=True))
"""


class Site:
    """A page with one small notebook, and the kernels behind it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.base, self.token = url.split("/voila")[0], url.split("token=")[1]

    def kernels(self) -> int:
        address = f"{self.base}/api/kernels?token={self.token}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return len(json.load(answer))

    def until(self, count: int, limit_s: float) -> None:
        ends = time.monotonic() + limit_s
        while (now := self.kernels()) > count:
            assert time.monotonic() < ends, f"{now} kernels are left"
            time.sleep(0.5)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    import nbformat  # takes seconds, and every process that collects tests would pay them

    folder = tmp_path_factory.mktemp("page")
    cells = [nbformat.v4.new_markdown_cell("# A title with $x^2$"), nbformat.v4.new_code_cell(CELL)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "workbench.ipynb")
    command = [sys.executable, "-c", SERVE, str(folder), str(_free_port())]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True
        )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url, (folder / "log.txt").read_text()
        yield Site(url)
    finally:
        process.stdout.close()
        _end(process)
        assert_no_kernel_of(folder)


def assert_no_kernel_of(folder: Path) -> None:
    """Every kernel of this server ends with it."""
    import psutil

    ours = [
        process.pid
        for process in psutil.process_iter(["cmdline", "environ"])
        if "ipykernel_launcher" in " ".join(process.info["cmdline"] or ())
        and (process.info["environ"] or {}).get("WORKBENCH_DATA") == str(folder / "data")
    ]
    for pid in ours:
        os.kill(pid, signal.SIGKILL)
    assert ours == []


def seen(page: Page) -> None:
    expect(page.get_by_text("drawn 42")).to_be_visible(timeout=90_000)


def test_tabs_leave_no_kernel_behind(site: Site, new_page: Callable[..., Page]) -> None:
    page = new_page()
    page.goto(site.url)
    seen(page)
    for _ in range(RELOADS):
        page.reload()
        seen(page)
    for _ in range(TABS):
        other = page.context.new_page()
        other.goto(site.url)
        seen(other)
        other.close(run_before_unload=True)
    site.until(1, limit_s=180)
    page.close(run_before_unload=True)
    site.until(0, limit_s=180)


def test_a_tab_that_died_while_loading_is_culled(site: Site, new_page: Callable[..., Page]) -> None:
    page = new_page()
    page.goto(site.url, wait_until="commit")
    page.goto(site.url, wait_until="commit")
    page.goto("about:blank")
    site.until(0, limit_s=90)


@pytest.mark.parametrize(
    ("query", "options", "lang", "light"),
    [
        ("", {"locale": "pt-BR", "color_scheme": "dark"}, "pt-BR", "false"),
        ("", {"locale": "de-DE", "color_scheme": "light"}, "en", "true"),
        ("&lang=pt-BR&theme=light", {"locale": "en-US", "color_scheme": "dark"}, "pt-BR", "true"),
        ("&lang=en&theme=dark", {"locale": "pt-BR", "color_scheme": "light"}, "en", "false"),
        ("&lang=<b>&theme=evil", {"locale": "pt-PT", "color_scheme": "light"}, "pt-BR", "true"),
    ],
)
def test_language_and_theme_follow_the_reader(
    site: Site,
    new_page: Callable[..., Page],
    query: str,
    options: dict[str, Any],
    lang: str,
    light: str,
) -> None:
    page = new_page(**options)
    page.goto(site.url + query)
    # Read at once: a page that is ready has taken the line away already.
    waiting = page.locator("#loading_text").all_text_contents()
    words = {"en": "Starting the workbench…", "pt-BR": "Iniciando o workbench…"}
    assert waiting in ([], [words[lang]])
    seen(page)
    assert page.evaluate("document.documentElement.lang") == lang
    assert page.evaluate("document.body.dataset.jpThemeLight") == light
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background)[:3])) > 384) is (light == "true")


@pytest.fixture(scope="module")
def visitor(site: Site, one_page: Page) -> Visitor:
    visitor = Visitor(one_page)
    visitor.page.goto(site.url)
    seen(visitor.page)
    return visitor


def test_the_theme_follows_the_system_while_the_page_is_open(visitor: Visitor) -> None:
    for scheme, light in (("light", "true"), ("dark", "false")):
        visitor.page.emulate_media(color_scheme=scheme)
        expect(visitor.page.locator(f"body[data-jp-theme-light='{light}']")).to_be_attached()


def test_nothing_comes_from_elsewhere(site: Site, visitor: Visitor) -> None:
    visitor.page.wait_for_load_state("networkidle")
    visitor.page.goto(f"{site.base}/voila/render/gone.ipynb")
    expect(visitor.page.get_by_text("404")).to_be_visible()
    visitor.is_clean()


def test_without_the_token_there_is_a_login_and_under_a_foreign_name_nothing(site: Site) -> None:
    parts = urlsplit(site.url)
    bare = f"{site.base}{parts.path}"
    with urllib.request.urlopen(bare, timeout=10) as answer:
        assert urlsplit(answer.url).path == "/login"
    foreign = urllib.request.Request(site.url, headers={"Host": "rebound.test"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(foreign, timeout=10)
    with refused.value:
        assert refused.value.code == 403
