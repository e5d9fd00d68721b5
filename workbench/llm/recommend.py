"""Which model for which kind of task, and why: what was measured here, and what is assumed.

Pure: benchmarks, comparisons and the machine's memory are handed in. The score only orders;
each sentence says where it comes from. Quality is the share of comparisons won; a model that
was never compared is assumed to be the better the more parameters it has, which is weak.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from workbench.core.llm import LanguageModel
from workbench.core.llm_results import (
    Advice,
    Benchmark,
    Comparison,
    Kind,
    Recommendation,
)
from workbench.core.sentence import Sentence
from workbench.errors import InputError

KINDS: tuple[Kind, ...] = ("chat", "code", "summarise", "extract", "embed")
ROOM = 1.2
"""Memory that a model takes, by its file's size."""
LONG_CONTEXT = 16_384


class _Weights(NamedTuple):
    """What counts for a kind of task; each row adds up to 1."""

    quality: float
    writing: float
    reading: float
    waiting: float


_WEIGHTS: dict[Kind, _Weights] = {
    "chat": _Weights(0.5, 0.25, 0.05, 0.2),
    "code": _Weights(0.7, 0.2, 0.05, 0.05),
    "summarise": _Weights(0.45, 0.15, 0.4, 0.0),
    "extract": _Weights(0.45, 0.2, 0.35, 0.0),
    "embed": _Weights(0.3, 0.0, 0.7, 0.0),
}

# A measure of these earns half of its points: the pace of reading along, a prompt of a page
# in a second, a wait that is just felt.
_WRITING, _READING, _WAIT_MS = 10.0, 500.0, 1000.0
_UNMEASURED = 0.25


def recommend(
    kind: Kind,
    models: Sequence[LanguageModel],
    *,
    benchmarks: Sequence[Benchmark] = (),
    comparisons: Sequence[Comparison] = (),
    memory_bytes: int | None,
) -> Recommendation:
    """Models for a kind of task, best first; those that do not fit come last.

    `memory_bytes` is what a model may take; None where nobody knows. Raises InputError for an
    unknown kind.
    """
    if kind not in KINDS:
        raise InputError.field("kind", kind, ", ".join(KINDS))
    fitting = [
        model for model in models if model.embedding == (kind == "embed") and model.problem is None
    ]
    evidence = _Evidence(benchmarks, comparisons)
    advice = [_advice(kind, model, evidence, memory_bytes) for model in fitting]
    advice.sort(key=lambda one: (one.fits is False, -one.score, one.model))
    best = advice[0] if advice and advice[0].fits is not False else None
    return Recommendation(kind=kind, model=best.model if best else None, advice=tuple(advice))


class _Evidence:
    """What was measured, by model."""

    def __init__(self, benchmarks: Sequence[Benchmark], comparisons: Sequence[Comparison]) -> None:
        self._benchmarks = {(b.model, b.backend): b for b in benchmarks}
        self._points: dict[str, tuple[float, int]] = {}
        for comparison in comparisons:
            for score in comparison.scores:
                won, judged = self._points.get(score.model, (0.0, 0))
                count = score.wins + score.losses + score.ties
                self._points[score.model] = (won + score.wins + score.ties / 2, judged + count)

    def benchmark(self, model: LanguageModel) -> Benchmark | None:
        return self._benchmarks.get((model.id, model.backend))

    def won(self, model: LanguageModel) -> tuple[float, int]:
        """Points and judged pairs; names of comparisons may be pinned to a back end."""
        named = (self._points.get(name, (0.0, 0)) for name in (model.id, _ref(model)))
        points, judged = zip(*named, strict=True)
        return sum(points), sum(judged)


class _Part(NamedTuple):
    """One part of a score, with the sentence behind it."""

    points: float
    sentence: Sentence
    measured: bool


