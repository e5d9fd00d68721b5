"""The listener: who comes in, what a refusal says, and that one peer costs others nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from workbench.errors import SettingsError
from workbench.gate import host_name, is_loopback
from workbench.listener import Bounds, Connection, ConnectionGone, Gate, Listener, listen

TOKEN = "canary-token-0123456789"
GATE = Gate({TOKEN: "admin", "look-only": "view"}, origins=("https://a.example",), hosts=("box",))


async def wait_until(holds: Callable[[], bool], limit_s: float = 30) -> None:
    """Look again and again, with a deadline: a peer's end has no event of its own here."""
    ends = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < ends
        await asyncio.sleep(0.01)


async def echo(connection: Connection) -> None:
    while True:
        connection.send(await connection.receive())


@contextlib.asynccontextmanager
async def opened(handler: Any = echo, **given: Any) -> AsyncIterator[Listener]:
    given = {"path": "/mesh", "port": 0, "gate": GATE, **given}
    listener = await listen(handler, **given)
    try:
        yield listener
    finally:
        await listener.close()


def dial(listener: Listener, token: str | None = TOKEN, **given: Any) -> connect:
    query = f"?token={token}" if token else ""
    uri = f"ws://127.0.0.1:{listener.port}/mesh{query}"
    return connect(uri, proxy=None, compression=None, **given)


async def refusal_of(attempt: connect) -> tuple[int, str]:
    with pytest.raises(InvalidStatus) as refused:
        await attempt
    return refused.value.response.status_code, refused.value.response.body.decode()


async def test_a_peer_with_the_token_comes_in_and_is_heard() -> None:
    async with opened() as listener, dial(listener) as peer:
        await peer.send("hello")
        assert await peer.recv() == "hello"
        await peer.send(b"\x00\xff")
        assert await peer.recv() == b"\x00\xff"


async def test_a_token_in_the_header_is_as_good() -> None:
    async with opened() as listener:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with dial(listener, None, additional_headers=headers) as peer:
            await peer.send("hello")
            assert await peer.recv() == "hello"


async def test_a_token_brings_its_scope() -> None:
    seen: list[tuple[str, bool]] = []

    async def note(connection: Connection) -> None:
        seen.append((connection.scope, connection.local))

    async with opened(note) as listener:
        for token in (TOKEN, "look-only"):
            async with dial(listener, token) as peer:
                await peer.wait_closed()
    assert seen == [("admin", True), ("view", True)]


async def test_a_wrong_token_is_refused_with_the_remedy() -> None:
    async with opened() as listener:
        assert await refusal_of(dial(listener, "wrong")) == (
            401,
            "wrong token: the right one stands in hub.json in the hub's data folder, "
            "or is the one that the hub was started with\n",
        )


async def test_no_token_is_refused_with_the_remedy() -> None:
    async with opened() as listener:
        assert await refusal_of(dial(listener, None)) == (
            401,
            "no token: add ?token=... to the address or send 'Authorization: Bearer ...'; "
            "the token stands in hub.json in the hub's data folder\n",
        )


async def test_a_foreign_origin_is_refused_and_a_listed_one_comes_in() -> None:
    async with opened() as listener:
        status, body = await refusal_of(dial(listener, origin="https://a.example.evil.test"))
        assert (status, body) == (
            403,
            "foreign Origin 'https://a.example.evil.test': list it in WORKBENCH_ORIGINS and "
            "start the hub again\n",
        )
        async with dial(listener, origin="https://a.example") as peer:
            await peer.send("hello")
            assert await peer.recv() == "hello"


async def test_a_foreign_host_is_refused_even_with_the_token() -> None:
    async with opened() as listener:
        there = {"host": "127.0.0.1", "port": listener.port}
        uri = f"ws://rebound.evil.test:{listener.port}/mesh?token={TOKEN}"
        assert await refusal_of(connect(uri, proxy=None, **there)) == (
            403,
            f"foreign Host 'rebound.evil.test:{listener.port}': address the hub as localhost, or "
            "list the name in WORKBENCH_HOSTS and start the hub again\n",
        )
        async with connect(f"ws://box/mesh?token={TOKEN}", proxy=None, **there) as peer:
            await peer.send("hello")
            assert await peer.recv() == "hello"


@pytest.mark.parametrize(
    ("header", "loopback"),
    [
        ("localhost:3001", True),
        ("LOCALHOST", True),
        ("127.0.0.1:3001", True),
        ("127.8.8.8", True),
        ("[::1]:3001", True),
        ("[::ffff:127.0.0.1]", True),
        ("127.0.0.1.evil.test", False),
        ("localhost.evil.test", False),
        ("evil.test@localhost", False),
        ("10.0.0.1", False),
        ("", False),
        ("[::1", False),
    ],
)
def test_only_loopback_names_count_as_this_machine(header: str, loopback: bool) -> None:
    name = host_name(header)
    assert (name is not None and is_loopback(name)) is loopback


