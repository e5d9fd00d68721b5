"""What figures of questions share: bars, axes of whole numbers, words that a page translates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import msgspec

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence

Axis = Literal["x", "y"]
FEW = 6
"""Whole numbers so far apart are all ticked: by itself Plotly would tick halves too."""


def titled(template: str, *, words: Axis | None = None, **values: Any) -> dict[str, Any]:
    """The part of a layout that is a title with values in it. What says it in another language
    goes along in `meta`, which Plotly carries and does not draw; `words` as `in_words` has it."""
    title = Sentence(template, values)
    meta = {**in_words(words)["meta"], "title": msgspec.to_builtins(title)}
    return {"title": {"text": str(title)}, "meta": meta}


def in_words(axis: Axis | None) -> dict[str, Any]:
    """The part of a layout that says: the names along this axis are words of ours, not data."""
    return {"meta": {"words": axis} if axis else {}}


def whole_axis(title: str, values: Iterable[int], form: str = "d", **more: Any) -> dict[str, Any]:
    """An axis of whole numbers, none between them ticked: heights; or counts, by `form=",d"`."""
    known = [*values]
    few = bool(known) and max(known) - min(known) < FEW
    ticks = {"tickformat": form, **({"dtick": 1} if few else {})}
    return {"title": {"text": title}, **ticks, **more}


def bars(title: str, shown: Sequence[tuple[str, float]], axes: tuple[str, str]) -> Figure:
    """One bar for each name, a word of ours; `axes` are what is across and what is up."""
    across, up = axes
    return Figure(
        data=[{"type": "bar", "name": up, "x": [x for x, _ in shown], "y": [y for _, y in shown]}],
        layout={
            **in_words("x"),
            "title": {"text": title},
            "xaxis": {"title": {"text": across}, "type": "category"},
            "yaxis": {"title": {"text": up}, "rangemode": "tozero"},
        },
    )
