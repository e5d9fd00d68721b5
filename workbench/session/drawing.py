"""A task's result as a notebook and a terminal show it: facts, notes, first rows.

A terminal's lines are English; a notebook's are in the language that this process speaks.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from html import escape
from itertools import repeat
from typing import Any

from workbench.core import markup
from workbench.core.exact import MARKS
from workbench.core.sentence import Sentence, Speech, of_document, spoken
from workbench.session.returned import VALUE

SHOWN_ROWS = 10
CELL_CHARS = 40
_ENGLISH = Speech()
_UNIT = re.compile(r" (sat|bits|bytes|log10)$")
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


def term(key: str, speech: Speech) -> str:
    """The same as `speech` says it: catalogues have a unit in brackets, as a page draws it."""
    plain = words(key)
    return plain if speech.language == "en" else speech.say(_UNIT.sub(r" (\1)", plain))


def told(name: str, value: Any, speech: Speech = _ENGLISH) -> str:
    """A value in a line of text; what is missing is a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return speech.say("yes" if value else "no")
    if isinstance(value, Mapping):
        known = {key: _known(each, speech) for key, each in value.items()}
        named = ((term(key, speech), told(key, each, speech)) for key, each in known.items())
        return ", ".join(f"{key} {each}" for key, each in named)
    if isinstance(value, list):
        return "; ".join(told(name, each, speech) for each in value)
    if isinstance(value, int) and not _NAMED.search(name):
        return speech.digits(f"{value:,}")
    if isinstance(value, float):
        return speech.digits(f"{value:,.6g}")
    return str(value)


def summary(result: Mapping[str, Any], *, timed: bool = True) -> str:
    """A few lines for a terminal: what it is, its facts, what else it carries; if `timed`, in
    what time and where."""
    data = result.get("data")
    answer = _answer(data)
    lines = [
        ", ".join(filter(None, _title(result, timed=timed))),
        *(f"  {each}" for each in filter(None, [answer])),
    ]
    lines += [f"  {name}: {text}" for name, text in _facts(data, answer)]
    lines += [f"  note: {text}" for text in _notes(data, answer)]
    tables: Mapping[str, Any] = result.get("tables") or {}
    sizes = [f"{name} ({_counted(each.get('rows') or 0)})" for name, each in tables.items()]
    if sizes:
        lines.append(f"  tables: {', '.join(sizes)}")
    if figures := result.get("figures"):
        lines.append(f"  figures: {len(figures)}")
    return "\n".join(lines)


def html(result: Mapping[str, Any], shown: Shown) -> str:
    """The result for a notebook, less its figures: those have a renderer of their own."""
    # Brings Arrow, which a terminal's lines do not need.
    from workbench.runes.drawing import WORDS, lead

    speech = spoken()
    data, views = result.get("data"), shown["tables"]
    answer = _answer(data)
    said = (speech.say(Sentence(each["template"], each["values"])) for each in shown["notes"])
    known = {view["name"] for view in views}
    took = speech.digits(f"{_seconds(result)} s")
    facts = [*_facts(data, answer, speech), (speech.say("computing time"), took)]
    ours = () if _is_returned(data) else WORDS
    name, about = _title(result, speech)
    parts = [markup.heading(name, about)]
    parts += [lead(each) for each in filter(None, [answer])]
    parts += [markup.note(f"⚠ {each}") for each in said]
    parts.append(markup.table(speech.each("fact", "value"), facts))
    parts += [_list(name, rows, speech) for name, rows in _lists(data) if name not in known]
    parts += [_rows(view, speech, ours, opened=at == 0) for at, view in enumerate(views)]
    return "".join(parts)


def _title(
    result: Mapping[str, Any], speech: Speech = _ENGLISH, *, timed: bool = True
) -> tuple[str, str]:
    """What made it; of which batch, in what time and where."""
    values = {"seconds": _seconds(result), "device": result.get("device")}
    took = Sentence("{seconds} s on {device}" if values["device"] else "{seconds} s", values)
    about = [speech.say(took)] if timed else []
    if batch := result.get("batch"):
        about.insert(0, speech.say(Sentence("batch {batch}", {"batch": batch})))
    return str(result.get("model") or speech.say("result")), ", ".join(about)


def _seconds(result: Mapping[str, Any]) -> str:
    return f"{(result.get('elapsedMs') or 0) / 1000:,.1f}"


