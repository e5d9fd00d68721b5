"""A long text in parts: map, reduce, progress, stop."""

from __future__ import annotations

import asyncio
import contextlib
import re

import pytest

from tests.llm.scripted import Script, Scripted, said, words
from tests.llm.test_text import story
from workbench.core.llm import BackendBroken, ChatRequest, LanguageModel, Token
from workbench.core.llm_results import Processed, Progress
from workbench.errors import InputError, LinkError
from workbench.llm.process import PUT_TOGETHER
from workbench.llm.service import Service

SUM = "Name the parts."


def parts_named(request: ChatRequest) -> Script:
    """A model that answers with the numbers of the parts in what it is given."""
    numbers = re.findall(r"Part (\d+)", request.turns[-1].content)
    return said("; ".join(f"Part {number}" for number in numbers))


def backend(context: int, *, parallel: int = 2, name: str = "one") -> Scripted:
    model = LanguageModel(id="m", backend=name, loaded=True, context_size=context)
    return Scripted(name, [model], parallel=parallel, answer=parts_named)


async def processed(one: Scripted, text: str, **options: int) -> tuple[Processed, list[Progress]]:
    subject = Service(own=[one])
    steps = [step async for step in subject.process("m", text, SUM, **options)]
    assert isinstance(steps[-1], Processed)
    return steps[-1], [step for step in steps if isinstance(step, Progress)]


async def test_a_text_that_fits_takes_one_call() -> None:
    result, _ = await processed(backend(100_000), story(3))
    assert (result.text, result.parts, result.calls) == ("Part 0; Part 1; Part 2", 1, 1)
    assert result.rounds == 0


async def test_the_results_of_all_parts_are_put_together_in_order() -> None:
    one = backend(600)
    result, _ = await processed(one, story(40), answer_tokens=100)
    assert result.text == "; ".join(f"Part {n}" for n in range(40))
    assert result.parts > 5
    assert result.rounds >= 1
    assert result.calls == len(one.requests)
    assert one.requests[-1].turns[0].content == PUT_TOGETHER


async def test_results_that_do_not_fit_together_are_put_together_in_rounds() -> None:
    one = backend(320)
    one.answer = lambda request: said("word " * 35)
    result, _ = await processed(one, story(60), answer_tokens=80)
    assert result.rounds >= 2
    assert all(sum(words(t.content) for t in r.turns) <= 320 - 80 for r in one.requests)


async def test_progress_is_finished_calls_of_all_calls_and_ends_at_all() -> None:
    _, steps = await processed(backend(600, parallel=1), story(40), answer_tokens=100)
    shares = [step.done / step.total for step in steps]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert all(step.template == "{done} of about {total} calls are done" for step in steps)


async def test_as_many_calls_at_a_time_as_there_are_slots() -> None:
    one = backend(600, parallel=3)
    await processed(one, story(40), answer_tokens=100)
    assert one.most_in_flight == 3


async def test_closing_it_stops_every_call_at_once() -> None:
    one = backend(600, parallel=3)
    gate = asyncio.Event()
    first = iter([True])
    one.answer = lambda r: parts_named(r) if next(first, False) else (Token(text="a"), gate)
    subject = Service(own=[one])
    async with contextlib.aclosing(subject.process("m", story(40), SUM)) as steps:
        assert isinstance(await anext(steps), Progress)
    assert one.in_flight == 0
    assert subject.backends()[0].in_flight == 0


async def test_a_part_that_breaks_off_is_asked_once_more_and_that_is_told() -> None:
    one = backend(600)
    broken = iter([True])

    def answer(request: ChatRequest) -> Script:
        if next(broken, False):
            return (Token(text="Part"), BackendBroken("{backend} went away", backend="one"))
        return parts_named(request)

    one.answer = answer
    result, steps = await processed(one, story(20), answer_tokens=100)
    assert result.text == "; ".join(f"Part {n}" for n in range(20))
    told = [step for step in steps if "broke off" in step.template]
    assert [step.values["reason"] for step in told] == ["one went away"]


async def test_a_back_end_that_is_away_ends_it_with_its_error() -> None:
    one = backend(600)
    one.answer = lambda request: (LinkError("nobody is there"),)
    with pytest.raises(LinkError):
        await processed(one, story(20), answer_tokens=100)
    assert one.in_flight == 0


async def test_a_context_too_small_for_the_instruction_is_refused_with_its_numbers() -> None:
    with pytest.raises(InputError, match="the context of m has 32 tokens, too few"):
        await processed(backend(32), story(20))
    with pytest.raises(InputError, match="text is ' '; allowed: not empty"):
        await processed(backend(600), " ")
