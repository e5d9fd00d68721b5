"""Answers that have to pass checks: what is asked again, how, and what is told of it."""

from __future__ import annotations

import pytest

from tests.llm.scripted import Script, Scripted, asked, said
from workbench.core.llm import BackendBroken, ChatRequest, Done, ModelError, Token
from workbench.core.llm_checks import Checks
from workbench.core.llm_results import Attempt, Generated
from workbench.errors import InputError, LinkError
from workbench.llm.service import Service


def answering(*scripts: Script, name: str = "one", model: str = "m") -> Scripted:
    left = iter(scripts)
    return Scripted(name, [model], answer=lambda request: next(left))


async def generated(
    subject: Service, checks: Checks, attempts: int = 3, fallbacks: tuple[str, ...] = ()
) -> tuple[list[Attempt], Generated | None, ModelError | None]:
    told: list[Attempt] = []
    result = None
    try:
        async for step in subject.generate(
            asked("Name a rune."), checks, attempts=attempts, fallbacks=fallbacks
        ):
            if isinstance(step, Attempt):
                told.append(step)
            elif isinstance(step, Generated):
                result = step
    except ModelError as error:
        return told, None, error
    return told, result, None


async def test_a_first_answer_that_passes_is_the_answer() -> None:
    told, result, _ = await generated(Service(own=[answering(said("UNCOMMON"))]), Checks())
    assert result
    assert result.answer.text == "UNCOMMON"
    assert [attempt.ok for attempt in told] == [True]
    assert result.attempts == tuple(told)


async def test_the_next_attempt_is_told_what_was_wrong_with_the_last() -> None:
    one = answering(said("I cannot"), said("nor now"), said("UNCOMMON"))
    checks = Checks(pattern="^[A-Z]+$", excludes=("cannot",))
    told, result, _ = await generated(Service(own=[one]), checks)
    assert result
    assert [attempt.ok for attempt in told] == [False, False, True]
    assert [str(f) for f in told[0].failures] == [
        "the answer holds 'cannot', which it must not",
        "the answer does not match the pattern ^[A-Z]+$",
    ]
    first, second, third = (request.turns for request in one.requests)
    assert [turn.content for turn in second[:2]] == [first[0].content, "I cannot"]
    assert "- the answer holds 'cannot', which it must not" in second[2].content
    assert [turn.content for turn in third[:2]] == [first[0].content, "nor now"]
    assert len(third) == 3


async def test_fallbacks_come_after_all_attempts_of_a_model() -> None:
    one = answering(*[said("no")] * 2)
    two = answering(said("YES"), name="two", model="other")
    told, result, _ = await generated(
        Service(own=[one, two]), Checks(contains=("yes",)), 2, ("other",)
    )
    assert result
    assert [(a.number, a.model, a.ok) for a in told] == [
        (1, "m", False),
        (2, "m", False),
        (3, "other", True),
    ]


async def test_where_none_passes_the_last_reason_is_the_error() -> None:
    told, _, error = await generated(
        Service(own=[answering(*[said("no")] * 2)]), Checks(json=True), 2
    )
    assert len(told) == 2
    assert str(error).startswith(
        "no answer passed its checks in 2 attempts; the last: the answer is not JSON"
    )


async def test_a_model_that_cannot_answer_costs_one_attempt_and_a_broken_answer_another() -> None:
    broken: Script = (Token(text="a"), BackendBroken("it went away"))
    one = answering((LinkError("nobody is there"),))
    two = answering(broken, said("fine"), name="two", model="other")
    told, result, _ = await generated(Service(own=[one, two]), Checks(), 3, ("other",))
    assert result
    assert [(a.model, a.error.message if a.error else None) for a in told] == [
        ("m", "nobody is there"),
        ("other", "it went away"),
        ("other", None),
    ]


async def test_a_schema_is_asked_for_from_the_start() -> None:
    one = answering(said('{"n":1}'))
    schema = {"type": "object", "required": ["n"]}
    _, result, _ = await generated(Service(own=[one]), Checks(json_schema=schema))
    assert result
    assert one.requests[0].sampling.json_schema == schema


async def test_an_answer_cut_at_its_limit_says_so() -> None:
    script: Script = (Token(text='{"n":'), Done(finish="length"))
    told, _, _ = await generated(Service(own=[answering(script)]), Checks(json=True), 1)
    assert str(told[0].failures[-1]) == "the answer was cut at its limit of tokens"


async def test_faulty_checks_are_refused_before_a_model_works() -> None:
    one = answering()
    with pytest.raises(InputError, match="cannot be used"):
        await generated(Service(own=[one]), Checks(pattern="(?=a)"))
    with pytest.raises(InputError, match="attempts is 0; allowed: 1 to 20"):
        await generated(Service(own=[one]), Checks(), 0)
    assert one.requests == []


async def test_a_request_that_is_refused_is_not_tried_again() -> None:
    def refuse(request: ChatRequest) -> Script:
        return (InputError("images are not taken by this model"),)

    one = Scripted(answer=refuse)
    with pytest.raises(InputError, match="images are not taken"):
        await generated(Service(own=[one]), Checks())
    assert len(one.requests) == 1
