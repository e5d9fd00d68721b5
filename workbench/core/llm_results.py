"""What the service of language models answers with: lists, counts, measurements, verdicts."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from workbench.core.llm import Finish, Health, LanguageModel, ToolCall, Usage
from workbench.core.sentence import Sentence
from workbench.errors import WorkbenchError

BreakerState = Literal["closed", "open", "half-open"]
Kind = Literal["chat", "code", "summarise", "extract", "embed"]
"""The kinds of task for which a model is recommended."""


class Failure(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An error as a result carries it."""

    code: str
    template: str
    values: dict[str, Any] = {}
    message: str = ""

    @classmethod
    def of(cls, error: WorkbenchError) -> Failure:
        return cls(
            code=error.code, template=error.template, values=error.values, message=str(error)
        )


class BackendState(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A back end as the service sees it now."""

    name: str
    kind: str
    url: str
    health: Health
    parallel: int
    in_flight: int
    breaker: BreakerState


class Listing(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Every model of every back end that answers. Back ends that do not are in `backends`."""

    models: tuple[LanguageModel, ...]
    backends: tuple[BackendState, ...]
    current: str | None
    """The model that answers where none is named, as `id@backend`."""
    age_s: float


class Progress(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="progress"):
    """Finished work over all work, in calls of a model; a sentence about the last step."""

    done: float
    total: float
    template: str = ""
    values: dict[str, Any] = {}


class Attempt(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="attempt"):
    """One try, and why it was not the last: nothing is tried again in silence."""

    model: str
    ok: bool
    number: int = 1
    backend: str = ""
    text: str = ""
    failures: tuple[Sentence, ...] = ()
    """The checks that the text failed."""
    error: Failure | None = None


class Count(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many tokens a text has."""

    tokens: int
    exact: bool
    """By the model's own tokenizer; else an estimate from characters."""
    model: str | None = None


class Truncated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A text cut to a number of tokens."""

    text: str
    count: Count
    cut: bool


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One whole answer, and what it took. Unknown is None."""

    text: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    usage: Usage | None = None
    finish: Finish = "stop"
    model: str | None = None
    backend: str | None = None
    elapsed_ms: float | None = None
    ttft_ms: float | None = None
    tokens_per_second: float | None = None


class Processed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What came of a long text that was worked through in parts."""

    text: str
    parts: int
    calls: int
    rounds: int
    """How often partial results were put together: 0 where the whole text fitted."""
    model: str | None = None


class Spread(msgspec.Struct, frozen=True, rename="camel"):
    """The median of several runs, and the least and the greatest."""

    median: float
    low: float
    high: float


class Run(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One run of a benchmark."""

    ttft_ms: float | None
    tokens_per_second: float | None
    prompt_tokens_per_second: float | None
    prompt_tokens: int | None
    completion_tokens: int | None
    elapsed_ms: float


class Benchmark(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How fast a model is here. The three figures are medians over the runs."""

    model: str
    backend: str
    ttft_ms: float | None
    tokens_per_second: float | None
    prompt_tokens_per_second: float | None
    memory_bytes: int | None
    memory_measured: bool
    """Measured while it ran; else the size of its file, which is a lower bound."""
    spread: dict[str, Spread] = {}
    runs: tuple[Run, ...] = ()
    table: tuple[dict[str, Any], ...] = ()
    figure: dict[str, Any] = {}


class Compared(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one of the compared models answered, or why it did not."""

    model: str
    answer: Answer | None = None
    error: Failure | None = None


class Verdict(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What the judge said of two answers, seen in both orders without the models' names."""

    first: str
    second: str
    winner: str | None
    """None: a tie, or the judge changed its mind with the order, or could not judge."""
    consistent: bool
    """Both orders led to the same verdict."""
    reasons: tuple[str, ...] = ()
    error: Failure | None = None


class Score(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A model's place among the compared."""

    model: str
    wins: int = 0
    losses: int = 0
    ties: int = 0


class Comparison(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The same request, answered by several models."""

    answers: tuple[Compared, ...]
    judge: str | None = None
    judge_takes_part: bool = False
    """The judge is one of the compared: such a one tends to favour itself."""
    verdicts: tuple[Verdict, ...] = ()
    scores: tuple[Score, ...] = ()
    """Best first; empty without a judge."""
    tie: bool = False
    """No single model came first."""
    table: tuple[dict[str, Any], ...] = ()
    figure: dict[str, Any] = {}


class Generated(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An answer that passed its checks, and every attempt that led to it."""

    answer: Answer
    attempts: tuple[Attempt, ...]


class Advice(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Why a model is, or is not, the one for a kind of task."""

    model: str
    score: float
    """0 to 1, only for ordering."""
    fits: bool | None
    """In this machine's memory; None where its size is not known."""
    measured: tuple[Sentence, ...] = ()
    assumed: tuple[Sentence, ...] = ()


class Recommendation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Models for a kind of task, best first; `model` is None where none fits."""

    kind: Kind
    model: str | None
    advice: tuple[Advice, ...]
