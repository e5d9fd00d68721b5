"""Servers are found by what they answer, quickly, and whatever else listens is left alone."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest

from tests.http_server import Asked, serving
from tests.llm.fake_llama_server import FakeLlamaServer
from tests.llm.fake_lmstudio import FakeLMStudio
from tests.llm.fake_ollama import FakeOllama
from tests.llm.fake_openai import FakeOpenAI
from tests.llm.fake_server import Fake, faking, reply
from workbench.errors import InputError, LinkError
from workbench.http import Http
from workbench.llm.discover import connect_to, find

KINDS: list[tuple[Callable[[], Fake], str]] = [
    (FakeLMStudio, "lmstudio"),
    (FakeOllama, "ollama"),
    (FakeLlamaServer, "llama-server"),
    (FakeOpenAI, "openai"),
]


def port_of(fake: Fake) -> int:
    port = urlsplit(fake.url).port
    assert port
    return port


async def test_each_kind_is_found_whatever_its_port(http: Http) -> None:
    with ExitStack() as stack:
        fakes = [stack.enter_context(faking(make())) for make, _ in KINDS]
        found = await find(http, ports=[port_of(fake) for fake in fakes])
        assert [backend.kind for backend in found] == [kind for _, kind in KINDS]
        assert [backend.name for backend in found] == [kind for _, kind in KINDS]
        assert [backend.url for backend in found] == [fake.url for fake in fakes]
        assert all([(await backend.health()).ok for backend in found])


@pytest.mark.parametrize(("make", "kind"), KINDS)
async def test_a_configured_server_is_known_by_what_it_answers(
    http: Http, make: Callable[[], Fake], kind: str
) -> None:
    with faking(make()) as fake:
        backend = await connect_to(http, "mine", fake.url + "/v1", "a key")
        assert (backend.name, backend.kind, backend.url) == ("mine", kind, fake.url)
        assert len(await backend.models()) >= 1


async def test_two_of_a_kind_have_names_of_their_own(http: Http) -> None:
    with faking(FakeOllama()) as one, faking(FakeOllama()) as two:
        found = await find(http, ports=[port_of(one), port_of(two)])
        assert [backend.name for backend in found] == ["ollama", f"ollama-{port_of(two)}"]


async def test_silence_and_strangers_hold_up_nobody_for_good(http: Http) -> None:
    def stranger(asked: Asked) -> None:
        asked.reply(b"<html>all is well</html>", Content_Type="text/html")

    with (
        socket.create_server(("127.0.0.1", 0)) as mute,
        serving(stranger) as other,
        faking(FakeOllama()) as fake,
    ):
        ports = [mute.getsockname()[1], other.server_port, port_of(fake), unused()]
        found = await find(http, ports=ports, limit_s=3.0)
        assert [backend.kind for backend in found] == ["ollama"]


async def test_a_server_that_wants_a_key_is_left_out_and_its_key_is_asked_for(http: Http) -> None:
    with faking(FakeOpenAI()) as fake:
        fake.routes["GET /v1/models"] = lambda asked, value: reply(asked, {"error": "no"}, 401)
        assert await find(http, ports=[port_of(fake)]) == []
        with pytest.raises(InputError, match="mine answers 401: it refuses this key"):
            await connect_to(http, "mine", fake.url, "wrong")


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b'{"version": 3, "data": {}, "models": [{"id": 1}]}', b""]
)
async def test_what_is_no_server_of_models_is_refused(http: Http, body: bytes) -> None:
    with (
        serving(lambda asked: asked.reply(body)) as other,
        pytest.raises(InputError, match="mine is no server of language models"),
    ):
        await connect_to(http, "mine", other.url)


async def test_a_server_that_is_away_is_said_so(http: Http) -> None:
    with pytest.raises(LinkError, match="mine cannot be reached: the link to 127"):
        await connect_to(http, "mine", f"http://127.0.0.1:{unused()}")


def unused() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port
