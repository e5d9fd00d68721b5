"""MeshClient against a real WebSocket server that speaks the protocol."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.hearing_client import Heard
from tests.clients.speaking_node import SpeakingNode, finished, speaking
from workbench.clients.faults import fault
from workbench.clients.link import closing
from workbench.clients.mesh import MeshClient
from workbench.core.mesh_following import HISTORY_KEPT
from workbench.errors import InputError, LinkError, ProtocolError, StoreError, TaskError

MIB = 1 << 20


@contextlib.asynccontextmanager
async def client_of(node: SpeakingNode, **config: Any) -> AsyncIterator[MeshClient]:
    client = MeshClient(**{"local_endpoint": node.url, "reconnect_delay": 0.02, **config})
    try:
        yield client
    finally:
        await client.disconnect()


async def test_a_task_is_sent_accepted_followed_and_done() -> None:
    async with speaking() as node, client_of(node) as client:
        heard = Heard(
            client, "connected", "task_sent", "task_accepted", "log", "task_progress",
            "task_completed",
        )  # fmt: skip
        await client.connect()
        task_id = await client.send_task("cypher-v1", "https://example.org/b.json", {"x": 1})
        assert (await client.accepted(task_id)).accepted
        assert await client.result(task_id, 10) == {"x": 1}
        assert heard.names == [
            "connected", "task_sent", "task_accepted", "log", "task_progress", "task_completed",
        ]  # fmt: skip
        message = node.heard[0]
        assert message["inputDataURL"] == "https://example.org/b.json"
        assert (message["model"], message["parameters"]) == ("cypher-v1", {"x": 1})
        assert message["returnLogs"] is True
        assert "timeoutMs" not in message
        assert [each["content"] for each in client.get_task_logs(task_id)] == ["begun"]
        assert client.get_task_history()[0].state == "done"
        assert not client.is_task_pending(task_id)


async def test_camel_case_event_names_are_the_same_events() -> None:
    async with speaking() as node, client_of(node) as client:
        heard: list[str] = []
        leave = client.on("taskCompleted", lambda data: heard.append(data["taskId"]))
        await client.init()
        task_id = await client.send_task("m", input_data={"a": 1})
        await client.result(task_id, 10)
        leave()
        await client.result(await client.send_task("m", input_data={"a": 1}), 10)
        assert heard == [task_id]


async def test_an_unknown_event_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="event is 'finished'; allowed: connected, "):
        MeshClient().on("finished", print)


async def test_a_handler_that_fails_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with speaking() as node, client_of(node) as client:
        later = asyncio.Event()

        async def fails_later(data: dict[str, Any]) -> None:
            later.set()
            raise ValueError("later")

        client.on("task_accepted", lambda data: 1 / 0)
        client.on("task_progress", fails_later)
        await client.connect()
        task_id = await client.send_task("m", input_data=1)
        assert await client.result(task_id, 10) == {"x": 1}
        await asyncio.wait_for(later.wait(), 10)
        await asyncio.sleep(0)
    assert "handler.failed event=task_accepted" in caplog.text


async def test_a_refused_task_raises_the_nodes_sentence() -> None:
    async def refuse(node: SpeakingNode, connection: Any, message: dict[str, Any]) -> None:
        await node.say(
            type="error",
            taskId=message["taskId"],
            error="model is 'x'; allowed: cypher-v1",
            code="unknown-model",
            template="{field} is {value}; allowed: {allowed}",
            values={"field": "model", "value": "'x'", "allowed": "cypher-v1"},
        )

    async with speaking(refuse) as node, client_of(node) as client:
        await client.connect()
        task_id = await client.send_task("x", input_data=1)
        with pytest.raises(InputError, match="model is 'x'; allowed: cypher-v1") as refusal:
            await client.accepted(task_id, 10)
        assert refusal.value.template == "{field} is {value}; allowed: {allowed}"


async def test_a_task_that_the_nodes_store_could_not_keep_is_a_store_error() -> None:
    """Trying again helps once the disk has room: a ProtocolError would say that it never does."""

    async def refuse(node: SpeakingNode, connection: Any, message: dict[str, Any]) -> None:
        said = "the task was not accepted, because it could not be made durable: the disk is full"
        await node.say(
            type="error", taskId=message["taskId"], error=said, code="unavailable", cause="store"
        )

    async with speaking(refuse) as node, client_of(node) as client:
        await client.connect()
        task_id = await client.send_task("x", input_data=1)
        with pytest.raises(StoreError, match="could not be made durable: the disk is full"):
            await client.accepted(task_id, 10)


async def test_a_task_that_ends_badly_raises_with_its_outcome() -> None:
    async def fail(node: SpeakingNode, connection: Any, message: dict[str, Any]) -> None:
        name = message["taskId"]
        await node.say(type="taskAccepted", taskId=name, seq=1)
        await node.say(type="error", taskId=name, error="{0.x} gone", code="lost", seq=2)

    async with speaking(fail) as node, client_of(node) as client:
        await client.connect()
        task_id = await client.send_task("x", input_data=1)
        with pytest.raises(TaskError) as failure:
            await client.result(task_id, 10)
        assert (str(failure.value), failure.value.outcome) == ("{0.x} gone", "lost")


async def test_a_dropped_connection_loses_and_doubles_nothing() -> None:
    async def halfway(node: SpeakingNode, connection: Any, message: dict[str, Any]) -> None:
        name = message["taskId"]
        if message["type"] == "task":
            await node.say(**finished(name)[0])
            await node.say(**finished(name)[1])
        else:
            assert message == {"type": "attach", "taskId": name, "after": 2}
            for each in finished(name):  # more than was asked for
                await node.say(**each)

    async with speaking(halfway) as node, client_of(node) as client:
        heard = Heard(
            client, "connected", "disconnected", "reconnecting", "task_accepted", "log",
            "task_completed",
        )  # fmt: skip
        await client.connect()
        task_id = await client.send_task("m", input_data=1)
        await heard.until("log")
        await node.drop()
        assert await client.result(task_id, 10) == {"x": 1}
        assert heard.names == [
            "connected", "task_accepted", "log", "disconnected", "reconnecting", "connected",
            "task_completed",
        ]  # fmt: skip


async def test_a_task_sent_while_the_node_is_away_is_sent_when_it_is_back() -> None:
    node = SpeakingNode()
    await node.start()
    async with client_of(node, reconnect_max_attempts=100) as client:
        heard = Heard(client, "reconnecting")
        await client.connect()
        await node.stop()
        await heard.until("reconnecting")
        task_id = await client.send_task("m", input_data=1)
        await node.start(node.port)
        assert await client.result(task_id, 10) == {"x": 1}
    await node.stop()


async def test_everybody_who_waits_gets_the_result_however_many_end_at_once() -> None:
    """The client remembers fewer ended tasks than end here before a waiter's turn comes."""
    waits: list[str] = []

    async def at_once(node: SpeakingNode, connection: Any, message: dict[str, Any]) -> None:
        waits.append(message["taskId"])
        if len(waits) == HISTORY_KEPT + 100:
            ends = [finished(name)[-1] for name in waits]
            connection.transport.write(b"".join(_text_frame(json.dumps(each)) for each in ends))

    async with speaking(at_once) as node, client_of(node) as client:
        await client.connect()
        sent = [await client.send_task("m", input_data=1) for _ in range(HISTORY_KEPT + 100)]
        found = await asyncio.gather(*(client.result(each, 10) for each in sent))
        assert found == [{"x": 1}] * len(sent)


