"""How an answer looks in a notebook: headings in words, amounts as read and exact, parts folded.

All in the language that this process speaks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pyarrow as pa

from workbench.core import markup
from workbench.core.sentence import Sentence, Told, spoken, told
from workbench.runes.saying import said_amount, said_share

SHOWN_ROWS = 10
SHOWN_CHARS = 26
_ENDS = 9
_CELL = "white-space:nowrap;padding:2px 8px;vertical-align:top"
_SMALL = "opacity:.75;font-size:85%"
_HEADINGS = {"hhi": "HHI", "txid": "transaction", "tx_index": "place in block"}
_NAMES = ("height", "tx_index", "_at", "since", "until", "seed")
"""Integers of such columns name a block or a draw: their digits stay together."""
WORDS = frozenset(
    (
        *("category", "cause", "kind", "measure", "outlook", "reason", "rule", "status", "table"),
        *("trend", "what"),
    )
)
"""What stands in such columns are words of ours, and not data."""
_SHARES = ("share", "progress", "coverage", "premine_of_current", "premine_of_maximum")


@dataclass(frozen=True)
class Reading:
    """Which columns hold 128-bit integers as digits, and how those are read that are no counts."""

    amounts: Collection[str] = ()
    counts: Collection[str] = ()
    divisibility: Mapping[str, int] | int | None = None

    def of(self, row: Mapping[str, Any]) -> int | None:
        """The divisibility of the rune of a row."""
        if isinstance(self.divisibility, Mapping):
            return self.divisibility.get(row.get("rune_id", ""))
        return self.divisibility


def lead(sentence: Sentence) -> str:
    """The sentence that an answer is; a name that it begins with stays as it is."""
    said = spoken().say(sentence)
    first = said.partition(" ")[0]
    said = said[:1].upper() + said[1:] if first.isalpha() else said
    return f'<p style="font-size:110%;margin:8px 0">{escape(said)}.</p>'


def rows(table: pa.Table, reading: Reading, whole: str) -> str:
    """The first rows; a wide table scrolls by itself. `whole` is what has all of them."""
    shown = table.slice(0, SHOWN_ROWS).to_pylist()
    right = {one.name: _is_number(one, reading) for one in table.schema}
    head = [_cell('th scope="col"', side, escape(heading(name))) for name, side in right.items()]
    body = [
        "".join(_cell("td", side, _said(name, row, reading)) for name, side in right.items())
        for row in shown
    ]
    lines = "".join(f"<tr>{line}</tr>" for line in body)
    drawn = f"<thead><tr>{''.join(head)}</tr></thead><tbody>{lines}</tbody>"
    said = counted(table.num_rows)
    if table.num_rows > len(shown):
        known = {"shown": len(shown), "rows": f"{table.num_rows:,}", "whole": whole}
        said = spoken().say(told("The first {shown} of {rows} rows; {whole} has all", **known))
    scrolled = f'<div style="overflow-x:auto"><table style="margin:0">{drawn}</table></div>'
    return scrolled + markup.note(said)


def noted(line: Told) -> str:
    """A line of small print."""
    return markup.note(spoken().say(line))


def further(name: str, table: pa.Table, reading: Reading) -> str:
    """A further table of an answer, folded away under its name; nothing where it has no rows."""
    if not table.num_rows:
        return ""
    title = f"{heading(name)} · {counted(table.num_rows)}"
    return folded(title, rows(table, reading, f'.more["{name}"]'))


def folded(title: str, inner: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{inner}</details>"


def listed(parts: Iterable[tuple[str, Sequence[str]]]) -> str:
    """Lines under their headings."""
    say = spoken().say
    return "".join(
        f"<div><strong>{escape(say(title))}</strong><ul style='margin:2px 0 8px'>"
        + "".join(f"<li>{escape(say(line))}</li>" for line in lines)
        + "</ul></div>"
        for title, lines in parts
    )


def heading(column: str) -> str:
    """The name of a column in words, with its unit."""
    words = column.replace("_", " ")
    with_unit = words.removesuffix(" sat") + " (sat)" if words.endswith(" sat") else words
    return spoken().say(_HEADINGS.get(column, with_unit))


def counted(rows: int) -> str:
    """So many rows, in words."""
    return spoken().say(told("{rows} {rows:row|rows}", rows=f"{rows:,}"))


def _is_number(field: pa.Field, reading: Reading) -> bool:
    types = pa.types
    if types.is_integer(field.type) or types.is_floating(field.type):
        return True
    return field.name in reading.amounts


def _cell(tag: str, right: bool, inner: str) -> str:
    side = "right" if right else "left"
    return f'<{tag} style="{_CELL};text-align:{side}">{inner}</{tag[:2]}>'


def _said(name: str, row: Mapping[str, Any], reading: Reading) -> str:
    value = row[name]
    if value is None:
        return "–"
    if name in reading.amounts:
        return _amount(int(value), None if name in reading.counts else reading.of(row))
    speech = spoken()
    if isinstance(value, bool):
        return speech.say("yes" if value else "no")
    if isinstance(value, float):
        return speech.text(said_share(value) if name.endswith(_SHARES) else f"{value:,.4g}")
    if isinstance(value, int):
        return str(value) if name.endswith(_NAMES) else speech.digits(f"{value:,}")
    return _text(speech.say(value) if name in WORDS else str(value))


def _amount(amount: int, divisibility: int | None) -> str:
    """As a person reads it, and below it the exact atomic units where those differ."""
    speech = spoken()
    if not divisibility:
        return speech.digits(f"{amount:,}")
    unit = speech.say("atomic units")
    exact = f'<br><span style="{_SMALL}" title="{escape(unit, quote=True)}">{amount}</span>'
    return speech.text(said_amount(amount, divisibility)) + (exact if amount else "")


def _text(text: str) -> str:
    """Long ones, such as addresses, by their ends; the whole is told on pointing at it."""
    if len(text) <= SHOWN_CHARS or text.isdecimal() or " " in text:
        return markup.text(text)
    whole = escape(text[: markup.CELL_CHARS], quote=True)
    return f'<span title="{whole}">{escape(text[:_ENDS])}…{escape(text[-_ENDS:])}</span>'
