"""New tasks go to the preferred endpoint; those that run stay at theirs."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.clients.hearing_client import Heard, Said
from tests.clients.speaking_node import SpeakingNode, finished, speaking
from workbench.clients.branches import Branches
from workbench.clients.mesh import MeshClient
from workbench.core.endpoint import Endpoint
from workbench.core.mesh_config import MeshConfig, address
from workbench.errors import InputError, LinkError

FAST = {"reconnect_delay": 0.02, "reconnect_max_attempts": 1000}


def endpoint(name: str, node: SpeakingNode, token: str | None = None) -> Endpoint:
    return Endpoint(name=name, url=node.url, token=token)


@contextlib.asynccontextmanager
async def roaming(source: Said, **config: Any) -> AsyncIterator[MeshClient]:
    client = MeshClient(endpoints=source, **{**FAST, **config})
    try:
        yield client
    finally:
        await client.disconnect()


class Held:
    """A node's script: a task is accepted and its end held back until `release`."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.running: set[asyncio.Task[None]] = set()

    async def __call__(self, node: SpeakingNode, connection: Any, message: dict[str, Any]) -> None:
        said = finished(str(message.get("taskId")))
        if message["type"] == "task":
            await node.say(**said[0])
        if message["type"] in ("task", "attach"):
            task = asyncio.create_task(self._end(node, said))
            self.running.add(task)
            task.add_done_callback(self.running.discard)

    async def _end(self, node: SpeakingNode, said: list[dict[str, Any]]) -> None:
        await self.release.wait()
        with contextlib.suppress(Exception):
            for each in said[1:]:
                await node.say(**each)


async def test_a_running_task_stays_and_new_ones_move() -> None:
    held = Held()
    async with speaking(held) as a, speaking() as b:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            heard = Heard(client, "connected", "disconnected", "endpoint_changed", "task_completed")
            await client.connect()
            stays = await client.send_task("m", input_data=1)
            await client.accepted(stays, 10)
            source.say(endpoint("b", b))
            assert (await heard.until("endpoint_changed", 2))["endpoint"] == "b"
            goes = await client.send_task("m", input_data=2)
            assert await client.result(goes, 10) == {"x": 1}
            assert [(each.endpoint, each.current, each.pending) for each in client.links] == [
                ("b", True, 0),
                ("a", False, 1),
            ]
            held.release.set()
            assert await client.result(stays, 10) == {"x": 1}
            assert [each.endpoint for each in client.get_task_history()] == ["b", "a"]
            assert len(client.links) == 1
            ended = [data["taskId"] for name, data in heard.events if name == "task_completed"]
            assert ended == [goes, stays]
            assert [name for name in heard.names if name != "task_completed"] == [
                "endpoint_changed", "connected", "endpoint_changed", "connected",
            ]  # fmt: skip
        assert [each["type"] for each in a.heard] == ["task"]
        assert [each["taskId"] for each in b.heard] == [goes]


async def test_the_former_is_closed_once_its_last_task_has_ended() -> None:
    held = Held()
    async with speaking(held) as a, speaking() as b:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            heard = Heard(client, "connected", "task_completed")
            await client.connect()
            await client.accepted(await client.send_task("m", input_data=1), 10)
            source.say(endpoint("b", b))
            await heard.until("connected", 2)
            closed = asyncio.create_task(a.connections[0].wait_closed())
            await asyncio.sleep(0.05)
            assert not closed.done()
            held.release.set()
            await asyncio.wait_for(closed, 10)
            assert client.connected


async def test_a_task_is_taken_up_again_only_where_it_was_accepted() -> None:
    held = Held()
    async with speaking(held) as a, speaking() as b:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            heard = Heard(client, "connected", "task_completed")
            await client.connect()
            task_id = await client.send_task("m", input_data=1)
            await client.accepted(task_id, 10)
            source.say(endpoint("b", b))
            await heard.until("connected", 2)
            await a.drop()
            await a.until(lambda: a.count("attach") == 1)
            held.release.set()
            await heard.until("task_completed")
            assert heard.names.count("task_completed") == 1
        assert b.heard == []
        assert a.heard[1] == {"type": "attach", "taskId": task_id, "after": 1}


async def test_a_task_never_accepted_is_sent_again_only_at_its_endpoint() -> None:
    async with speaking(lambda *_: None) as a, speaking() as b:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            heard = Heard(client, "connected")
            await client.connect()
            task_id = await client.send_task("m", input_data=1)
            await a.until(lambda: a.count("task") == 1)
            source.say(endpoint("b", b))
            await heard.until("connected", 2)
            await a.drop()
            await a.until(lambda: a.count("task") == 2)
            assert b.heard == []
            assert await client.resend_elsewhere(task_id)
            assert await client.result(task_id, 10) == {"x": 1}
            assert len(client.links) == 1


