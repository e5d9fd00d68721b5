"""The figures of one imported block, as plain Plotly dictionaries.

Titles, axis titles and trace names are templates of the catalogue; colours are those of
Okabe and Ito that pass 3:1 on white and on dark, with a hatch where four do not suffice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

BLUE, GREEN, PURPLE, VERMILLION = "#0072B2", "#009E73", "#CC79A7", "#D55E00"
PLAIN: dict[str, Any] = {"color": BLUE, "pattern": {"shape": "/", "fillmode": "replace"}}
"""What carries no Runes message."""

KINDS: dict[str, dict[str, Any]] = {
    "mints": {"color": BLUE},
    "etchings": {"color": GREEN},
    "transfers": {"color": PURPLE},
    "cenotaphs": {"color": VERMILLION},
    "without a Runes message": PLAIN,
}
"""What a transaction can be; also the names of the traces."""

_HIDDEN = {"showticklabels": False, "showgrid": False, "zeroline": False}


def transaction_kinds(counts: Mapping[str, int]) -> dict[str, Any]:
    """How many transactions of each of KINDS the block holds."""
    bars = [
        _bar(
            name,
            x=[counts[name]],
            y=[name],
            texttemplate="%{x:,}",
            marker=marker,
            orientation="h",
        )
        for name, marker in KINDS.items()
    ]
    return _figure(
        "What the block's transactions are",
        bars,
        xaxis={"title": {"text": "transactions"}, "rangemode": "tozero"},
        yaxis={**_HIDDEN, "autorange": "reversed"},
    )


def top_mints(ranking: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """The most minted runes: (rune id, mints), the largest first."""
    counts = [count for _, count in ranking]
    logarithmic = _spread(counts)
    bars = _bar(
        "mints",
        x=counts,
        y=[rune for rune, _ in ranking],
        texttemplate="%{x:,}",
        marker={"color": BLUE},
        orientation="h",
    )
    return _figure(
        "The most minted runes of the block",
        [bars],
        xaxis={
            "title": {"text": "mints (logarithmic scale)" if logarithmic else "mints"},
            "type": "log" if logarithmic else "linear",
        },
        yaxis={"title": {"text": "rune"}, "type": "category", "autorange": "reversed"},
        showlegend=False,
    )


def shares(percents: Mapping[str, float | None]) -> dict[str, Any]:
    """What the Runes take of the block: a name of the measure to its percentage.

    One axis for each measure, because axis titles are translated and tick labels are not.
    """
    known = {name: percent for name, percent in percents.items() if percent is not None}
    bars: list[dict[str, Any]] = []
    axes: dict[str, Any] = {}
    for place, (name, percent) in enumerate(known.items()):
        number = "" if place == 0 else str(place + 1)
        span = [place / len(known), (place + 0.9) / len(known)]
        axes[f"xaxis{number}"] = {**_HIDDEN, "domain": span, "title": {"text": name}}
        for trace, value, marker in (
            ("with a Runes message", percent, {"color": BLUE}),
            ("without a Runes message", 100 - percent, {"color": GREEN, "pattern": {"shape": "/"}}),
        ):
            one = _bar(trace, x=[0], y=[round(value, 2)], texttemplate="%{y:.1f} %", marker=marker)
            bars.append(
                {**one, "xaxis": f"x{number}", "showlegend": place == 0, "legendgroup": trace}
            )
    return _figure(
        "What the Runes take of the block",
        bars,
        barmode="stack",
        yaxis={"title": {"text": "percent"}, "range": [0, 100]},
        **axes,
    )


def _spread(counts: Sequence[int]) -> bool:
    """Whether one rune dwarfs the others, so that only a logarithm shows them."""
    return bool(counts) and counts[0] > 50 * counts[-1]


def _bar(name: str, **traits: Any) -> dict[str, Any]:
    # The page writes the numbers: how they are grouped is the reader's language.
    told = {"textposition": "auto", "hovertemplate": f"{traits['texttemplate']}<extra></extra>"}
    return {"type": "bar", "name": name, **told, **traits}


def _figure(title: str, traces: list[dict[str, Any]], **layout: Any) -> dict[str, Any]:
    return {"data": traces, "layout": {"title": {"text": title}, **layout}}
