"""Ollama is heard rightly, loaded as wished, and never let to shorten what it was given."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from tests.llm.fake_ollama import (
    CHAT,
    GENERATE,
    MODEL,
    NDJSON,
    FakeOllama,
    answer,
    done,
    lines,
    said,
)
from tests.llm.fake_server import PATIENCE_S, faking, hanging, reply, stream
from workbench.core.llm import (
    BackendBroken,
    ChatRequest,
    CompletionRequest,
    ContextOverflow,
    Done,
    Event,
    Image,
    LoadOptions,
    NoModel,
    Reasoning,
    Sampling,
    Token,
    Tool,
    ToolCall,
    Turn,
    Usage,
)
from workbench.errors import InputError, WorkbenchError
from workbench.http import Http
from workbench.llm.ollama import Ollama

HELLO = ChatRequest(model=MODEL, turns=(Turn(role="user", content="Hello"),))
USAGE = Usage(prompt_tokens=26, completion_tokens=2, prompt_ms=130.0, completion_ms=40.0)


@pytest.fixture
def fake() -> Iterator[FakeOllama]:
    with faking(FakeOllama()) as fake:
        yield fake


@pytest.fixture
def backend(fake: FakeOllama, http: Http) -> Ollama:
    return Ollama("ollama", fake.url, http=http)


async def heard(backend: Ollama, request: ChatRequest = HELLO) -> list[Event]:
    async with contextlib.aclosing(backend.chat(request)) as events:
        return [event async for event in events]


async def test_an_answer_comes_in_tokens_with_its_times(backend: Ollama) -> None:
    assert await heard(backend) == [Token(text="Hello"), Token(text=" world"), USAGE, Done()]


async def test_the_question_says_all_that_was_asked(fake: FakeOllama, backend: Ollama) -> None:
    call = ToolCall(id="c1", name="look", arguments='{"x":1}')
    picture = Image(media_type="image/png", data=b"\x89PNG")
    await heard(
        backend,
        ChatRequest(
            model=MODEL,
            turns=(
                Turn(role="user", content="What is it?", images=(picture,)),
                Turn(role="assistant", content="", tool_calls=(call,)),
                Turn(role="tool", content="a cat", tool_call_id="c1"),
            ),
            sampling=Sampling(
                temperature=0.5, max_tokens=7, stop=("END",), json_schema={"type": "object"}
            ),
            tools=(Tool(name="look"),),
        ),
    )
    (value,) = fake.values(CHAT)
    assert value["messages"] == [
        {"role": "user", "content": "What is it?", "images": ["iVBORw=="]},
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": {"x": 1}}}],
        },
        {"role": "tool", "content": "a cat", "tool_call_id": "c1", "tool_name": "look"},
    ]
    assert value["options"] == {"temperature": 0.5, "num_predict": 7, "stop": ["END"]}
    assert value["format"] == {"type": "object"}
    assert (value["truncate"], value["shift"]) == (False, False)
    assert value["tools"][0]["function"]["name"] == "look"


async def test_thoughts_and_tool_calls_are_told_apart(fake: FakeOllama, backend: Ollama) -> None:
    call = {"function": {"name": "look", "arguments": {"x": "é"}}}
    fake.lines = lines(said(thinking="Hm"), said(tool_calls=[call]), done())
    assert await heard(backend) == [
        Reasoning(text="Hm"),
        ToolCall(name="look", arguments='{"x": "é"}'),
        USAGE,
        Done(finish="tool_calls"),
    ]


async def test_characters_of_many_bytes_survive_any_cut(fake: FakeOllama, backend: Ollama) -> None:
    whole = b"".join(answer("é😀日本"))
    fake.lines = [whole[i : i + 1] for i in range(len(whole))]
    assert (await heard(backend))[0] == Token(text="é😀日本")


async def test_the_limit_of_an_answer_is_its_end(fake: FakeOllama, backend: Ollama) -> None:
    fake.lines = lines(said(content="So"), done("length"))
    assert (await heard(backend))[-1] == Done(finish="length")


async def test_a_text_is_gone_on_with_as_it_stands(fake: FakeOllama, backend: Ollama) -> None:
    fake.lines = lines({"response": " time", "done": False}, {**done(), "response": ""})
    async with contextlib.aclosing(
        backend.complete(CompletionRequest(model=MODEL, prompt="Once upon a"))
    ) as events:
        assert [event async for event in events] == [Token(text=" time"), USAGE, Done()]
    (value,) = fake.values(GENERATE)
    assert (value["prompt"], value["raw"]) == ("Once upon a", True)


async def test_its_models_are_listed_with_what_they_can(fake: FakeOllama, backend: Ollama) -> None:
    fake.loaded[MODEL] = 8192
    chat, embedder = await backend.models()
    assert (chat.loaded, chat.context_size, chat.tools, chat.images) == (True, 8192, True, False)
    assert (chat.quantization, chat.parameters, chat.architecture) == ("Q4_K_M", "8.2B", "qwen3")
    assert (embedder.loaded, embedder.context_size, embedder.embedding) == (False, 40_960, True)
    await backend.models()
    assert len(fake.values("POST /api/show")) == 2  # asked once for each model
    assert (await backend.health()).version == "0.32.9"
    assert await backend.count_tokens(MODEL, "some text") is None


async def test_a_loaded_model_stays_as_it_was_loaded(fake: FakeOllama, backend: Ollama) -> None:
    options = LoadOptions(context_size=8192, gpu_layers=-1, threads=4)
    async with contextlib.aclosing(backend.load(MODEL, options)) as steps:
        assert [step.done async for step in steps] == [None, 1.0]
    assert fake.loaded == {MODEL: 8192}
    await heard(backend)
    asked = {"num_ctx": 8192, "num_gpu": 999, "num_thread": 4}
    assert fake.values(CHAT)[0]["options"] == asked
    await backend.unload(MODEL)
    assert fake.loaded == {}
    await heard(backend)
    assert fake.values(CHAT)[1]["options"] == {}


async def test_a_model_that_it_does_not_have_is_named(backend: Ollama) -> None:
    with pytest.raises(NoModel, match="ollama has no model gpt-9: model 'gpt-9' not found"):
        async with contextlib.aclosing(backend.load("gpt-9", LoadOptions())) as steps:
            _ = [step async for step in steps]


async def test_a_model_that_cannot_be_shown_is_listed_all_the_same(
    fake: FakeOllama, backend: Ollama
) -> None:
    fake.routes["POST /api/show"] = lambda asked, value: reply(asked, {"error": "bad file"}, 500)
    assert [model.id for model in await backend.models()] == [MODEL, "all-minilm:22m"]


async def test_every_text_gets_its_own_vector(fake: FakeOllama, backend: Ollama) -> None:
    assert await backend.embed("all-minilm:22m", ["a", "bb"]) == [[1.0, 1.0], [2.0, 1.0]]
    assert fake.values("POST /api/embed")[0]["truncate"] is False


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, f"model '{MODEL}' not found", NoModel),
        (400, "the input length exceeds the context length", ContextOverflow),
        (400, f"registry.ollama.ai/library/{MODEL} does not support tools", InputError),
        (500, "model requires more system memory (5 GiB) than is available", BackendBroken),
    ],
)
async def test_a_refusal_is_named_for_what_it_is(
    fake: FakeOllama, backend: Ollama, status: int, message: str, kind: type[WorkbenchError]
) -> None:
    fake.routes[CHAT] = lambda asked, value: reply(asked, {"error": message}, status)
    with pytest.raises(WorkbenchError) as caught:
        await heard(backend)
    assert type(caught.value) is kind
    assert message in str(caught.value)


TEN = [{**said(content=str(n)), "done": False} for n in range(10)]


@pytest.mark.parametrize(
    ("parts", "end", "sentence"),
    [
        (lines(*TEN), False, "ollama broke off in the midst of its answer: the link to"),
        (lines(*TEN), True, "ollama ended its answer without saying that it is finished"),
        ([*lines(*TEN), b"{\n"], True, "ollama sent what cannot be read: "),
        (lines(*TEN, {"error": "CUDA error"}), True, "in the midst of its answer: CUDA error"),
    ],
)
async def test_an_answer_that_breaks_keeps_what_came_and_says_why(
    fake: FakeOllama, backend: Ollama, parts: list[bytes], end: bool, sentence: str
) -> None:
    fake.routes[CHAT] = lambda asked, value: stream(asked, parts, NDJSON, end=end)
    came: list[Event] = []
    with pytest.raises(BackendBroken) as caught:
        async for event in backend.chat(HELLO):
            came.append(event)
    assert "".join(e.text for e in came if isinstance(e, Token)) == "0123456789"
    assert sentence in str(caught.value)


async def test_closing_the_answer_hangs_up_at_once(fake: FakeOllama, backend: Ollama) -> None:
    fake.routes[CHAT] = hanging(fake, lines(*TEN), NDJSON)
    events = backend.chat(HELLO)
    assert await anext(events) == Token(text="0")
    await events.aclose()
    assert await asyncio.to_thread(fake.left.wait, PATIENCE_S)
