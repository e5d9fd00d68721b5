"""Ranges of a stranger's file can neither reach into a private network nor be mistaken."""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.http_server import Asked, Server, serving
from tests.llm.faulty_files import busy, content, files, leads_to, short_by, stalled_after
from workbench.byte_ranges import Cut, Later, Ranges, Refused
from workbench.errors import InputError, LinkError, ProtocolError
from workbench.http import Silent

PUBLIC = "93.184.216.34"
BODY = content(200_000)


@pytest.fixture
def ranges() -> Iterator[Ranges]:
    found = Ranges(private_addresses=True, idle_s=5)
    yield found
    found.close()


class Detour:
    """Connects any address to one local server, and keeps what it was asked to connect to."""

    def __init__(self, server: Server) -> None:
        self.port, self.asked = server.server_port, list[tuple[str, int]]()

    def __call__(self, address: str, port: int, limit_s: float, hold: object) -> socket.socket:
        self.asked.append((address, port))
        return socket.create_connection(("127.0.0.1", self.port), limit_s)


def names(**answers: list[str]) -> Any:
    """A resolver; hosts that it does not know are addresses."""
    known = {name.replace("_", "."): found for name, found in answers.items()}
    return lambda host, port: known.get(host, [host])


def read(ranges: Ranges, url: str, **more: Any) -> bytes:
    buffer, found = bytearray(64 * 1024), bytearray()
    with ranges.open(url, **more) as body:
        while count := body.readinto(memoryview(buffer)):
            found += buffer[:count]
    return bytes(found)


def test_a_range_is_what_was_asked_for(ranges: Ranges) -> None:
    with files(BODY) as (served, _):
        assert read(ranges, served.url) == BODY
        assert read(ranges, served.url, start=1000, end=150_000) == BODY[1000:150_000]
        with ranges.open(served.url, start=5) as body:
            assert (body.status, body.start, body.total_bytes) == (206, 5, len(BODY))
            assert (body.etag, body.accepts_ranges) == ('"one"', True)


def test_a_file_that_changed_comes_from_its_beginning(ranges: Ranges) -> None:
    with files(BODY) as (served, _), ranges.open(served.url, start=5, if_range='"zero"') as body:
        assert (body.status, body.start, body.accepts_ranges) == (200, 0, False)


def test_a_connection_that_was_read_to_its_end_serves_again(ranges: Ranges) -> None:
    connections = set()

    def answer(asked: Asked) -> None:
        connections.add(asked.client_address)
        asked.reply(b"some bytes")

    with serving(answer) as server:
        for _ in range(3):
            assert read(ranges, server.url) == b"some bytes"
        assert len(connections) == 1
        with ranges.open(server.url):  # left unread
            pass
        read(ranges, server.url)
        assert len(connections) == 2


def test_a_kept_connection_that_the_server_closed_is_opened_anew(ranges: Ranges) -> None:
    def answer(asked: Asked) -> None:
        asked.reply(b"some bytes")
        asked.close_connection = True  # unannounced

    with serving(answer) as server:
        for _ in range(3):
            assert read(ranges, server.url) == b"some bytes"


def test_a_private_address_is_refused_with_the_remedy() -> None:
    with files(BODY) as (served, _):
        with pytest.raises(InputError) as caught:
            read(Ranges(), served.url)
        assert str(caught.value) == (
            "the address 127.0.0.1 is private (127.0.0.1); allowed: public addresses, "
            "or set WORKBENCH_PRIVATE_ADDRESSES=1"
        )
        assert served.asked == []


def test_a_name_with_one_private_address_is_refused_as_a_whole() -> None:
    with files(BODY) as (_, server):
        detour = Detour(server)
        ranges = Ranges(resolve=names(mixed_example=[PUBLIC, "10.0.0.7"]), connect=detour)
        with pytest.raises(InputError, match=r"private \(10\.0\.0\.7\)"):
            read(ranges, "http://mixed.example/")
        assert detour.asked == []


def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    with files(BODY) as (_, server):
        detour = Detour(server)
        ranges = Ranges(resolve=names(hub_example=[PUBLIC]), connect=detour)
        assert read(ranges, "http://hub.example/x") == BODY
        ranges.close()
        assert detour.asked == [(PUBLIC, 80)]
        assert server.seen[0][1]["Host"] == "hub.example"


def test_a_redirect_to_a_private_address_is_refused() -> None:
    with files(BODY) as (served, server):
        served.faults = [leads_to("http://169.254.169.254/latest/meta-data")]
        detour = Detour(server)
        ranges = Ranges(resolve=names(hub_example=[PUBLIC]), connect=detour)
        with pytest.raises(InputError, match=r"169\.254\.169\.254 is private"):
            read(ranges, "http://hub.example/")
        ranges.close()
        assert detour.asked == [(PUBLIC, 80)]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x.example/", "gopher://x/"])
def test_another_scheme_is_refused_here_and_in_a_redirect(ranges: Ranges, url: str) -> None:
    with pytest.raises(InputError, match=r"scheme is .*; allowed: http, https"):
        read(ranges, url)
    with files(BODY) as (served, _):
        served.faults = [leads_to(url)]
        with pytest.raises(InputError, match=r"scheme is .*; allowed: http, https"):
            read(ranges, served.url)


