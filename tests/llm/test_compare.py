"""Models side by side, and a judge who sees neither names nor a fixed order."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable

import pytest

from tests.llm.scripted import Script, Scripted, asked, said
from workbench.core.llm import ChatRequest, Token
from workbench.core.llm_results import Comparison, Progress
from workbench.errors import InputError, LinkError
from workbench.llm.compare import Heard
from workbench.llm.service import Service

Step = Progress | Heard | Comparison


def model(name: str, text: str, backend: str) -> Scripted:
    return Scripted(backend, [name], answer=lambda request: said(text))


def judging(decide: Callable[[str, str], str]) -> Scripted:
    """A judge who is given the two answers, as A and B."""

    def answer(request: ChatRequest) -> Script:
        pair = request.turns[-1].content
        if "<answer-A>" not in pair:
            return said("a contestant's answer")
        a = pair.split("<answer-A>\n")[1].split("\n</answer-A>")[0]
        b = pair.split("<answer-B>\n")[1].split("\n</answer-B>")[0]
        return said(json.dumps({"reason": "it is so", "winner": decide(a, b)}))

    return Scripted("court", ["judge"], answer=answer)


def longer(a: str, b: str) -> str:
    return "A" if len(a) > len(b) else "B" if len(b) > len(a) else "tie"


async def compared(
    *backends: Scripted, names: tuple[str, ...] = ("x", "y"), judge: str | None = None
) -> tuple[Comparison, list[Step]]:
    subject = Service(own=backends)
    steps: list[Step] = [s async for s in subject.compare(names, asked("Why?"), judge=judge)]
    assert isinstance(steps[-1], Comparison)
    return steps[-1], steps


async def test_every_model_is_heard_as_it_answers() -> None:
    result, steps = await compared(model("x", "short", "one"), model("y", "longer one", "two"))
    for name, text in (("x", "short"), ("y", "longer one")):
        pieces = [
            step.event.text
            for step in steps
            if isinstance(step, Heard) and step.model == name and isinstance(step.event, Token)
        ]
        assert "".join(pieces) == text
    assert [(one.model, one.answer.text) for one in result.answers if one.answer] == [
        ("x", "short"),
        ("y", "longer one"),
    ]
    assert (result.scores, result.verdicts, result.tie) == ((), (), False)
    assert [row["model"] for row in result.table] == ["x", "y"]
    assert result.figure["data"][0]["x"] == ["x", "y"]


async def test_models_of_one_back_end_take_turns_and_others_go_on_at_the_same_time() -> None:
    meeting = asyncio.Barrier(2)
    both = asyncio.Event()

    async def meet() -> None:
        await meeting.wait()
        both.set()

    meets: list[asyncio.Task[None]] = []

    def answer(request: ChatRequest) -> Script:
        meets.append(asyncio.create_task(meet()))
        return (both, *said("ok"))

    one = Scripted("one", ["x", "z"], answer=answer, parallel=4)
    two = Scripted("two", ["y"], answer=lambda r: answer(r) if not both.is_set() else said("ok"))
    task = asyncio.create_task(compared(one, two, names=("x", "z", "y")))
    result, _ = await asyncio.wait_for(task, 10)
    for waiting in meets:
        waiting.cancel()
    assert one.most_in_flight == 1
    assert all(item.answer for item in result.answers)


async def test_a_model_that_fails_is_reported_and_stops_no_other() -> None:
    broken = Scripted("one", ["x"], answer=lambda r: (Token(text="Be"), LinkError("it broke")))
    result, steps = await compared(
        broken, model("y", "fine", "two"), names=("x", "nowhere", "y"), judge=None
    )
    x, nowhere, y = result.answers
    assert x.error
    assert x.error.message == "it broke"
    assert x.answer
    assert x.answer.text == "Be"
    assert nowhere.error
    assert nowhere.error.code == "unknown-model"
    assert y.answer
    assert "x did not answer: it broke" in [
        s.template.format(**s.values) for s in steps if isinstance(s, Progress)
    ]


async def test_the_better_answer_wins_in_both_orders() -> None:
    court = judging(longer)
    result, steps = await compared(
        model("x", "short", "one"), model("y", "a longer one", "two"), court, judge="judge"
    )
    verdict = result.verdicts[0]
    assert (verdict.winner, verdict.consistent) == ("y", True)
    assert [(s.model, s.wins, s.losses) for s in result.scores] == [("y", 1, 0), ("x", 0, 1)]
    assert not result.tie
    progress = [step for step in steps if isinstance(step, Progress)][-1]
    assert progress.done == progress.total == 4


async def test_a_judge_who_always_prefers_the_first_decides_nothing() -> None:
    court = judging(lambda a, b: "A")
    result, _ = await compared(
        model("x", "short", "one"), model("y", "a longer one", "two"), court, judge="judge"
    )
    verdict = result.verdicts[0]
    assert (verdict.winner, verdict.consistent) == (None, False)
    assert result.tie


async def test_a_tie_is_reported_as_one() -> None:
    court = judging(longer)
    result, _ = await compared(
        model("x", "same!", "one"), model("y", "equal", "two"), court, judge="judge"
    )
    assert (result.verdicts[0].winner, result.verdicts[0].consistent) == (None, True)
    assert result.tie


async def test_the_judge_sees_no_names_and_both_orders() -> None:
    court = judging(longer)
    await compared(
        model("model-x", "one", "one"),
        model("model-y", "three", "two"),
        court,
        names=("model-x", "model-y"),
        judge="judge",
    )
    prompts = ["\n".join(turn.content for turn in r.turns) for r in court.requests]
    assert len(prompts) == 2
    assert not any("model-" in prompt for prompt in prompts)
    assert prompts[0].index("one\n</answer-A>") > 0
    assert prompts[1].index("three\n</answer-A>") > 0
    assert court.requests[0].sampling.json_schema is not None


async def test_a_judge_who_speaks_nonsense_is_asked_again_then_reported() -> None:
    court = Scripted("court", ["judge"], answer=lambda r: said("I like both"))
    result, _ = await compared(
        model("x", "one", "one"), model("y", "two", "two"), court, judge="judge"
    )
    verdict = result.verdicts[0]
    assert verdict.winner is None
    assert verdict.error
    assert "no answer passed its checks in 2 attempts" in verdict.error.message
    assert [(s.wins, s.losses, s.ties) for s in result.scores] == [(0, 0, 0)] * 2


async def test_three_models_are_judged_in_pairs_and_ranked() -> None:
    result, _ = await compared(
        model("x", "aaa", "one"),
        model("y", "a", "two"),
        model("z", "aaaaa", "three"),
        judging(longer),
        names=("x", "y", "z"),
        judge="judge",
    )
    assert [score.model for score in result.scores] == ["z", "x", "y"]
    assert len(result.verdicts) == 3


async def test_a_judge_among_the_compared_is_said_to_be_one() -> None:
    court = judging(longer)
    result, _ = await compared(model("x", "aaa", "one"), court, names=("x", "judge"), judge="judge")
    assert result.judge_takes_part


async def test_closing_it_stops_every_model() -> None:
    stuck: Script = (Token(text="a"), asyncio.Event())
    one = Scripted("one", ["x"], answer=lambda r: stuck)
    two = Scripted("two", ["y"], answer=lambda r: stuck)
    subject = Service(own=[one, two])
    seen = 0
    async with contextlib.aclosing(subject.compare(["x", "y"], asked())) as steps:
        async for step in steps:
            seen += isinstance(step, Heard) and isinstance(step.event, Token)
            if seen == 2:
                break
    assert (one.in_flight, two.in_flight) == (0, 0)


@pytest.mark.parametrize("names", [(), ("x",), ("x", "x"), tuple("abcdefghi")])
async def test_two_to_eight_different_models_are_compared(names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="allowed: 2 to 8 different models"):
        await compared(names=names)
