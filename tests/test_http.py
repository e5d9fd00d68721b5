"""A stranger's URL can neither reach into a private network nor flood, unpack or stall us."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import Iterable
from pathlib import Path
from threading import Event
from typing import Any

import httpcore2
import pytest

from tests.http_server import Asked, Server, serving
from workbench.core.public_address import is_public
from workbench.errors import InputError, LinkError, ProtocolError
from workbench.http import Http, Silent, download

PUBLIC = "93.184.216.34"
LIMIT = 1_000_000


class Detour(httpcore2.AsyncNetworkBackend):
    """Connects any address to one local server, and keeps what it was asked to connect to."""

    def __init__(self, server: Server) -> None:
        self.port = server.server_port
        self.asked: list[tuple[str, int]] = []
        self.below = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore2's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        self.asked.append((host, port))
        return await self.below.connect_tcp("127.0.0.1", self.port, timeout)


class Names:
    """A resolver that gives each name its answers in turn, the last one for ever."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): list(found) for name, found in answers.items()}

    async def __call__(self, host: str, port: int) -> list[str]:
        found = self.answers.get(host, [[host]])
        return found.pop(0) if len(found) > 1 else found[0]


def files_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def plain(asked: Asked) -> None:
    asked.reply(b"a batch")


async def test_a_download_appears_whole_with_its_progress(tmp_path: Path) -> None:
    body = bytes(range(256)) * 20_000
    told: list[tuple[int, int | None]] = []
    with serving(lambda asked: asked.reply(body)) as server:
        await download(
            server.url + "/batch",
            tmp_path / "batch",
            limit_bytes=len(body),
            private_addresses=True,
            progress=lambda done, total: told.append((done, total)),
        )
    assert (tmp_path / "batch").read_bytes() == body
    assert told[-1] == (len(body), len(body))
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert files_in(tmp_path) == ["batch"]


async def test_a_private_address_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with serving(plain) as server, pytest.raises(InputError) as caught:
        await download(server.url, tmp_path / "batch", limit_bytes=LIMIT)
    assert str(caught.value) == (
        "the address 127.0.0.1 is private (127.0.0.1); allowed: public addresses, "
        "or set WORKBENCH_PRIVATE_ADDRESSES=1"
    )
    assert server.seen == []
    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    "host", ["localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]"]
)
async def test_a_private_address_is_refused_however_it_is_written(host: str) -> None:
    async with Http() as http:
        with pytest.raises(InputError, match=r"is private|malformed"):
            await http.get_bytes(f"http://{host}:1/", limit_bytes=LIMIT)


async def test_a_name_with_one_private_address_is_refused_as_a_whole() -> None:
    names = Names(mixed_example=[[PUBLIC, "10.0.0.7"]])
    with serving(plain) as server:
        detour = Detour(server)
        async with Http(resolve=names, backend=detour) as http:
            with pytest.raises(InputError, match=r"mixed\.example is private \(10\.0\.0\.7\)"):
                await http.get_bytes("http://mixed.example/", limit_bytes=LIMIT)
    assert detour.asked == []


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    names = Names(rebind_example=[[PUBLIC], ["127.0.0.1"]])
    with serving(plain) as server:
        detour = Detour(server)
        async with Http(resolve=names, backend=detour) as http:
            body = await http.get_bytes("http://rebind.example/x", limit_bytes=LIMIT)
    assert body == b"a batch"
    assert detour.asked == [(PUBLIC, 80)]
    assert server.seen[0][1]["Host"] == "rebind.example"


async def test_a_redirect_to_a_private_address_is_refused() -> None:
    inside = "http://169.254.169.254/latest/meta-data"
    with serving(lambda asked: asked.reply(status=302, Location=inside)) as server:
        detour = Detour(server)
        async with Http(resolve=Names(out_example=[[PUBLIC]]), backend=detour) as http:
            with pytest.raises(InputError, match=r"169\.254\.169\.254 is private"):
                await http.get_bytes("http://out.example/", limit_bytes=LIMIT)
    assert detour.asked == [(PUBLIC, 80)]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://out.example/", "gopher://x/"])
