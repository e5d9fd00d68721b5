"""A Plotly figure as plain data: drawn by Plotly's own renderer, else as a still picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from textwrap import wrap
from typing import Any

from workbench.core import markup
from workbench.core.figure_picture import picture
from workbench.core.figure_words import in_language
from workbench.core.sentence import spoken, told

PLOTLY = "application/vnd.plotly.v1+json"
SHOWN_POINTS = 20
TITLE_CHARS, AXIS_CHARS = 40, 24
"""In a line of a title, and of that of the axis below: what a phone has room for."""
_LINE = "rgba(128,128,128,0.3)"
_AXIS = {"automargin": True, "gridcolor": _LINE, "linecolor": _LINE, "zerolinecolor": _LINE}
DEFAULTS = {
    "layout": {
        "xaxis": _AXIS,
        "yaxis": {**_AXIS, "title": {"standoff": 10}},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": "#767676"},
        "colorway": ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"],
        "title": {"x": 0, "xref": "container", "pad": {"l": 8}, "font": {"size": 15}},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
        },
        "margin": {"l": 48, "r": 24, "t": 64, "b": 48},
        "modebar": {"orientation": "v"},
    }
}
"""Plotly's renderer knows neither a page's theme nor its width: nothing is painted behind, grey is
read on white and on black, an axis makes room for its long names, and the figure for its legend
below, which may have several lines; the buttons stand beside the title, not on it. The colours are
those of Okabe and Ito that keep 3:1 on both, then the lighter two."""

UNSHARED = {"showSendToCloud": False}
"""Plotly offers to upload what is drawn unless it is told not to: no data leaves by a press."""


class Figure(dict[str, Any]):
    """A Plotly figure as plain data; drawn by Plotly's own renderer, else as a still picture: a
    page that nbconvert wrote has no script of Plotly, and would fetch it. What is drawn is said in
    the language of this process, the figure itself stays as it is."""

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        said = in_language(self, spoken())
        layout = {"template": DEFAULTS, **_in_lines(said.get("layout") or {})}
        config = {**UNSHARED, **(said.get("config") or {})}
        plain = {**said, "layout": layout, "config": config}
        drawn = {PLOTLY: plain, "text/html": self._repr_html_()}
        return {**drawn, "text/plain": repr(self)}

    def _repr_html_(self) -> str:
        speech = spoken()
        said = Figure(in_language(self, speech))
        rows = [(*row,) for trace in said.get("data") or () for row in _points(trace)]
        caption = said.title or "figure"
        if len(rows) > SHOWN_POINTS:
            shown = {"shown": SHOWN_POINTS, "count": len(rows)}
            caption = speech.say(told("{title}: {shown} of {count} points", title=caption, **shown))
        table = markup.table((speech.say("trace"), "x", "y"), rows[:SHOWN_POINTS], caption)
        drawn = picture(said)
        if not drawn:
            return table
        return f"{drawn}<details><summary>{escape(caption)}</summary>{table}</details>"

    def __repr__(self) -> str:
        return f"Figure({self.title!r}, {len(self.get('data') or ())} traces)"

    @property
    def title(self) -> str:
        title = (self.get("layout") or {}).get("title") or ""
        return str(title.get("text") or "") if isinstance(title, dict) else str(title)


def _in_lines(layout: Mapping[str, Any]) -> dict[str, Any]:
    """A layout whose long titles have several lines: Plotly cuts off what the page is too narrow
    for."""
    axes = {
        name: _titled_in_lines(axis, AXIS_CHARS)
        for name, axis in layout.items()
        if name.startswith("xaxis") and isinstance(axis, Mapping)
    }
    return {**_titled_in_lines(layout, TITLE_CHARS), **axes}


def _titled_in_lines(part: Mapping[str, Any], most: int) -> dict[str, Any]:
    title = part.get("title")
    text = title.get("text") if isinstance(title, dict) else title
    if not isinstance(text, str) or "<" in text:
        return dict(part)
    lines = "<br>".join(wrap(text, most, break_on_hyphens=False))
    return {**part, "title": {**title, "text": lines} if isinstance(title, dict) else lines}


def _points(trace: Mapping[str, Any]) -> Iterator[tuple[Any, Any, Any]]:
    """The points of one trace, as far as they stand in plain lists."""
    kind = trace.get("name") or trace.get("type") or "trace"
    xs, ys = trace.get("x", trace.get("labels")), trace.get("y", trace.get("values"))
    xs = xs if isinstance(xs, list) else []
    ys = ys if isinstance(ys, list) else []
    for number in range(max(len(xs), len(ys))):
        x = xs[number] if number < len(xs) else None
        y = ys[number] if number < len(ys) else None
        yield kind, x, y
