"""A text longer than a model's context, worked through in parts (map) and put together (reduce).

Where the results of the parts do not fit into one request either, they are put together in
groups, and those results again, until one is left.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Sequence

import msgspec

from workbench.core.llm import BackendBroken, ChatRequest, Sampling, Turn
from workbench.core.llm_results import Answer, Count, Processed, Progress
from workbench.errors import InputError
from workbench.llm.asking import Clock, Models, answered
from workbench.llm.switching import preferred
from workbench.llm.text import split, truncate

ANSWER_TOKENS = 512
CONTEXT = 4096
"""Assumed where a back end does not say: the least that servers give by default today."""
FRAME = 64
"""Tokens kept for what a chat template puts around the turns."""
LEAST_ANSWER = 8
TRIES = 2

PUT_TOGETHER = """Below are results of the same work on consecutive parts of one text. Put them
together into one result, in the order of the text, without repeating what is said twice."""


async def process(
    models: Models,
    model: str | None,
    text: str,
    instruction: str,
    *,
    combine: str = "",
    overlap_tokens: int = 0,
    answer_tokens: int = ANSWER_TOKENS,
    sampling: Sampling | None = None,
    clock: Clock,
) -> AsyncGenerator[Progress | Processed]:
    """Progress in calls of the model; Processed is the last. Closing it stops every call.

    `instruction` is done on each part, `combine` on their results (by default they are put
    together). Parts that break in mid-answer are asked once more, and that is told. Raises
    InputError where the context is too small for the instruction and an answer.
    """
    if not text.strip():
        raise InputError.field("text", text, "not empty")
    work = _Work(models, model, answer_tokens, sampling or Sampling(), clock)
    await work.measure(instruction, combine or PUT_TOGETHER)
    parts = await split(work.counted, text, work.room, overlap_tokens)
    parts = [part for part in parts if not part.isspace()]
    work.plan(len(parts))
    results: list[str] = []
    rounds, told, doing = 0, instruction, [[part] for part in parts]
    while True:
        async with contextlib.aclosing(work.run(told, doing)) as steps:
            async for step in steps:
                yield step
        results = work.results
        if len(results) == 1:
            break
        rounds, told = rounds + 1, combine or PUT_TOGETHER
        doing = await work.groups(results)
        work.replan(len(doing))
    yield Processed(
        text=results[0], parts=len(parts), calls=work.done, rounds=rounds, model=work.model
    )


class _Work:
    """The calls of one process, and how many there are."""

    def __init__(
        self,
        models: Models,
        model: str | None,
        answer_tokens: int,
        sampling: Sampling,
        clock: Clock,
    ) -> None:
        self._models = models
        self._asked = model
        self._answer_tokens = answer_tokens
        self._sampling = sampling
        self._clock = clock
        self.model: str | None = None
        self._ref = ""
        self._parallel = 1
        self.room = 0
        self.done = 0
        self.total = 0
        self.results: list[str] = []

    async def counted(self, text: str) -> Count:
        return await self._models.count(self._ref, text)

    async def measure(self, *instructions: str) -> None:
        """How many tokens of text a request has room for, and how many requests at a time."""
        instances = await self._models.find(self._asked)
        instance = preferred(instances)
        self.model, self._ref = instance.model.id, self._asked or instance.ref
        self._parallel = sum(max(1, i.backend.parallel) for i in instances)
        context = instance.model.context_size or CONTEXT
        told = max([(await self.counted(text)).tokens for text in instructions])
        left = context - told - min(FRAME, context // 8)
        answer = min(self._answer_tokens, left // 3)  # so that two answers fit into a request
        self.room = left - answer
        self._answer_tokens = answer
        if answer < LEAST_ANSWER:
            raise InputError(
                "the context of {model} has {context} tokens, too few for an instruction of {told} "
                "and a text: load it with more context, or shorten the instruction",
                model=self.model,
                context=context,
                told=told,
            )

    def plan(self, parts: int) -> None:
        """All calls, as far as can be said before the results are there."""
        self.total = parts
        fan_in = max(2, self.room // (self._answer_tokens + 1))
        while parts > 1:
            parts = math.ceil(parts / fan_in)
            self.total += parts

    def replan(self, groups: int) -> None:
        """The calls of this round are known now, and those of later rounds as far as can be."""
        done = self.done
        self.plan(groups)
        self.total += done

    async def groups(self, results: Sequence[str]) -> list[list[str]]:
        """Consecutive results that fit together, at least two in each group but the last."""
        half = self.room // 2 - 1
        groups: list[list[str]] = [[]]
        used = 0
        for result in results:
            cut = await truncate(self.counted, result, half, "start")
            tokens = cut.count.tokens + 1
            if groups[-1] and used + tokens > self.room:
                groups.append([])
                used = 0
            groups[-1].append(cut.text)
            used += tokens
        return groups

    async def run(
        self, instruction: str, doing: Sequence[Sequence[str]]
    ) -> AsyncGenerator[Progress]:
        """One round, as many calls at a time as there are slots; `results` in order of `doing`."""
        news: asyncio.Queue[Progress | BaseException | None] = asyncio.Queue()
        results: list[str] = [""] * len(doing)
        waiting = iter(range(len(doing)))

        async def worker() -> None:
            try:
                for index in waiting:
                    answer = await self._call(instruction, doing[index], index, news)
                    results[index] = answer.text
                    self.done += 1
                    news.put_nowait(self._progress("{done} of about {total} calls are done"))
            except Exception as error:  # raised where the caller sees it
                news.put_nowait(error)
            news.put_nowait(None)

        workers = [asyncio.create_task(worker()) for _ in range(min(self._parallel, len(doing)))]
        try:
            left = len(workers)
            while left:
                item = await news.get()
                if isinstance(item, BaseException):
                    raise item
                if item is None:
                    left -= 1
                else:
                    yield item
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        self.results = results

    async def _call(
        self,
        instruction: str,
        pieces: Sequence[str],
        index: int,
        news: asyncio.Queue[Progress | BaseException | None],
    ) -> Answer:
        text = "\n\n".join(pieces)
        request = ChatRequest(
            model=self._ref,
            turns=(Turn(role="system", content=instruction), Turn(role="user", content=text)),
            sampling=self._limited(),
        )
        for _ in range(TRIES - 1):
            try:
                return await answered(self._models, request, self._clock)
            except BackendBroken as error:
                news.put_nowait(
                    self._progress(
                        "part {part} broke off and is asked again: {reason}",
                        part=index + 1,
                        reason=str(error),
                    )
                )
        return await answered(self._models, request, self._clock)

    def _limited(self) -> Sampling:
        limit = min(self._sampling.max_tokens or self._answer_tokens, self._answer_tokens)
        return msgspec.structs.replace(self._sampling, max_tokens=limit)

    def _progress(self, template: str, **values: object) -> Progress:
        total = max(self.total, self.done)
        return Progress(
            done=self.done,
            total=total,
            template=template,
            values={"done": self.done, "total": total, **values},
        )
