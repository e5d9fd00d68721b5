"""The wheel in a kernel's environment, JupyterLab in another, behind a base URL: all draws."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Shot
from tests.browser.environments import ROOT, built_wheel, environment
from tests.browser.visitor import Visitor
from workbench.clients.discovery import read_hub_file, stop_hub

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

BASE = "/some/where/"
START_S = 90.0
SETTINGS = "ws_port = 0\nmesh_port = 0\nllm_discover = false\n"
SERVER = ("jupyterlab", "jupyter_server", "jupyter_lsp", "voila", "notebook", "nbconvert")
"""What a kernel has no need of."""


class Site:
    """JupyterLab without us; its one kernel runs where the wheel is."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.notebooks = folder / "notebooks"
        shutil.copytree(ROOT / "data" / "samples", self.data / "samples")
        shutil.copytree(ROOT / "notebooks", self.notebooks)
        (self.data / "workbench.toml").write_text(SETTINGS)
        self.kernel = environment(folder / "kernel", without=SERVER, wheel=built_wheel(folder))
        self.server = environment(folder / "server", without=("plotly", "duckdb", "distributed"))
        for shared in ("share", "etc"):
            (folder / "server" / shared).symlink_to(Path(sys.prefix) / shared)
        self.port = _free_port()
        self.url = f"http://localhost:{self.port}{BASE}lab?token=canary"
        self._lab: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        arguments = ("-m", "ipykernel_launcher", "-f", "{connection_file}")
        spec = {"argv": [str(self.kernel), *arguments], "language": "python"}
        place = self.folder / "jupyter" / "kernels" / "python3"
        place.mkdir(parents=True)
        named = {**spec, "display_name": "Python 3 (ipykernel)"}
        (place / "kernel.json").write_text(json.dumps(named))
        told = {
            "ServerApp": {"base_url": BASE, "port": self.port, "port_retries": 0},
            "IdentityProvider": {"token": "canary"},
            "LabApp": {
                "news_url": None,
                "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
            },
        }
        (place.parent / "jupyter_lab_config.json").write_text(json.dumps(told))
        with (self.folder / "lab.log").open("ab") as log:
            self._lab = subprocess.Popen(
                [
                    *(str(self.server), "-m", "jupyterlab", "--no-browser", "--allow-root"),
                    f"--config={place.parent / 'jupyter_lab_config.json'}",
                    str(self.notebooks),
                ],
                cwd=self.notebooks,
                stdout=log,
                stderr=log,
                env={**_plain(), "JUPYTER_PATH": str(self.folder / "jupyter")}
                | {"WORKBENCH_DATA": str(self.data)},
                start_new_session=True,
            )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._lab is not None and self._lab.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError((self.folder / "lab.log").read_text()[-3000:])

    def stop(self) -> None:
        if self._lab is not None:
            self._lab.terminate()
            try:
                self._lab.wait(20)
            except subprocess.TimeoutExpired:
                self._lab.kill()
                self._lab.wait(10)
        asyncio.run(stop_hub(self.data))


def _plain() -> dict[str, str]:
    """This environment without what leads to our own packages and settings."""
    ours = ("WORKBENCH_", "PYTHON", "JUPYTER", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("two"))
    try:
        site.start()
        yield site
    finally:
        site.stop()


def _has(python: Path, module: str) -> bool:
    code = f"import importlib.util as u; raise SystemExit(u.find_spec({module!r}) is None)"
    run = subprocess.run([str(python), "-c", code], env=_plain(), cwd="/", timeout=60)
    return run.returncode == 0


def test_every_panel_draws_and_plotly_comes_over_the_comm(
    site: Site, new_page: Callable[..., Page], shot: Shot
) -> None:
    assert (_has(site.kernel, "workbench"), _has(site.kernel, "jupyterlab")) == (True, False)
    assert (_has(site.server, "workbench"), _has(site.server, "jupyterlab")) == (False, True)
    visitor = Visitor(new_page(viewport={"width": 1500, "height": 1000}))
    visitor.run_notebook(site.url)
    visitor.connected()
    page = visitor.page
    for panel in (".wb-gpu", ".wb-modelcards"):
        live = page.locator(f'{panel} .wb-fresh[data-state="live"]')
        expect(live).to_be_visible(timeout=60_000)
    expect(page.locator(".wb-chat")).to_contain_text("No language model was found")
    visitor.choose_model("cypher-v1")
    visitor.choose_sample("small")
    visitor.submit()
    visitor.ends("done")
    visitor.drawn()
    shot(page, "two-environments")
    lookup = f"404 HEAD {BASE.lstrip('/')}lab/extensions/plotly.min.js"
    assert lookup in visitor.missing
    harmless = re.compile(r"404 HEAD .*plotly\.min\.js|404 GET .*(workspaces|listings|\.map)")
    assert [each for each in visitor.missing if not harmless.match(each)] == []
    visitor.is_clean()
    found = read_hub_file(site.data)
    assert found is not None
    assert str(site.folder) in " ".join(_command(found.pid))


def _command(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
