"""kill -9 of the hub between the word that a function is kept and its run: it is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.hub_process import HubProcess
from tests.mesh.own_cells import fails
from workbench.clients.mesh import MeshClient
from workbench.clients.own_functions import definition_of

pytestmark = pytest.mark.faults


async def _client(said: dict[str, Any]) -> MeshClient:
    client = MeshClient(local_endpoint=said["mesh"], tokens={"local": said["token"]})
    await client.connect(wait_s=30)
    return client


async def _defined(said: dict[str, Any]) -> str:
    client = await _client(said)
    defined = await client.define(definition_of(fails))
    await client.disconnect()
    return defined.version


async def _run(said: dict[str, Any], version: str) -> dict[str, Any]:
    client = await _client(said)
    task = await client.send_task("fails", None, {"n": 2}, model_version=version)
    result: dict[str, Any] = await client.result(task, 60)
    (kept,) = (each for each in await client.models() if each["own"])
    assert kept["version"] == version
    await client.disconnect()
    return result


def test_a_function_that_was_acknowledged_survives_the_hub(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path)
    version = asyncio.run(_defined(hub.start()))
    hub.kill()
    for path in (tmp_path / "inputs").iterdir():
        path.unlink()  # an upload may expire
    try:
        assert asyncio.run(_run(hub.start(), version))["data"] == {"value": 0.5}
    finally:
        hub.stop()
