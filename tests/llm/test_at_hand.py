"""What a task may ask: a model that is loaded already, in line with the chats; none is loaded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence

import pytest

from tests.llm.scripted import Scripted, Ticking, asked, said
from workbench.core.llm import (
    ChatRequest,
    Done,
    Event,
    LanguageModel,
    ModelError,
    NoModel,
    Queued,
    Token,
)
from workbench.llm.at_hand import READ_CHARS, AtHand
from workbench.llm.service import Service


def service(*backends: Scripted, clock: Ticking | None = None) -> Service:
    return Service(own=backends, clock=clock or Ticking(), memory=lambda: 10**9)


async def test_the_current_model_answers_else_another_that_is_loaded() -> None:
    one, two = Scripted("one", ["a", "b"]), Scripted("two", ["c"], answer=lambda _: said("Good"))
    models = service(one, two)
    at_hand = AtHand(models)
    assert await at_hand.model() == "a@one"
    async for _ in models.load("c"):
        pass
    assert await at_hand.model() == "c@two"
    assert await at_hand.write("say", 2**40 + 5) == ("Good", "c@two")
    (request,) = two.requests
    assert request.turns[0].content == "say"
    assert (request.sampling.temperature, request.sampling.seed) == (0.0, 5)
    two.loaded.clear()  # its back end unloaded it by itself
    assert await at_hand.model() == "a@one"


async def test_no_model_is_loaded_for_a_task() -> None:
    embeds = LanguageModel(id="e", backend="one", embedding=True, loaded=True)
    clock, backend = Ticking(), Scripted("one", ["m", embeds], loaded=False)
    at_hand = AtHand(service(backend, clock=clock))
    assert await at_hand.model() == ""
    with pytest.raises(NoModel, match="no language model is loaded: load one"):
        await at_hand.write("say", 1)
    assert (backend.loads, backend.requests) == ([], [])
    backend.loaded.add("m")  # by another program, which told nobody
    clock.now += 10
    assert await at_hand.model() == "m@one"


class Queueing(Service):
    """Tells who had to wait in line."""

    def __init__(self, backend: Scripted) -> None:
        super().__init__(own=[backend], clock=Ticking(), memory=lambda: 10**9)
        self.waiting: asyncio.Queue[str] = asyncio.Queue()

    async def chat(  # type: ignore[override]
        self, request: ChatRequest, *, fallbacks: Sequence[str] = ()
    ) -> AsyncGenerator[Event]:
        said = False
        async with contextlib.aclosing(super().chat(request)) as events:
            async for event in events:
                if isinstance(event, Queued) and not said:
                    said = True
                    self.waiting.put_nowait(request.turns[0].content)
                yield event


async def finish(models: Service, text: str) -> None:
    async for _ in models.chat(asked(text, session="somebody")):
        pass


async def test_a_model_that_is_unloaded_while_the_task_waits_is_not_loaded_again() -> None:
    hold = asyncio.Event()
    backend = Scripted("one", answer=lambda _: [hold, *said("Late")])
    models = Queueing(backend)
    chatting = asyncio.create_task(finish(models, "chat"))
    await backend.started.wait()
    writing = asyncio.create_task(AtHand(models).write("task", 1))
    assert await models.waiting.get() == "task"
    backend.loaded.clear()
    hold.set()
    await chatting
    with pytest.raises(NoModel, match="no language model is loaded"):
        await writing
    assert (backend.loads, len(backend.requests)) == ([], 1)


async def test_an_answer_without_end_is_refused() -> None:
    endless = [Token(text="x" * 1000) for _ in range(READ_CHARS)]
    for script in (endless, [Token(text="cut"), Done(finish="length")]):
        backend = Scripted("one", answer=lambda _, script=script: script)  # type: ignore[misc]
        with pytest.raises(ModelError, match="the answer of m@one is longer than 2048 tokens"):
            await AtHand(service(backend)).write("say", 1)
        assert backend.in_flight == 0


async def test_many_tasks_keep_a_chat_waiting_for_one_answer_only() -> None:
    hold, order = asyncio.Event(), []

    def answer(request: object) -> list[object]:
        order.append(request.turns[0].content)  # type: ignore[attr-defined]
        return [hold, *said("Good")] if len(order) == 1 else list(said("Good"))

    backend = Scripted("one", answer=answer)  # type: ignore[arg-type]
    models = Queueing(backend)
    at_hand = AtHand(models)
    tasks = [asyncio.create_task(at_hand.write(f"task {n}", 1)) for n in range(5)]
    for _ in range(4):
        await models.waiting.get()
    chatting = asyncio.create_task(finish(models, "chat"))
    await models.waiting.get()
    hold.set()
    await asyncio.gather(*tasks, chatting)
    assert order[:2] == ["task 0", "chat"]