async def test_both_loopback_addresses_share_the_port() -> None:
    async with opened() as listener:
        hosts = {server.sockets[0].getsockname()[0] for server in listener.servers}
        ports = {server.sockets[0].getsockname()[1] for server in listener.servers}
        assert ports == {listener.port}
        assert hosts == ({"127.0.0.1", "::1"} if socket.has_ipv6 else {"127.0.0.1"})


async def test_small_frames_are_sent_at_once() -> None:
    """Else a second one waits 40 ms for the acknowledgement of the first."""
    found: list[int] = []

    async def look(connection: Connection) -> None:
        raw = connection._raw.transport.get_extra_info("socket")
        found.append(raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        await connection.receive()

    async with opened(look) as listener, dial(listener) as peer:
        await peer.send("go")
        await peer.wait_closed()
    assert found == [1]


async def test_health_is_open_without_a_token_but_not_under_a_foreign_name() -> None:
    def ask(host: str) -> tuple[int, str]:
        address = f"http://127.0.0.1:{listener.port}/health"
        request = urllib.request.Request(address, headers={"Host": host})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.headers["Content-Type"] == "application/json"
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    async with opened(health=lambda: {"status": "ok"}) as listener:
        status, body = await asyncio.to_thread(ask, "localhost")
        assert (status, json.loads(body)) == (200, {"status": "ok"})
        assert (await asyncio.to_thread(ask, "evil.test"))[0] == 403


@pytest.mark.parametrize("method", ["POST", "HEAD", "DELETE"])
@pytest.mark.parametrize("path", ["/metrics", "/health", "/mesh"])
async def test_whatever_but_get_is_refused_and_told_so(method: str, path: str) -> None:
    def ask() -> tuple[int, str | None]:
        right = {"Authorization": f"Bearer {TOKEN}"}
        address = f"http://127.0.0.1:{listener.port}{path}"
        asked = urllib.request.Request(address, headers=right, method=method)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(asked, timeout=30)
        with refused.value as error:
            return error.code, error.headers["Allow"]

    async with opened(figures=lambda: ("text/plain", b"1")) as listener:
        assert await asyncio.to_thread(ask) == (405, "GET")


async def test_a_wrong_path_says_the_right_one() -> None:
    async with opened() as listener:
        uri = f"ws://127.0.0.1:{listener.port}/else?token={TOKEN}"
        assert await refusal_of(connect(uri, proxy=None)) == (
            404,
            "there is nothing at '/else': connect to /mesh, or ask /health\n",
        )


async def test_a_frame_of_200_mb_closes_with_1009_and_the_reason() -> None:
    async with opened() as listener:
        peer = await dial(listener, max_size=None)
        with pytest.raises(ConnectionClosed) as closed:
            await peer.send("x" * 200_000_000)
            await peer.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009
        assert "200000000" in closed.value.rcvd.reason
        assert "2097152" in closed.value.rcvd.reason


async def test_a_peer_that_does_not_read_is_cut_off_and_the_others_go_on() -> None:
    ended = asyncio.Event()

    async def flood_or_echo(connection: Connection) -> None:
        if await connection.receive() == "flood":
            frame = "x" * 100_000
            while connection.open:
                connection.send(frame)
                assert connection.waiting_bytes < 5 << 20
                await asyncio.sleep(0)
            ended.set()
        await echo(connection)

    async with opened(flood_or_echo) as listener, dial(listener) as good:
        stuck = await _raw_peer(listener)
        try:
            await _send_text(stuck, b"flood")
            await good.send("start")
            while True:  # at least once: the flood may have ended before this begins
                async with asyncio.timeout(30):
                    await good.send("ping")
                    assert await good.recv() == "ping"
                if ended.is_set():
                    break
        finally:
            stuck.close()


async def _raw_peer(listener: Listener) -> socket.socket:
    """A peer that shakes hands and then never reads."""
    raw = socket.create_connection(("127.0.0.1", listener.port), timeout=30)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    request = (
        f"GET /mesh?token={TOKEN} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Version: 13\r\n\r\n"
    )
    await asyncio.to_thread(raw.sendall, request.encode())
    await asyncio.to_thread(raw.recv, 4096)
    return raw


async def _send_text(raw: socket.socket, text: bytes) -> None:
    await asyncio.to_thread(raw.sendall, bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)


async def test_the_connection_beyond_the_cap_is_told_so() -> None:
    async with opened(bounds=Bounds(connections=2)) as listener:
        async with dial(listener), dial(listener):
            assert await refusal_of(dial(listener)) == (
                503,
                "all 2 connections are taken: close one and try again\n",
            )
        await wait_until(lambda: not listener.connections)
        async with dial(listener) as peer:
            await peer.send("hello")
            assert await peer.recv() == "hello"


async def test_a_peer_above_its_rate_is_slowed_not_refused() -> None:
    bounds = Bounds(messages_per_s=200, burst=20)
    async with opened(bounds=bounds) as listener, dial(listener) as peer:
        started = time.monotonic()
        for number in range(80):
            await peer.send(str(number))
        answers = [await peer.recv() for _ in range(80)]
        assert answers == [str(number) for number in range(80)]
        assert time.monotonic() - started > 0.25


async def test_the_usual_rate_is_not_felt() -> None:
    async with opened() as listener, dial(listener) as peer:

        async def send() -> None:
            for number in range(5000):
                await peer.send(str(number))

        sending = asyncio.create_task(send())
        for number in range(5000):
            assert await peer.recv() == str(number)
        await sending
    assert Bounds().burst >= 5000


async def test_of_offers_that_wait_only_the_newest_is_sent() -> None:
    offered = asyncio.Event()

    async def offer(connection: Connection) -> None:
        await connection.receive()
        while connection.waiting_bytes < 1 << 20:
            connection.send(b"\x00" * 100_000)
            await asyncio.sleep(0)
        for number in range(1000):
            connection.offer("progress", str(number))
            connection.offer("withdrawn", str(number))
        connection.offer("withdrawn", None)
        offered.set()
        await connection.receive()

    async with opened(offer) as listener, dial(listener) as peer:
        peer.transport.pause_reading()
        await peer.send("begin")
        await offered.wait()
        peer.transport.resume_reading()
        texts = []
        while not texts:
            frame = await peer.recv()
            texts += [frame] if isinstance(frame, str) else []
        await peer.send("end")
        with pytest.raises(ConnectionClosed):
            texts.append(str(await peer.recv()))
    assert texts == ["999"]


async def test_a_handler_that_does_not_end_holds_up_no_closing() -> None:
    async def hang(connection: Connection) -> None:
        await asyncio.Event().wait()

    listener = await listen(hang, path="/mesh", port=0, gate=GATE)
    async with dial(listener):
        await listener.close(1012, "enough", limit_s=0.2)


async def test_an_offer_with_room_keeps_its_place() -> None:
    async def talk(connection: Connection) -> None:
        connection.send("accepted")
        connection.offer("progress", "half")
        connection.send("done")

    async with opened(talk) as listener, dial(listener) as peer:
        assert [await peer.recv() for _ in range(3)] == ["accepted", "half", "done"]


async def test_drained_waits_for_a_peer_that_reads_slowly() -> None:
    async def stream(connection: Connection) -> None:
        for _ in range(40):
            connection.send(b"\x00" * 500_000)
            await connection.drained()
            assert connection.waiting_bytes < 1 << 17

    async with opened(stream) as listener, dial(listener, max_size=None) as peer:
        assert sum([len(await peer.recv()) for _ in range(40)]) == 20_000_000


async def test_closing_tells_every_peer_why() -> None:
    gone: list[str] = []

    async def wait(connection: Connection) -> None:
        try:
            await connection.receive()
        except ConnectionGone as error:
            gone.append(str(error))
            raise

    listener = await listen(wait, path="/mesh", port=0, gate=GATE)
    async with dial(listener) as peer:
        await peer.ping()
        await listener.close(1012, "the hub is stopping")
        with pytest.raises(ConnectionClosed) as closed:
            await peer.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "the hub is stopping")
    assert gone == ["the connection was closed with code 1012"]


