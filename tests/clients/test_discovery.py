"""Finding a hub by its file: what is stale, what is foreign, what is refused."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.clients.speaking_hub import speaking
from workbench.clients.discovery import find_hub, find_or_start, read_hub_file, stop_hub
from workbench.core.wire import WIRE_VERSION
from workbench.errors import LinkError, ProtocolError


def write(folder: Path, **fields: Any) -> None:
    known = {
        "pid": os.getpid(),
        "version": "0.1.0",
        "wire": WIRE_VERSION,
        "ws": "ws://127.0.0.1:9/ws",
        "mesh": "ws://127.0.0.1:9/mesh",
        "token": "canary-5d1e",
        "startedAt": 1,
    }
    (folder / "hub.json").write_text(json.dumps({**known, **fields}))


def process_that(program: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)


async def test_a_hub_that_answers_is_found(tmp_path: Path) -> None:
    async with speaking() as hub:
        write(tmp_path, ws=hub.url)
        found = await find_hub(tmp_path)
    assert found is not None
    assert found.ws == hub.url
    assert "canary-5d1e" not in repr(found)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}'])
async def test_a_file_that_cannot_be_read_is_no_hub(tmp_path: Path, text: str) -> None:
    (tmp_path / "hub.json").write_text(text)
    assert read_hub_file(tmp_path) is None
    assert await find_hub(tmp_path) is None


async def test_a_hub_whose_process_is_gone_is_no_hub(tmp_path: Path) -> None:
    with process_that("") as gone:
        pass
    async with speaking() as hub:
        write(tmp_path, ws=hub.url, pid=gone.pid)
        assert await find_hub(tmp_path) is None


async def test_a_hub_that_does_not_answer_is_no_hub(tmp_path: Path) -> None:
    write(tmp_path)
    assert await find_hub(tmp_path) is None


async def test_another_wire_version_is_refused_with_the_way_out(tmp_path: Path) -> None:
    async with speaking() as hub:
        write(tmp_path, ws=hub.url, wire=WIRE_VERSION - 1, version="0.0.1")
        with pytest.raises(ProtocolError) as refusal:
            await find_or_start(tmp_path)
    assert str(refusal.value) == (
        f"the hub of {tmp_path} (PID {os.getpid()}, version 0.0.1) speaks wire version "
        f"{WIRE_VERSION - 1} and this kernel speaks {WIRE_VERSION}: drain and restart it with "
        "workbench.connect(restart=True)"
    )


async def test_a_newer_wire_version_says_that_the_package_here_is_old(tmp_path: Path) -> None:
    write(tmp_path, wire=WIRE_VERSION + 1, version="9.0")
    with pytest.raises(ProtocolError, match=r"version 9.0\) .* update the package runes-workbench"):
        await find_or_start(tmp_path)


async def test_without_a_hub_and_without_starting_one_it_says_how(tmp_path: Path) -> None:
    with pytest.raises(LinkError) as missing:
        await find_or_start(tmp_path, start=False)
    assert str(missing.value) == (
        f"no hub runs on {tmp_path}: start one with `workbench hub --data {tmp_path}`, or with "
        "workbench.connect()"
    )


async def test_a_hub_that_cannot_start_shows_the_end_of_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_WS_PORT", "none")
    with pytest.raises(LinkError) as failure:
        await find_or_start(tmp_path, wait_s=60)
    said = str(failure.value)
    assert said.startswith(f"the hub of {tmp_path} could not start (exit code ")
    assert "WORKBENCH_WS_PORT is 'none'; allowed: " in said
    assert (tmp_path / "hub.log").stat().st_mode & 0o077 == 0


async def test_stopping_waits_until_the_process_is_gone(tmp_path: Path) -> None:
    waits = "import signal; print('workbench', flush=True); signal.pause()"
    process = process_that(waits)
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.readline)
    write(tmp_path, pid=process.pid)
    reaped = asyncio.create_task(asyncio.to_thread(process.wait))
    await stop_hub(tmp_path, wait_s=10)
    assert await reaped == -15
    process.stdout.close()
    await stop_hub(tmp_path)


async def test_a_stale_file_never_stops_a_stranger(tmp_path: Path) -> None:
    with process_that("import signal; print('ready', flush=True); signal.pause()") as stranger:
        assert stranger.stdout is not None
        await asyncio.to_thread(stranger.stdout.readline)
        write(tmp_path, pid=stranger.pid)
        assert await stop_hub(tmp_path, wait_s=1) is False
        assert stranger.poll() is None
        stranger.kill()


async def test_a_hub_that_drains_too_long_is_named(tmp_path: Path) -> None:
    deaf = (
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print('workbench', flush=True); signal.pause()"
    )
    with process_that(deaf) as process:
        assert process.stdout is not None
        await asyncio.to_thread(process.stdout.readline)
        write(tmp_path, pid=process.pid)
        with pytest.raises(LinkError, match=rf"PID {process.pid}\) still drains after 0\.1 s"):
            await stop_hub(tmp_path, wait_s=0.1)
        process.kill()
