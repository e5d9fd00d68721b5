"""LM Studio's models are listed and loaded once, and its own ways to fail are understood."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

import pytest

from tests.llm.fake_lmstudio import CHAT, EMBEDDER, LOAD, MODEL, UNLOAD, FakeLMStudio
from tests.llm.fake_openai import chunk, usage
from tests.llm.fake_server import faking, reply, sse, stream
from workbench.core.llm import (
    ChatRequest,
    CompletionRequest,
    ContextOverflow,
    Done,
    Event,
    LoadOptions,
    LoadProgress,
    NoModel,
    Reasoning,
    Sampling,
    Token,
    Turn,
)
from workbench.errors import InputError, WorkbenchError
from workbench.http import Http
from workbench.llm.lmstudio import LMStudio

HELLO = ChatRequest(model=MODEL, turns=(Turn(role="user", content="Hello"),))


@pytest.fixture
def fake() -> Iterator[FakeLMStudio]:
    with faking(FakeLMStudio()) as fake:
        yield fake


@pytest.fixture
def backend(fake: FakeLMStudio, http: Http) -> LMStudio:
    return LMStudio("lmstudio", fake.url, http=http)


async def heard(backend: LMStudio, request: ChatRequest = HELLO) -> list[Event]:
    async with contextlib.aclosing(backend.chat(request)) as events:
        return [event async for event in events]


async def load(backend: LMStudio, model: str, options: LoadOptions) -> list[float | None]:
    async with contextlib.aclosing(backend.load(model, options)) as steps:
        return [step.done async for step in steps]


async def test_its_models_are_listed_with_what_it_tells(
    fake: FakeLMStudio, backend: LMStudio
) -> None:
    fake.instances[MODEL]["one"] = 8192
    chat, embedder = await backend.models()
    assert (chat.id, chat.title, chat.loaded) == (MODEL, "GPT OSS 20B", True)
    assert (chat.context_size, chat.quantization, chat.parameters) == (8192, "MXFP4", "20B")
    assert (chat.images, chat.tools, chat.embedding) == (False, True, False)
    assert (embedder.loaded, embedder.context_size, embedder.embedding) == (False, 2048, True)
    assert (await backend.health()).ok
    assert await backend.count_tokens(MODEL, "some text") is None


async def test_a_model_is_loaded_once_and_unloaded(fake: FakeLMStudio, backend: LMStudio) -> None:
    options = LoadOptions(context_size=16_384, batch_size=512, flash_attention=True)
    assert await load(backend, MODEL, options) == [None, 1.0]
    assert await load(backend, MODEL, options) == [1.0]
    assert fake.values(LOAD) == [
        {
            "model": MODEL,
            "context_length": 16_384,
            "eval_batch_size": 512,
            "flash_attention": True,
        }
    ]
    await backend.unload(MODEL)
    assert fake.values(UNLOAD) == [{"instance_id": MODEL}]
    await backend.unload(MODEL)
    assert fake.instances[MODEL] == {}


async def test_many_questions_at_once_load_one_copy(fake: FakeLMStudio, backend: LMStudio) -> None:
    answers = await asyncio.gather(*(heard(backend) for _ in range(5)))
    assert all(events[-1] == Done() for events in answers)
    assert list(fake.instances[MODEL]) == [MODEL]


async def test_an_answer_says_that_the_model_is_loaded_first(backend: LMStudio) -> None:
    events = await heard(backend)
    assert events[0] == LoadProgress()
    assert [e.text for e in events if isinstance(e, Token)] == ["Hello", " world"]
    assert not any(isinstance(e, LoadProgress) for e in await heard(backend))


async def test_thoughts_are_told_from_words(fake: FakeLMStudio, backend: LMStudio) -> None:
    fake.events = sse(chunk(reasoning="Hm"), chunk(content="Yes"), chunk("stop"), "[DONE]")
    assert (await heard(backend))[1:] == [Reasoning(text="Hm"), Token(text="Yes"), Done()]


async def test_a_text_is_gone_on_with(fake: FakeLMStudio, backend: LMStudio) -> None:
    choice = {"index": 0, "text": " time", "finish_reason": "stop"}
    parts = sse({"choices": [choice]}, "[DONE]")
    fake.routes["POST /v1/completions"] = lambda asked, value: stream(asked, parts)
    request = CompletionRequest(model=MODEL, prompt="Once upon a")
    async with contextlib.aclosing(backend.complete(request)) as events:
        assert [e async for e in events] == [LoadProgress(), Token(text=" time"), Done()]


async def test_a_path_that_it_does_not_have_is_no_answer(
    fake: FakeLMStudio, backend: LMStudio
) -> None:
    del fake.routes["POST /v1/embeddings"]
    with pytest.raises(InputError, match="lmstudio refuses this: Unexpected endpoint"):
        await backend.embed(EMBEDDER, ["a"])


async def test_every_text_gets_its_own_vector(fake: FakeLMStudio, backend: LMStudio) -> None:
    assert await backend.embed(EMBEDDER, ["a", "b"]) == [[1.0], [1.0]]
    assert list(fake.instances[EMBEDDER]) == [EMBEDDER]


@pytest.mark.parametrize(
    "message",
    [
        "Trying to keep the first 10136 tokens when context the overflows. However, the model is "
        "loaded with context length of only 7866 tokens, which is not enough.",
        "The number of tokens to keep from the initial prompt is greater than the context length "
        "(n_keep: 10247 >= n_ctx: 4096).",
        "Reached context length of 4096 tokens with model (arch: qwen3vlmoe) that does not "
        "currently support mid-generation context overflow.",
        "Context size has been exceeded.",
    ],
)
async def test_each_of_its_ways_to_say_that_it_is_too_long_is_understood(
    fake: FakeLMStudio, backend: LMStudio, message: str
) -> None:
    fake.events = [b"event: error\n" + sse({"error": {"message": message}})[0]]
    with pytest.raises(ContextOverflow, match="load the model with a larger context"):
        await heard(backend)


async def test_its_silence_about_a_prompt_that_is_too_long_is_understood(
    fake: FakeLMStudio, backend: LMStudio
) -> None:
    fake.events = sse(chunk("stop"), usage(36_000, 0), "[DONE]")
    with pytest.raises(ContextOverflow, match="36000 > 4096"):
        await heard(backend)


async def test_an_empty_answer_to_a_short_prompt_is_an_answer(
    fake: FakeLMStudio, backend: LMStudio
) -> None:
    fake.events = sse(chunk("stop"), usage(12, 0), "[DONE]")
    assert (await heard(backend))[-1] == Done()


async def test_a_model_that_it_does_not_have_is_named(
    fake: FakeLMStudio, backend: LMStudio
) -> None:
    request = ChatRequest(model="gpt-9", turns=HELLO.turns)
    with pytest.raises(NoModel, match="lmstudio has no model gpt-9"):
        await heard(backend, request)
    assert fake.values(CHAT) == []


async def test_a_grammar_is_refused_rather_than_passed_over(
    fake: FakeLMStudio, backend: LMStudio
) -> None:
    request = ChatRequest(model=MODEL, turns=HELLO.turns, sampling=Sampling(grammar="root ::= x"))
    with pytest.raises(InputError, match="does not follow a grammar"):
        await heard(backend, request)
    assert fake.asked == []


async def test_a_load_that_fails_says_why(fake: FakeLMStudio, backend: LMStudio) -> None:
    error = {"error": {"type": "model_load_failed", "message": "insufficient system resources"}}
    fake.routes[LOAD] = lambda asked, value: reply(asked, error, 500)
    with pytest.raises(WorkbenchError, match="lmstudio failed: insufficient system resources"):
        await load(backend, MODEL, LoadOptions())
