"""Two real hubs: a task stays with the one that accepted it, also while that is out of reach."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.clients.hearing_client import Heard
from tests.hubs import running_hub
from workbench.clients.endpoints import SettingsFileEndpoints
from workbench.clients.mesh import MeshClient

TOKENS = {"MESH_TOKEN_A": "canary-token-of-a", "MESH_TOKEN_B": "canary-token-of-b"}


class Way:
    """The way to a port, which can be cut and mended."""

    def __init__(self, to: int) -> None:
        self._to, self.port = to, 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onwards = await asyncio.open_connection("127.0.0.1", self._to)
        self._open |= {writer, onwards}
        await asyncio.gather(self._copy(reader, onwards), self._copy(there, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65536):
                writer.write(part)
                await writer.drain()
        writer.close()


def write(path: Path, *endpoints: tuple[str, str]) -> None:
    listed = [
        {"name": name, "url": url, "token_env": f"MESH_TOKEN_{name.upper()}"}
        for name, url in endpoints
    ]
    beside = path.with_name("beside")
    beside.write_text(json.dumps({"endpoints": listed}))
    beside.replace(path)


async def test_a_running_task_stays_with_its_hub_and_new_ones_go_to_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, token in TOKENS.items():
        monkeypatch.setenv(variable, token)
    path = tmp_path / "endpoints.json"
    async with (
        running_hub(tmp_path / "a", token=TOKENS["MESH_TOKEN_A"]) as a,
        running_hub(tmp_path / "b", token=TOKENS["MESH_TOKEN_B"]) as b,
    ):
        way = Way(urlsplit(a.mesh_url).port or 0)
        await way.mend()
        at_a, at_b = ("a", f"ws://127.0.0.1:{way.port}/mesh"), ("b", b.mesh_url)
        write(path, at_a, at_b)
        client = MeshClient(
            endpoints=SettingsFileEndpoints(path, look_s=0.02),
            reconnect_delay=0.05,
            reconnect_max_attempts=1000,
        )
        heard = Heard(client, "endpoint_changed", "task_completed", "task_progress", "log")
        await client.connect()
        work = {"units": 10, "unit_s": 0.1}
        slow = await client.send_task("steady", parameters=work, input_data=1)
        await heard.until("task_progress")
        write(path, at_b, at_a)
        assert (await heard.until("endpoint_changed", 2))["endpoint"] == "b"
        await way.cut()
        quick = await client.send_task("steady", parameters={"units": 1}, input_data=1)
        assert (await client.result(quick, 60))["data"]["units"] == 1
        assert client.is_task_pending(slow)
        await way.mend()
        assert (await client.result(slow, 60))["data"]["units"] == 10
        ended = [data["taskId"] for name, data in heard.events if name == "task_completed"]
        assert ended == [quick, slow]
        lines = [data for name, data in heard.events if name == "log" and data["taskId"] == slow]
        assert [line["content"] for line in lines] == [f"unit {n} done" for n in range(1, 11)]
        assert [each["taskId"] for each in await client.tasks()] == [quick]
        assert [(each.endpoint, each.pending) for each in client.links] == [("b", 0)]
        shown = f"{client.console} {heard.events} {client.links} {client.get_task_history()}"
        await client.disconnect()
        await way.cut()
    assert "canary" not in shown
