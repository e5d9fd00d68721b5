"""Recommendations, and the reasons that stand behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from workbench.core.llm import LanguageModel
from workbench.core.llm_results import Advice, Benchmark, Comparison, Kind, Recommendation, Score
from workbench.errors import InputError
from workbench.llm.recommend import KINDS, recommend

GB = 10**9


def model(id_: str, gigabytes: float | None = 1, **more: object) -> LanguageModel:
    size = None if gigabytes is None else int(gigabytes * GB)
    return LanguageModel(id=id_, backend="one", size_bytes=size, **more)  # type: ignore[arg-type]


def benchmark(id_: str, rate: float, *, memory: int | None = None) -> Benchmark:
    return Benchmark(
        model=id_,
        backend="one",
        ttft_ms=100,
        tokens_per_second=rate,
        prompt_tokens_per_second=10 * rate,
        memory_bytes=memory,
        memory_measured=memory is not None,
    )


def comparison(*scores: Score) -> Comparison:
    return Comparison(answers=(), scores=scores)


def recommended(
    kind: Kind,
    models: Sequence[LanguageModel],
    benchmarks: Sequence[Benchmark] = (),
    comparisons: Sequence[Comparison] = (),
    memory: int | None = 16 * GB,
) -> Recommendation:
    return recommend(
        kind, models, benchmarks=benchmarks, comparisons=comparisons, memory_bytes=memory
    )


def sentences(advice: Advice) -> tuple[list[str], list[str]]:
    return [str(s) for s in advice.measured], [str(s) for s in advice.assumed]


def test_what_was_measured_and_what_is_assumed_stand_apart() -> None:
    result = recommended("chat", [model("a-7B", 4), model("b", 1)], [benchmark("a-7B", 30)])
    assert result.model == "a-7B@one"
    measured, assumed = sentences(result.advice[0])
    assert measured == [
        "it writes 30 tokens per second",
        "it reads 300 tokens of a prompt per second",
        "its first token comes after 100 ms",
    ]
    assert assumed == [
        "with 7B parameters it is assumed to answer better than smaller ones",
        "it takes 4.8 GB of 16.0 GB of memory",
    ]
    _, assumed = sentences(result.advice[1])
    assert "nothing is known of how well it answers: compare it with others" in assumed
    assert "its speed was not measured: run a benchmark" in assumed


def test_won_comparisons_outweigh_size() -> None:
    scores = Score(model="small-1B", wins=5), Score(model="large-70B@one", losses=5)
    models = [model("large-70B", 5), model("small-1B")]
    both = [benchmark("large-70B", 10), benchmark("small-1B", 10)]
    result = recommended("code", models, both, [comparison(*scores)])
    assert result.model == "small-1B@one"
    assert "it earned 5.0 of 5 points in comparisons" in sentences(result.advice[0])[0]
    assert recommended("code", models, both).model == "large-70B@one"


def test_what_does_not_fit_comes_last_with_its_numbers() -> None:
    result = recommended("chat", [model("huge-70B", 40), model("small-1B")])
    assert [one.fits for one in result.advice] == [True, False]
    assert result.advice[1].score == 0
    assert "it takes 48.0 GB of memory, and there are 16.0 GB" in sentences(result.advice[1])[1]
    assert recommended("chat", [model("huge-70B", 40)]).model is None


def test_measured_memory_beats_the_files_size() -> None:
    small = [benchmark("m", 10, memory=20 * GB)]
    result = recommended("chat", [model("m", 1)], small)
    assert result.advice[0].fits is False
    assert "it takes 20.0 GB of memory, and there are 16.0 GB" in sentences(result.advice[0])[0]


def test_whether_it_fits_is_not_claimed_where_nobody_knows() -> None:
    for models, memory in (([model("m", None)], 16 * GB), ([model("m")], None)):
        result = recommended("chat", models, memory=memory)
        assert result.advice[0].fits is None
        assert result.model == "m@one"


def test_a_fast_reader_is_wanted_for_summaries_and_a_fast_writer_for_chat() -> None:
    reader = Benchmark(
        model="reader",
        backend="one",
        ttft_ms=500,
        tokens_per_second=5,
        prompt_tokens_per_second=4000,
        memory_bytes=None,
        memory_measured=False,
    )
    writer = Benchmark(
        model="writer",
        backend="one",
        ttft_ms=100,
        tokens_per_second=60,
        prompt_tokens_per_second=100,
        memory_bytes=None,
        memory_measured=False,
    )
    models = [model("reader"), model("writer")]
    assert recommended("summarise", models, [reader, writer]).model == "reader@one"
    assert recommended("chat", models, [reader, writer]).model == "writer@one"


def test_only_models_that_embed_are_there_for_embedding() -> None:
    models = [model("chat-7B"), model("vectors", embedding=True)]
    assert recommended("embed", models).model == "vectors@one"
    assert recommended("chat", models).model == "chat-7B@one"
    assert recommended("embed", models[:1]).model is None


def test_a_name_that_speaks_of_code_is_an_assumption() -> None:
    result = recommended("code", [model("base-7B"), model("coder-7B")])
    assert result.model == "coder-7B@one"
    assert "a name that speaks of code" in sentences(result.advice[0])[1][0]


def test_an_unknown_kind_is_refused_with_those_there() -> None:
    with pytest.raises(InputError, match="kind is 'poetry'; allowed: chat, code, summarise"):
        recommended(cast(Kind, "poetry"), [])
    assert len(KINDS) == 5