async def test_a_redirect_to_another_scheme_is_refused(location: str) -> None:
    with serving(lambda asked: asked.reply(status=301, Location=location)) as server:
        async with Http(private_addresses=True) as http:
            with pytest.raises(InputError, match=r"the URL's scheme is .*; allowed: http, https"):
                await http.get_bytes(server.url, limit_bytes=LIMIT)


async def test_redirects_end_after_five() -> None:
    with serving(lambda asked: asked.reply(status=302, Location=asked.path + "x")) as server:
        async with Http(private_addresses=True) as http:
            with pytest.raises(InputError, match="redirects more than 5 times"):
                await http.get_bytes(server.url + "/x", limit_bytes=LIMIT)
    assert len(server.seen) == 6


async def test_secrets_stay_with_the_host_that_they_are_for() -> None:
    with serving(plain) as second:

        def first(asked: Asked) -> None:
            if asked.path == "/":
                asked.reply(status=302, Location="/here")
            else:
                asked.reply(status=302, Location=second.url, Set_Cookie="session=secret")

        with serving(first) as server:
            async with Http(private_addresses=True) as http:
                headers = {"Authorization": "Bearer secret", "X-Api-Key": "secret"}
                await http.get_bytes(server.url, limit_bytes=LIMIT, headers=headers)
    assert [seen["X-Api-Key"] for _, seen in server.seen] == ["secret", "secret"]
    assert "secret" not in str(second.seen)


async def test_a_body_that_says_it_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    with (
        serving(lambda asked: asked.reply(b"x", Content_Length=LIMIT + 1)) as server,
        pytest.raises(InputError) as caught,
    ):
        await download(server.url, tmp_path / "x", limit_bytes=LIMIT, private_addresses=True)
    assert str(caught.value) == (
        "what 127.0.0.1 sends is larger than 1000000 bytes; allowed: up to that"
    )
    assert files_in(tmp_path) == []


def endless(asked: Asked) -> None:
    """A chunked body that never says how long it is, and does not end."""
    asked.send_response(200)
    asked.send_header("Transfer-Encoding", "chunked")
    asked.end_headers()
    while True:
        asked.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")


async def test_a_body_without_an_end_is_cut_at_the_limit(tmp_path: Path) -> None:
    with serving(endless) as server, pytest.raises(InputError, match="larger than 1000000 bytes"):
        await download(server.url, tmp_path / "x", limit_bytes=LIMIT, private_addresses=True)
    assert files_in(tmp_path) == []


async def test_a_body_shorter_than_its_stated_length_is_a_broken_link(tmp_path: Path) -> None:
    def lying(asked: Asked) -> None:
        asked.reply(b"half", Content_Length=8)
        asked.close_connection = True

    with (
        serving(lying) as server,
        pytest.raises(LinkError, match=r"the link to 127\.0\.0\.1 failed"),
    ):
        await download(server.url, tmp_path / "x", limit_bytes=LIMIT, private_addresses=True)
    assert files_in(tmp_path) == []


async def test_a_compressed_body_is_never_unpacked() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    with serving(lambda asked: asked.reply(bomb, Content_Encoding="gzip")) as server:
        async with Http(private_addresses=True) as http:
            with pytest.raises(
                InputError, match="compressed as 'gzip'; allowed: no Content-Encoding"
            ):
                await http.get_bytes(server.url, limit_bytes=LIMIT)
    assert server.seen[0][1]["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("idle_s", "deadline_s", "sentence"),
    [
        (0.1, 30.0, "127.0.0.1 sent nothing for 0.1 s"),
        (30.0, 0.2, "127.0.0.1 was not done within 0.2 s"),
    ],
)
async def test_a_server_that_stalls_is_given_up(
    idle_s: float, deadline_s: float, sentence: str
) -> None:
    hold = Event()

    def stall(asked: Asked) -> None:
        asked.reply(b"a little", Content_Length=100)
        hold.wait(20)

    with serving(stall) as server:
        async with Http(private_addresses=True, idle_s=idle_s, deadline_s=deadline_s) as http:
            with pytest.raises(LinkError) as caught:
                await http.get_bytes(server.url, limit_bytes=LIMIT)
        hold.set()
    assert str(caught.value) == sentence