def _text_frame(text: str) -> bytes:
    """A server's frame, so that many reach the client in one read."""
    return (
        b"\x81"
        + (bytes([len(text)]) if len(text) < 126 else b"\x7e" + len(text).to_bytes(2))
        + (text.encode())
    )


async def test_a_cancel_reaches_the_node() -> None:
    async def cancellable(node: SpeakingNode, connection: Any, message: dict[str, Any]) -> None:
        name = message["taskId"]
        if message["type"] == "task":
            await node.say(type="taskAccepted", taskId=name, seq=1)
        elif message["type"] == "cancelTask":
            await node.say(type="error", taskId=name, error="cancelled", code="cancelled", seq=2)

    async with speaking(cancellable) as node, client_of(node) as client:
        await client.connect()
        task_id = await client.send_task("m", input_data=1)
        await client.accepted(task_id, 10)
        assert await client.cancel_task(task_id)
        with pytest.raises(TaskError) as failure:
            await client.result(task_id, 10)
        assert failure.value.outcome == "cancelled"
        assert not await client.cancel_task(task_id)


async def test_silence_is_told_and_cancels_nothing() -> None:
    async with (
        speaking(lambda *_: None) as node,
        client_of(node, task_timeout=0.1) as client,
    ):
        heard = Heard(client, "task_timeout")
        await client.connect()
        task_id = await client.send_task("m", input_data=1)
        assert (await heard.until("task_timeout"))["taskId"] == task_id
        assert client.is_task_pending(task_id)
        assert node.count("cancelTask") == 0