def _facts(data: Any, answer: Sentence | None, speech: Speech = _ENGLISH) -> list[tuple[str, str]]:
    """What fits a line: rows are tables, notes are sentences, deeper documents are for code."""
    if not isinstance(data, Mapping):
        return [(speech.say("result"), told("result", data, speech))]
    return [
        (term(name, speech), told(name, _known(value, speech), speech))
        for name, value in (data if answer is None else data["facts"]).items()
        if name not in ("notes", MARKS) and not _is_rows(value) and not _is_deep(value)
    ]


def _is_returned(data: Any) -> bool:
    """Whether it is what a person's own function returned: nothing in it is a word of ours."""
    return not isinstance(data, Mapping) or not set(data) - {VALUE, MARKS}


def _known(value: Any, speech: Speech) -> Any:
    """A text of a document may be words that the catalogue knows; rows of a table are data."""
    return speech.say(value) if isinstance(value, str) else value


def _answer(data: Any) -> Sentence | None:
    """The sentence of an answer to a question of runes; what explains it is not for a line."""
    is_one = isinstance(data, Mapping) and isinstance(data.get("facts"), Mapping)
    return of_document(data.get("answer")) if is_one else None


def _notes(data: Any, answer: Sentence | None) -> list[str]:
    """What a model wants said, or what an answer lacks."""
    if not isinstance(data, Mapping):
        return []
    explained = data.get("explanation") if answer else None
    missing = explained.get("missing") or [] if isinstance(explained, Mapping) else []
    noted = [str(each) for each in map(of_document, data.get("notes") or []) if each]
    return noted + [str(of_document(each) or each) for each in missing]


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


def _list(name: str, rows: list[Mapping[str, Any]], speech: Speech) -> str:
    keys = list(dict.fromkeys(key for row in rows for key in row))
    cells = [[_known(row.get(key), speech) for key in keys] for row in rows[:SHOWN_ROWS]]
    columns = {key: term(key, speech) for key in keys}
    return _folded(term(name, speech), len(rows), columns, cells, speech, opened=True)


def _rows(view: Mapping[str, Any], speech: Speech, ours: Collection[str], *, opened: bool) -> str:
    """A table's first rows, under the names that its columns have in SQL; what stands in the
    columns `ours` are words of ours, and not data."""
    names = {column["name"]: column["name"] for column in view["columns"]}
    title = view["name"]
    rows = [
        [
            _known(cell, speech) if column["name"] in ours else cell
            for column, cell in zip(view["columns"], row, strict=True)
        ]
        for row in view["rows"][:SHOWN_ROWS]
    ]
    wide = view["columnsTotal"]
    return _folded(title, view["total"], names, rows, speech, opened=opened, wide=wide)


def _folded(
    title: str,
    total: int,
    columns: Mapping[str, str],
    rows: list[list[Any]],
    speech: Speech,
    *,
    opened: bool,
    wide: int = 0,
) -> str:
    """Rows under a heading that folds them away; a wide table scrolls, its cells never wrap.

    `wide` is how many columns there are, where not all are given.
    """
    known = {"rows": f"{total:,}", "shown": len(rows)}
    shown = speech.say(
        Sentence("{rows} {rows:row|rows}", known)
        if total <= len(rows)
        else Sentence("first {shown} of {rows} {rows:row|rows}", known)
    )
    if wide > len(columns):
        part = {"shown": len(columns), "total": f"{wide:,}"}
        shown += f", {speech.say(Sentence('first {shown} of {total} columns', part))}"
    summary = f"<summary><strong>{escape(title)}</strong> · {escape(shown)}</summary>"
    head = "".join(f'<th scope="col"{_cell("")}>{escape(each)}</th>' for each in columns.values())
    body = "".join(
        "<tr>" + "".join(map(_drawn, columns, row, repeat(speech))) + "</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    drawn = f'<div style="overflow-x:auto">{table}</div>'
    return f"<details{' open' if opened else ''}>{summary}{drawn}</details>"


def _drawn(name: str, value: Any, speech: Speech) -> str:
    text = told(name, value, speech)
    cut = text if len(text) <= CELL_CHARS else text[: CELL_CHARS - 1] + "…"
    return f"<td{_cell(value)}>{escape(cut)}</td>"


def _cell(value: Any) -> str:
    side = "right" if isinstance(value, int | float) and not isinstance(value, bool) else "left"
    return f' style="white-space:nowrap;text-align:{side};padding:2px 8px"'
