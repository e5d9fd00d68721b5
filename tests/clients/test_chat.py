"""ChatClient and LanguageClient against the real `/ws`, with a scripted model behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.chatting_hub import ChattingHub, chatting
from tests.llm.scripted import said
from workbench.clients.chat import ChatClient
from workbench.clients.hub import HubClient
from workbench.clients.llm import LanguageClient
from workbench.core.chat import Attachment
from workbench.core.chat_view import ChatView
from workbench.core.llm import BackendBroken, Done, LanguageModel, Reasoning, Sampling, Token
from workbench.errors import InputError, LinkError, ProtocolError, WorkbenchError

PATIENCE_S = 20.0


@pytest.fixture
async def hub(tmp_path: Path) -> AsyncIterator[ChattingHub]:
    async with chatting(tmp_path) as hub:
        yield hub


@pytest.fixture
async def client(hub: ChattingHub) -> AsyncIterator[HubClient]:
    async with hub.client() as client:
        yield client


@pytest.fixture
def chat(client: HubClient) -> ChatClient:
    return ChatClient(client)


def holding(hub: ChattingHub) -> asyncio.Event:
    """The model says two pieces, then waits for the event, then says the rest."""
    go = asyncio.Event()
    hub.backend.answer = lambda request: (
        Token(text="one "),
        Token(text="two "),
        go,
        Token(text="three"),
        Done(),
    )
    return go


async def idle(hub: ChattingHub) -> None:
    """Until no stream is open at the back end."""
    async with asyncio.timeout(PATIENCE_S):
        while hub.backend.in_flight:  # noqa: ASYNC110  # the back end has no event for it
            await asyncio.sleep(0.005)


async def test_an_answer_comes_piece_by_piece_and_then_as_a_message(
    hub: ChattingHub, chat: ChatClient
) -> None:
    hub.backend.answer = lambda request: said("Good day to you")
    stream = chat.stream("Hi", parameters=Sampling(temperature=0.0), system="Be kind")
    pieces = [piece async for piece in stream]
    assert "".join(pieces) == "Good day to you"
    assert len(pieces) > 1
    assert stream.question is not None
    assert stream.answer is not None
    assert (stream.question.content, stream.question.role) == ("Hi", "user")
    assert (stream.answer.content, stream.answer.status) == ("Good day to you", "done")
    assert stream.answer.id == stream.message_id
    (request,) = hub.backend.requests
    assert [turn.content for turn in request.turns] == ["Be kind", "Hi"]
    assert request.sampling.temperature == 0


async def test_the_second_message_goes_on_with_the_conversation(
    hub: ChattingHub, chat: ChatClient
) -> None:
    first = await chat.send("Hi")
    second = await chat.send("And now?")
    assert first.conversation_id == second.conversation_id == chat.current
    assert [each.content for each in await chat.history()] == ["Hi", "Hello", "And now?", "Hello"]
    other = ChatClient(chat.client)
    assert (await other.send("Elsewhere")).conversation_id != chat.current


async def test_leaving_the_loop_early_stops_the_answer(hub: ChattingHub, chat: ChatClient) -> None:
    holding(hub)
    async for piece in chat.stream("Count"):
        assert piece == "one "
        break
    await idle(hub)
    *_, last = await chat.history()
    assert last.status == "stopped"
    assert last.content in ("one ", "one two ")


async def test_a_cancelled_reader_stops_the_answer(hub: ChattingHub, chat: ChatClient) -> None:
    holding(hub)
    heard = asyncio.Event()

    async def read() -> None:
        async for _ in chat.stream("Count"):
            heard.set()

    reading = asyncio.create_task(read())
    async with asyncio.timeout(PATIENCE_S):
        await heard.wait()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
    await idle(hub)
    assert (await chat.history())[-1].status == "stopped"


async def test_a_stream_that_is_stopped_gives_the_answer_as_it_is_kept(
    hub: ChattingHub, chat: ChatClient
) -> None:
    holding(hub)
    stream = chat.stream("Count")
    assert await anext(stream) == "one "
    stream.stop()
    async with asyncio.timeout(PATIENCE_S):
        whole = await stream.whole()
    assert (whole.status, whole.content) == ("stopped", stream.text)


async def test_an_answer_is_taken_up_after_a_lost_connection(
    hub: ChattingHub, chat: ChatClient
) -> None:
    go = holding(hub)
    stream = chat.stream("Count")
    async with asyncio.timeout(PATIENCE_S):
        assert [await anext(stream), await anext(stream)] == ["one ", "two "]
        await hub.close()
        await hub.listen()
        go.set()
        rest = [piece async for piece in stream]
    assert "".join(rest) == "three"
    assert stream.answer is not None
    assert (stream.answer.status, stream.answer.content) == ("done", "one two three")


async def test_two_conversations_are_answered_at_once_over_one_connection(
    hub: ChattingHub, chat: ChatClient
) -> None:
    hub.backend.parallel = 2
    go = holding(hub)
    rooms = [(await chat.create()).id for _ in range(2)]
    streams = [chat.stream("Count", room) for room in rooms]
    async with asyncio.timeout(PATIENCE_S):
        for stream in streams:
            assert await anext(stream) == "one "
        go.set()
        answers = await asyncio.gather(*(stream.whole() for stream in streams))
    assert [each.content for each in answers] == ["one two three"] * 2
    assert [each.conversation_id for each in answers] == rooms


async def test_a_broken_answer_is_raised_and_what_came_of_it_is_kept(
    hub: ChattingHub, chat: ChatClient
) -> None:
    hub.backend.answer = lambda request: (
        Token(text="half"),
        BackendBroken("{name} went away in the midst of an answer", name="one"),
    )
    stream = chat.stream("Hi")
    with pytest.raises(BackendBroken, match="one went away in the midst of an answer"):
        await stream.whole()
    assert stream.answer is not None
    assert (stream.answer.content, stream.answer.status) == ("half", "broken")


async def test_a_second_question_while_the_first_is_answered_is_refused(
    hub: ChattingHub, chat: ChatClient
) -> None:
    go = holding(hub)
    stream = chat.stream("Count")
    await anext(stream)
    with pytest.raises(LinkError, match="an answer is under way in this conversation"):
        await ChatClient(chat.client).send("Me too", stream.conversation_id)
    go.set()
    assert (await stream.whole()).content == "one two three"


async def test_an_answer_is_given_anew_and_a_question_put_differently(
    hub: ChattingHub, chat: ChatClient
) -> None:
    first = await chat.send("Hi")
    hub.backend.answer = lambda request: said("Other")
    again = await chat.regenerate().whole()
    assert (again.content, again.id > first.id) == ("Other", True)
    asked, answered = await chat.history()
    assert (asked.content, answered.id) == ("Hi", again.id)
    edited = chat.edit(asked.id, "Hello?")
    assert (await edited.whole()).content == "Other"
    assert [each.content for each in await chat.history()] == ["Hello?", "Other"]


async def test_a_question_left_without_an_answer_is_answered_when_generated_anew(
    hub: ChattingHub, chat: ChatClient
) -> None:
    hub.backend.answer = lambda request: (LinkError("no"),)
    with pytest.raises(WorkbenchError):
        await chat.send("Hi")
    hub.backend.answer = lambda request: said("Now")
    assert (await chat.regenerate().whole()).content == "Now"


async def test_phases_and_thoughts_are_heard_beside_the_text(
    hub: ChattingHub, chat: ChatClient
) -> None:
    hub.backend.answer = lambda request: (Reasoning(text="hm"), Token(text="yes"), Done())
    heard: list[str] = []
    answer = await chat.stream("?", heard=lambda kind, data: heard.append(kind)).whole()
    assert (answer.content, answer.reasoning) == ("yes", "hm")
    assert {"chat:phase", "chat:reasoning", "chat:message"} <= set(heard)


async def test_attachments_travel_with_the_message(hub: ChattingHub, chat: ChatClient) -> None:
    await chat.send("What is it?", attachments=[Attachment(name="df", text="a, b")])
    assert "a, b" in hub.backend.requests[0].turns[-1].content
    assert (await chat.history())[0].attachments == (Attachment(name="df", text="a, b"),)


async def test_conversations_are_created_found_exported_and_deleted(chat: ChatClient) -> None:
    room = await chat.create("Runes", model="m", system="Be brief")
    await chat.send("What is a cenotaph?")
    await chat.update(title="Runes and more", model=None, parameters=Sampling(temperature=0.5))
    (found,) = await chat.conversations("cenotaph")
    assert (found["title"], found["model"]) == ("Runes and more", None)
    assert "cenotaph" in found["found"]
    assert await chat.conversations("nothing like it") == []
    document = await chat.export()
    assert "What is a cenotaph?" in document["content"]
    assert document["mediaType"] == "text/markdown"
    await chat.delete(room.id)
    assert (await chat.conversations(), chat.current) == ([], None)
    with pytest.raises(InputError, match="there is no conversation yet"):
        await chat.history()
    with pytest.raises(InputError, match="settings is 'colour'"):
        await chat.update(room.id, colour="red")


async def test_prompts_are_kept_in_versions(chat: ChatClient) -> None:
    assert (await chat.save_prompt("template", "sum", "Sum up {{text}}")).variables == ("text",)
    assert (await chat.save_prompt("template", "sum", "Sum {{text}}")).version == 2
    assert [each.version for each in await chat.prompts("template", "sum")] == [2, 1]
    assert await chat.prompts("instruction") == []
    await chat.delete_prompt("template", "sum")
    assert await chat.prompts("template") == []


async def test_a_second_client_sees_the_answer_grow_and_again_after_a_reconnection(
    hub: ChattingHub, chat: ChatClient
) -> None:
    go = holding(hub)
    stream = chat.stream("Count")
    await anext(stream)
    assert stream.conversation_id is not None
    async with hub.client() as other:
        view, changed = ChatView(stream.conversation_id), asyncio.Condition()

        async def fold(heard: dict[str, Any]) -> None:
            view.apply(heard["type"], heard.get("data"))
            async with changed:
                changed.notify_all()

        async def until(text: str) -> None:
            async with asyncio.timeout(PATIENCE_S), changed:
                await changed.wait_for(
                    lambda: view.messages and view.messages[-1]["content"] == text
                )

        other.on("chat", fold)
        ChatClient(other).follow(stream.conversation_id)
        await until("one two ")
        assert view.streaming is not None
        await hub.close()
        await hub.listen()
        go.set()
        await until("one two three")
        async with asyncio.timeout(PATIENCE_S), changed:
            await changed.wait_for(lambda: view.messages[-1]["status"] == "done")
        assert (await stream.whole()).content == "one two three"
        ChatClient(other).leave(stream.conversation_id)


async def test_models_are_listed_loaded_and_unloaded(client: HubClient, hub: ChattingHub) -> None:
    llm = LanguageClient(client)
    hub.backend.loaded.clear()
    assert [each["loaded"] for each in (await llm.models())["models"]] == [False]
    steps: list[Any] = []
    assert (await llm.load("m", told=lambda step: steps.append(step["done"]))).startswith("m")
    assert 0.5 in steps
    await llm.unload("m")
    assert hub.backend.unloads == ["m"]
    with pytest.raises(WorkbenchError, match="nowhere"):
        await llm.load("nowhere")


async def test_a_text_is_completed_counted_cut_and_split(
    client: HubClient, hub: ChattingHub
) -> None:
    llm = LanguageClient(client)
    events: list[str] = []
    answer = await llm.complete("Once", told=lambda event: events.append(str(event["type"])))
    assert answer.text == "Hello"
    assert "token" in events
    assert (await llm.chat("Hi", model="m")).text == "Hello"
    count = await llm.count("one two three", model="m")
    assert (count.tokens, count.exact) == (6, True)
    cut = await llm.truncate("one two three four", 3, keep="start", model="m")
    assert (cut.cut, cut.text.startswith("one")) == (True, True)
    assert len(await llm.split("one two three four five six", 4, model="m")) > 1


async def test_a_call_that_nobody_waits_for_is_stopped_at_the_hub(
    client: HubClient, hub: ChattingHub
) -> None:
    holding(hub)
    heard = asyncio.Event()
    asked = LanguageClient(client).chat(
        "Count", told=lambda event: heard.set() if event["type"] == "token" else None
    )
    task = asyncio.create_task(asked)
    async with asyncio.timeout(PATIENCE_S):
        await heard.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await idle(hub)
    assert await client.ping() > 0


async def test_models_are_measured_compared_and_recommended(
    client: HubClient, hub: ChattingHub
) -> None:
    hub.backend.known["n"] = LanguageModel(id="n", backend="one")
    hub.backend.loaded.add("n")
    llm = LanguageClient(client)
    steps: list[Any] = []
    measured = await llm.benchmark("m", runs=2, answer_tokens=8, told=steps.append)
    assert (measured.model.partition("@")[0], len(measured.runs)) == ("m", 2)
    assert steps
    compared = await llm.compare(["m", "n"], "Hi")
    assert [each.answer.text for each in compared.answers if each.answer] == ["Hello"] * 2
    made = await llm.generate("Hi", {"contains": ["Hello"]})
    assert made.answer.text == "Hello"
    done = await llm.process("A long text.", "Sum it up", model="m")
    assert done.text == "Hello"
    assert (await llm.recommend("chat")).kind == "chat"


async def test_without_a_connection_it_says_what_to_do() -> None:
    with pytest.raises(LinkError, match="not connected to the hub: call connect"):
        await ChatClient(HubClient()).send("Hi", 1)


async def test_what_a_hub_says_wrongly_is_its_fault() -> None:
    from workbench.clients.reading import read_list
    from workbench.core.chat import Message

    with pytest.raises(ProtocolError, match="the hub's answer has no list of messages"):
        read_list({}, "messages", Message)
    with pytest.raises(ProtocolError, match="the hub sent a Message that this version cannot read"):
        read_list({"messages": [{"id": "x"}]}, "messages", Message)
