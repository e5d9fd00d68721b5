"""The figures of `cypher-v1`, as plain Plotly dictionaries without a theme of their own."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
"""Okabe-Ito; the ones that keep 3:1 on white and on dark."""

SYMBOLS = ("circle", "square", "diamond", "cross", "x", "triangle-up", "star", "hexagon")
"""A shape beside each colour, because colour alone is no sign."""

PATTERNS = ("", "/", ".", "x")
"""The same for bars."""

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
                    "color": COLOURS[label % len(COLOURS)],
                    "symbol": SYMBOLS[label % len(SYMBOLS)],
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


def oddest(answer: pd.DataFrame) -> dict[str, Any]:
    """The runes with the highest anomaly scores, each score parted among its drivers."""
    top = answer.sort_values("anomaly_score", ascending=False, kind="stable").head(ODDEST)[::-1]
    shares = [{row["feature"]: row["weight"] for row in drivers} for drivers in top["drivers"]]
    weights = Counter[str]()
    for share in shares:
        weights.update(share)
    leading = [feature for feature, _ in weights.most_common(len(COLOURS) - 1)]
    parts = {feature: [share.get(feature, 0.0) for share in shares] for feature in leading}
    parts["other"] = [1.0 - sum(share.get(name, 0.0) for name in leading) for share in shares]
    return {
        "data": [
            {
                "type": "bar",
                "orientation": "h",
                "name": feature.replace("_", " "),  # as the page's catalogue has it
                "x": [round(w * s, 9) for w, s in zip(part, top["anomaly_score"], strict=True)],
                "y": _labels(top),
                "marker": {"color": colour, "pattern": {"shape": pattern}},
                "hovertemplate": "%{y}: %{x:.3f}",
            }
            for (feature, part), colour, pattern in zip(
                parts.items(), COLOURS, PATTERNS, strict=False
            )
        ],
        "layout": {
            "barmode": "stack",
            "title": {"text": "Oddest runes and what drives them"},
            "xaxis": {"title": {"text": "anomaly score"}, "range": [0, 1]},
            "yaxis": {"automargin": True, "type": "category"},
            "legend": {"title": {"text": "driver"}},
        },
    }


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
