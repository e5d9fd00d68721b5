"""The figures of `neuro-embed`, as plain Plotly dictionaries without a theme of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from workbench.runes.models.cypher_clusters import Matrix
from workbench.runes.models.cypher_figures import COLOURS


def vector_map(labels: Sequence[str], axes: Matrix) -> dict[str, Any]:
    """Every rune as a point, near those whose vectors are alike."""
    points = {
        "type": "scattergl",
        "mode": "markers",
        "name": "runes",
        "x": axes[:, 0].tolist(),
        "y": axes[:, 1].tolist(),
        "text": list(labels),
        "hovertemplate": "%{text}<extra></extra>",
        "marker": {"size": 6, "opacity": 0.75, "color": COLOURS[0]},
    }
    layout = {
        "title": {"text": "Runes by their vectors"},
        "xaxis": {"title": {"text": "first component"}, "zeroline": False},
        "yaxis": {"title": {"text": "second component"}, "zeroline": False},
    }
    return {"data": [points], "layout": layout}


def kept_share(kept: Matrix) -> dict[str, Any]:
    """How much of what tells the runes apart the first dimensions keep, in percent."""
    line = {
        "type": "scatter",
        "mode": "lines",
        "name": "kept",
        "x": list(range(1, len(kept) + 1)),
        "y": (100 * np.cumsum(kept)).round(3).tolist(),
        "line": {"color": COLOURS[0]},
    }
    layout = {
        "title": {"text": "What the dimensions keep"},
        "xaxis": {"title": {"text": "dimensions"}},
        "yaxis": {"title": {"text": "percent"}, "range": [0, 101]},
    }
    return {"data": [line], "layout": layout}
