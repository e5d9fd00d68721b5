"""What a real llama.cpp says comes through unchanged, from the worker and from a server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.llm.llama_cpp_server import llama_cpp_server
from tests.llm.tiny_model import endless, literal, saying, tiny_model, write
from workbench.core.llm import (
    ChatRequest,
    CompletionRequest,
    ContextOverflow,
    Done,
    Event,
    LoadOptions,
    Reasoning,
    Sampling,
    Token,
    Tool,
    ToolCall,
    Turn,
    Usage,
)
from workbench.errors import LinkError, WorkbenchError
from workbench.http import Http
from workbench.llm.backend import Backend
from workbench.llm.embedded import Embedded
from workbench.llm.llama_server import LlamaServer

CONTEXT = 4096
KEY = "not-a-secret"
SAID = {
    "emoji split over tokens": "a 🎉 b 👩‍👩‍👧 c 🇵🇹",
    "a code fence": '```python\nprint("a\\n")  # <b>\n```',
    "LaTeX": r"$$\int_0^1 x^2\,dx = \frac{1}{3}$$ and \(e^{i\pi}\)",
    "a script": "<script>alert('x')</script><img src=x onerror=alert(1)>",
    "a tool call's JSON": '{"name": "mint", "arguments": {"rune": "UNCOMMON•GOODS"}}',
    "Portuguese": "Olá, coração: ação é já!",
    "odd bytes": "tab\tnew\nline \x7f \u200b \u202e end",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("models")
    tiny_model(found)
    return found


@pytest.fixture(scope="module")
def server_url(folder: Path) -> Iterator[str]:
    with llama_cpp_server(folder / "tiny.gguf", "--ctx-size", str(CONTEXT), key=KEY) as url:
        yield url


@pytest.fixture
async def embedded(folder: Path, http: Http) -> AsyncIterator[Embedded]:
    opened = Embedded([folder], http=http)
    try:
        await load(opened, "tiny", LoadOptions(context_size=CONTEXT))
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def server(server_url: str, http: Http) -> LlamaServer:
    return LlamaServer("llama-server", server_url, KEY, http=http)


@pytest.fixture(params=["embedded", "server"])
def backend(request: pytest.FixtureRequest) -> Backend:
    found: Backend = request.getfixturevalue(request.param)
    return found


async def load(embedded: Embedded, model: str, options: LoadOptions) -> None:
    async with asyncio.timeout(30):
        async for _ in embedded.load(model, options):
            pass


def asking(content: str = "x", tools: tuple[Tool, ...] = (), **sampling: object) -> ChatRequest:
    chosen = Sampling(**{"temperature": 0.0, **sampling})  # type: ignore[arg-type]
    turns = (Turn(role="user", content=content),)
    return ChatRequest(model="tiny", turns=turns, sampling=chosen, tools=tools)


async def heard(backend: Backend, request: ChatRequest) -> list[Event]:
    async with asyncio.timeout(30):
        return [event async for event in backend.chat(request)]


def text(events: list[Event], kind: type[Token] | type[Reasoning] = Token) -> str:
    return "".join(event.text for event in events if isinstance(event, kind))


async def first_token(backend: Backend) -> None:
    """Until it answers."""
    async with contextlib.aclosing(backend.chat(asking(grammar=saying("a")))) as events:
        async for event in events:
            if isinstance(event, Token):
                break


@contextlib.asynccontextmanager
async def answering(backend: Backend) -> AsyncIterator[None]:
    """While this lasts, one answer is under way that never ends by itself."""
    async with contextlib.aclosing(backend.chat(asking(grammar=endless()))) as events:
        async with asyncio.timeout(30):
            while not isinstance(await anext(events), Token):
                pass
        yield


@pytest.mark.parametrize("prompt", ["x", "the water of the rune", "🎉 Olá", "a\nb\n" * 50])
async def test_the_embedded_worker_and_a_server_say_the_same_token_for_token(
    embedded: Embedded, server: LlamaServer, prompt: str
) -> None:
    request = asking(prompt, max_tokens=200)
    ours, theirs = await heard(embedded, request), await heard(server, request)
    tokens = [[event for event in events if isinstance(event, Token)] for events in (ours, theirs)]
    assert len(tokens[0]) > 100
    assert tokens[0] == tokens[1]
    assert ours[-1] == theirs[-1] == Done(finish="length")


async def test_a_seed_repeats_an_answer_and_another_seed_does_not(embedded: Embedded) -> None:
    said = [
        text(await heard(embedded, asking(temperature=1.5, seed=seed, max_tokens=40)))
        for seed in (1, 1, 2)
    ]
    assert said[0] == said[1] != said[2]


@pytest.mark.parametrize("said", SAID.values(), ids=SAID.keys())
async def test_what_a_model_says_arrives_as_it_was_said(backend: Backend, said: str) -> None:
    events = await heard(backend, asking(grammar=saying(said)))
    assert text(events) == said
    assert events[-1] == Done(finish="stop")
    assert not any("\ufffd" in event.text for event in events if isinstance(event, Token))
    [usage] = [event for event in events if isinstance(event, Usage)]
    assert (usage.completion_tokens or 0) > len(said) / 8


async def test_an_emoji_takes_several_tokens_and_comes_whole(backend: Backend) -> None:
    events = await heard(backend, asking(grammar=saying("🎉")))
    assert [event.text for event in events if isinstance(event, Token)] == ["🎉"]
    [usage] = [event for event in events if isinstance(event, Usage)]
    assert usage.completion_tokens == 5  # its four bytes, and the end


async def test_thoughts_come_apart_from_the_answer(backend: Backend) -> None:
    events = await heard(backend, asking(grammar=saying("<think>first 🎉 this</think>then that")))
    assert text(events, Reasoning) == "first 🎉 this"
    assert text(events) == "then that"


async def test_thoughts_that_never_end_are_still_thoughts(backend: Backend) -> None:
    grammar = f"root ::= {literal('<think>')} rest\nrest ::= [a-z] rest"
    events = await heard(backend, asking(grammar=grammar, max_tokens=40))
    assert len(text(events, Reasoning)) > 20
    assert text(events) == ""
    assert events[-1] == Done(finish="length")


async def test_a_tool_is_called_with_the_arguments_that_its_schema_demands(
    backend: Backend,
) -> None:
    schema = {
        "type": "object",
        "properties": {"rune": {"const": "UNCOMMON•GOODS 🎉"}, "amount": {"enum": [21]}},
        "required": ["rune", "amount"],
        "additionalProperties": False,
    }
    tools = (Tool(name="mint", description="Mints a rune.", parameters=schema),)
    events = await heard(backend, asking(tools=tools, max_tokens=300))
    [call] = [event for event in events if isinstance(event, ToolCall)]
    assert call.name == "mint"
    assert json.loads(call.arguments) == {"rune": "UNCOMMON•GOODS 🎉", "amount": 21}
    assert call.id
    assert events[-1] == Done(finish="tool_calls")


async def test_an_answer_in_json_fits_its_schema(backend: Backend) -> None:
    schema = {"type": "object", "properties": {"ok": {"const": True}}, "required": ["ok"]}
    schema["additionalProperties"] = False  # type: ignore[assignment]
    events = await heard(backend, asking(json_schema=schema, max_tokens=60))
    assert json.loads(text(events)) == {"ok": True}


async def test_goes_on_with_a_text(backend: Backend) -> None:
    request = CompletionRequest(
        model="tiny", prompt="the", sampling=Sampling(grammar=saying(" water 🎉"))
    )
    async with asyncio.timeout(30):
        events = [event async for event in backend.complete(request)]
    assert text(events) == " water 🎉"


async def test_a_conversation_longer_than_the_context_is_told_as_such(backend: Backend) -> None:
    with pytest.raises(ContextOverflow):
        await heard(backend, asking("word " * CONTEXT))


async def test_a_slot_serves_one_answer_at_a_time(embedded: Embedded) -> None:
    """What makes the next test mean something: until it is stopped, the other waits."""
    async with answering(embedded):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await first_token(embedded)


async def test_stopping_an_answer_frees_its_slot(backend: Backend) -> None:
    for _ in range(3):
        async with answering(backend):
            pass
        async with asyncio.timeout(30):
            await first_token(backend)


async def test_a_stop_while_the_prompt_is_read_frees_the_slot(embedded: Embedded) -> None:
    events = embedded.chat(asking("water " * 600))
    await anext(events)
    await events.aclose()
    async with asyncio.timeout(30):
        await first_token(embedded)


async def test_parallel_answers_do_not_wait_for_each_other(embedded: Embedded) -> None:
    await load(embedded, "tiny", LoadOptions(context_size=1024, parallel=2))
    async with answering(embedded), asyncio.timeout(30):
        await first_token(embedded)


async def test_a_server_that_ends_in_the_midst_of_an_answer_is_told(
    folder: Path, http: Http
) -> None:
    with llama_cpp_server(folder / "tiny.gguf") as url:
        backend = LlamaServer("llama-server", url, http=http)
        events = backend.chat(asking(grammar=endless()))
        async with asyncio.timeout(30):
            while not isinstance(await anext(events), Token):
                pass
    with pytest.raises(LinkError):
        async with asyncio.timeout(30):
            async for _ in events:
                pass


async def test_a_wrong_key_is_refused(server_url: str, http: Http) -> None:
    for key in (None, "wrong"):
        with pytest.raises(WorkbenchError) as refused:
            await heard(LlamaServer("llama-server", server_url, key, http=http), asking())
        assert "key" in str(refused.value)


@pytest.mark.gpu
async def test_all_layers_on_the_gpu_take_its_memory(tmp_path: Path, http: Http) -> None:
    pynvml = pytest.importorskip("pynvml")
    try:
        pynvml.nvmlInit()
        device = pynvml.nvmlDeviceGetHandleByIndex(0)
    except pynvml.NVMLError as error:
        pytest.skip(f"no NVIDIA GPU: {error}")
    embedded = Embedded([tmp_path], http=http)
    support = await embedded.gpu_support()
    if support.cpu_only:
        pytest.skip(f"{support.version} has no GPU support: install a build that has")
    size = write(tmp_path / "big.gguf", name="Big", width=1024, layers=8).stat().st_size
    before = pynvml.nvmlDeviceGetMemoryInfo(device).used
    try:
        await load(embedded, "big", LoadOptions(gpu_layers=-1, context_size=512))
        grown = pynvml.nvmlDeviceGetMemoryInfo(device).used - before
    finally:
        await embedded.close()
        pynvml.nvmlShutdown()
    assert size > 300_000_000
    assert grown >= 0.9 * size
