"""A task's result as a notebook and a terminal show it: facts, notes, first rows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from workbench.core import markup
from workbench.core.exact import MARKS
from workbench.core.mesh_wire import sentence

SHOWN_ROWS = 10
CELL_CHARS = 40
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|_")
_NAMED = re.compile(
    r"height|index|block|time|bits|nonce|pointer|output$|cluster$|seed|version|id$", re.I
)
"""Integers of these names are names rather than amounts: their digits are not grouped."""

Shown = Mapping[str, Any]
"""A result as `boards.results.drawn` prepares it for every kind of page."""


def words(key: str) -> str:
    """A key of the wire as a heading: `claimedFeesSat` is claimed fees sat."""
    return key if " " in key else _HUMP.sub(" ", key).lower()


def told(name: str, value: Any) -> str:
    """A value in a line of text; what is missing is a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{words(key)} {told(key, each)}" for key, each in value.items())
    if isinstance(value, list):
        return "; ".join(told(name, each) for each in value)
    if isinstance(value, int) and not _NAMED.search(name):
        return f"{value:,}"
    return f"{value:,.6g}" if isinstance(value, float) else str(value)


def summary(result: Mapping[str, Any]) -> str:
    """A few lines for a terminal: what it is, its facts, what else it carries."""
    data = result.get("data")
    lines = [_title(result), *(f"  {name}: {text}" for name, text in _facts(data))]
    lines += [f"  note: {text}" for text in _notes(data)]
    tables: Mapping[str, Any] = result.get("tables") or {}
    sizes = [f"{name} ({_counted(each.get('rows') or 0)})" for name, each in tables.items()]
    if sizes:
        lines.append(f"  tables: {', '.join(sizes)}")
    if figures := result.get("figures"):
        lines.append(f"  figures: {len(figures)}")
    return "\n".join(lines)


def html(result: Mapping[str, Any], shown: Shown) -> str:
    """The result for a notebook, less its figures: those have a renderer of their own."""
    data, views = result.get("data"), shown["tables"]
    notes = [markup.note(f"⚠ {each['text']}") for each in shown["notes"]]
    known = {view["name"] for view in views}
    facts = [*_facts(data), ("computing time", f"{_seconds(result)} s")]
    parts = [markup.heading(*_title(result).split(", ", 1)), *notes]
    parts.append(markup.table(("fact", "value"), facts))
    parts += [_list(name, rows) for name, rows in _lists(data) if name not in known]
    parts += [_rows(view, opened=at == 0) for at, view in enumerate(views)]
    return "".join(parts)


def _title(result: Mapping[str, Any]) -> str:
    batch = f", batch {result['batch']}" if result.get("batch") else ""
    device = f" on {result['device']}" if result.get("device") else ""
    return f"{result.get('model') or 'result'}{batch}, {_seconds(result)} s{device}"


def _seconds(result: Mapping[str, Any]) -> str:
    return f"{(result.get('elapsedMs') or 0) / 1000:,.1f}"


def _facts(data: Any) -> list[tuple[str, str]]:
    """What fits a line: rows are tables, notes are sentences, deeper documents are for code."""
    if not isinstance(data, Mapping):
        return [("result", told("result", data))]
    return [
        (words(name), told(name, value))
        for name, value in data.items()
        if name not in ("notes", MARKS) and not _is_rows(value) and not _is_deep(value)
    ]


def _notes(data: Any) -> list[str]:
    given = data.get("notes") if isinstance(data, Mapping) else None
    return [
        sentence(each["template"], each.get("values") or {})
        for each in given or []
        if isinstance(each, Mapping) and "template" in each
    ]


def _lists(data: Any) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """The lists of rows of a document, such as the most minted runes."""
    if not isinstance(data, Mapping):
        return []
    return [(name, part) for name, part in data.items() if name != "notes" and _is_rows(part)]


def _is_rows(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(each, Mapping) for each in value)


def _is_deep(value: Any) -> bool:
    return isinstance(value, Mapping) and any(isinstance(each, Mapping) for each in value.values())


def _counted(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'}"


def _list(name: str, rows: list[Mapping[str, Any]]) -> str:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[row.get(key) for key in keys] for row in rows[:SHOWN_ROWS]]
    return _folded(words(name), len(rows), {key: words(key) for key in keys}, cells, opened=True)


def _rows(view: Mapping[str, Any], *, opened: bool) -> str:
    """A table's first rows, under the names that its columns have in SQL."""
    names = {column["name"]: column["name"] for column in view["columns"]}
    title, rows = view["name"], view["rows"][:SHOWN_ROWS]
    return _folded(title, view["total"], names, rows, opened=opened, wide=view["columnsTotal"])


def _folded(
    title: str,
    total: int,
    columns: Mapping[str, str],
    rows: list[list[Any]],
    *,
    opened: bool,
    wide: int = 0,
) -> str:
    """Rows under a heading that folds them away; a wide table scrolls, its cells never wrap.

    `wide` is how many columns there are, where not all are given.
    """
    shown = _counted(total) if total <= len(rows) else f"first {len(rows)} of {_counted(total)}"
    shown += f", first {len(columns)} of {wide:,} columns" if wide > len(columns) else ""
    summary = f"<summary><strong>{escape(title)}</strong> · {shown}</summary>"
    head = "".join(f'<th scope="col"{_cell("")}>{escape(each)}</th>' for each in columns.values())
    body = "".join(f"<tr>{''.join(map(_drawn, columns, row))}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    drawn = f'<div style="overflow-x:auto">{table}</div>'
    return f"<details{' open' if opened else ''}>{summary}{drawn}</details>"


def _drawn(name: str, value: Any) -> str:
    text = told(name, value)
    cut = text if len(text) <= CELL_CHARS else text[: CELL_CHARS - 1] + "…"
    return f"<td{_cell(value)}>{escape(cut)}</td>"


def _cell(value: Any) -> str:
    side = "right" if isinstance(value, int | float) and not isinstance(value, bool) else "left"
    return f' style="white-space:nowrap;text-align:{side};padding:2px 8px"'
