"""A hub of another version than the kernel's package: said once, with a button that mends it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import workbench
from tests.boards.pages import BoardPage
from tests.hub_process import HubProcess
from tests.old_package import old_package
from workbench.boards.gpu import GpuBoard
from workbench.boards.home import Home
from workbench.clients.discovery import HubFile, read_hub_file, stop_hub
from workbench.clients.versions import OtherVersion, difference
from workbench.core.wire import WIRE_VERSION
from workbench.runtime import Runtime
from workbench.version import VERSION

pytestmark = pytest.mark.timeout(120)

SETTINGS = "ws_port = 0\nmesh_port = 0\nslots = 1\nllm_discover = false\n"


@contextlib.asynccontextmanager
async def old_hub(folder: Path, version: str) -> AsyncIterator[Path]:
    """The data folder of a running hub whose package says that it is of `version`."""
    data = folder / "data"
    data.mkdir()
    (data / "workbench.toml").write_text(SETTINGS)
    packages = folder / "packages"
    packages.mkdir()
    hub = HubProcess(data, PYTHONPATH=old_package(packages, version))
    try:
        await asyncio.to_thread(hub.start)
        yield data
    finally:
        await stop_hub(data)  # ours, or the one that took its place
        await asyncio.to_thread(hub.stop)


def stand_in() -> subprocess.Popen[bytes]:
    """A process that may be stopped as a hub."""
    program = "import time; time.sleep(60)  # stands for an old workbench"
    return subprocess.Popen([sys.executable, "-c", program])


@contextlib.asynccontextmanager
async def page_of(data: Path) -> AsyncIterator[BoardPage]:
    background = Runtime("test-runtime")
    board = GpuBoard(Home(), session=lambda: workbench.connect(data), background=background)
    page = BoardPage(board)
    page.looks()
    try:
        yield page
    finally:
        board.close()
        if board.closing is not None:
            await asyncio.wrap_future(board.closing)
        await asyncio.to_thread(background.close)


async def test_an_older_hub_works_says_so_and_is_replaced_by_one_click(tmp_path: Path) -> None:
    ours = VERSION
    async with old_hub(tmp_path, "0.0.9") as data:
        with pytest.warns(OtherVersion) as said:
            bench = workbench.connect(data)
        assert [str(each.message) for each in said] == [
            f"the hub of {data} runs version 0.0.9, and this kernel has version {ours}: drain and "
            "restart it with workbench.connect(restart=True), or stop it with `workbench stop`"
        ]
        assert said[0].filename == __file__
        assert workbench.connect(data) is bench  # and says nothing the second time
        old = bench.hub
        async with page_of(data) as page:
            notice = await page.until(lambda: page.widget.connection.get("notice"))
            assert (notice["remedy"], notice["values"]["theirs"]) == ("restart", "0.0.9")
            await page.until(lambda: page.widget.connection["state"] == "connected")
            assert page.widget.connection["notice"] == notice
            page.wants("restartHub")
            await page.until(lambda: page.widget.connection["notice"] is None)
            await page.until(lambda: page.widget.connection["state"] == "connected")
        now = read_hub_file(data)
        assert now is not None
        assert (now.version, now.pid != old.pid) == (ours, True)
        await asyncio.to_thread(bench.close)


async def test_a_hub_of_another_wire_is_refused_and_replaced_by_one_click(tmp_path: Path) -> None:
    (tmp_path / "workbench.toml").write_text(SETTINGS)
    with stand_in() as old:
        said = {"pid": old.pid, "version": "0.0.9", "wire": 0, "token": "canary-5d1e"}
        addresses = {"ws": "ws://127.0.0.1:9/ws", "mesh": "ws://127.0.0.1:9/mesh"}
        (tmp_path / "hub.json").write_text(json.dumps({**said, **addresses}))
        try:
            async with page_of(tmp_path) as page:
                notice = await page.until(lambda: page.widget.connection.get("notice"))
                assert page.widget.connection["state"] == "failed"
                assert notice["remedy"] == "restart"
                assert notice["text"] == (
                    f"the hub of {tmp_path} (PID {old.pid}, version 0.0.9) speaks wire version 0 "
                    "and this kernel speaks 1: drain and restart it with "
                    "workbench.connect(restart=True)"
                )
                assert page.widget.problem is None
                page.wants("restartHub")
                await page.until(lambda: page.widget.connection["state"] == "connected")
                assert page.widget.connection["notice"] is None
                assert old.poll() is not None
            bench = workbench.connect(tmp_path)
            assert bench.hub.version == VERSION
            await asyncio.to_thread(bench.close)
        finally:
            old.kill()
            await stop_hub(tmp_path)


def test_a_newer_hub_says_that_the_package_here_is_old(tmp_path: Path) -> None:
    hub = HubFile(pid=1, version="99.1", wire=WIRE_VERSION, ws="", mesh="", token="canary-5d1e")
    remedy, told = difference(tmp_path, hub) or ("", None)
    assert remedy == "update"
    assert "(PID" not in str(told)
    assert "runs version 99.1, and this kernel has the older version" in str(told)
    assert "canary" not in str(told)
