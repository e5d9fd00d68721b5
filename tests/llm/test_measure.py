"""Benchmarks: what is measured, what is left out, how it is drawn."""

from __future__ import annotations

import contextlib

import pytest

from tests.llm.scripted import Script, Scripted, Ticking, said
from workbench.core.llm import ChatRequest, Done, LanguageModel, Token, Usage
from workbench.core.llm_results import Benchmark, Progress, Run, Spread
from workbench.errors import InputError, LinkError
from workbench.llm import measure
from workbench.llm.service import Service

MODEL = LanguageModel(id="m", backend="one", loaded=True, size_bytes=700, context_size=4096)


def timed(clock: Ticking, wait_s: float) -> Script:
    """Steps that take their time on the clock as they are said."""

    class Slow(tuple[Token, ...]):
        def __iter__(self):  # type: ignore[no-untyped-def]
            clock.now += wait_s
            yield Token(text="a")
            for _ in range(10):
                clock.now += 0.1
                yield Token(text="a")
            yield Usage(prompt_tokens=200, completion_tokens=11, prompt_ms=500.0)
            yield Done()

    return Slow()


async def test_measures_medians_over_runs_without_the_first() -> None:
    clock = Ticking()
    waits = iter([60.0, 0.3, 0.1, 0.2])
    backend = Scripted("one", [MODEL], answer=lambda _: timed(clock, next(waits)))
    subject = Service(own=[backend], clock=clock)
    steps = [step async for step in subject.benchmark("m", runs=3)]
    result = steps[-1]
    assert isinstance(result, Benchmark)
    assert result.ttft_ms == pytest.approx(200.0)
    assert result.spread["ttftMs"].low == pytest.approx(100)
    assert result.spread["ttftMs"].high == pytest.approx(300)
    assert result.tokens_per_second == pytest.approx(10.0)
    assert result.prompt_tokens_per_second == pytest.approx(400.0)
    assert (result.memory_bytes, result.memory_measured) == (700, False)
    shares = [s.done / s.total for s in steps if isinstance(s, Progress)]
    assert shares == [0, 0.25, 0.5, 0.75, 1]


async def test_each_run_reads_a_prompt_of_its_own_from_its_first_word_on() -> None:
    backend = Scripted("one", [MODEL], answer=lambda _: said("a b c"))
    async for _ in Service(own=[backend]).benchmark("m", runs=3, prompt_tokens=128):
        pass
    prompts = [request.turns[0].content for request in backend.requests]
    assert len({prompt[:2] for prompt in prompts}) == 4
    lengths = [backend.tokenizer(prompt) for prompt in prompts if backend.tokenizer]
    assert all(96 <= length <= 128 for length in lengths)


async def test_a_figure_of_memory_that_was_measured_is_taken() -> None:
    backend = Scripted("one", [MODEL], answer=lambda _: said("a b c"))
    steps = [s async for s in Service(own=[backend]).benchmark("m", runs=1, memory_bytes=900)]
    result = steps[-1]
    assert isinstance(result, Benchmark)
    assert (result.memory_bytes, result.memory_measured) == (900, True)
    assert result.table[0]["memoryBytes"] == 900


async def test_a_prompt_from_the_cache_is_no_measure_of_reading() -> None:
    usage = Usage(prompt_tokens=100, cached_tokens=100, completion_tokens=2)
    script: Script = (Token(text="a"), Token(text="b"), usage, Done())
    backend = Scripted("one", [MODEL], answer=lambda _: script)
    steps = [s async for s in Service(own=[backend]).benchmark("m", runs=1)]
    assert isinstance(steps[-1], Benchmark)
    assert steps[-1].prompt_tokens_per_second is None


async def test_stops_when_it_is_closed_and_raises_what_an_answer_raises() -> None:
    backend = Scripted("one", [MODEL])
    subject = Service(own=[backend])
    async with contextlib.aclosing(subject.benchmark("m")) as steps:
        await anext(steps)
    assert backend.in_flight == 0

    def broken(request: ChatRequest) -> Script:
        return (LinkError("gone"),)

    backend.answer = broken
    with pytest.raises(LinkError, match="gone"):
        async for _ in subject.benchmark("m"):
            pass
    with pytest.raises(InputError, match="runs is 0; allowed: 1 to 50"):
        async for _ in subject.benchmark("m", runs=0):
            pass


def test_the_figure_shows_medians_with_their_spread_for_several_models() -> None:
    run = Run(
        ttft_ms=1,
        tokens_per_second=None,
        prompt_tokens_per_second=None,
        prompt_tokens=None,
        completion_tokens=None,
        elapsed_ms=1,
    )
    results = [
        Benchmark(
            model=name,
            backend="one",
            ttft_ms=20,
            tokens_per_second=5,
            prompt_tokens_per_second=None,
            memory_bytes=None,
            memory_measured=False,
            spread={"ttftMs": Spread(20, 10, 40), "tokensPerSecond": Spread(5, 4, 7)},
            runs=(run,),
        )
        for name in ("a", "b")
    ]
    figure = measure.figure(results)
    speed, wait = figure["data"]
    assert (speed["x"], speed["y"]) == (["a", "b"], [5, 5])
    assert (wait["error_y"]["array"], wait["error_y"]["arrayminus"]) == ([20, 20], [10, 10])
    assert [row["model"] for row in measure.table(results)] == ["a", "b"]
