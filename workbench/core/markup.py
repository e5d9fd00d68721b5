"""Small pieces of HTML for notebooks, with every text escaped, in colours of the theme."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Protocol

from workbench.core.sentence import spoken

LASTING = "text/vnd.runes-workbench.lasting"
"""Beside what a cell shows: the text that another run of it must give again, where `text/plain`
says more: moments, times, what runs just now."""
CELL_CHARS = 200
_CELL = "text-align:left;padding:2px 8px;white-space:pre-wrap;overflow-wrap:anywhere"
_NOTE = "opacity:.75;font-size:90%;margin:4px 0"


class Drawable(Protocol):
    """What draws itself as HTML."""

    def _repr_html_(self) -> str: ...


def bundle(drawn: Drawable, lasting: str | None = None) -> dict[str, str]:
    """What a cell shows of it, and where that is not all of its text, what of it is `LASTING`."""
    shown = {"text/html": drawn._repr_html_(), "text/plain": repr(drawn)}
    return shown if lasting is None else {**shown, LASTING: lasting}


def text(value: Any) -> str:
    """A value as a cell shows it: cut short, escaped, missing as a dash."""
    if value is None:
        return "–"
    if isinstance(value, float):
        value = spoken().digits(f"{value:,.6g}")
    shown = str(value)
    return escape(shown if len(shown) <= CELL_CHARS else shown[: CELL_CHARS - 1] + "…")


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """A table with a header row and a caption."""
    head = "".join(f'<th scope="col" style="{_CELL}">{text(name)}</th>' for name in columns)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{text(cell)}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    below = f'<caption style="caption-side:bottom;text-align:left;{_NOTE}">{escape(caption)}'
    title = f"{below}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def note(sentence: str) -> str:
    """A line of small print."""
    return f'<div style="{_NOTE}">{escape(sentence)}</div>'


def heading(title: str, state: str) -> str:
    return f"<div><strong>{escape(title)}</strong> · {escape(state)}</div>"


def bar(done: float | None, label: str) -> str:
    """A progress bar; without a value it only says that something goes on."""
    value = "" if done is None else f' value="{done:.4f}"'
    shown = "" if done is None else f" {done * 100:.0f} %"
    name = escape(label, quote=True)
    return f'<progress max="1"{value} aria-label="{name}"></progress>{shown} {escape(label)}'


def block(content: str) -> str:
    """Text as it stands, such as a log."""
    style = "max-height:16em;overflow:auto;white-space:pre-wrap"
    return f'<pre style="{style}">{escape(content)}</pre>'
