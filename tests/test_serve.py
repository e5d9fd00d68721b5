"""One hub: what it writes, what it refuses, how it ends, and what a restart keeps."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.hub_process import HubProcess
from tests.hubs import running_hub
from workbench.errors import SettingsError, StoreError
from workbench.serve import Hub
from workbench.settings import load_settings

BATCH = {"schema": "anything"}


def dial(url: str) -> connect:
    return connect(url, proxy=None, compression=None, max_size=None)


async def hear(peer: ClientConnection, *kinds: str) -> dict[str, Any]:
    """The next message of one of these types; progress and logs are passed over."""
    while True:
        heard: dict[str, Any] = json.loads(await peer.recv())
        if heard["type"] in kinds:
            return heard


async def submit(peer: ClientConnection, task_id: str, **parameters: Any) -> dict[str, Any]:
    task = {"type": "task", "taskId": task_id, "model": "steady", "inputData": BATCH}
    await peer.send(json.dumps({**task, "parameters": parameters}))
    return await hear(peer, "taskAccepted", "error")


async def states(url: str) -> dict[str, str]:
    """Every task's state, as the mesh tells it."""
    async with dial(url) as peer:
        await peer.send(json.dumps({"type": "tasks"}))
        listed = await hear(peer, "tasks")
    return {task["taskId"]: task["state"] for task in listed["tasks"]}


async def test_a_hub_serves_both_ports_and_says_where_it_is(tmp_path: Path) -> None:
    async with running_hub(tmp_path) as hub:
        said = json.loads((tmp_path / "hub.json").read_text())
        assert said["pid"] == os.getpid()
        assert (said["ws"], said["mesh"], said["token"]) == (hub.ws_url, hub.mesh_url, hub.token)
        assert stat.S_IMODE((tmp_path / "hub.json").stat().st_mode) == 0o600
        for url in hub.urls():
            async with dial(url) as peer:
                await peer.ping()
        for url in (hub.ws_url, hub.mesh_url):
            address = url.replace("ws:", "http:").rsplit("/", 1)[0] + "/health"
            body = await asyncio.to_thread(lambda at: urllib.request.urlopen(at).read(), address)
            assert json.loads(body)["status"] == "ok"
            assert hub.token not in body.decode()
    assert not (tmp_path / "hub.json").exists()


async def test_a_task_runs_and_both_endpoints_tell_of_it(tmp_path: Path) -> None:
    async with running_hub(tmp_path) as hub:
        ws_url, mesh_url = hub.urls()
        async with dial(ws_url) as board, dial(mesh_url) as mesh:
            following = {"type": "task:subscribe", "data": {"taskId": "t1"}}
            await board.send(json.dumps(following))
            assert (await hear(board, "task:subscribed"))["data"] == {"taskId": "t1"}
            assert (await submit(mesh, "t1", units=3))["type"] == "taskAccepted"
            result = await hear(mesh, "taskResult", "error")
            assert result["success"], result
            seen = []
            while not seen or seen[-1] != "done":
                task = (await hear(board, "task:update"))["data"]["task"]
                seen.append(task["status"])
            sql = "SELECT state, attempts FROM task_history WHERE task_id = 't1'"
            await board.send(json.dumps({"type": "query", "data": {"sql": sql, "fresh": True}}))
            assert (await hear(board, "query:batch"))["data"] == {"n": 0}


async def test_a_restart_keeps_token_and_history(tmp_path: Path) -> None:
    async with running_hub(tmp_path) as hub:
        token = hub.token
        async with dial(hub.urls()[1]) as mesh:
            await submit(mesh, "t1", units=1)
            await hear(mesh, "taskResult")
    async with running_hub(tmp_path) as hub:
        assert hub.token == token
        assert await states(hub.urls()[1]) == {"t1": "done"}


async def test_a_second_hub_on_the_same_data_is_refused_with_a_sentence(tmp_path: Path) -> None:
    async with running_hub(tmp_path):
        with pytest.raises(StoreError) as refusal:
            await Hub(load_settings(data=tmp_path, ws_port=0, mesh_port=0)).start()
        sentence = str(refusal.value)
        assert str(os.getpid()) in sentence
        assert "open in another process" in sentence
        assert json.loads((tmp_path / "hub.json").read_text())["pid"] == os.getpid()


async def test_a_taken_port_is_named_and_nothing_is_left_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SettingsError) as refusal:
            await Hub(load_settings(data=tmp_path, ws_port=0, mesh_port=port)).start()
        assert str(refusal.value) == (
            f"port {port} on 127.0.0.1 is taken by another program: stop it, choose another "
            "port or start with --free-ports"
        )
        assert not (tmp_path / "hub.json").exists()
        settings = load_settings(data=tmp_path, ws_port=0, mesh_port=port, slots=1)
        async with Hub(settings, free_ports=True) as hub:
            assert str(port) not in hub.mesh_url


async def test_each_token_brings_its_scope(tmp_path: Path) -> None:
    tokens = {"token": "admin-token", "view_token": "view-token"}
    async with (
        running_hub(tmp_path, **tokens) as hub,
        dial(f"{hub.ws_url}?token=view-token") as peer,
    ):
        await peer.send(json.dumps({"type": "query", "data": {"sql": "SELECT 1"}}))
        assert (await hear(peer, "error"))["data"]["code"] == "forbidden"
    assert not (tmp_path / "token").exists()


async def test_stopping_tells_both_kinds_of_peers_why(tmp_path: Path) -> None:
    async with running_hub(tmp_path) as hub:
        ws_url, mesh_url = hub.urls()
        board, mesh = await dial(ws_url), await dial(mesh_url)
    for peer in (board, mesh):
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await peer.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert closed.value.rcvd.reason


@pytest.mark.faults
async def test_a_task_survives_the_death_of_its_cluster(tmp_path: Path) -> None:
    async with running_hub(tmp_path) as hub, dial(hub.urls()[1]) as mesh:
        await submit(mesh, "t1", units=30, unit_s=0.05)
        await hear(mesh, "taskProgress")
        assert hub.engine is not None
        assert hub.engine._cluster is not None
        await hub.engine._cluster._servers[-1].close()  # as a fault of its own would end it
        async with asyncio.timeout(30):
            result = await hear(mesh, "taskResult", "error")
        assert result["type"] == "taskResult", result
        assert result["attempt"] == 2


@pytest.mark.faults
async def test_sigterm_drains_and_a_restart_finishes_what_was_accepted(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path, WORKBENCH_SLOTS="1")
    try:
        said = await asyncio.to_thread(hub.start)
        async with dial(f"{said['mesh']}?token={said['token']}") as mesh:
            for number in range(3):
                accepted = await submit(mesh, f"t{number}", units=1000, unit_s=0.02)
                assert accepted["type"] == "taskAccepted"
            stopping = asyncio.create_task(asyncio.to_thread(hub.stop))
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    await mesh.recv()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012
        assert await stopping == 0
        assert not (tmp_path / "hub.json").exists()
        said = await asyncio.to_thread(hub.start)
        now = await states(f"{said['mesh']}?token={said['token']}")
        assert set(now) == {"t0", "t1", "t2"}
        assert set(now.values()) <= {"queued", "fetching", "running"}
    finally:
        await asyncio.to_thread(hub.kill)
