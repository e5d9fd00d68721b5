"""llama.cpp's server, the real one: what it tells is understood, and it is let go at once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest

from tests.http_server import Asked
from tests.llm.fake_llama_server import CHAT, LOAD, MODEL, UNLOAD, FakeLlamaServer
from tests.llm.fake_server import faking
from tests.llm.llama_cpp_server import llama_cpp_server
from tests.llm.tiny_model import tiny_model
from workbench.core.llm import (
    Busy,
    ChatRequest,
    CompletionRequest,
    ContextOverflow,
    Done,
    Event,
    LoadOptions,
    ModelError,
    NoModel,
    PromptProgress,
    Reasoning,
    Sampling,
    Token,
    Tool,
    ToolCall,
    Turn,
    Usage,
)
from workbench.errors import InputError
from workbench.http import Http
from workbench.llm.llama_server import LlamaServer

KEY = "sesame"
CONTEXT = 16_384  # so large that an answer which nobody stops takes seconds


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server with two slots."""
    model = tiny_model(tmp_path_factory.mktemp("models"))
    arguments = ("--ctx-size", str(2 * CONTEXT), "--parallel", "2", "--ubatch-size", "64")
    with llama_cpp_server(model, *arguments, key=KEY) as url:
        yield url


@pytest.fixture
def backend(url: str, http: Http) -> LlamaServer:
    return LlamaServer("llama", url, KEY, http=http)


def asks(text: str = "the of and", **sampling: Any) -> ChatRequest:
    return ChatRequest(
        model="tiny", turns=(Turn(role="user", content=text),), sampling=Sampling(**sampling)
    )


async def heard(events: AsyncGenerator[Event]) -> list[Event]:
    async with contextlib.aclosing(events):
        return [event async for event in events]


def text_of(events: list[Event], kind: type[Token] | type[Reasoning] = Token) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


async def test_it_tells_its_model_and_its_slots(backend: LlamaServer) -> None:
    assert backend.parallel == 1
    (model,) = await backend.models()
    assert (model.id, model.loaded, model.context_size) == ("tiny", True, CONTEXT)
    assert (model.quantization, model.images, model.tools) == ("F32", False, True)
    assert (model.parameters, model.size_bytes) == ("157K", 629_504)
    assert backend.parallel == 2
    assert (await backend.health()).ok


async def test_a_long_prompt_is_seen_being_read(backend: LlamaServer) -> None:
    request = asks("the of and " * 60, max_tokens=3, temperature=0.0)
    events = await heard(backend.chat(request))
    steps = [event for event in events if isinstance(event, PromptProgress)]
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert len(steps) >= 2
    assert steps[-1].done == steps[-1].total
    usage, done = events[-2:]
    assert isinstance(usage, Usage)
    assert (usage.prompt_tokens, usage.completion_tokens) == (steps[-1].total, 3)
    assert usage.completion_ms is not None and usage.completion_ms > 0
    assert done == Done(finish="length")


async def test_a_grammar_says_what_the_answer_is(backend: LlamaServer) -> None:
    grammar = 'root ::= "<think>hm é😀</think>so 日本"'
    events = await heard(backend.chat(asks(grammar=grammar, max_tokens=100)))
    assert text_of(events, Reasoning) == "hm é😀"
    assert text_of(events) == "so 日本"
    assert events[-1] == Done()


async def test_a_tool_is_called_in_one_piece(backend: LlamaServer) -> None:
    number = {"type": "object", "properties": {"x": {"enum": [1, 2]}}, "required": ["x"]}
    request = ChatRequest(
        model="tiny",
        turns=(Turn(role="user", content="look"),),
        tools=(Tool(name="look", parameters={**number, "additionalProperties": False}),),
        sampling=Sampling(temperature=0.0, max_tokens=200),
    )
    events = await heard(backend.chat(request))
    (call,) = [event for event in events if isinstance(event, ToolCall)]
    assert (call.name, json.loads(call.arguments)["x"] in (1, 2)) == ("look", True)
    assert events[-1] == Done(finish="tool_calls")


async def test_a_text_is_gone_on_with_in_the_shape_that_is_asked(backend: LlamaServer) -> None:
    sampling = Sampling(json_schema={"enum": ["the of"]}, max_tokens=40)
    request = CompletionRequest(model="tiny", prompt="the of", sampling=sampling)
    assert text_of(await heard(backend.complete(request))) == '"the of"'


async def test_tokens_are_counted_exactly(backend: LlamaServer) -> None:
    assert await backend.count_tokens("tiny", "") == 0
    few, more = [await backend.count_tokens("tiny", text) for text in ("the of", "the of 😀")]
    assert few is not None and more is not None
    assert more >= few + 4  # the emoji has no piece of its own: its four bytes are tokens


