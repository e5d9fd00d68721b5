"""The figures of `runegpt-v2`, as plain Plotly dictionaries without a theme of their own."""

from __future__ import annotations

from typing import Any

import pandas as pd

from workbench.runes.models.cypher_figures import COLOURS


def forecast(history: pd.Series, ahead: pd.DataFrame) -> dict[str, Any]:
    """Events as they were and as they are expected, with the interval around them."""
    times = [one.isoformat() for one in ahead.index]
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": "events",
            "x": [one.isoformat() for one in history.index],
            "y": history.tolist(),
            "line": {"color": COLOURS[0]},
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": "interval",
            "x": [*times, *times[::-1]],
            "y": [*ahead["high"].tolist(), *ahead["low"].tolist()[::-1]],
            "fill": "toself",
            "line": {"width": 0, "color": COLOURS[1]},
            "opacity": 0.4,
            "hoverinfo": "skip",
        },
        {
            "type": "scatter",
            "mode": "lines",
            "name": "forecast",
            "x": times,
            "y": ahead["mean"].tolist(),
            "line": {"color": COLOURS[1], "dash": "dash"},
        },
    ]
    if "scenario" in ahead:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "scenario",
                "x": times,
                "y": ahead["scenario"].tolist(),
                "line": {"color": COLOURS[2], "dash": "dot"},
            }
        )
    layout = {
        "title": {"text": "Events, and what is expected"},
        "xaxis": {"title": {"text": "time (UTC)"}},
        "yaxis": {"title": {"text": "events"}, "rangemode": "tozero"},
    }
    return {"data": traces, "layout": layout}


def kinds(counts: dict[str, Any]) -> dict[str, Any]:
    """How many events of each kind the batch holds."""
    bars = {
        "type": "bar",
        "name": "events",
        "x": list(counts),
        "y": list(counts.values()),
        "marker": {"color": COLOURS[0]},
    }
    layout = {
        "title": {"text": "What happened in the batch"},
        "xaxis": {"title": {"text": "event"}, "type": "category"},
        "yaxis": {"title": {"text": "events"}, "rangemode": "tozero"},
    }
    return {"data": [bars], "layout": layout}
