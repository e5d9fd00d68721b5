"""What a reader sees of a figure, once Plotly has taken every attribute and value of it."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects


def titles(figure: Any) -> tuple[str, ...]:
    """Of the figure, then of its axes in their order, then what the legend names.

    Raises ValueError for what Plotly does not know.
    """
    plotly.graph_objects.Figure(figure)
    layout, traces = figure["layout"], figure["data"]
    axes = [layout[name] for name in sorted(layout) if name[1:].startswith("axis")]
    titled = [one["title"]["text"] for one in (layout, *axes) if "title" in one]
    assert all(trace["type"] in ("bar", "scatter") for trace in traces)
    return (*titled, *(trace["name"] for trace in traces))
