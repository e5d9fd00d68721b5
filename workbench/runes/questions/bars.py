"""Bars of a few named numbers, as two questions draw them."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.core.figure import Figure


def bars(title: str, shown: Sequence[tuple[str, float]], axes: tuple[str, str]) -> Figure:
    """One bar for each name; `axes` are what is across and what is up."""
    across, up = axes
    return Figure(
        data=[{"type": "bar", "name": up, "x": [x for x, _ in shown], "y": [y for _, y in shown]}],
        layout={
            "title": {"text": title},
            "xaxis": {"title": {"text": across}, "type": "category"},
            "yaxis": {"title": {"text": up}, "rangemode": "tozero"},
        },
    )