async def test_gives_up_after_its_attempts_and_says_so() -> None:
    async with speaking() as node:
        url = node.url
    client = MeshClient(local_endpoint=url, reconnect_delay=0.01, reconnect_max_attempts=3)
    heard = Heard(client, "reconnecting", "reconnect_failed")
    with pytest.raises(
        LinkError, match=r"nothing listens at ws://127\.0\.0\.1:\d+/mesh: is it running\?"
    ):
        await client.connect(wait_s=10)
    failed = await heard.until("reconnect_failed")
    assert failed["attempts"] == 3
    assert heard.names == ["reconnecting"] * 3 + ["reconnect_failed"]
    with pytest.raises(LinkError, match="not connected to a mesh node"):
        await client.send_task("m", input_data=1)
    await client.disconnect()


async def test_connect_tries_again_after_it_had_given_up() -> None:
    node = SpeakingNode()
    await node.start()
    await node.stop()
    async with client_of(node, reconnect_max_attempts=0) as client:
        with pytest.raises(LinkError):
            await client.connect()
        await node.start(node.port)
        await client.connect()
        assert client.connected
    await node.stop()


async def test_a_wrong_token_is_final_and_the_servers_reason_is_shown() -> None:
    async with speaking(token="right") as node, client_of(node) as client:
        heard = Heard(client, "reconnecting", "reconnect_failed")
        client.set_token("local", "wrong")
        with pytest.raises(ProtocolError) as refusal:
            await client.connect()
        assert str(refusal.value) == (
            f"{node.url} refused the connection (HTTP 401): wrong token: see hub.json"
        )
        assert heard.names == ["reconnect_failed"]
        client.set_token("local", "right")
        await client.connect()
        assert client.connected


async def test_each_endpoint_gets_its_own_token_and_its_own_tasks() -> None:
    async with (
        speaking(lambda *_: None) as here,
        speaking(lambda *_: None) as there,
        client_of(here, custom_endpoint=there.url) as client,
    ):
        client.set_token("local", "token-here")
        client.set_token("custom", "token-there")
        await client.connect("local")
        task_id = await client.send_task("m", input_data=1)
        await here.until(lambda: here.count("task") == 1)
        await client.connect("custom")
        assert here.headers[0]["Authorization"] == "Bearer token-here"
        assert there.headers[0]["Authorization"] == "Bearer token-there"
        assert there.heard == []
        assert await client.resend_elsewhere(task_id)
        await there.until(lambda: there.count("task") == 1)
        assert there.heard[0]["taskId"] == task_id


