"""A figure as a still picture in SVG: for a page that has no renderer of Plotly.

Such as one that nbconvert wrote. Of bars, lines and points, which is what our questions draw; of
any other figure there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from workbench.core.sentence import spoken

WIDTH, HEIGHT = 760, 400
MOST_POINTS = 2_000
LABELS = 16
"""Names along an axis that are written out; of more, every n-th."""
LABEL_CHARS = 26
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_DASHES = {"dash": "7 4", "dot": "2 4", "dashdot": "7 4 2 4"}
_GRID = 'stroke="#808080" stroke-opacity="0.3"'

Scale = Callable[[float], float]
Point = tuple[Any, float]


@dataclass(frozen=True)
class _Trace:
    name: str
    bar: bool
    second: bool
    """Whether it has the value axis on the right."""
    points: list[Point]
    """Where along the axis of names, and its value."""
    look: Mapping[str, Any]


def picture(figure: Mapping[str, Any]) -> str:
    """The SVG; empty where the figure is of another kind, or has nothing to show."""
    flat = any(one.get("orientation") == "h" for one in figure.get("data") or ())
    traces = [_trace(one, flat) for one in figure.get("data") or ()]
    known = [one for one in traces if one is not None]
    count = sum(len(one.points) for one in known)
    if len(known) < len(traces) or not 0 < count <= MOST_POINTS:
        return ""
    return _Drawing(known, figure.get("layout") or {}, flat).svg()


def _trace(given: Mapping[str, Any], flat: bool) -> _Trace | None:
    along, values = (given.get("y"), given.get("x")) if flat else (given.get("x"), given.get("y"))
    right = isinstance(along, list) and isinstance(values, list)
    if given.get("type") not in ("bar", "scatter", "scattergl") or not right:
        return None
    points = [
        (at, float(value))
        for at, value in zip(along or (), values or (), strict=False)
        if isinstance(value, int | float) and math.isfinite(value) and at is not None
    ]
    second = given.get("yaxis") == "y2"
    return _Trace(str(given.get("name") or ""), given["type"] == "bar", second, points, given)


class _Drawing:
    """One figure on its way into SVG; `flat` says that its bars lie."""

    def __init__(self, traces: Sequence[_Trace], layout: Mapping[str, Any], flat: bool) -> None:
        self._traces, self._layout, self._flat = traces, layout, flat
        names = list(dict.fromkeys(at for one in traces for at, _ in one.points))
        self._named = any(isinstance(at, str) for at in names) or _type(layout, flat) == "category"
        self._places = {at: number for number, at in enumerate(names)} if self._named else {}
        self._names = names
        widest = max((_width(_short(at)) for at in names), default=0.0) if self._named else 0.0
        self._turned = self._named and not flat and widest * len(names[:LABELS]) > 660
        self._height: float = max(HEIGHT, 22 * len(names) + 150) if flat else HEIGHT
        self._left = 14 + widest if flat else 72
        self._right = WIDTH - (76 if any(one.second for one in traces) else 20)
        self._top = 66 if len(traces) > 1 else 44
        self._bottom = self._height - (50 + 0.62 * widest if self._turned else 54)

    def svg(self) -> str:
        title = _text_of(self._layout.get("title"))
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self._height:.0f}"'
            f' role="img" aria-label="{escape(title, quote=True)}" style="max-width:100%;'
            f'width:{WIDTH}px;height:auto" font-family="sans-serif" font-size="12"'
            ' fill="currentColor">',
            f'<text x="{self._left:.0f}" y="20" font-size="15">{escape(title)}</text>',
            *self._legend(),
            *self._along_axis(),
            *self._value_axis(second=False),
            *self._value_axis(second=True),
            *self._bars(),
            *self._lines(),
        ]
        return "".join([*parts, "</svg>"])

    # Scales

    def _along(self) -> Scale:
        low, high = self._ends()
        start, end = (self._bottom, self._top) if self._flat else (self._left, self._right)
        axis = self._layout.get("yaxis" if self._flat else "xaxis") or {}
        if axis.get("autorange") == "reversed":
            start, end = end, start
        return lambda at: start + (end - start) * (at - low) / ((high - low) or 1)

    def _ends(self) -> tuple[float, float]:
        if self._named:
            return -0.5, len(self._names) - 0.5
        half = self._step() / 2 if any(one.bar for one in self._traces) else 0
        return min(self._names) - half, max(self._names) + half

    def _step(self) -> float:
        """How far apart neighbours are."""
        if self._named or len(self._names) < 2:
            return 1.0
        places = sorted(self._names)
        return float(min(b - a for a, b in pairwise(places)))

    def _place(self, at: Any) -> float:
        return self._places[at] if self._named else at

    def _ticks(self, second: bool) -> list[float]:
        stacked = self._layout.get("barmode") == "stack"
        sums: dict[Any, float] = {}
        values = [0.0] if any(one.bar for one in self._traces if one.second == second) else []
        for one in self._traces:
            for at, value in one.points if one.second == second else ():
                sums[at] = sums.get(at, 0.0) + value
                values.append(sums[at] if stacked and one.bar else value)
        said = _format(self._layout, self._axis(second))
        return _ticks(min(values), max(values), said) if values else []

    def _axis(self, second: bool) -> str:
        """The name of the axis of values."""
        return "xaxis" if self._flat else "yaxis2" if second else "yaxis"

    def _value(self, second: bool) -> Scale:
        ticks = self._ticks(second)
        low, high = ticks[0], ticks[-1]
        start, end = (self._left, self._right) if self._flat else (self._bottom, self._top)
        return lambda value: start + (end - start) * (value - low) / ((high - low) or 1)

    # Parts

    def _legend(self) -> list[str]:
        if len(self._traces) < 2:
            return []
        parts, x = [], self._left
        for number, one in enumerate(self._traces):
            parts.append(f'<rect x="{x:.0f}" y="36" width="11" height="11" {_fill(number)}/>')
            parts.append(f'<text x="{x + 16:.0f}" y="46">{escape(one.name)}</text>')
            x += 34 + _width(one.name)
        return parts

    def _along_axis(self) -> list[str]:
        scale = self._along()
        if self._named:
            every = 1 if self._flat else -(-len(self._names) // LABELS)
            ticks = [(float(self._places[at]), _short(at)) for at in self._names[::every]]
        else:
            low, high = self._ends()
            said = _format(self._layout, "xaxis")
            inside = [at for at in _ticks(low, high, said) if low <= at <= high]
            ticks = [(at, _number(at, said)) for at in inside]
        parts = [self._along_label(scale(at), said) for at, said in ticks]
        axis = self._layout.get("yaxis" if self._flat else "xaxis") or {}
        said = escape(_text_of(axis.get("title")))
        if said and not self._flat:
            middle = (self._left + self._right) / 2
            y = self._height - 8
            parts.append(f'<text x="{middle:.0f}" y="{y:.0f}" text-anchor="middle">{said}</text>')
        return parts

    def _along_label(self, at: float, said: str) -> str:
        said = escape(said)
        if self._flat:
            return (
                f'<text x="{self._left - 6:.0f}" y="{at + 4:.1f}" text-anchor="end">{said}</text>'
            )
        y = self._bottom + 16
        if self._turned:
            turn = f'transform="rotate(-35 {at:.1f} {y:.1f})"'
            return f'<text x="{at:.1f}" y="{y:.1f}" text-anchor="end" {turn}>{said}</text>'
        return f'<text x="{at:.1f}" y="{y:.1f}" text-anchor="middle">{said}</text>'

    def _value_axis(self, *, second: bool) -> list[str]:
        name, ticks = self._axis(second), self._ticks(second)
        if not ticks:
            return []
        scale, said = self._value(second), _format(self._layout, name)
        parts = [self._value_tick(scale(at), _number(at, said), second) for at in ticks]
        title = escape(_text_of((self._layout.get(name) or {}).get("title")))
        if self._flat:
            x, y = (self._left + self._right) / 2, self._height - 8
            return [*parts, f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="middle">{title}</text>']
        x, y = (WIDTH - 8.0 if second else 14.0), (self._top + self._bottom) / 2
        turn = f'text-anchor="middle" transform="rotate(-90 {x} {y:.0f})"'
        return [*parts, f'<text x="{x}" y="{y:.0f}" {turn}>{title}</text>']

    def _value_tick(self, at: float, said: str, second: bool) -> str:
        if self._flat:
            line = f'x1="{at:.1f}" x2="{at:.1f}" y1="{self._top}" y2="{self._bottom:.1f}"'
            where = f'x="{at:.1f}" y="{self._bottom + 16:.1f}" text-anchor="middle"'
        else:
            line = f'x1="{self._left:.1f}" x2="{self._right}" y1="{at:.1f}" y2="{at:.1f}"'
            x, side = (self._right + 6, "start") if second else (self._left - 6, "end")
            where = f'x="{x:.1f}" y="{at + 4:.1f}" text-anchor="{side}"'
        grid = "" if second else f"<line {line} {_GRID}/>"
        return f"{grid}<text {where}>{said}</text>"

    def _bars(self) -> list[str]:
        bars = [number for number, one in enumerate(self._traces) if one.bar and one.points]
        stacked = self._layout.get("barmode") == "stack"
        beside = 1 if stacked else len(bars)
        along, width = self._along(), 0.8 * self._step() / max(beside, 1)
        below: dict[Any, float] = {}
        parts = []
        for turn, number in enumerate(bars):
            one = self._traces[number]
            scale = self._value(one.second)
            shift = 0.0 if stacked else (turn - (beside - 1) / 2) * width
            for at, value in one.points:
                begin = below.get(at, 0.0) if stacked else 0.0
                below[at] = begin + value
                middle = self._place(at) + shift
                sides = along(middle - width / 2), along(middle + width / 2)
                parts.append(self._bar(sides, (scale(begin), scale(begin + value)), number))
        return parts

    def _bar(self, across: tuple[float, float], up: tuple[float, float], number: int) -> str:
        (x1, x2), (y1, y2) = (sorted(up), sorted(across)) if self._flat else (
            sorted(across), sorted(up)
        )  # fmt: skip
        size = f'width="{max(x2 - x1, 0.5):.1f}" height="{max(y2 - y1, 0.5):.1f}"'
        return f'<rect x="{x1:.1f}" y="{y1:.1f}" {size} {_fill(number)}/>'

    def _lines(self) -> list[str]:
        parts = []
        for number, one in enumerate(self._traces):
            if one.bar or not one.points:
                continue
            along, scale = self._along(), self._value(one.second)
            dots = [(along(self._place(at)), scale(value)) for at, value in one.points]
            colour = COLOURS[number % len(COLOURS)]
            mode = one.look.get("mode") or ("lines" if len(dots) > 20 else "lines+markers")
            if "lines" in mode:
                path = " ".join(f"{x:.1f},{y:.1f}" for x, y in dots)
                dash = _DASHES.get((one.look.get("line") or {}).get("dash", ""), "none")
                line = f'fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}"'
                parts.append(f'<polyline points="{path}" {line}/>')
            if "markers" in mode:
                parts += [
                    f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" {_fill(number)}/>' for x, y in dots
                ]
        return parts


def _ticks(low: float, high: float, said: str) -> list[float]:
    """Round numbers from at or below `low` to at or above `high`, about five steps apart."""
    span = (high - low) or abs(high) or 1.0
    unit = 10.0 ** math.floor(math.log10(span / 5))
    step = next(unit * part for part in (1, 2, 5, 10) if span / (unit * part) <= 6)
    step = max(step, 1.0) if said.endswith("d") else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(first, max(last, first + 1) + 1)]


def _number(value: float, said: str) -> str:
    """A number along an axis, with the signs of the reader's language."""
    if "%" in said:
        text = f"{100 * value:g} %"
    elif said == "d" or abs(value) >= 1e15:
        text = f"{value:.0f}" if abs(value) < 1e15 else f"{value:.3g}"
    else:
        text = f"{value:,.0f}" if value == int(value) else f"{value:,.4g}"
    return spoken().digits(text)


def _format(layout: Mapping[str, Any], axis: str) -> str:
    return str((layout.get(axis) or {}).get("tickformat") or "")


def _type(layout: Mapping[str, Any], flat: bool) -> str:
    return str((layout.get("yaxis" if flat else "xaxis") or {}).get("type") or "")


def _text_of(title: Any) -> str:
    return str(title.get("text") or "") if isinstance(title, Mapping) else str(title or "")


def _short(name: Any) -> str:
    text = str(name)
    return text if len(text) <= LABEL_CHARS else text[: LABEL_CHARS - 1] + "…"


def _width(text: str) -> float:
    """About how many pixels it takes: capital letters are the wide ones."""
    return sum(8.4 if one.isupper() else 6.6 for one in text)


def _fill(number: int) -> str:
    return f'fill="{COLOURS[number % len(COLOURS)]}"'
