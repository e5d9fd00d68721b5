"""Metrics over time, as a notebook draws them: lines, a part of the figure for each unit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from workbench.core import markup
from workbench.core.figure import Figure
from workbench.core.metrics import CATALOGUE
from workbench.core.metrics_wire import History, Series

if TYPE_CHECKING:
    import pandas

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f")
"""Okabe and Ito's; after them the dash of the line tells series apart."""
DASHES = ("solid", "dash", "dot")


class MetricHistory:
    """Metrics over time. As the last line of a cell it is drawn as lines; `df()` holds them."""

    def __init__(self, value: History) -> None:
        self.value = value
        """As the hub gave it."""

    def df(self) -> pandas.DataFrame:
        """One row for each point: `at` (UTC), `metric`, `subject`, `mean`, `low`, `high`."""
        import pandas

        columns: dict[str, list[Any]] = {
            "at": [at for each in self.value.series for at in each.at],
            "metric": [each.metric for each in self.value.series for _ in each.at],
            "subject": [each.subject for each in self.value.series for _ in each.at],
        }
        for name in ("mean", "low", "high"):
            columns[name] = [one for each in self.value.series for one in getattr(each, name)]
        frame = pandas.DataFrame(columns)
        frame["at"] = pandas.to_datetime(frame["at"], unit="ms", utc=True)
        return frame

    @property
    def figure(self) -> Figure:
        """A line for each series, a part of the figure for each unit."""
        units = list(dict.fromkeys(unit_of(each.metric) for each in self.value.series))
        traces = [
            trace
            for number, each in enumerate(self.value.series)
            for trace in _traces(each, number, units.index(unit_of(each.metric)))
        ]
        return Figure({"data": traces, "layout": _layout(self.value, units)})

    def __len__(self) -> int:
        return sum(len(each.at) for each in self.value.series)

    def __repr__(self) -> str:
        many = f"{len(self.value.series)} series, {len(self):,} points"
        span = f"{utc(self.value.since):%Y-%m-%d %H:%M} to {utc(self.value.until):%H:%M} UTC"
        step_s = f"{self.value.step_ms / 1000:,.6g}"
        return f"MetricHistory({many} from {span}, {step_s} s apart, of {self.value.resolution})"

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if not len(self):
            note = f"nothing was measured: {self!r}"
            display({"text/html": markup.note(note), "text/plain": note}, raw=True)  # type: ignore[no-untyped-call]
            return
        display(self.figure)  # type: ignore[no-untyped-call]


def _traces(series: Series, number: int, part: int) -> list[dict[str, Any]]:
    """The line of a series, and behind it the band from its lowest to its highest."""
    axis = "y" if part == 0 else f"y{part + 1}"
    colour = COLOURS[number % len(COLOURS)]
    dash = DASHES[number // len(COLOURS) % len(DASHES)]
    at = [utc(each).strftime("%Y-%m-%d %H:%M:%S.%f") for each in series.at]
    name = " · ".join(filter(None, (_title(series.metric), series.subject)))
    line = {"color": colour, "dash": dash, "width": 1.5}
    drawn = {"type": "scatter", "mode": "lines", "x": at, "yaxis": axis, "legendgroup": name}
    mean = {**drawn, "y": series.mean, "name": name, "line": line}
    if series.low == series.high:
        return [mean]
    bare = {**drawn, "name": name, "showlegend": False, "hoverinfo": "skip", "line": {"width": 0}}
    low, high = {**bare, "y": series.low}, {**bare, "y": series.high}
    return [low, {**high, "fill": "tonexty", "fillcolor": f"{colour}33"}, mean]


def _layout(history: History, units: Sequence[str]) -> dict[str, Any]:
    """One below the other, a part for each unit; all share the axis of time."""
    share = 1 / max(1, len(units))
    layout: dict[str, Any] = {
        "title": {"text": ", ".join(dict.fromkeys(_title(e.metric) for e in history.series))},
        "xaxis": {"title": {"text": "UTC"}, "anchor": f"y{len(units)}" if len(units) > 1 else "y"},
        "hovermode": "x unified",
    }
    for number, unit in enumerate(units):
        top = 1 - number * share
        bottom = max(0.0, top - share * (0.85 if len(units) > 1 else 1))
        axis = {"title": {"text": unit}, "domain": [bottom, top], "automargin": True}
        layout["yaxis" if number == 0 else f"yaxis{number + 1}"] = axis
    return layout


def _title(metric: str) -> str:
    return CATALOGUE[metric].title if metric in CATALOGUE else metric


def unit_of(metric: str) -> str:
    """As people read it; empty for what has none."""
    return CATALOGUE[metric].unit if metric in CATALOGUE else ""


def utc(at_ms: int) -> datetime:
    """An instant of the wire."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