async def test_a_server_that_is_not_there_is_a_broken_link() -> None:
    with serving(plain) as server:
        gone = server.url
    async with Http(private_addresses=True) as http:
        with pytest.raises(LinkError, match="the link to"):
            await http.get_bytes(gone, limit_bytes=LIMIT)


async def test_a_name_that_does_not_exist_is_said_so() -> None:
    async def nobody(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    async with Http(resolve=nobody) as http:
        with pytest.raises(
            LinkError, match=r"the name x\.example cannot be resolved: no such name"
        ):
            await http.get_bytes("http://x.example/", limit_bytes=LIMIT)


@pytest.mark.parametrize(
    ("status", "kind"), [(404, InputError), (403, InputError), (429, LinkError), (503, LinkError)]
)
async def test_a_status_says_whether_trying_again_helps(status: int, kind: type[Exception]) -> None:
    with serving(lambda asked: asked.reply(b"no", status)) as server:
        async with Http(private_addresses=True) as http:
            with pytest.raises(kind, match=f"answers {status}"):
                await http.get_bytes(server.url, limit_bytes=LIMIT)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/", "/etc/passwd", "", "http://"])
async def test_only_http_is_spoken(url: str) -> None:
    async with Http() as http:
        with pytest.raises(InputError, match="allowed: http"):
            await http.get_bytes(url, limit_bytes=LIMIT)


async def test_an_error_never_shows_the_secret_part_of_a_url() -> None:
    with serving(lambda asked: asked.reply(status=404)) as server:
        async with Http(private_addresses=True) as http:
            url = server.url.replace("//", "//user:hunter2@") + "/path?token=hunter2"
            with pytest.raises(InputError) as caught:
                await http.get_bytes(url, limit_bytes=LIMIT)
    assert "hunter2" not in str(caught.value)


async def test_json_that_is_none_is_the_other_sides_fault() -> None:
    with serving(lambda asked: asked.reply(b"<html>")) as server:
        async with Http(private_addresses=True) as http:
            with pytest.raises(ProtocolError, match=r"127\.0\.0\.1 does not answer in JSON"):
                await http.get_json(server.url)


async def test_a_rpc_call_follows_no_redirect() -> None:
    with serving(lambda asked: asked.reply(status=307, Location="/elsewhere")) as server:
        async with Http(private_addresses=True) as http:
            with pytest.raises(InputError, match="answers 307"):
                await http.post_rpc(server.url, "getblockcount")
    assert len(server.seen) == 1


async def test_an_answer_of_any_status_can_be_read() -> None:
    with serving(lambda asked: asked.reply(b'{"error": 1}', 418, Server_Timing="x")) as server:
        async with (
            Http(private_addresses=True) as http,
            http.ask("POST", server.url + "/x", body=b"{}") as answer,
        ):
            assert (answer.status, await answer.body()) == (418, b'{"error": 1}')
    assert server.seen[0][0] == "/x"


async def test_a_question_goes_to_no_private_address_and_follows_no_redirect() -> None:
    with serving(lambda asked: asked.reply(status=307, Location="/elsewhere")) as server:
        async with Http() as http:
            with pytest.raises(InputError, match="is private"):
                async with http.ask("POST", server.url, body=b"secret"):
                    pass
        assert server.seen == []
        async with Http(private_addresses=True) as http:
            with pytest.raises(InputError, match="answers 307"):
                async with http.ask("POST", server.url, body=b"secret"):
                    pass
    assert len(server.seen) == 1


async def test_an_answer_that_does_not_end_is_cut_at_its_limit() -> None:
    with serving(endless) as server:
        async with Http(private_addresses=True) as http, http.ask("GET", server.url) as answer:
            received = 0
            with pytest.raises(InputError, match="larger than 1000000 bytes"):
                async for chunk in answer.chunks(LIMIT):
                    received += len(chunk)
            assert received <= LIMIT


@pytest.mark.parametrize(
    ("sent", "first_s", "idle_s", "sentence"),
    [
        (None, 0.1, 20.0, "127.0.0.1 sent nothing for 0.1 s"),
        (b"", 0.1, 20.0, "127.0.0.1 sent nothing for 0.1 s"),
        (b"a little", 20.0, 0.2, "127.0.0.1 sent nothing for 0.2 s"),
    ],
    ids=["no head", "no body", "half a body"],
)
async def test_each_wait_for_an_answer_has_its_own_limit(
    sent: bytes | None, first_s: float, idle_s: float, sentence: str
) -> None:
    hold = Event()

    def stall(asked: Asked) -> None:
        if sent is not None:
            asked.reply(sent, Content_Length=100)
        hold.wait(20)

    with serving(stall) as server:
        async with Http(private_addresses=True) as http:
            with pytest.raises(Silent) as caught:
                async with http.ask("GET", server.url, first_s=first_s, idle_s=idle_s) as answer:
                    await answer.body()
        hold.set()
    assert str(caught.value) == sentence


async def test_a_later_wait_may_be_longer_than_the_first() -> None:
    def pause(asked: Asked) -> None:
        asked.reply(b"a little", Content_Length=16)
        Event().wait(1.5)
        asked.wfile.write(b" and all")

    with serving(pause) as server:
        async with (
            Http(private_addresses=True) as http,
            http.ask("GET", server.url, first_s=1.0, idle_s=20.0) as answer,
        ):
            assert await answer.body() == b"a little and all"


async def test_leaving_an_unread_answer_hangs_up() -> None:
    left = Event()

    def listen(asked: Asked) -> None:
        asked.reply(b"a little", Content_Length=100)
        asked.connection.settimeout(20)
        if asked.connection.recv(1) == b"":
            left.set()

    with serving(listen) as server:
        async with Http(private_addresses=True) as http:
            async with (
                http.ask("GET", server.url) as answer,
                contextlib.aclosing(answer.chunks(LIMIT)) as chunks,
            ):
                assert await anext(chunks) == b"a little"
            assert await asyncio.to_thread(left.wait, 20)


async def test_answers_that_are_still_open_keep_nobody_waiting() -> None:
    hold = Event()

    def slow(asked: Asked) -> None:
        asked.reply(b"a little", Content_Length=100)
        hold.wait(20)

    with serving(lambda asked: slow(asked) if asked.path == "/slow" else plain(asked)) as server:
        async with Http(private_addresses=True) as http, contextlib.AsyncExitStack() as open_ones:
            for _ in range(30):
                await open_ones.enter_async_context(http.ask("GET", server.url + "/slow"))
            assert await http.get_bytes(server.url + "/x", limit_bytes=LIMIT) == b"a batch"
            hold.set()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "192.0.0.192", "192.0.0.8", "198.18.0.1", "192.88.99.1", "224.0.0.1"),
        *("239.1.1.1", "255.255.255.255", "203.0.113.9", "::1", "::", "fe80::1", "fc00::1"),
        *("fe80::1%eth0", "ff02::1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "64:ff9b::a00:1"),
        *("64:ff9b:1::1", "2002:a00:1::1", "2001::1", "2001:db8::1", "::a00:1", "fec0::1"),
        *("", "example.org", "1.2.3", "3fff::1"),
    ],
)
def test_an_address_that_is_not_the_open_internets_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", PUBLIC, "2606:4700:4700::1111", "2a00:1450::1"])
def test_an_address_of_the_open_internet_is_public(address: str) -> None:
    assert is_public(address)
