"""An OpenAI-compatible server is heard rightly, its failures are named, and it is let go."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import Iterator
from typing import Any

import pytest

from tests.http_server import Asked
from tests.llm.fake_openai import (
    CHAT,
    COMPLETIONS,
    MODEL,
    FakeOpenAI,
    answer,
    chunk,
    refusing,
)
from tests.llm.fake_server import PATIENCE_S, faking, hanging, reply, sse, stream
from workbench.core.llm import (
    BackendBroken,
    Busy,
    ChatRequest,
    CompletionRequest,
    ContextOverflow,
    Done,
    Event,
    Image,
    LoadOptions,
    ModelError,
    NoModel,
    Reasoning,
    Sampling,
    Token,
    Tool,
    ToolCall,
    Turn,
    Usage,
)
from workbench.errors import InputError, LinkError, WorkbenchError
from workbench.http import Http
from workbench.llm.openai import OpenAI

SECRET = "sk-canary-1234567890"
HELLO = ChatRequest(model=MODEL, turns=(Turn(role="user", content="Hello"),))


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with faking(FakeOpenAI()) as fake:
        yield fake


@pytest.fixture
def backend(fake: FakeOpenAI, http: Http) -> OpenAI:
    return OpenAI("vllm", fake.url + "/v1", SECRET, http=http)


async def heard(backend: OpenAI, request: ChatRequest = HELLO) -> list[Event]:
    async with contextlib.aclosing(backend.chat(request)) as events:
        return [event async for event in events]


async def failure(backend: OpenAI, request: ChatRequest = HELLO) -> WorkbenchError:
    with pytest.raises(WorkbenchError) as caught:
        await heard(backend, request)
    return caught.value


async def test_an_answer_comes_in_tokens_with_its_usage_and_its_end(backend: OpenAI) -> None:
    assert await heard(backend) == [
        *(Token(text=text) for text in ("Hello", ", ", "world")),
        Usage(prompt_tokens=12, completion_tokens=3, cached_tokens=4),
        Done(finish="stop"),
    ]


async def test_the_question_says_all_that_was_asked(fake: FakeOpenAI, backend: OpenAI) -> None:
    call = ToolCall(id="c1", name="look", arguments='{"x":1}')
    await heard(
        backend,
        ChatRequest(
            model=MODEL,
            turns=(
                Turn(role="system", content="Be brief"),
                Turn(
                    role="user",
                    content="What is it?",
                    images=(Image(media_type="image/png", data=b"\x89PNG"),),
                ),
                Turn(role="assistant", content="", tool_calls=(call,)),
                Turn(role="tool", content="a cat", tool_call_id="c1"),
            ),
            sampling=Sampling(
                temperature=0.5, max_tokens=7, seed=3, stop=("END",), json_schema={"type": "object"}
            ),
            tools=(Tool(name="look", description="Looks"),),
        ),
    )
    (value,) = fake.values(CHAT)
    assert value["messages"] == [
        {"role": "system", "content": "Be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is it?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"x":1}'},
                }
            ],
        },
        {"role": "tool", "content": "a cat", "tool_call_id": "c1"},
    ]
    assert value["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert value["tools"][0]["function"]["name"] == "look"
    assert (value["temperature"], value["max_tokens"], value["seed"]) == (0.5, 7, 3)
    assert (value["stop"], value["stream"]) == (["END"], True)
    assert value["stream_options"] == {"include_usage": True}
    assert "top_k" not in value
    assert fake.headers[-1]["authorization"] == f"Bearer {SECRET}"
    assert fake.headers[-1]["connection"] == "close"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_thoughts_in_a_field_of_their_own_are_thoughts(
    fake: FakeOpenAI, backend: OpenAI, field: str
) -> None:
    fake.events = sse(chunk(**{field: "Hm"}), chunk(content="Yes"), chunk("stop"), "[DONE]")
    assert await heard(backend) == [Reasoning(text="Hm"), Token(text="Yes"), Done()]


async def test_thoughts_left_in_the_text_are_thoughts_too(
    fake: FakeOpenAI, backend: OpenAI
) -> None:
    fake.events = answer("<th", "ink>\nHm", "m</thi", "nk>\n\n", "Yes")
    events = await heard(backend)
    assert "".join(e.text for e in events if isinstance(e, Reasoning)) == "Hmm"
    assert "".join(e.text for e in events if isinstance(e, Token)) == "Yes"
    assert sum(e.tokens for e in events if isinstance(e, Token | Reasoning)) == 5


async def test_tool_calls_come_whole_however_their_parts_are_mixed(
    fake: FakeOpenAI, backend: OpenAI
) -> None:
    def part(index: int, arguments: str, **more: Any) -> dict[str, Any]:
        name = {"name": more.pop("name")} if "name" in more else {}
        return {"index": index, "function": {**name, "arguments": arguments}, **more}

    fake.events = sse(
        chunk(tool_calls=[part(0, "", id="a", name="look")]),
        chunk(tool_calls=[part(1, '{"y"', id="b", name="find")]),
        chunk(tool_calls=[part(0, '{"x":'), part(1, ":2}")]),
        chunk(tool_calls=[part(0, "1}")]),
        chunk("tool_calls"),
        "[DONE]",
    )
    assert await heard(backend) == [
        ToolCall(id="a", name="look", arguments='{"x":1}'),
        ToolCall(id="b", name="find", arguments='{"y":2}'),
        Done(finish="tool_calls"),
    ]


async def test_tool_calls_with_one_index_are_told_apart_by_their_ids(
    fake: FakeOpenAI, backend: OpenAI
) -> None:
    calls = [
        {"index": 0, "id": id, "function": {"name": "look", "arguments": "{}"}} for id in "abc"
    ]
    fake.events = sse(*(chunk(tool_calls=[call]) for call in calls), chunk("stop"), "[DONE]")
    events = await heard(backend)
    assert [event.id for event in events if isinstance(event, ToolCall)] == ["a", "b", "c"]


async def test_the_limit_of_an_answer_is_its_end(fake: FakeOpenAI, backend: OpenAI) -> None:
    fake.events = answer("So", finish="length")
    assert (await heard(backend))[-1] == Done(finish="length")


async def test_an_answer_without_done_is_whole_when_it_said_why_it_ends(
    fake: FakeOpenAI, backend: OpenAI
) -> None:
    fake.events = sse(chunk(content="So"), chunk("stop"))
    assert await heard(backend) == [Token(text="So"), Done()]


async def test_characters_of_many_bytes_survive_any_cut(fake: FakeOpenAI, backend: OpenAI) -> None:
    text = "é😀日本"
    whole = b"".join(answer(text)).replace(rb"\u00e9", "é".encode())
    fake.events = [whole[i : i + 1] for i in range(len(whole))]
    events = await heard(backend)
    assert "".join(e.text for e in events if isinstance(e, Token)) == text


async def test_a_text_is_gone_on_with(fake: FakeOpenAI, backend: OpenAI) -> None:
    choice = {"index": 0, "text": " time", "finish_reason": None}
    end = {"index": 0, "text": "", "finish_reason": "length"}
    fake.events = sse({"choices": [choice]}, {"choices": [end]}, "[DONE]")
    request = CompletionRequest(model=MODEL, prompt="Once upon a", sampling=Sampling(max_tokens=1))
    async with contextlib.aclosing(backend.complete(request)) as events:
        assert [e async for e in events] == [Token(text=" time"), Done(finish="length")]
    assert fake.values(COMPLETIONS)[0]["prompt"] == "Once upon a"


async def test_every_text_gets_its_own_vector(fake: FakeOpenAI, backend: OpenAI) -> None:
    assert await backend.embed("BAAI/bge-m3", ["a", "b"]) == [[0.0, 0.5], [1.0, 0.5]]
    assert await backend.embed("BAAI/bge-m3", []) == []


async def test_too_few_vectors_are_noticed(fake: FakeOpenAI, backend: OpenAI) -> None:
    fake.routes["POST /v1/embeddings"] = lambda asked, value: reply(asked, {"data": []})
    with pytest.raises(BackendBroken, match="vllm sent 0 vectors for 1 texts"):
        await backend.embed("BAAI/bge-m3", ["a"])


async def test_its_models_are_listed_with_what_it_tells(backend: OpenAI) -> None:
    chat, embedder = await backend.models()
    assert (chat.id, chat.loaded, chat.context_size, chat.images) == (MODEL, True, 4096, None)
    assert (chat.embedding, embedder.embedding) == (False, True)
    assert (await backend.health()).ok
    assert await backend.count_tokens(MODEL, "some text") is None


async def test_it_loads_only_what_it_has_and_unloads_nothing(backend: OpenAI) -> None:
    async with contextlib.aclosing(backend.load(MODEL, LoadOptions())) as steps:
        assert [step.done async for step in steps] == [1.0]
    with pytest.raises(NoModel, match="vllm has no model gpt-9"):
        async with contextlib.aclosing(backend.load("gpt-9", LoadOptions())) as steps:
            await anext(steps)
    with pytest.raises(ModelError, match="stop the server to free its memory"):
        await backend.unload(MODEL)


OVERFLOW = (
    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens. "
    "Please reduce the length of the messages."
)


@pytest.mark.parametrize(
    ("status", "message", "kind", "sentence"),
    [
        (400, OVERFLOW, ContextOverflow, "shorten it, or load the model with a larger context"),
        (404, f"The model `{MODEL}` does not exist.", NoModel, f"vllm has no model {MODEL}"),
        (400, "temperature must be non-negative", InputError, "vllm refuses this: temperature"),
        (401, f"Incorrect API key provided: {SECRET}", InputError, "answers 401: it refuses this"),
        (429, "Rate limit reached", Busy, "cannot answer now: Rate limit reached; try again"),
        (503, "The engine is starting", Busy, "cannot answer now: The engine is starting"),
        (500, "CUDA out of memory", BackendBroken, "vllm failed: CUDA out of memory"),
        (501, "no embeddings here", InputError, "vllm refuses this: no embeddings here"),
    ],
)
async def test_a_refusal_is_named_for_what_it_is(
    fake: FakeOpenAI,
    backend: OpenAI,
    status: int,
    message: str,
    kind: type[WorkbenchError],
    sentence: str,
) -> None:
    fake.routes[CHAT] = refusing(status, message)
    error = await failure(backend)
    assert type(error) is kind
    assert sentence in str(error)
    assert SECRET not in str(error)


async def test_a_refusal_is_one_bounded_line(fake: FakeOpenAI, backend: OpenAI) -> None:
    fake.routes[CHAT] = refusing(400, "bad\n\x1b[31m" + "x" * 10_000)
    sentence = str(await failure(backend))
    assert len(sentence) < 400
    assert sentence.isprintable()


async def test_a_refusal_without_words_says_its_status(fake: FakeOpenAI, backend: OpenAI) -> None:
    fake.routes[CHAT] = lambda asked, value: asked.reply(b"<html>" * 100_000, 422)
    assert str(await failure(backend)) == "vllm refuses this: HTTP 422"


async def test_a_redirect_is_not_followed(fake: FakeOpenAI, backend: OpenAI) -> None:
    fake.routes[CHAT] = lambda asked, value: asked.reply(status=307, Location="/elsewhere")
    assert isinstance(await failure(backend), InputError)
    assert [where for where, _ in fake.asked] == [CHAT]


TEN = [chunk(content=str(n)) for n in range(10)]


@pytest.mark.parametrize(
    ("parts", "end", "sentence"),
    [
        (sse(*TEN), False, "vllm broke off in the midst of its answer: the link to 127.0.0.1"),
        (sse(*TEN), True, "vllm ended its answer without saying that it is finished"),
        (sse(*TEN, "{"), True, "vllm sent what cannot be read: "),
        (sse(*TEN, '{"choices": 7}'), True, "vllm sent what cannot be read: "),
        (sse(*TEN, "[" * 100_000), True, "vllm sent what cannot be read: "),
        (
            sse(*TEN, {"error": {"message": "engine died", "code": 500}}),
            True,
            "vllm broke off in the midst of its answer: engine died",
        ),
        (
            [*sse(*TEN), b'event: error\ndata: {"message": "crashed"}\n\n'],
            True,
            "vllm broke off in the midst of its answer: ",
        ),
        (sse(*TEN, chunk("abort")), True, "vllm broke off in the midst of its answer: abort"),
        ([*sse(*TEN), b"data: " + b"x" * 5_000_000], True, "an event of more than 4194304 bytes"),
    ],
)
async def test_an_answer_that_breaks_keeps_what_came_and_says_why(
    fake: FakeOpenAI, backend: OpenAI, parts: list[bytes], end: bool, sentence: str
) -> None:
    fake.routes[CHAT] = lambda asked, value: stream(asked, parts, end=end)
    came: list[Event] = []
    with pytest.raises(BackendBroken) as caught:
        async for event in backend.chat(HELLO):
            came.append(event)
    assert "".join(e.text for e in came if isinstance(e, Token)) == "0123456789"
    assert not any(isinstance(e, Done) for e in came)
    assert sentence in str(caught.value)


async def test_a_context_that_runs_out_in_the_midst_is_named(
    fake: FakeOpenAI, backend: OpenAI
) -> None:
    fake.events = sse(*TEN, {"error": {"message": "Context size has been exceeded."}})
    assert isinstance(await failure(backend), ContextOverflow)


async def test_an_error_in_the_place_of_an_answer_is_a_refusal(
    fake: FakeOpenAI, backend: OpenAI
) -> None:
    fake.routes[CHAT] = lambda asked, value: reply(asked, {"error": "No models loaded"})
    assert isinstance(await failure(backend), NoModel)


async def test_a_server_that_does_not_begin_is_given_up(fake: FakeOpenAI, http: Http) -> None:
    def wait(asked: Asked, value: Any) -> None:
        fake.hold.wait(PATIENCE_S)

    fake.routes[CHAT] = wait
    error = await failure(OpenAI("vllm", fake.url, http=http, first_token_s=0.1))
    assert type(error) is BackendBroken
    assert "vllm did not begin to answer within 0.1 s: it may be loading a model" in str(error)


async def test_a_server_that_only_shows_signs_of_life_is_given_up_too(
    fake: FakeOpenAI, http: Http
) -> None:
    def route(asked: Asked, value: Any) -> None:
        stream(asked, (b": ping\n\n" for _ in iter(lambda: fake.hold.wait(0.02), True)))

    fake.routes[CHAT] = route
    error = await failure(OpenAI("vllm", fake.url, http=http, first_token_s=0.1))
    assert "did not begin to answer within 0.1 s" in str(error)


async def test_a_server_that_falls_silent_is_given_up(fake: FakeOpenAI, http: Http) -> None:
    fake.routes[CHAT] = hanging(fake, sse(*TEN))
    error = await failure(OpenAI("vllm", fake.url, http=http, idle_s=0.1))
    assert "broke off in the midst of its answer: 127.0.0.1 sent nothing for 0.1 s" in str(error)
    assert await asyncio.to_thread(fake.left.wait, PATIENCE_S)


async def test_a_server_that_is_away_is_a_broken_link(http: Http) -> None:
    with faking(FakeOpenAI()) as fake:
        url = fake.url
    backend = OpenAI("vllm", url.replace("//", "//me:hunter2@"), http=http)
    error = await failure(backend)
    assert type(error) is LinkError
    assert f"vllm at {url} cannot be reached: " in str(error)
    health = await backend.health()
    assert (health.ok, "cannot be reached" in health.note) == (False, True)
    assert "hunter2" not in str(error) + health.note + backend.url


async def test_closing_the_answer_hangs_up_at_once(fake: FakeOpenAI, backend: OpenAI) -> None:
    fake.routes[CHAT] = hanging(fake, sse(*TEN))
    events = backend.chat(HELLO)
    assert await anext(events) == Token(text="0")
    await events.aclose()
    assert await asyncio.to_thread(fake.left.wait, PATIENCE_S)


async def test_cancelling_the_listener_hangs_up_at_once(fake: FakeOpenAI, backend: OpenAI) -> None:
    fake.routes[CHAT] = hanging(fake, sse(*TEN))
    listening = asyncio.Event()

    async def listen() -> None:
        async for _ in backend.chat(HELLO):
            listening.set()

    task = asyncio.create_task(listen())
    await listening.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(fake.left.wait, PATIENCE_S)


async def test_a_grammar_is_refused_rather_than_passed_over(
    fake: FakeOpenAI, backend: OpenAI
) -> None:
    request = ChatRequest(model=MODEL, turns=HELLO.turns, sampling=Sampling(grammar='root ::= "x"'))
    assert "vllm does not follow a grammar" in str(await failure(backend, request))
    assert fake.asked == []


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_server_that_says_the_key_again_is_not_quoted_with_it(
    fake: FakeOpenAI, backend: OpenAI, status: int
) -> None:
    fake.routes[CHAT] = refusing(status, f"wrong key {SECRET}, model {MODEL}")
    error = await failure(backend)
    assert "wrong key ***" in str(error)
    assert MODEL in str(error)
    assert SECRET not in "".join(traceback.format_exception(error)) + repr(error.values)


async def test_the_key_shows_nowhere(fake: FakeOpenAI, backend: OpenAI) -> None:
    fake.routes[CHAT] = refusing(401, f"wrong key {SECRET}")
    error = await failure(backend)
    trace = "".join(traceback.format_exception(error))
    held = repr(vars(backend)) + repr(vars(backend.server)) + repr(vars(backend.server)["_key"])
    assert SECRET not in trace + held
