"""The existing client's names: methods, configuration, events and their aliases."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from typing import Any

import pytest

from tests.clients.speaking_node import SpeakingNode, speaking
from tests.reference import EVENT_SAYS
from workbench.clients.mesh import EVENTS, MeshClient
from workbench.core.mesh_config import MeshConfig, snake
from workbench.errors import InputError, TaskError

METHODS = {
    "init", "connect", "disconnect", "send_task", "cancel_task", "on", "off", "append_to_console",
    "clear_console", "set_console", "get_task_history", "is_task_pending", "process_batch",
}  # fmt: skip
CONFIGURATION = {
    "reconnectDelay": 2.0,
    "reconnectMaxAttempts": 5,
    "taskTimeout": 30.0,
    "consoleMaxLines": 1000,
    "localEndpoint": "ws://localhost:8081/mesh",
    "remoteEndpoint": "wss://mesh.runes.pro/node",
    "debug": False,
}
ALIASES = {
    "connected": "connected",
    "disconnected": "disconnected",
    "reconnecting": "reconnecting",
    "reconnectFailed": "reconnect_failed",
    "taskSent": "task_sent",
    "taskAccepted": "task_accepted",
    "taskProgress": "task_progress",
    "taskCompleted": "task_completed",
    "taskError": "task_error",
    "taskTimeout": "task_timeout",
    "batchProcessed": "batch_processed",
    "batch-processed": "batch_processed",
    "endpointChanged": "endpoint_changed",
    "log": "log",
    "message": "message",
    "console": "console",
}


def test_every_method_of_the_existing_client_is_there() -> None:
    assert {name for name in METHODS if inspect.isfunction(getattr(MeshClient, name))} == METHODS


def test_its_configuration_has_its_names_and_values_and_changes_while_running() -> None:
    client = MeshClient()
    for name, value in CONFIGURATION.items():
        assert getattr(client.config, snake(name)) == value, name
    client.configure(**CONFIGURATION)
    assert client.config == MeshConfig()
    assert client.configure(reconnectDelay=0.5, debug=True).reconnect_delay == 0.5
    with pytest.raises(InputError, match=r"example\.org is not this machine"):
        client.configure(local_endpoint="ws://example.org/mesh")
    with pytest.raises(InputError, match="allowed: ws://localhost:PORT/PATH, or wss://HOST/PATH"):
        client.configure(custom_endpoint="http://example.org/mesh")
    assert client.config.local_endpoint == MeshConfig().local_endpoint


def test_every_event_has_its_alias() -> None:
    assert set(ALIASES.values()) == set(EVENTS) == set(EVENT_SAYS)


async def everything(node: SpeakingNode, connection: Any, message: dict[str, Any]) -> None:
    """Two tasks: one that ends well, one that fails."""
    name = message["taskId"]
    await node.say(type="taskAccepted", taskId=name, seq=1, state="queued")
    await node.say(type="log", taskId=name, seq=2, content="begun", level="info")
    await node.say(type="taskProgress", taskId=name, progress=0.5)
    if message["model"] == "good":
        await node.say(type="taskResult", taskId=name, success=True, result=1, seq=3)
    elif message["model"] == "bad":
        await node.say(type="error", taskId=name, error="no", code="failed", seq=3)


async def test_each_event_reaches_each_of_its_names() -> None:
    """One life of a client in which every event happens."""
    heard: dict[str, int] = {}
    names = [*ALIASES, *EVENTS, *(name.replace("_", "-") for name in EVENTS)]

    def listen(client: MeshClient) -> None:
        for name in set(names):
            client.on(name, lambda data, name=name: heard.update({name: heard.get(name, 0) + 1}))

    async with speaking(everything) as node, speaking() as other:
        client = MeshClient(
            local_endpoint=node.url, custom_endpoint=other.url, task_timeout=0.05,
            reconnect_delay=0.01, reconnect_max_attempts=2,
        )  # fmt: skip
        listen(client)
        await client.connect()
        await client.process_batch("b", model="good")
        failed = await client.send_task("bad", input_data=1)
        with pytest.raises(TaskError, match="no"):
            await client.result(failed, 10)
        silent = await client.send_task("silent", input_data=1)
        await client.accepted(silent, 10)
        await _heard(client, "taskTimeout")
        await client.connect("custom")
        await other.stop()
        await _heard(client, "reconnectFailed")
        await client.disconnect()
    assert set(heard) == set(names)
    for alias, name in ALIASES.items():
        assert heard[alias] == heard[name] > 0, alias


async def test_an_alias_ends_what_another_began() -> None:
    client = MeshClient()
    heard: list[Any] = []
    client.on("console", heard.append)
    client.on("batchProcessed", heard.append)
    client.off("batch-processed", heard.append)
    client.off("console")
    client.append_to_console("x")
    assert heard == []


async def _heard(client: MeshClient, name: str) -> None:
    came = asyncio.Event()
    leave = client.on(name, lambda _: came.set())
    await asyncio.wait_for(came.wait(), 10)
    leave()


async def test_what_a_client_counted_and_measured_can_be_read() -> None:
    async with speaking(everything) as node:
        client = MeshClient(local_endpoint=node.url, reconnect_delay=0.01)
        assert client.metrics.connects == 0
        await client.connect()
        for model in ("good", "good", "bad"):
            task_id = await client.send_task(model, input_data=1)
            with contextlib.suppress(TaskError):
                await client.result(task_id, 10)
        waits = await client.send_task("waits", input_data=1)
        await client.accepted(waits, 10)
        counted = client.metrics
        await client.disconnect()
    assert (counted.sent, counted.accepted, counted.completed, counted.failed) == (4, 4, 2, 1)
    assert (counted.pending, counted.connects, counted.reconnects) == (1, 1, 0)
    assert (counted.acceptance.count, counted.whole.count) == (4, 3)
    assert counted.acceptance.p50_s is not None
    assert 0 < counted.acceptance.p50_s <= (counted.whole.most_s or 0)
    assert counted.messages == 15
    with pytest.raises(AttributeError):
        counted.sent = 0  # type: ignore[misc]
