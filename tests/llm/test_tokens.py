"""Counting tokens: exactly, or as an estimate that learns and says that it is one."""

from __future__ import annotations

import pytest

from tests.llm.scripted import Scripted, words
from workbench.core.llm import LanguageModel, ToolCall, Usage
from workbench.core.llm import Token as Piece
from workbench.errors import LinkError
from workbench.llm.router import Instance
from workbench.llm.tokens import MEMORY_TOKENS, Tokens, prior

PROSE = "The river runs past the old stone bridge, and nobody there remembers who built it. " * 5
CODE = "def f(x):\n    return {k: v[0] for (k, v) in x.items() if v[1] != None}\n" * 5


def instance(*, loaded: bool = True, backend: Scripted | None = None) -> Instance:
    return Instance(backend or Scripted(), LanguageModel(id="m", backend="one", loaded=loaded))


def test_the_prior_knows_prose_code_and_chinese_apart() -> None:
    assert len(PROSE) / prior(PROSE) == pytest.approx(4.0)
    assert len(CODE) / prior(CODE) == pytest.approx(3.0)
    assert len("模型回答问题" * 50) / prior("模型回答问题" * 50) == pytest.approx(1.4)
    assert prior("") == 0
    assert prior("日本語 and English") > prior("Japanese and English") * 0.9


async def test_a_loaded_model_counts_exactly_and_a_cold_one_is_estimated() -> None:
    tokens = Tokens()
    exact = await tokens.count(instance(), PROSE)
    assert (exact.tokens, exact.exact) == (words(PROSE), True)
    backend = Scripted()
    estimate = await tokens.count(instance(loaded=False, backend=backend), PROSE)
    assert not estimate.exact
    assert backend.counted == []


async def test_a_back_end_that_is_away_or_has_no_tokenizer_costs_only_exactness() -> None:
    def away(text: str) -> int:
        raise LinkError("gone")

    tokens = Tokens()
    for backend in (Scripted(tokenizer=away), Scripted(tokenizer=None)):
        assert not (await tokens.count(instance(backend=backend), PROSE)).exact


def test_learns_a_models_own_measure_and_keeps_it_apart_from_others() -> None:
    tokens = Tokens()
    for _ in range(10):
        tokens.learn("m", PROSE, words(PROSE))
    assert tokens.estimate("m", PROSE * 3) == pytest.approx(words(PROSE * 3), rel=0.02)
    assert tokens.factor("other") == 1.0


def test_one_short_answer_teaches_nothing() -> None:
    tokens = Tokens()
    tokens.learn("m", "Yes.", 2)
    assert tokens.factor("m") == 1.0


def test_old_evidence_fades_so_that_another_model_of_the_same_name_is_learnt() -> None:
    tokens, expected = Tokens(), prior(PROSE)
    for _ in range(3 * MEMORY_TOKENS // round(expected)):
        tokens.learn("m", PROSE, round(expected))
    for _ in range(3 * MEMORY_TOKENS // round(expected)):
        tokens.learn("m", PROSE, round(2 * expected))
    assert tokens.factor("m") == pytest.approx(2.0, rel=0.1)


def test_an_answer_that_calls_a_tool_teaches_nothing() -> None:
    tokens = Tokens()
    usage = Usage(completion_tokens=500)
    call = ToolCall(name="f", arguments="{}")
    tokens.hear(instance(), [Piece(text=PROSE), call, usage])
    assert tokens.factor("m") == 1.0
    tokens.hear(instance(), [Piece(text=PROSE), usage])
    assert tokens.factor("m") > 1.0
