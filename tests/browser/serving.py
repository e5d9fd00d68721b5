"""A hub and a page of its own for browser tests, as a user starts them: by the command line."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from workbench.clients.discovery import hub_process, stop_hub

ROOT = Path(__file__).parent.parent.parent
START_S = 120.0
UNUSED = (
    *("celltags", "completer", "console", "csvviewer", "debugger", "documentsearch"),
    *("extensionmanager", "fileeditor", "help", "htmlviewer", "hub", "imageviewer", "inspector"),
    *(
        "javascript",
        "json",
        "logconsole",
        "lsp",
        "markdownviewer",
        "mathjax",
        "mermaid",
    ),
    *("metadataform", "pdf", "running", "settingeditor", "terminal", "toc", "tooltip", "vega5"),
)
"""Parts of JupyterLab that no test looks at; a page opens with a quarter less work without them."""
UNSAVED = "lab/user-settings/@jupyterlab/docmanager-extension/plugin.jupyterlab-settings"


class Served:
    """One hub process and one page process on one data folder."""

    def __init__(
        self, folder: Path, settings: Mapping[str, str], jupyter: Mapping[str, Any]
    ) -> None:
        self.data = folder / "data"
        self.settings = settings
        self.log = folder / "log.txt"
        self.url = ""
        self._hub: subprocess.Popen[bytes] | None = None
        self._page: subprocess.Popen[bytes] | None = None
        shutil.copytree(ROOT / "data" / "samples", self.data / "samples")
        (self.data / "models").mkdir()
        self._config = folder / "jupyter"
        self._configure(folder / "notebooks", jupyter)

    def _configure(self, notebooks: Path, jupyter: Mapping[str, Any]) -> None:
        """JupyterLab shows copies of the notebooks, for it saves what it shows; and it saves
        nothing by itself, so that what a test finds does not hang on how long others took."""
        shutil.copytree(ROOT / "notebooks", notebooks)
        told = {"FileContentsManager": {"root_dir": str(notebooks)}, **jupyter}
        unsaved = self._config / UNSAVED
        unsaved.parent.mkdir(parents=True)
        unsaved.write_text(json.dumps({"autosave": False}))
        disabled = {"disabledExtensions": {f"@jupyterlab/{one}-extension": True for one in UNUSED}}
        (self._config / "labconfig").mkdir()
        (self._config / "labconfig/page_config.json").write_text(json.dumps(disabled))
        (self._config / "jupyter_server_config.json").write_text(json.dumps(told))

    def start_hub(self) -> None:
        self._hub = self._run("hub", "--data", str(self.data))
        self._until(lambda: (self.data / "hub.json").exists())

    def revive(self) -> None:
        """A hub that a failed test has left dead would fail its second try too."""
        if hub_process(self.data) is None:
            self.start_hub()

    def engine_children(self) -> list[psutil.Process]:
        """The processes that run models, busy or waiting."""
        assert self._hub is not None
        below = psutil.Process(self._hub.pid).children(recursive=True)
        return [each for each in below if "workbench.engines.child" in each.cmdline()]

    def stop_hub(self) -> None:
        assert self._hub is not None
        _end(self._hub)

    def kill_hub(self) -> None:
        assert self._hub is not None
        self._hub.kill()
        self._hub.wait(10)

    def start_page(self, kind: str) -> None:
        port = str(_free_port())
        self._page = self._run(kind, "--data", str(self.data), "--port", port, "--no-browser")
        address = re.compile(rf"http://\S+:{port}/\S+")
        self._until(lambda: bool(address.search(self.log.read_text())))
        found = address.search(self.log.read_text())
        assert found is not None
        self.url = found[0]

    def stop(self) -> None:
        for process in (self._page, self._hub):
            if process is not None and process.poll() is None:
                _end(process)
        asyncio.run(stop_hub(self.data))  # one that the page started

    def _run(self, *command: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "workbench.cli", *command],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    "WORKBENCH_DATA": str(self.data),
                    "WORKBENCH_WS_PORT": "0",
                    "WORKBENCH_MESH_PORT": "0",
                    "WORKBENCH_LLM_DISCOVER": "0",
                    "JUPYTER_CONFIG_DIR": str(self._config),
                    "PYTHONUNBUFFERED": "1",
                    **self.settings,
                },
                start_new_session=True,
            )

    def _until(self, ready: object) -> None:
        deadline = time.monotonic() + START_S
        while not ready():  # type: ignore[operator]
            running = [one for one in (self._hub, self._page) if one is not None]
            ended = [one.returncode for one in running if one.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"not started ({ended}):\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


@contextlib.contextmanager
def served(
    folder: Path, kind: str, jupyter: Mapping[str, Any] | None = None, **settings: str
) -> Iterator[Served]:
    """A running hub with its page (`app` or `lab`); both are ended afterwards.

    `settings` go into the environment of both, `jupyter` into the configuration of the lab.
    """
    pair = Served(folder, settings, jupyter or {})
    try:
        pair.start_hub()
        pair.start_page(kind)
        yield pair
    finally:
        pair.stop()