def _advice(
    kind: Kind, model: LanguageModel, evidence: _Evidence, memory_bytes: int | None
) -> Advice:
    weights = _WEIGHTS[kind]
    benchmark = evidence.benchmark(model)
    quality = _quality(kind, model, *evidence.won(model))
    score = weights.quality * quality.points
    parts = [quality]
    for weight, part in zip(weights[1:], _speeds(benchmark), strict=True):
        score += weight * (part.points if part else _UNMEASURED)
        if part and weight:
            parts.append(part)
    fits, memory = _memory(model, benchmark, memory_bytes)
    parts.append(memory)
    if benchmark is None:
        parts.append(_Part(0, Sentence("its speed was not measured: run a benchmark"), False))
    parts += _context(kind, model)
    return Advice(
        model=_ref(model),
        score=0.0 if fits is False else round(score, 4),
        fits=fits,
        measured=tuple(part.sentence for part in parts if part.measured),
        assumed=tuple(part.sentence for part in parts if not part.measured),
    )


def _ref(model: LanguageModel) -> str:
    return f"{model.id}@{model.backend}"


def _quality(kind: Kind, model: LanguageModel, points: float, judged: int) -> _Part:
    if judged:
        template = "it earned {points} of {judged} points in comparisons"
        values = {"points": points, "judged": judged}
        return _Part(points / judged, Sentence(template, values), True)
    suits = 0.1 if kind == "code" and re.search(r"cod(e|er|ing|estral)", model.id.lower()) else 0
    billions = _billions(model)
    if billions is None:
        sentence = Sentence("nothing is known of how well it answers: compare it with others")
        return _Part(0.2 + suits, sentence, False)
    size = min(0.6, math.log2(1 + billions) / 10)
    template = (
        "with {parameters} parameters and a name that speaks of code it is assumed to suit"
        if suits
        else "with {parameters} parameters it is assumed to answer better than smaller ones"
    )
    return _Part(size + suits, Sentence(template, {"parameters": f"{billions:g}B"}), False)


def _billions(model: LanguageModel) -> float | None:
    """Parameters in billions as the back end says, else as the name does."""
    for text in (model.parameters or "", model.id):
        if found := re.search(r"(?<![\d.A-Za-z])(\d+(?:\.\d+)?)\s*([BbMm])(?![A-Za-z])", text):
            return float(found[1]) * (1 if found[2] in "Bb" else 0.001)
    return None


def _speeds(benchmark: Benchmark | None) -> Iterator[_Part | None]:
    """Writing, reading and waiting: points from 0 to 1, half at the usual measure."""
    if benchmark is None:
        yield from (None, None, None)
        return
    written, read, wait = (
        benchmark.tokens_per_second,
        benchmark.prompt_tokens_per_second,
        benchmark.ttft_ms,
    )
    yield _speed(written, _WRITING, "it writes {rate} tokens per second")
    yield _speed(read, _READING, "it reads {rate} tokens of a prompt per second")
    if wait is None:
        yield None
    else:
        sentence = Sentence("its first token comes after {wait} ms", {"wait": round(wait)})
        yield _Part(_WAIT_MS / (_WAIT_MS + wait), sentence, True)


def _speed(rate: float | None, usual: float, template: str) -> _Part | None:
    if rate is None:
        return None
    return _Part(rate / (rate + usual), Sentence(template, {"rate": round(rate, 1)}), True)


def _memory(
    model: LanguageModel, benchmark: Benchmark | None, memory_bytes: int | None
) -> tuple[bool | None, _Part]:
    """Whether it fits, and how that is known. What was measured beats the file's size."""
    measured = benchmark is not None and benchmark.memory_measured
    taken = benchmark.memory_bytes if benchmark and measured else None
    if taken is None and model.size_bytes:
        taken = int(ROOM * model.size_bytes)
    if model.loaded:
        return True, _Part(0, Sentence("it is loaded"), True)
    if taken is None or memory_bytes is None:
        return None, _Part(0, Sentence("whether it fits into memory is not known"), False)
    values = {"taken": _gigabytes(taken), "memory": _gigabytes(memory_bytes)}
    if taken > memory_bytes:
        template = "it takes {taken} GB of memory, and there are {memory} GB"
        return False, _Part(0, Sentence(template, values), measured)
    return True, _Part(
        0, Sentence("it takes {taken} GB of {memory} GB of memory", values), measured
    )


def _gigabytes(count: int) -> float:
    return round(count / 1e9, 1)


def _context(kind: Kind, model: LanguageModel) -> Iterator[_Part]:
    if kind in ("summarise", "extract") and (model.context_size or 0) >= LONG_CONTEXT:
        values = {"context": model.context_size}
        yield _Part(0, Sentence("its context holds {context} tokens", values), True)
