"""A batch by its id, from the client and from a session."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.clients.hearing_client import Heard
from tests.clients.speaking_node import SpeakingNode, speaking
from workbench.clients.mesh import MeshClient
from workbench.errors import InputError, LinkError, TaskError

WEB = "https://host.example.org/batches/"


async def fails(node: SpeakingNode, connection: Any, message: dict[str, Any]) -> None:
    name = message["taskId"]
    await node.say(type="taskAccepted", taskId=name, seq=1)
    await node.say(type="error", taskId=name, error="out of memory", code="failed", seq=2)


async def refuses(node: SpeakingNode, connection: Any, message: dict[str, Any]) -> None:
    await node.say(type="error", taskId=message["taskId"], error="no model x", code="unknown-model")


async def test_a_batch_is_processed_and_its_end_is_an_event() -> None:
    async with speaking() as node:
        client = MeshClient(local_endpoint=node.url, batch_base_url=WEB)
        heard = Heard(client, "task_completed", "batch_processed")
        await client.connect()
        given = {"analysisDepth": 1}
        assert await client.process_batch("840000.json", model="m", parameters=given) == {"x": 1}
        await client.disconnect()
        (message,) = node.heard
        assert message["inputDataURL"] == f"{WEB}840000.json"
        assert (message["model"], message["parameters"]) == ("m", given)
        assert heard.names == ["task_completed", "batch_processed"]
        assert heard.events[1][1] == {
            "batchId": "840000.json",
            "taskId": message["taskId"],
            "model": "m",
            "success": True,
            "result": {"x": 1},
        }


async def test_without_a_base_the_batch_is_the_hubs_own() -> None:
    async with speaking() as node:
        client = MeshClient(local_endpoint=node.url)
        await client.connect()
        await client.process_batch(840000, model="m")
        client.configure(batchBaseUrl="samples")
        await client.process_batch("small.json", model="m")
        await client.disconnect()
        assert [each["inputDataURL"] for each in node.heard] == [
            "batch:840000",
            "samples/small.json",
        ]


@pytest.mark.parametrize(
    ("script", "kind", "end"),
    [
        (fails, TaskError, {"error": "out of memory", "code": "failed"}),
        (refuses, InputError, {"error": "no model x", "code": "unknown-model"}),
    ],
)
async def test_a_batch_that_fails_is_processed_too(
    script: Any, kind: type[Exception], end: dict[str, str]
) -> None:
    async with speaking(script) as node:
        client = MeshClient(local_endpoint=node.url)
        heard = Heard(client, "batch_processed")
        await client.connect()
        with pytest.raises(kind, match=end["error"]):
            await client.process_batch("b1", model="x")
        await client.disconnect()
        told = heard.events[0][1]
        assert {name: told[name] for name in ("batchId", "success", "error", "code")} == {
            "batchId": "b1",
            "success": False,
            **end,
        }
        assert "result" not in told


async def test_the_event_comes_although_nobody_waits_any_more() -> None:
    release = asyncio.Event()

    async def later(node: SpeakingNode, connection: Any, message: dict[str, Any]) -> None:
        await release.wait()
        await fails(node, connection, message)

    async with speaking(later) as node:
        client = MeshClient(local_endpoint=node.url)
        heard = Heard(client, "batch_processed")
        await client.connect()
        with pytest.raises(LinkError, match="it goes on at its node"):
            await client.process_batch("b1", model="x", timeout_s=0.01)
        release.set()
        assert (await heard.until("batch_processed"))["batchId"] == "b1"
        await client.disconnect()


async def test_a_hostile_id_is_refused_before_anything_is_sent() -> None:
    async with speaking() as node:
        client = MeshClient(local_endpoint=node.url, batch_base_url=WEB)
        heard = Heard(client, "batch_processed", "task_sent")
        await client.connect()
        with pytest.raises(InputError, match=r"batch_id is '\.\./x'; allowed: 1 to 100 letters"):
            await client.process_batch("../x", model="m")
        await client.disconnect()
        assert (node.heard, heard.events) == ([], [])
    with pytest.raises(LinkError, match="not connected to a mesh node"):
        await client.process_batch("x", model="m")


async def test_a_task_of_no_batch_is_no_processed_batch() -> None:
    async with speaking() as node:
        client = MeshClient(local_endpoint=node.url)
        heard = Heard(client, "batch_processed")
        await client.connect()
        await client.result(await client.send_task("m", input_data=1), 10)
        await client.disconnect()
        assert heard.events == []


def test_a_wrong_base_is_refused_as_a_setting_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.errors import SettingsError
    from workbench.settings import load_settings

    monkeypatch.setenv("WORKBENCH_BATCH_BASE_URL", "https://user:canary@host/")
    with pytest.raises(SettingsError) as refusal:
        load_settings(data=tmp_path)
    assert str(refusal.value).startswith("WORKBENCH_BATCH_BASE_URL is (not shown); allowed: https:")
