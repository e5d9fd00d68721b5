"""A task asks a language model by way of its supervisor and the engine: answered or not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from tests.engines.flying import Flown, data_of, job, outcome_of
from tests.engines.test_child import child, order
from workbench.core.job import Cancelled, Done, Log
from workbench.core.llm import ModelError, NoModel
from workbench.engines.dask import DaskEngine
from workbench.engines.frames import (
    ANSWER_CHARS,
    PROMPT_CHARS,
    Question,
    Reader,
    Reply,
    Returned,
    pack,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Writer:
    """A language model that says a prompt backwards; one word of some prompts is what it does."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self.model = "m@box"

    async def __call__(self, prompt: str, seed: int) -> tuple[str, str]:
        self.asked.set()
        if prompt == "hang":
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        if prompt == "fail":
            raise ModelError("{model} ran out of words", model=self.model)
        if prompt == "crash":
            raise ZeroDivisionError
        if prompt == "gone":
            raise NoModel("no language model is loaded")
        if prompt == "long":
            return "x" * (ANSWER_CHARS + 1), self.model
        return f"{prompt[::-1]} {seed}", self.model


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def one(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DaskEngine]:
    engine = DaskEngine(slots=1, scratch=tmp_path_factory.mktemp("scratch"))
    await engine.start()
    yield engine
    await engine.stop()


@pytest.fixture
def engine(one: DaskEngine) -> DaskEngine:
    one.write, one.answer_s = Writer(), 30.0
    return one


def frames_until(frames: int, kind: type[Any]) -> list[Any]:
    reader, found = Reader(), list[Any]()
    while not any(isinstance(frame, kind) for frame in found):
        found += list(reader.feed(os.read(frames, 65536)))
    return found


async def consulted(engine: DaskEngine, *prompts: str) -> tuple[Done, list[str]]:
    outcome, events = await outcome_of(engine, job("consult", prompts=list(prompts)))
    assert isinstance(outcome, Done), outcome
    lines = [event.template.format(**event.values) for event in events if isinstance(event, Log)]
    return outcome, lines


async def test_a_task_gets_its_answers_and_the_result_says_of_whom(engine: DaskEngine) -> None:
    outcome, lines = await consulted(engine, "abc", "é" * (PROMPT_CHARS - 2))
    said = '{"said":["cba 7","' + "é" * (PROMPT_CHARS - 2) + ' 7"]'
    assert outcome.document.decode().startswith(said)
    assert lines == ["the language model m@box answers what the task asks"]
    assert (outcome.language_model, outcome.repeatable) == ("m@box", True)


async def test_a_task_that_asks_nothing_says_nothing_of_it(engine: DaskEngine) -> None:
    outcome, _ = await outcome_of(engine, job("echo"))
    assert isinstance(outcome, Done)
    assert (outcome.language_model, outcome.repeatable) == (None, True)


async def test_without_a_model_the_task_hears_so(engine: DaskEngine) -> None:
    outcome, lines = await consulted(engine, "gone")
    assert b'["NoModel: no language model is loaded"]' in outcome.document
    assert (outcome.language_model, outcome.repeatable, lines) == ("", True, [])
    engine.write = None
    outcome, _ = await consulted(engine, "abc")
    assert b'["NoModel: this hub has no language models"]' in outcome.document


async def test_a_fault_is_told_and_the_result_is_for_this_task_alone(engine: DaskEngine) -> None:
    outcome, _ = await consulted(engine, "fail", "abc", "crash", "long", "x" * (PROMPT_CHARS + 1))
    assert outcome.document.decode().startswith(
        '{"said":["ModelError: m@box ran out of words","cba 7","ModelError: the hub failed while a '
        'language model was asked: its log says why","ModelError: the answer of m@box is longer '
        f'than {ANSWER_CHARS} characters","ModelError: the question to a language model '
        f'has {PROMPT_CHARS + 1} characters; allowed: {PROMPT_CHARS}"]'
    )
    assert (outcome.language_model, outcome.repeatable) == ("m@box", False)


async def test_a_silent_model_is_left_and_the_next_task_hears_its_own(engine: DaskEngine) -> None:
    engine.answer_s = 0.2
    assert isinstance(engine.write, Writer)
    outcome, _ = await consulted(engine, "hang")
    assert b'["ModelError: the language model did not answer within 0.2 s"]' in outcome.document
    assert not outcome.repeatable
    await asyncio.wait_for(engine.write.left.wait(), 30)
    engine.answer_s = 30.0
    outcome, _ = await consulted(engine, "abc")
    assert b'["cba 7"]' in outcome.document


async def test_waiting_for_a_model_never_takes_all_of_a_tasks_time(engine: DaskEngine) -> None:
    outcome, _ = await outcome_of(engine, job("consult", prompts=["hang"], timeout_s=3))
    assert isinstance(outcome, Done)
    assert b"the language model did not answer within" in outcome.document


async def test_a_lost_answer_is_waited_for_no_longer_and_is_nobody_elses(tmp_path: Path) -> None:
    """The way back is cut; what comes at last is not the answer to the next task's question."""
    with child() as (process, frames):
        assert process.stdin
        asks = order("consult", tmp_path, b'{"prompts":["abc"]}')
        process.stdin.write(pack(msgspec.structs.replace(asks, answer_s=0.2)))
        found = await asyncio.to_thread(frames_until, frames, Returned)
        assert b"ModelError: the hub did not say within 0.2 s" in found[-1].document
        (first,) = (frame for frame in found if isinstance(frame, Question))
        process.stdin.write(pack(Reply(number=first.number, text="late")) + pack(asks))
        (*_, second) = await asyncio.to_thread(frames_until, frames, Question)
        process.stdin.write(pack(Reply(number=first.number, text="later")))
        process.stdin.write(pack(Reply(number=second.number, text="right", model="m@box")))
        (*_, end) = await asyncio.to_thread(frames_until, frames, Returned)
        assert end.document.startswith(b'{"said":["right"]')


async def test_a_cancel_in_mid_question_frees_the_slot_and_the_model(
    engine: DaskEngine, tmp_path: Path
) -> None:
    assert isinstance(engine.write, Writer)
    engine.answer_s = 600.0  # it would wait so long
    flown = Flown(engine, job("consult", prompts=["hang"]))
    await asyncio.wait_for(engine.write.asked.wait(), 60)
    await engine.cancel(flown.key)
    assert await flown.task == Cancelled()
    await asyncio.wait_for(engine.write.left.wait(), 30)
    assert (await data_of(engine, job("echo", text="next")))["text"] == "next"
