"""A comparison as rows, and as a figure (a plain Plotly dictionary)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.core.llm_results import Compared, Score

_BLUE, _VERMILLION = "#0072B2", "#D55E00"


def table(compared: Sequence[Compared], scores: Sequence[Score]) -> tuple[dict[str, Any], ...]:
    """One row for each model, in the order in which they were asked for."""
    by_model = {score.model: score for score in scores}
    return tuple(_row(one, by_model.get(one.model)) for one in compared)


def _row(one: Compared, score: Score | None) -> dict[str, Any]:
    answer = one.answer
    return {
        "model": one.model,
        "backend": answer.backend if answer else None,
        "ttftMs": answer.ttft_ms if answer else None,
        "tokensPerSecond": answer.tokens_per_second if answer else None,
        "elapsedMs": answer.elapsed_ms if answer else None,
        "characters": len(answer.text) if answer else None,
        "wins": score.wins if score else None,
        "losses": score.losses if score else None,
        "ties": score.ties if score else None,
        "error": one.error.message if one.error else None,
    }


def figure(compared: Sequence[Compared]) -> dict[str, Any]:
    """Speed and the wait for the first token, side by side; only of models that answered."""
    answers = [(one.model, one.answer) for one in compared if one.answer]
    names = [name for name, _ in answers]
    speeds = [answer.tokens_per_second for _, answer in answers]
    waits = [answer.ttft_ms for _, answer in answers]
    return {
        "data": [
            _bars("tokens per second", names, speeds, _BLUE, ""),
            _bars("ms to the first token", names, waits, _VERMILLION, "2"),
        ],
        "layout": {
            "showlegend": False,
            "grid": {"rows": 1, "columns": 2, "pattern": "independent"},
            "yaxis": {"title": {"text": "tokens per second"}, "rangemode": "tozero"},
            "yaxis2": {"title": {"text": "ms to the first token"}, "rangemode": "tozero"},
        },
    }


def _bars(
    name: str, x: list[str], y: Sequence[float | None], colour: str, axis: str
) -> dict[str, Any]:
    return {
        "type": "bar",
        "name": name,
        "x": x,
        "y": list(y),
        "marker": {"color": colour},
        "xaxis": "x" + axis,
        "yaxis": "y" + axis,
    }