async def test_what_is_longer_than_the_context_is_said_so(backend: LlamaServer) -> None:
    with pytest.raises(ContextOverflow, match=f"available context size \\({CONTEXT} tokens\\)"):
        await heard(backend.chat(asks("the of and " * 6000)))


async def test_a_refusal_is_said_in_its_words(backend: LlamaServer) -> None:
    with pytest.raises(InputError, match=r"llama refuses this: .*failed to parse grammar"):
        await heard(backend.chat(asks(grammar="root ::= (")))
    with pytest.raises(InputError, match=r"llama refuses this: .*does not support embeddings"):
        await backend.embed("tiny", ["a"])


async def test_it_is_not_let_to_answer_for_another_model(backend: LlamaServer) -> None:
    request = ChatRequest(model="huge", turns=(Turn(role="user", content="a"),))
    with pytest.raises(NoModel, match="llama has no model huge"):
        await heard(backend.chat(request))


async def test_a_wrong_key_is_refused_without_being_shown(url: str, http: Http) -> None:
    backend = LlamaServer("llama", url, "wrong-canary", http=http)
    with pytest.raises(InputError, match="llama answers 401: it refuses this key") as caught:
        await backend.models()
    assert "canary" not in str(caught.value)


def busy_slots(url: str) -> int:
    request = urllib.request.Request(f"{url}/slots", headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return sum(slot["is_processing"] for slot in json.load(answer))


async def test_closing_an_answer_frees_its_slot(backend: LlamaServer, url: str) -> None:
    request = asks(max_tokens=100_000, temperature=0.0)
    async with contextlib.aclosing(backend.chat(request)) as events:
        async for event in events:
            if isinstance(event, Token):
                break
        assert busy_slots(url) == 1
    looks = 0
    while busy_slots(url):  # each look is a request: 100 of them are well below a second's work
        looks += 1
        assert looks < 100
    assert (await heard(backend.chat(asks(max_tokens=2))))[-1] == Done(finish="length")


async def test_two_answers_at_a_time_do_not_mix(backend: LlamaServer) -> None:
    wanted = {name: f'root ::= "{name * 20}"' for name in ("the ", "of ")}
    answers = await asyncio.gather(
        *(heard(backend.chat(asks(grammar=g, max_tokens=200))) for g in wanted.values())
    )
    assert [text_of(events) for events in answers] == [name * 20 for name in wanted]


async def loaded(backend: LlamaServer, model: str) -> list[float | None]:
    async with contextlib.aclosing(backend.load(model, LoadOptions())) as steps:
        return [step.done async for step in steps]


async def test_loading_ends_when_the_model_answers(http: Http) -> None:
    with faking(FakeLlamaServer(looks=3)) as fake:
        backend = LlamaServer("llama", fake.url, http=http)
        health = await backend.health()
        assert (health.ok, health.note) == (
            False,
            "llama cannot answer now: Loading model; try again",
        )
        assert await loaded(backend, MODEL) == [None, None, 1.0]
        assert (await backend.health()).version == "b7777"
        assert await loaded(backend, MODEL) == [1.0]


async def test_a_question_to_a_server_that_is_loading_is_put_off(http: Http) -> None:
    with faking(FakeLlamaServer()) as fake:
        backend = LlamaServer("llama", fake.url, http=http)
        await backend.models()
        fake.looks = 1

        def put_off(asked: Asked, value: Any) -> None:
            fake.busy(asked)

        fake.routes[CHAT] = put_off
        request = ChatRequest(model=MODEL, turns=(Turn(role="user", content="a"),))
        with pytest.raises(Busy, match="Loading model"):
            await heard(backend.chat(request))


async def test_one_model_stays_for_life(http: Http) -> None:
    with faking(FakeLlamaServer()) as fake:
        backend = LlamaServer("llama", fake.url, http=http)
        with pytest.raises(ModelError, match="stop the server to free its memory"):
            await backend.unload(MODEL)
        with pytest.raises(NoModel, match="llama has no model huge"):
            await loaded(backend, "huge")


async def test_a_router_loads_and_unloads_as_it_is_told(http: Http) -> None:
    with faking(FakeLlamaServer(looks=2, router=True)) as fake:
        backend = LlamaServer("llama", fake.url, http=http)
        assert [model.loaded for model in await backend.models()] == [False]
        assert (await loaded(backend, MODEL))[-1] == 1.0
        assert fake.values(LOAD) == [{"model": MODEL}]
        assert [model.loaded for model in await backend.models()] == [True]
        await backend.unload(MODEL)
        await backend.unload(MODEL)
        assert fake.values(UNLOAD) == [{"model": MODEL}]


async def test_a_router_that_cannot_load_says_so(http: Http) -> None:
    with faking(FakeLlamaServer(looks=1, router=True)) as fake:
        fake.failed = True
        backend = LlamaServer("llama", fake.url, http=http)
        with pytest.raises(ModelError, match=f"llama cannot load {MODEL}: its log says why"):
            await loaded(backend, MODEL)
