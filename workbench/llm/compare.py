"""The same request to several models side by side, and a judge who does not know their names.

Models of different back ends answer at the same time, those of one back end in turn. What one
model fails at is reported and stops no other. A judge prefers what it reads first, so each
pair is judged in both orders: a verdict that changes with the order is a tie.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence

import msgspec

from workbench.core.llm import ChatRequest, Chosen, Event
from workbench.core.llm_gathering import Gathered
from workbench.core.llm_results import Answer, Compared, Comparison, Failure, Progress
from workbench.errors import InputError, WorkbenchError
from workbench.llm.asking import Clock, Models
from workbench.llm.compare_figure import figure, table
from workbench.llm.judge import Judging
from workbench.llm.switching import preferred

MODELS_LIMIT = 8
_AHEAD = 64
"""Events that wait for a slow reader, before the models wait for it too."""


class Heard(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="heard"):
    """What one of the compared models says now. `model` is the name it was asked for by."""

    model: str
    event: Event


_Item = Heard | Compared


async def compare(
    models: Models,
    names: Sequence[str],
    request: ChatRequest,
    *,
    judge: str | None,
    clock: Clock,
) -> AsyncGenerator[Progress | Heard | Comparison]:
    """What each model says as it comes, then the Comparison. Raises InputError for the names."""
    names = tuple(dict.fromkeys(names))
    if not 2 <= len(names) <= MODELS_LIMIT:
        raise InputError.field("models", list(names), f"2 to {MODELS_LIMIT} different models")
    pairs = len(names) * (len(names) - 1) if judge else 0
    total, done = len(names) + pairs, 0
    answers: dict[str, Compared] = {}
    async with contextlib.aclosing(_side_by_side(models, names, request, clock)) as items:
        async for item in items:
            if isinstance(item, Heard):
                yield item
                continue
            answers[item.model] = item
            done += 1
            yield _progress(item, done, total)
    compared = tuple(answers[name] for name in names)
    judging = Judging(models, judge, request, clock)
    if judge:
        async with contextlib.aclosing(judging.pairs(compared)) as steps:
            async for _ in steps:
                done += 2
                yield Progress(done=done, total=total, template="a pair of answers was judged")
    scores = judging.scores()
    yield Comparison(
        answers=compared,
        judge=judge,
        judge_takes_part=judge in names,
        verdicts=tuple(judging.verdicts),
        scores=scores,
        tie=len(scores) > 1 and judging.points(scores[0]) == judging.points(scores[1]),
        table=table(compared, scores),
        figure=figure(compared),
    )


def _progress(item: Compared, done: int, total: int) -> Progress:
    if item.error is None:
        return Progress(
            done=done, total=total, template="{model} has answered", values={"model": item.model}
        )
    return Progress(
        done=done,
        total=total,
        template="{model} did not answer: {reason}",
        values={"model": item.model, "reason": item.error.message},
    )


async def _side_by_side(
    models: Models, names: Sequence[str], request: ChatRequest, clock: Clock
) -> AsyncGenerator[_Item]:
    """Items of all models as they come. Closing it stops every model."""
    items: asyncio.Queue[_Item | BaseException] = asyncio.Queue(_AHEAD)
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(await _backend(models, name), []).append(name)
    tasks = [
        asyncio.create_task(_in_turn(models, group, request, clock, items))
        for group in groups.values()
    ]
    left = len(names)
    try:
        while left:
            item = await items.get()
            if isinstance(item, BaseException):
                raise item
            left -= isinstance(item, Compared)
            yield item
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _backend(models: Models, name: str) -> str:
    """Where a model will answer; those that are not found fail in turn."""
    try:
        return preferred(await models.find(name)).name
    except WorkbenchError:
        return ""


async def _in_turn(
    models: Models,
    names: Sequence[str],
    request: ChatRequest,
    clock: Clock,
    items: asyncio.Queue[_Item | BaseException],
) -> None:
    try:
        for name in names:
            asked = msgspec.structs.replace(request, model=name)
            await items.put(await _answered(models, asked, clock, items))
    except Exception as error:  # a bug is raised where the caller sees it
        await items.put(error)


async def _answered(
    models: Models,
    request: ChatRequest,
    clock: Clock,
    items: asyncio.Queue[_Item | BaseException],
) -> Compared:
    gathering = Gathered(clock())
    answer: Answer | None = None
    try:
        async with contextlib.aclosing(models.chat(request)) as events:
            async for event in events:
                if type(event) is Chosen:
                    gathering = Gathered(clock())
                gathering.take(event, clock())
                await items.put(Heard(model=request.model, event=event))
        answer = gathering.answer(clock())
    except WorkbenchError as error:
        broken = gathering.answer(clock()) if gathering.first_at is not None else None
        return Compared(model=request.model, answer=broken, error=Failure.of(error))
    return Compared(model=request.model, answer=answer)
