"""The figures of `cypher-v1`, as plain Plotly dictionaries without a theme of their own."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Okabe-Ito; the ones that keep 3:1 on white and on dark."""

MANY = (
    *(*COLOURS, "#56B4E9", "#E69F00", "#7B5EA7", "#A0522D", "#00808A"),
    *("#D81B60", "#7A9A01", "#5C6BC0", "#808080"),
)
"""Where four are too few: Okabe-Ito, then what is told from them on white and on dark. Their number
has no divisor in common with that of the symbols: a pair of both comes again after 104."""

SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon")
"""A shape beside each colour, because colour alone is no sign."""

DRIVERS = ("strongest driver", "second driver", "third driver")
"""The parts of a bar, each with the name of its feature in it."""

ODDEST = 15


def rune_map(answer: pd.DataFrame, axes: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Every rune as a point, near those that it is like."""
    labels = answer["cluster"].to_numpy()
    traces = []
    for label in sorted(set(labels.tolist())):
        rows = labels == label
        traces.append(
            {
                "type": "scattergl",
                "mode": "markers",
                "name": "noise" if label < 0 else str(label),
                "x": axes[rows, 0].tolist(),
                "y": axes[rows, 1].tolist(),
                "text": _labels(answer[rows]),
                "hovertemplate": "%{text}<extra></extra>",
                "marker": {
                    "size": 6,
                    "opacity": 0.75,
                    **_mark(label),
                },
            }
        )
    return {
        "data": traces,
        "layout": {
            "title": {"text": "Runes by likeness"},
            "xaxis": {"title": {"text": "first component"}, "zeroline": False},
            "yaxis": {"title": {"text": "second component"}, "zeroline": False},
            "legend": {"title": {"text": "cluster"}},
        },
    }


def _mark(label: int) -> dict[str, str]:
    """The sign of a cluster; noise is grey and hollow, as no cluster is."""
    if label < 0:
        return {"color": "#808080", "symbol": "circle-open"}
    return {"color": MANY[label % len(MANY)], "symbol": SYMBOLS[label % len(SYMBOLS)]}


def oddest(answer: pd.DataFrame) -> dict[str, Any]:
    """The runes with the highest anomaly scores, each parted among the drivers that are named.

    They carry about half of a score; the rest is spread thin over all other features.
    """
    top = answer.sort_values("anomaly_score", ascending=False, kind="stable").head(ODDEST)[::-1]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "name": name,
                **_parts(top, place),
                "y": _labels(top),
                "marker": {"color": colour},
                "textposition": "inside",
                "insidetextanchor": "middle",
                "textangle": 0,
                "hovertemplate": "%{y}: %{text} (%{customdata:.0%})<extra></extra>",
            }
            for place, (name, colour) in enumerate(zip(DRIVERS, COLOURS, strict=False))
        ],
        "layout": {
            "barmode": "stack",
            "height": 120 + 26 * len(top),  # pixels: room for a name in each bar
            "legend": {"traceorder": "normal"},  # of a stack it would be turned round
            "uniformtext": {"minsize": 9, "mode": "hide"},
            "title": {"text": "Oddest runes and what drives them"},
            "xaxis": {"title": {"text": "anomaly score"}, "range": [0, 1]},
            "yaxis": {"automargin": True, "type": "category"},
        },
    }


def _parts(top: pd.DataFrame, place: int) -> dict[str, list[Any]]:
    """What the driver at a place adds to each rune's bar, its name, and its share of the score."""
    parts: dict[str, list[Any]] = {"x": [], "text": [], "customdata": []}
    for score, drivers in zip(top["anomaly_score"], top["drivers"], strict=True):
        none: dict[str, Any] = {"feature": "", "weight": 0.0}
        driver = drivers[place] if place < len(drivers) else none
        named = sum(one["weight"] for one in drivers) or 1.0
        parts["x"].append(round(score * driver["weight"] / named, 9))
        parts["text"].append(words(driver["feature"]))
        parts["customdata"].append(driver["weight"])
    return parts


def words(feature: str) -> str:
    """A feature as the page's catalogue has it: "mint fee (sat)"."""
    return re.sub(r" (sat|bits|bytes|log10)$", r" (\1)", feature.replace("_", " "))


def sizes(clusters: list[dict[str, Any]]) -> dict[str, Any]:
    """How many runes each cluster has."""
    return {
        "data": [
            {
                "type": "bar",
                "name": "runes",
                "x": [str(row["id"]) for row in clusters],
                "y": [row["size"] for row in clusters],
                "marker": {"color": COLOURS[0]},
            }
        ],
        "layout": {
            "title": {"text": "Cluster sizes"},
            "xaxis": {"title": {"text": "cluster"}, "type": "category"},
            "yaxis": {"title": {"text": "runes"}, "rangemode": "tozero"},
        },
    }


def _labels(answer: pd.DataFrame) -> list[str]:
    named = answer["name"].where(answer["name"].notna(), answer.index.to_series())
    return [str(name) for name in named]
