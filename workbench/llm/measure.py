"""How fast a model is here: time to first token, tokens per second, speed of reading a prompt.

One run goes ahead to load and warm up and is not counted. Each run has a prompt of its own
from its first word on, for what a cache has read already is no measure of reading.
"""

from __future__ import annotations

import statistics
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any

import msgspec

from workbench.core.llm import ChatRequest, Sampling, Turn
from workbench.core.llm_results import Answer, Benchmark, Count, Progress, Run, Spread
from workbench.errors import InputError
from workbench.llm.asking import Clock, Models, answered
from workbench.llm.router import Instance
from workbench.llm.switching import preferred
from workbench.llm.text import truncate

RUNS_LIMIT = 50
PROMPT_TOKENS = 256
ANSWER_TOKENS = 64
_BLUE, _VERMILLION = "#0072B2", "#D55E00"
_WORDS = ("river", "stone", "lamp", "cloud", "copper", "garden", "letter", "winter", "bridge")
_ENDING = ". Tell a long story with these words."


async def benchmark(
    models: Models,
    model: str | None,
    *,
    runs: int,
    prompt_tokens: int,
    answer_tokens: int,
    memory_bytes: int | None,
    clock: Clock,
) -> AsyncGenerator[Progress | Benchmark]:
    """Progress after each run; the Benchmark is the last. Raises what an answer raises.

    `memory_bytes` is what the caller measured the model to take; without it the size of its
    file stands in, and the result says so.
    """
    if not 1 <= runs <= RUNS_LIMIT:
        raise InputError.field("runs", runs, f"1 to {RUNS_LIMIT}")
    instance = preferred(await models.find(model))
    measured: list[Run] = []
    yield Progress(done=0, total=runs + 1, template="the first run loads and warms up")
    for number in range(runs + 1):
        context = instance.model.context_size or 4 * (prompt_tokens + answer_tokens)
        prompt = await _prompt(models, instance, number, min(prompt_tokens, context // 2))
        request = _request(instance, prompt, min(answer_tokens, max(1, context // 4)))
        answer = await answered(models, request, clock)
        if number == 0:
            instance = preferred(await models.find(instance.ref))  # its context is known now
        else:
            measured.append(_run(answer))
        yield Progress(
            done=number + 1,
            total=runs + 1,
            template="run {run} of {runs} is done" if number else "it is loaded and warm",
            values={"run": number, "runs": runs},
        )
    yield _result(instance, measured, memory_bytes)


def _request(instance: Instance, prompt: str, answer_tokens: int) -> ChatRequest:
    return ChatRequest(
        model=instance.ref,
        turns=(Turn(role="user", content=prompt),),
        sampling=Sampling(temperature=0.0, seed=1, max_tokens=answer_tokens),
    )


async def _prompt(models: Models, instance: Instance, number: int, tokens: int) -> str:
    """About `tokens` tokens of words, different from the first on for each number."""
    count = len(_WORDS)
    words = (f"{_WORDS[(i * i + number) % count]} {1000 * number + i}" for i in range(tokens))
    listing = f"{number}: " + ", ".join(words)

    async def counted(text: str) -> Count:
        return await models.count(instance.ref, text)

    room = tokens - (await counted(_ENDING)).tokens
    cut = await truncate(counted, listing, max(1, room), "start")
    return cut.text + _ENDING


def _run(answer: Answer) -> Run:
    usage = answer.usage
    read = usage.prompt_tokens if usage else None
    return Run(
        ttft_ms=answer.ttft_ms,
        tokens_per_second=answer.tokens_per_second,
        prompt_tokens_per_second=_reading_speed(answer),
        prompt_tokens=read,
        completion_tokens=usage.completion_tokens if usage else None,
        elapsed_ms=answer.elapsed_ms or 0.0,
    )


def _reading_speed(answer: Answer) -> float | None:
    """Tokens of the prompt that were read, not taken from a cache, per second."""
    usage = answer.usage
    if usage is None or usage.prompt_tokens is None:
        return None
    read = usage.prompt_tokens - (usage.cached_tokens or 0)
    took_ms = usage.prompt_ms or answer.ttft_ms
    return 1000 * read / took_ms if took_ms and read > 0 else None


def _result(instance: Instance, runs: Sequence[Run], memory_bytes: int | None) -> Benchmark:
    spreads = {
        name: spread
        for name, values in (
            ("ttftMs", [run.ttft_ms for run in runs]),
            ("tokensPerSecond", [run.tokens_per_second for run in runs]),
            ("promptTokensPerSecond", [run.prompt_tokens_per_second for run in runs]),
        )
        if (spread := _spread(values))
    }
    medians = {name: spread.median for name, spread in spreads.items()}
    result = Benchmark(
        model=instance.model.id,
        backend=instance.name,
        ttft_ms=medians.get("ttftMs"),
        tokens_per_second=medians.get("tokensPerSecond"),
        prompt_tokens_per_second=medians.get("promptTokensPerSecond"),
        memory_bytes=memory_bytes if memory_bytes is not None else instance.model.size_bytes,
        memory_measured=memory_bytes is not None,
        spread=spreads,
        runs=tuple(runs),
    )
    return _drawn(result)


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = [value for value in values if value is not None]
    return Spread(statistics.median(known), min(known), max(known)) if known else None


def _drawn(result: Benchmark) -> Benchmark:
    return msgspec.structs.replace(result, table=table([result]), figure=figure([result]))


def table(results: Sequence[Benchmark]) -> tuple[dict[str, Any], ...]:
    """One row for each model: medians, and memory in bytes."""
    return tuple(
        {
            "model": result.model,
            "backend": result.backend,
            "ttftMs": result.ttft_ms,
            "tokensPerSecond": result.tokens_per_second,
            "promptTokensPerSecond": result.prompt_tokens_per_second,
            "memoryBytes": result.memory_bytes,
            "runs": len(result.runs),
        }
        for result in results
    )


def figure(results: Sequence[Benchmark]) -> dict[str, Any]:
    """Bars of the medians with whiskers from the least to the greatest, side by side."""
    return {
        "data": [
            _bars(results, "tokensPerSecond", "tokens per second", _BLUE, ""),
            _bars(results, "ttftMs", "ms to the first token", _VERMILLION, "2"),
        ],
        "layout": {
            "showlegend": False,
            "grid": {"rows": 1, "columns": 2, "pattern": "independent"},
            "yaxis": {"title": {"text": "tokens per second"}, "rangemode": "tozero"},
            "yaxis2": {"title": {"text": "ms to the first token"}, "rangemode": "tozero"},
        },
    }


def _bars(
    results: Sequence[Benchmark], key: str, name: str, colour: str, axis: str
) -> dict[str, Any]:
    drawn = [(result.model, result.spread[key]) for result in results if key in result.spread]
    return {
        "type": "bar",
        "name": name,
        "x": [model for model, _ in drawn],
        "y": [spread.median for _, spread in drawn],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [spread.high - spread.median for _, spread in drawn],
            "arrayminus": [spread.median - spread.low for _, spread in drawn],
        },
        "marker": {"color": colour},
        "xaxis": "x" + axis,
        "yaxis": "y" + axis,
    }
