"""Endpoints in order, from a settings file and from a service."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.hearing_client import Heard
from tests.clients.speaking_node import SpeakingNode, speaking
from tests.http_server import Asked, Server, serving
from workbench.clients.endpoints import SettingsFileEndpoints
from workbench.clients.http_endpoints import HttpEndpoints
from workbench.clients.mesh import MeshClient
from workbench.core.endpoint import Endpoint, Outcome, name_of
from workbench.errors import InputError, LinkError

URLS = {"a": "wss://a.example.org/mesh", "b": "wss://b.example.org/mesh"}
FAST = {"reconnect_delay": 0.02, "reconnect_max_attempts": 1000}
Source = SettingsFileEndpoints | HttpEndpoints


def document(*names: str, **urls: str) -> str:
    return json.dumps({"endpoints": [{"name": n, "url": {**URLS, **urls}[n]} for n in names]})


def write(path: Path, text: str) -> None:
    """In one step, as an editor does."""
    beside = path.with_name("beside")
    beside.write_text(text)
    beside.replace(path)


class Changes:
    """Listens to a source while the block runs, and waits for a change."""

    def __init__(self, source: Source) -> None:
        self._source, self._news = source, asyncio.Event()
        self.count = 0

    def __enter__(self) -> Changes:
        self._leave = self._source.on_change(self._heard)
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _heard(self) -> None:
        self.count += 1
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._news.clear()
                await self._news.wait()


def preferred(source: Source) -> str | None:
    found = source.preferred()
    return None if found is None else name_of(found)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "endpoints.json"
    write(path, document("a", "b"))
    return path


async def test_a_changed_file_is_noticed(path: Path) -> None:
    source = SettingsFileEndpoints(path, look_s=0.02)
    assert preferred(source) == "a"
    with Changes(source) as changes:
        write(path, document("b", "a"))
        await changes.until(lambda: preferred(source) == "b")
        assert changes.count == 1


async def test_a_broken_file_keeps_the_last_good_one_and_says_so(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = SettingsFileEndpoints(path, look_s=0.01)
    assert (preferred(source), source.problem) == ("a", None)
    with Changes(source) as changes:
        write(path, "{")
        await changes.until(lambda: source.problem is not None)
        assert "the list of endpoints is no JSON" in str(source.problem)
        path.unlink()  # noqa: ASYNC240 - a local file
        await changes.until(lambda: "cannot be read: No such file" in str(source.problem))
        assert preferred(source) == "a"
        write(path, document("b"))
        await changes.until(lambda: source.problem is None)
        assert preferred(source) == "b"
        assert changes.count == 3
    assert caplog.text.count("endpoints.broken") == 2


async def test_a_file_that_was_never_good_is_refused_with_its_fault(tmp_path: Path) -> None:
    source = SettingsFileEndpoints(tmp_path / "none.toml")
    with pytest.raises(InputError, match=r"none\.toml cannot be read: No such file or directory"):
        await MeshClient(endpoints=source).connect()


async def test_a_file_that_never_ends_is_not_read_to_its_end() -> None:
    source = SettingsFileEndpoints("/dev/zero")
    with pytest.raises(InputError, match="more than 65536 bytes"):
        source.preferred()


async def test_toml_names_the_variable_of_a_token_and_a_variable_may_come_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "endpoints.toml"
    path.write_text(f'[[endpoints]]\nname = "a"\nurl = "{URLS["a"]}"\ntoken_env = "MESH_TOKEN_A"\n')
    source = SettingsFileEndpoints(path, look_s=0.01)
    with pytest.raises(InputError, match="the variable MESH_TOKEN_A, which is to hold a token"):
        source.preferred()
    with Changes(source) as changes:
        monkeypatch.setenv("MESH_TOKEN_A", "canary-a")
        await changes.until(lambda: source.problem is None)
    found = source.preferred()
    assert isinstance(found, Endpoint)
    assert found.token == "canary-a"
    assert "canary" not in f"{found} {source!r} {caplog.text}"


async def test_one_that_failed_is_passed_over_and_tried_again_after_a_while(path: Path) -> None:
    source = SettingsFileEndpoints(path, look_s=60, hold_s=0.05)
    first = source.preferred()
    assert first is not None
    with Changes(source) as changes:
        source.report(first, Outcome(kind="failed"))  # once is no reason
        source.report(Endpoint(name="b", url=URLS["b"]), Outcome(kind="connected"))
        assert changes.count == 0
        source.report(first, Outcome(kind="failed", final=True))
        assert preferred(source) == "b"
        await changes.until(lambda: preferred(source) == "a")
        assert changes.count == 2


async def test_a_client_fails_over_and_back(path: Path) -> None:
    """Real sockets: the first goes down, the second takes over, the first comes back."""
    a = SpeakingNode()
    await a.start()
    async with speaking() as b:
        write(path, document("a", "b", a=a.url, b=b.url))
        source = SettingsFileEndpoints(path, hold_s=0.3)
        client = MeshClient(endpoints=source, **FAST)
        heard = Heard(client, "endpoint_changed")
        await client.connect()
        await a.stop()
        assert (await heard.until("endpoint_changed", 2))["endpoint"] == "b"
        assert await client.result(await client.send_task("m", input_data=1), 10) == {"x": 1}
        await a.start(a.port)
        assert (await heard.until("endpoint_changed", 3))["endpoint"] == "a"
        assert await client.result(await client.send_task("m", input_data=1), 10) == {"x": 1}
        await client.disconnect()
        assert (a.count("task"), b.count("task")) == (1, 1)
    await a.stop()


# The service


class Service:
    """Hands out a document with an ETag; says 304 to whoever has it."""

    def __init__(self, text: str) -> None:
        self.text, self.status, self.headers = text, 200, dict[str, Any]()
        self.unchanged = threading.Event()

    def __call__(self, asked: Asked) -> None:
        tag = f'"{hash(self.text)}"'
        if self.status == 200 and asked.headers.get("If-None-Match") == tag:
            asked.reply(status=304, ETag=tag)
            self.unchanged.set()
            return
        asked.reply(self.text.encode(), self.status, **{"ETag": tag, **self.headers})


@pytest.fixture
def service() -> Service:
    return Service(document("a", "b"))


@pytest.fixture
def server(service: Service) -> Iterator[Server]:
    with serving(service) as server:
        yield server


async def test_a_service_is_asked_again_and_says_when_nothing_changed(
    service: Service, server: Server
) -> None:
    source = HttpEndpoints(f"{server.url}/endpoints?key=canary", every_s=0.05, token="canary")
    assert source.preferred() is None
    with Changes(source) as changes:
        await changes.until(lambda: preferred(source) == "a")
        assert await asyncio.to_thread(service.unchanged.wait, 10)
        assert changes.count == 1
        service.text = document("b")
        await changes.until(lambda: preferred(source) == "b")
    first, second = server.seen[0][1], server.seen[1][1]
    assert "If-None-Match" not in first and "if-none-match" not in first
    assert any(name.lower() == "if-none-match" for name in second)
    assert "Bearer canary" in first.values()
    assert "canary" not in repr(source)


@pytest.mark.parametrize(
    ("status", "text", "headers", "sentence"),
    [
        (500, "", {}, "answers 500: try again later"),
        (404, "", {}, "answers 404 for this URL"),
        (200, "{", {}, "the list of endpoints is no JSON"),
        (200, '{"endpoints": []}', {}, "allowed: array of length >= 1"),
        (200, " " * 70_000, {}, "is larger than 65536 bytes"),
        (302, "", {"Location": "http://127.0.0.1:9/"}, "answers 302"),
        (200, "{}", {"Content_Encoding": "gzip"}, "compressed as 'gzip'"),
    ],
)
async def test_a_bad_answer_keeps_the_last_good_one_and_says_so(
    service: Service,
    server: Server,
    caplog: pytest.LogCaptureFixture,
    status: int,
    text: str,
    headers: dict[str, str],
    sentence: str,
) -> None:
    source = HttpEndpoints(f"{server.url}/?key=canary", every_s=0.05)
    with Changes(source) as changes:
        await changes.until(lambda: preferred(source) == "a")
        service.status, service.text, service.headers = status, text, headers
        await changes.until(lambda: source.problem is not None)
        assert sentence in str(source.problem)
        assert preferred(source) == "a"
    assert "endpoints.broken source=127.0.0.1" in caplog.text
    assert "canary" not in caplog.text


async def test_what_nobody_asked_for_is_no_answer(service: Service, server: Server) -> None:
    service.status, service.text = 304, ""
    with pytest.raises(InputError, match=r"127\.0\.0\.1 answers 304"):
        await MeshClient(endpoints=HttpEndpoints(server.url)).connect()


async def test_a_service_that_is_not_there_is_said(tmp_path: Path) -> None:
    with serving(lambda asked: asked.reply()) as gone:
        url = gone.url
    client = MeshClient(endpoints=HttpEndpoints(url, every_s=0.05))
    with pytest.raises(LinkError, match=r"the link to 127\.0\.0\.1 failed"):
        await client.connect(wait_s=10)
    await client.disconnect()


async def test_a_client_gets_its_endpoint_from_the_service_and_its_token_from_its_own(
    service: Service, server: Server
) -> None:
    async with speaking(token="canary-a") as a:
        service.text = document("a", a=a.url)
        source = HttpEndpoints(server.url, tokens={a.url: "canary-a"})
        client = MeshClient(endpoints=source, **FAST)
        await client.connect()
        assert await client.result(await client.send_task("m", input_data=1), 10) == {"x": 1}
        await client.disconnect()
    assert "canary" not in str(server.seen)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://127.0.0.1/", "https://user:canary@example.org/", "", "https:",
        "https://[::1", "wss://example.org",
    ],
)  # fmt: skip
def test_a_service_is_asked_in_clear_only_on_this_machine(url: str) -> None:
    with pytest.raises(InputError, match=r"url is .*allowed: https://HOST/PATH") as refusal:
        HttpEndpoints(url)
    assert "canary" not in str(refusal.value)


async def test_a_service_in_a_private_network_wants_the_callers_word() -> None:
    client = MeshClient(endpoints=HttpEndpoints("https://10.255.255.1/"))
    with pytest.raises(InputError, match=r"the address 10\.255\.255\.1 is private"):
        await client.connect(wait_s=10)
    await client.disconnect()


def test_a_service_elsewhere_leads_to_no_port_of_this_machine() -> None:
    body = document("a", "b", b="ws://127.0.0.1:5432/").encode()
    assert len(HttpEndpoints("http://localhost:8000/")._read(body)) == 2
    with pytest.raises(
        InputError, match=r"endpoints\.url is 'ws://127\.0\.0\.1:5432/'; allowed: an"
    ):
        HttpEndpoints("https://example.org")._read(body)
    assert HttpEndpoints("https://example.org")._read(b'{"endpoints": [{"name": "local"}]}')


def test_questions_are_spread_and_become_fewer_while_they_fail() -> None:
    source = HttpEndpoints("https://example.org", every_s=10)
    assert (source._wait_s(0), source._wait_s(1)) == pytest.approx((8, 12))
    for _ in range(3):
        source._fail(LinkError("gone"))
    assert source._wait_s(0.5) == pytest.approx(33.75)
    for _ in range(50):
        source._fail(LinkError("gone"))
    assert source._wait_s(1) == pytest.approx(720)