async def test_a_handler_that_fails_closes_its_own_connection_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def fail(connection: Connection) -> None:
        if await connection.receive() == "fail":
            raise ZeroDivisionError
        await echo(connection)

    async with opened(fail) as listener, dial(listener) as bad, dial(listener) as good:
        await bad.send("fail")
        await good.send("start")
        with pytest.raises(ConnectionClosed) as closed:
            await bad.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011
        await good.send("hello")
        assert await good.recv() == "hello"
    assert "ZeroDivisionError" in caplog.text


async def test_a_taken_port_is_named_with_the_remedy() -> None:
    async with opened() as listener:
        with pytest.raises(SettingsError) as taken:
            await listen(echo, path="/mesh", port=listener.port, gate=GATE)
        assert str(taken.value) == (
            f"port {listener.port} on 127.0.0.1 is taken by another program: stop it, choose "
            "another port or start with --free-ports"
        )


async def test_no_token_reaches_any_log(caplog: pytest.LogCaptureFixture) -> None:
    quiet = [logging.getLogger(name) for name in ("websockets.client", "websockets")]
    for each in quiet:  # the client's own lines are not ours
        each.setLevel(logging.CRITICAL)
    caplog.set_level(logging.DEBUG)
    try:
        async with opened() as listener:
            async with dial(listener) as peer:
                await peer.send("hello")
                await peer.recv()
            await refusal_of(dial(listener, TOKEN + "-wrong"))
    finally:
        for each in quiet:
            each.setLevel(logging.NOTSET)
    assert "canary" not in caplog.text
    assert "canary" not in repr(GATE)