async def test_a_cancel_goes_to_the_endpoint_of_its_task() -> None:
    held = Held()
    async with speaking(held) as a, speaking() as b:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            heard = Heard(client, "connected")
            await client.connect()
            task_id = await client.send_task("m", input_data=1)
            await client.accepted(task_id, 10)
            source.say(endpoint("b", b))
            await heard.until("connected", 2)
            assert await client.cancel_task(task_id)
            await a.until(lambda: a.count("cancelTask") == 1)
            assert b.heard == []


async def test_the_former_serves_until_the_preferred_one_answers() -> None:
    b = SpeakingNode()
    await b.start()
    await b.stop()
    async with speaking() as a:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            heard = Heard(client, "endpoint_changed", "disconnected")
            await client.connect()
            source.say(endpoint("b", b))
            await source.until("b", "failed")
            await client.result(await client.send_task("m", input_data=1), 10)
            assert client.endpoint == "a"
            await b.start(b.port)
            assert (await heard.until("endpoint_changed", 2))["before"] == "a"
            assert heard.names == ["endpoint_changed"] * 2
    await b.stop()


async def test_a_source_that_comes_back_to_the_present_endpoint_moves_nothing() -> None:
    b = SpeakingNode()
    await b.start()
    await b.stop()
    async with speaking() as a:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            await client.connect()
            source.say(endpoint("b", b))
            await source.until("b", "failed")
            source.say(endpoint("a", a))
            await b.start(b.port)
            assert len(client.links) == 1
            assert (client.endpoint, client.connected, b.connections) == ("a", True, [])
    await b.stop()


async def test_while_the_former_is_down_new_tasks_move_at_once() -> None:
    a = SpeakingNode()
    await a.start()
    async with speaking() as b:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            heard = Heard(client, "reconnecting", "endpoint_changed")
            await client.connect()
            await a.stop()
            await heard.until("reconnecting")
            waits = await client.send_task("m", input_data=1)
            source.say(endpoint("b", b))
            assert client.endpoint == "b"
            await client.result(await client.send_task("m", input_data=2), 10)
            assert b.count("task") == 1
            await a.start(a.port)
            assert await client.result(waits, 10) == {"x": 1}
            assert b.count("task") == 1
    await a.stop()


async def test_waiting_for_a_connection_follows_the_source() -> None:
    a = SpeakingNode()
    await a.start()
    await a.stop()
    async with speaking() as b:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            connecting = asyncio.create_task(client.connect(wait_s=10))
            await source.until("a", "failed")
            source.say(endpoint("b", b))
            await connecting
            assert client.endpoint == "b"


async def test_a_source_hears_what_became_of_its_endpoints() -> None:
    async with speaking() as a:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            heard = Heard(client, "connected")
            await client.connect()
            await client.result(await client.send_task("m", input_data=1), 10)
            await a.drop()
            await heard.until("connected", 2)
        reports = [("a", kind) for kind in ("connected", "latency", "failed", "connected")]
        assert source.reports == reports
        assert source.callbacks == []


async def test_each_endpoint_gets_its_own_token_and_no_surface_shows_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with speaking(token="canary-a") as a, speaking(token="canary-b") as b:
        source = Said(endpoint("a", a, "canary-a"))
        async with roaming(source, debug=True) as client:
            heard = Heard(client, "connected", "endpoint_changed", "message", "disconnected")
            await client.connect()
            source.say(endpoint("b", b, "canary-b"))
            await heard.until("connected", 2)
            shown = f"{heard.events} {client.console} {client.links} {client!r} {source.named!r}"
        assert a.headers[0]["Authorization"] == "Bearer canary-a"
        assert b.headers[0]["Authorization"] == "Bearer canary-b"
    ours = [each.getMessage() for each in caplog.records if "workbench" in each.name]
    assert "canary" not in shown + "".join(ours)


async def test_the_same_name_at_another_address_is_another_endpoint() -> None:
    held = Held()
    async with speaking(held) as a, speaking() as b:
        source = Said(endpoint("node", a, "token-a"))
        async with roaming(source) as client:
            heard = Heard(client, "connected")
            await client.connect()
            task_id = await client.send_task("m", input_data=1)
            await client.accepted(task_id, 10)
            source.say(endpoint("node", b, "token-b"))
            await heard.until("connected", 2)
            assert client.endpoint == f"node at {b.url}"
            held.release.set()
            assert await client.result(task_id, 10) == {"x": 1}
        assert b.heard == []
        assert {each["Authorization"] for each in a.headers} == {"Bearer token-a"}


@pytest.mark.parametrize("named", ["elsewhere", Endpoint(name="x", url="ws://10.0.0.7/mesh")])
async def test_a_source_that_names_what_may_not_be_is_told_and_followed_no_further(
    named: Any,
) -> None:
    async with speaking() as a:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            await client.connect()
            source.say(named)
            assert client.console[-1].level == "error"
            assert (client.endpoint, client.connected) == ("a", True)
        with pytest.raises(InputError):
            await MeshClient(endpoints=Said(named)).connect()