async def test_a_token_in_the_address_travels_in_a_header_and_shows_nowhere(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with (
        speaking(token="canary-7f3a") as node,
        client_of(node, local_endpoint=f"{node.url}?token=canary-7f3a") as client,
    ):
        heard = Heard(client, "connected", "disconnected", "message")
        await client.connect()
        await node.drop()
        await heard.until("disconnected")
        shown = f"{heard.events} {client.console} {client!r}"
    assert "canary-7f3a" not in shown
    assert "canary-7f3a" not in "".join(
        record.getMessage() for record in caplog.records if "client" in record.name
    )


def test_refuses_to_speak_in_clear_beyond_this_machine() -> None:
    with pytest.raises(InputError, match=r"10\.0\.0\.7 is not this machine"):
        MeshClient(custom_endpoint="ws://10.0.0.7:8081/mesh")


async def test_loopback_is_never_reached_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    async with speaking() as node, client_of(node) as client:
        await client.connect()
        assert client.connected


async def test_a_redirect_is_not_followed() -> None:
    from websockets.asyncio.server import serve

    def elsewhere(connection: Any, request: Any) -> Any:
        response = connection.respond(302, "")
        response.headers["Location"] = "ws://127.0.0.1:9/mesh"
        return response

    async with serve(lambda _: None, "127.0.0.1", 0, process_request=elsewhere) as server:  # type: ignore[arg-type]
        port = next(iter(server.sockets)).getsockname()[1]
        client = MeshClient(local_endpoint=f"ws://127.0.0.1:{port}/mesh", reconnect_delay=0.01)
        with pytest.raises(ProtocolError, match=r"leads elsewhere \(HTTP 302\)"):
            await client.connect()
        await client.disconnect()


async def test_settings_change_while_running() -> None:
    async with speaking(lambda *_: None) as node, client_of(node) as client:
        heard = Heard(client, "task_timeout")
        await client.connect()
        await client.send_task("m", input_data=1)
        client.configure(taskTimeout=0.05)
        await heard.until("task_timeout")
        with pytest.raises(InputError, match="console_max_lines is 0; allowed: "):
            client.configure(console_max_lines=0)


async def test_models_are_listed_and_a_refusal_is_raised() -> None:
    async with speaking() as node, client_of(node) as client:
        with pytest.raises(LinkError, match="not connected"):
            await client.models()
        await client.connect()
        assert [each["name"] for each in await client.models()] == ["cypher-v1"]
        with pytest.raises(InputError, match="limit is 0; allowed: int >= 1"):
            await client.tasks(limit=0)


async def test_a_question_does_not_outlive_its_connection() -> None:
    async with speaking(lambda *_: None) as node, client_of(node) as client:
        await client.connect()
        asked = asyncio.create_task(client.models())
        await node.until(lambda: node.count("models") == 1)
        await node.drop()
        with pytest.raises(LinkError, match="was lost"):
            await asyncio.wait_for(asked, 10)


async def test_a_file_is_uploaded_in_acknowledged_slices(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4096 * 3 + b"tail"
    path = tmp_path / "batch.json"
    path.write_bytes(content)
    async with speaking() as node, client_of(node) as client:
        await client.connect()
        told: list[tuple[int, int]] = []
        url = await client.upload(path, progress=lambda held, size: told.append((held, size)))
        assert url == f"upload:{node.heard[0]['sha256']}"
        assert node.heard[0]["name"] == "batch.json"
        assert node.slices == [MIB, MIB, MIB, 4]
        size = len(content)
        assert told == [(0, size), (MIB, size), (2 * MIB, size), (3 * MIB, size), (size, size)]
        assert next(iter(node.partials.values())) == content


async def test_never_more_than_one_unconfirmed_slice() -> None:
    async with speaking() as node, client_of(node) as client:
        node.slow_ack = asyncio.Event()
        await client.connect()
        uploading = asyncio.create_task(client.upload(b"x" * 3 * MIB))
        await node.until(lambda: node.count("upload") == 1)
        await asyncio.sleep(0.1)
        assert node.slices == [MIB]
        node.slow_ack.set()
        await asyncio.wait_for(uploading, 10)


async def test_an_upload_goes_on_where_the_lost_connection_left_it() -> None:
    async with speaking() as node, client_of(node) as client:
        node.drop_after_slices = 2
        await client.connect()
        await asyncio.wait_for(client.upload(b"x" * 4 * MIB), 20)
        assert node.slices == [MIB] * 5  # four, and the one that was lost with the connection
        assert [message.get("resume") for message in node.heard] == [None, True]


async def test_an_upload_of_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json cannot be read: No such file or directory"):
        await MeshClient().upload(tmp_path / "none.json")


async def test_inline_data_is_bounded() -> None:
    async with speaking() as node, client_of(node) as client:
        await client.connect()
        with pytest.raises(InputError, match=r"allowed: 1048576\. upload"):
            await client.send_task("m", input_data="x" * MIB)


async def test_the_console_is_bounded_and_can_be_handed_on() -> None:
    client = MeshClient(console_max_lines=3)
    for number in range(5):
        client.append_to_console(f"line {{{number}}}")
    assert [line.text for line in client.console] == ["line {2}", "line {3}", "line {4}"]
    seen: list[str] = []
    client.set_console(lambda line: seen.append(line.text))
    client.append_to_console("more", "warning")
    assert seen == ["line {2}", "line {3}", "line {4}", "more"]
    client.configure(consoleMaxLines=2)
    assert [line.text for line in client.console] == ["line {4}", "more"]
    client.clear_console()
    assert client.console == []


async def test_events_and_logs_are_written_to_the_console() -> None:
    async with speaking() as node, client_of(node) as client:
        await client.connect()
        task_id = await client.send_task("m", input_data=1, task_id="t1")
        await client.result(task_id, 10)
        assert [line.text for line in client.console] == [
            "connected to the local endpoint",
            "task t1 sent: m",
            "begun",
            "task t1 done",
        ]


async def test_follows_a_task_of_an_earlier_kernel() -> None:
    async with speaking() as node, client_of(node) as client:
        node.tasks["old"] = finished("old")
        await client.connect()
        await client.attach("old", after=2)
        assert await client.result("old", 10) == {"x": 1}
        with pytest.raises(InputError, match="this client knows no task other"):
            await client.result("other")


async def test_waiting_has_a_deadline_and_the_task_goes_on() -> None:
    async with speaking(lambda *_: None) as node, client_of(node) as client:
        await client.connect()
        task_id = await client.send_task("m", input_data=1, task_id="t1")
        with pytest.raises(LinkError) as late:
            await client.result(task_id, 0.05)
        assert str(late.value) == "no word about task t1 within 0.05 s; it goes on at its node"
        assert client.is_task_pending(task_id)


async def test_who_waited_long_enough_is_told_what_the_task_does_and_what_to_do() -> None:
    async def runs(node: SpeakingNode, connection: Any, message: dict[str, Any]) -> None:
        task = {"taskId": message["taskId"], "attempt": 1}
        accepted = {"type": "taskAccepted", "state": "queued", "seq": 1, **task}
        await connection.send(json.dumps(accepted))
        if message["taskId"] == "t2":
            begun = {"type": "taskProgress", "progress": 0.4, "state": "running", **task}
            await connection.send(json.dumps(begun))

    async with speaking(runs) as node, client_of(node) as client:
        heard = Heard(client, "task_progress")
        await client.connect()
        await client.accepted(await client.send_task("m", input_data=1, task_id="t1"))
        with pytest.raises(LinkError, match=r"^task t1 is still queued after 0\.01 s of waiting, "):
            await client.result("t1", 0.01)
        await client.send_task("m", input_data=1, task_id="t2")
        await heard.until("task_progress")
        with pytest.raises(LinkError, match=r"^task t2 is still running \(40 % done\).*cancel it$"):
            await client.result("t2", 0.01)


@pytest.mark.parametrize(
    ("message", "sentence_"),
    [
        ({"error": "x is 1", "template": "{f} is {v}", "values": {"f": "x", "v": 1}}, "x is 1"),
        ({"error": "said", "template": "{f.__class__}", "values": {"f": 1}}, "said"),
        ({"error": "said", "template": "{f:>9999999}", "values": {"f": 1}}, "said"),
        ({"error": "said", "template": "{g}", "values": {"f": 1}}, "said"),
        ({"error": "?", "template": "{f} {f:rune|runes}", "values": {"f": 6}}, "6 runes"),
        ({"error": "said", "template": "{g:rune|runes}", "values": {"f": 6}}, "said"),
        ({"error": "said", "template": "{0}", "values": {}}, "said"),
        ({"error": "said", "template": "open {", "values": {}}, "said"),
        ({"error": "said {", "template": 7, "values": None}, "said {"),
        ({}, "no reason was given"),
    ],
)
def test_a_template_from_the_other_side_is_used_only_when_it_is_plain(
    message: dict[str, Any], sentence_: str
) -> None:
    assert str(fault(message)) == sentence_


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (1012, "drain", "ws://x is restarting"),
        (1009, "", "a message was too large for ws://x"),
        (1006, "", "the connection to ws://x was lost"),
        (None, None, "the connection to ws://x was lost"),
        (4000, "go", "ws://x closed the connection with code 4000: go"),
        (1000, "", "ws://x closed the connection with code 1000"),
    ],
)
def test_a_closed_connection_says_why(code: int | None, reason: str | None, expected: str) -> None:
    assert str(closing(code, reason, "ws://x")) == expected
