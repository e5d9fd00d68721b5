"""The figures of `rune-classifier`, as plain Plotly dictionaries without a theme of their own."""

from __future__ import annotations

from typing import Any

import pandas as pd

from workbench.runes.models.cypher_figures import COLOURS, MANY, SYMBOLS

DASHES = ("solid", "dash", "dot")
"""Where a reader's own categories are more than the colours."""


def sizes(counts: dict[str, int]) -> dict[str, Any]:
    """How many runes each category has, the largest on top."""
    ordered = sorted(counts.items(), key=lambda pair: pair[1])
    bars = {
        "type": "bar",
        "orientation": "h",
        "name": "runes",
        "x": [count for _, count in ordered],
        "y": [name for name, _ in ordered],
        "marker": {"color": COLOURS[0]},
    }
    layout = {
        "meta": {"words": "y"},
        "title": {"text": "Runes by category"},
        "xaxis": {"title": {"text": "runes"}, "rangemode": "tozero"},
        "yaxis": {"automargin": True, "type": "category"},
    }
    return {"data": [bars], "layout": layout}


def trends(activity: pd.DataFrame) -> dict[str, Any]:
    """The events of each category over the blocks."""
    lines = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": str(name),
            "x": activity.index.tolist(),
            "y": activity[name].tolist(),
            "line": {
                "color": MANY[place % len(MANY)],
                "dash": DASHES[place // len(MANY) % len(DASHES)],
            },
            "marker": {"symbol": SYMBOLS[place % len(SYMBOLS)]},
        }
        for place, name in enumerate(activity)
    ]
    layout = {
        "title": {"text": "Activity of each category"},
        "xaxis": {"title": {"text": "height"}, "tickformat": "d"},
        "yaxis": {"title": {"text": "events"}, "rangemode": "tozero"},
    }
    return {"data": lines, "layout": layout}