async def test_a_source_that_fails_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with speaking() as a:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            await client.connect()
            source.report = source.preferred = lambda *_: 1 / 0  # type: ignore[method-assign]
            source.say(None)
            assert await client.result(await client.send_task("m", input_data=1), 10) == {"x": 1}
    assert "endpoints.failed verb=preferred" in caplog.text
    assert "endpoints.failed verb=report" in caplog.text


async def test_a_source_that_knows_nothing_yet_is_waited_for() -> None:
    async with speaking() as a:
        source = Said()
        async with roaming(source) as client:
            with pytest.raises(LinkError, match=r"named none within 0\.05 s; it is asked on"):
                await client.connect(wait_s=0.05)
            heard = Heard(client, "connected")
            source.say(endpoint("a", a))
            await heard.until("connected")
            assert client.endpoint == "a"


async def test_one_of_the_clients_own_endpoints_may_be_named() -> None:
    async with speaking() as a, roaming(Said("custom"), custom_endpoint=a.url) as client:
        await client.connect()
        assert client.endpoint == "custom"
        with pytest.raises(InputError, match="source chooses the endpoint"):
            await client.connect("local")


async def test_an_upload_begins_anew_at_the_new_endpoint() -> None:
    async with speaking() as a, speaking() as b:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            heard = Heard(client, "connected")
            await client.connect()

            async def move(held: int, size: int) -> None:
                if client.endpoint == "a":
                    source.say(endpoint("b", b))
                    await heard.until("connected", 2)

            url = await client.upload(b"x" * (2 << 20), progress=move)
            assert url.startswith("upload:")
            assert (a.slices, b.slices) == ([], [1 << 20] * 2)
            assert len(b.headers) == 1


async def test_what_had_given_up_is_tried_again_for_its_tasks_when_new_ones_go_elsewhere() -> None:
    held = Held()
    a = SpeakingNode(held)
    await a.start()
    async with speaking() as b:
        source = Said(endpoint("a", a))
        async with roaming(source, reconnect_max_attempts=0, keep_trying=False) as client:
            heard = Heard(client, "reconnect_failed")
            await client.connect()
            task_id = await client.send_task("m", input_data=1)
            await client.accepted(task_id, 10)
            await a.stop()
            await heard.until("reconnect_failed")
            await a.start(a.port)
            source.say(endpoint("b", b))
            await a.until(lambda: a.count("attach") == 1)
            held.release.set()
            assert await client.result(task_id, 10) == {"x": 1}
    await a.stop()


async def test_connecting_waits_no_longer_for_what_is_not_wanted_any_more() -> None:
    a = SpeakingNode(lambda *_: None)
    await a.start()
    async with speaking() as b:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            await client.connect()
            await client.send_task("m", input_data=1)
            await a.stop()
            await source.until("a", "failed")
            connecting = asyncio.create_task(client.connect(wait_s=60))
            await asyncio.sleep(0)
            source.say(endpoint("b", b))
            await asyncio.wait_for(connecting, 10)
            assert client.endpoint == "b"


async def test_everything_is_taken_up_again_after_a_disconnect() -> None:
    held = Held()
    async with speaking(held) as a, speaking() as b:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            heard = Heard(client, "connected")
            await client.connect()
            task_id = await client.send_task("m", input_data=1)
            await client.accepted(task_id, 10)
            source.say(endpoint("b", b))
            await heard.until("connected", 2)
            await client.disconnect()
            held.release.set()
            await client.connect()
            assert await client.result(task_id, 10) == {"x": 1}


async def test_a_task_that_ended_is_asked_about_where_it_ran() -> None:
    async with speaking() as a, speaking() as b:
        source = Said(endpoint("a", a))
        async with roaming(source) as client:
            heard = Heard(client, "connected")
            await client.connect()
            task_id = await client.send_task("m", input_data=1)
            await client.result(task_id, 10)
            source.say(endpoint("b", b))
            await heard.until("connected", 2)
            await client.attach(task_id)
            assert await client.result(task_id, 10) == {"x": 1}
            assert (a.count("attach"), b.heard) == (1, [])


async def test_by_hand_too_a_running_task_stays() -> None:
    held = Held()
    async with speaking(held) as here, speaking() as there:
        client = MeshClient(local_endpoint=here.url, custom_endpoint=there.url, **FAST)
        heard = Heard(client, "connected", "disconnected")
        await client.connect()
        stays = await client.send_task("m", input_data=1)
        await client.accepted(stays, 10)
        await client.connect("custom")
        assert heard.names == ["connected", "disconnected", "connected"]
        held.release.set()
        assert await client.result(stays, 10) == {"x": 1}
        assert there.heard == []
        await client.disconnect()


async def test_what_stays_is_tried_for_as_long_as_it_takes() -> None:
    config = MeshConfig(keep_trying=False)
    branches = Branches("a", config, lambda name: address("ws://127.0.0.1:1"), lambda *_: None)
    first = branches.current
    message = {"type": "task", "taskId": "t", "model": "m"}
    first.session.submit(message, "a", 0.0)
    branches.choose("b")
    kept = [branch.session.config.keep_trying for branch in (first, branches.current)]
    assert kept == [True, False]
    await branches.stop()