def test_redirects_are_followed_and_end_after_five(ranges: Ranges) -> None:
    with files(BODY) as (served, _):
        served.faults = [leads_to("/there")] * 5
        assert read(ranges, served.url) == BODY
        served.faults = [leads_to("/there")] * 6
        with pytest.raises(InputError, match="redirects more than 5 times"):
            read(ranges, served.url)


def test_secrets_stay_with_the_host_that_they_are_for(ranges: Ranges) -> None:
    with files(BODY) as (served, first), files(BODY) as (other, second):
        served.faults = [leads_to("/here"), leads_to(other.url)]
        secret = {"Authorization": "Bearer secret", "X-Api-Key": "secret"}
        assert read(ranges, served.url, start=7, headers=secret) == BODY[7:]
        assert [seen["Authorization"] for _, seen in first.seen] == ["Bearer secret"] * 2
        assert "secret" not in str(second.seen)
        assert other.asked == ["bytes=7-"]


@pytest.mark.parametrize("encoding", ["gzip", "br", "x"])
def test_a_compressed_body_is_refused(ranges: Ranges, encoding: str) -> None:
    with (
        serving(lambda asked: asked.reply(b"x", Content_Encoding=encoding)) as server,
        pytest.raises(InputError, match="allowed: no Content-Encoding"),
    ):
        read(ranges, server.url)


@pytest.mark.parametrize(
    "said",
    ["", "bytes", "bytes 0-9/5 x", "bytes 9-0/100", "bytes 0-3/100", "items 0-9/100", "bytes */9"],
)
def test_a_part_that_does_not_say_which_is_refused(ranges: Ranges, said: str) -> None:
    def answer(asked: Asked) -> None:
        asked.reply(b"0123456789", status=206, Content_Range=said)

    with serving(answer) as server, pytest.raises(ProtocolError, match="cannot be used"):
        read(ranges, server.url)


def test_a_refusal_and_a_busy_server_are_told_apart(ranges: Ranges) -> None:
    with files(BODY) as (served, _):
        served.faults = [busy(404), busy(429, Retry_After="7"), busy(503, Retry_After="soon")]
        with pytest.raises(Refused) as refused:
            read(ranges, served.url)
        assert refused.value.status == 404
        for expected in (7.0, None):
            with pytest.raises(Later) as later:
                read(ranges, served.url)
            assert later.value.after_s == expected


def test_a_body_shorter_than_stated_is_a_broken_link(ranges: Ranges) -> None:
    with files(BODY) as (served, _):
        served.faults = [short_by(10)]
        with pytest.raises(LinkError, match="broke off 10 bytes before the end"):
            read(ranges, served.url)


def test_a_silent_server_is_given_up_in_time() -> None:
    with files(BODY) as (served, _):
        served.faults = [stalled_after(1000)]
        with pytest.raises(Silent, match=r"sent nothing for 0\.2 s"):
            read(Ranges(private_addresses=True, idle_s=0.2), served.url)


def test_a_port_where_nobody_listens_is_a_broken_link(ranges: Ranges) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(LinkError, match=r"the link to .* failed"):
        read(ranges, f"http://127.0.0.1:{port}/")


def cut_soon(url: str) -> float:
    """Seconds that an exchange lasts which would wait for ten minutes, cut from another thread."""
    ranges = Ranges(private_addresses=True, idle_s=600)
    cut = Cut()
    timer = threading.Timer(0.2, cut)
    timer.start()
    began = time.monotonic()
    with contextlib.suppress(LinkError):
        read(ranges, url, cut=cut)
    timer.join()
    ranges.close()
    return time.monotonic() - began


def test_a_cut_ends_the_wait_for_a_byte() -> None:
    with files(BODY) as (served, _):
        served.faults = [stalled_after(1000)]
        cut_soon(served.url)


def test_a_cut_ends_the_wait_for_a_connection() -> None:
    with socket.socket() as full, contextlib.ExitStack() as others:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(3):  # whoever comes after these waits
            one = others.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        assert cut_soon(f"http://127.0.0.1:{full.getsockname()[1]}/") > 0.1


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for hub.example that signed itself, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command to make a certificate")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=hub.example", "-addext"),
            *("subjectAltName=DNS:hub.example", "-keyout", str(key), "-out", str(cert)),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


def encrypted(server: Server, certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """Lets the server speak TLS; what a client has to trust."""
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(*certificate)
    server.socket = theirs.wrap_socket(server.socket, server_side=True)
    return ssl.create_default_context(cafile=certificate[0])


def test_tls_is_by_name_on_the_checked_address(certificate: tuple[Path, Path]) -> None:
    with files(BODY) as (served, server):
        trust = encrypted(server, certificate)
        resolve = names(hub_example=[PUBLIC], evil_example=[PUBLIC])
        ranges = Ranges(resolve=resolve, connect=Detour(server), tls=trust)
        assert read(ranges, "https://hub.example/x", start=9) == BODY[9:]
        assert server.seen[0][1]["Host"] == "hub.example"
        with pytest.raises(LinkError, match=r"the link to .* failed"):
            read(ranges, "https://evil.example/x")
        served.faults = [leads_to("http://hub.example/x")]
        with pytest.raises(InputError, match="leads from https to http"):
            read(ranges, "https://hub.example/x")
        ranges.close()
