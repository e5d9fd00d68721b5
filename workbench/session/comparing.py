"""What two records of a notebook differ in, to the last digit."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from workbench.core.markup import LASTING
from workbench.errors import without_secrets
from workbench.runes.records import Given
from workbench.session.snapshots import Record
from workbench.session.surroundings import code_cells

SHOWN_CELLS = 5
"""Values of one table that are named; that more differ is said."""
_ADDRESS = re.compile(r"\bat 0x[0-9a-f]+")
_Rows = list[list[str]]
_TEXTS = ("text/plain", "text/markdown", "text/latex")


class Difference(NamedTuple):
    """One thing that is not as it was. `part` is inputs, versions, code, notebook, results or
    outputs; None where one of the two does not have it."""

    part: str
    what: str
    before: str | None
    after: str | None


def differences(before: Record, after: Record) -> Iterator[Difference]:
    """In the order: what it rests on, then what came of it."""
    if None not in (before.cells, after.cells) and before.cells != after.cells:
        yield Difference("notebook", "code of the cells", before.cells, after.cells)
    yield from _unlike("notebook", "parameter {}", before.parameters, after.parameters)
    yield from _unlike("notebook", "seed {}", before.seeds, after.seeds)
    yield from _unlike("versions", "{}", before.versions, after.versions)
    yield from _unlike("code", "{}", before.code, after.code)
    yield from _unlike("inputs", "{}", _digests(before), _digests(after))
    for one, other in _side_by_side(before.results, after.results):
        yield from _results(one, other)


def _side_by_side(
    before: Sequence[Given], after: Sequence[Given]
) -> Iterator[tuple[Given | None, Given | None]]:
    """Each result beside the same of the other run. A batch is called by its content, so that a
    changed one has another name: then the question and its parameters tell which it was."""
    old, new = ({each.key: each for each in results} for results in (before, after))
    come = [new[key] for key in sorted(new.keys() - old.keys())]
    for key in sorted(old):
        asked = (old[key].question, old[key].parameters)
        again = (each for each in come if (each.question, each.parameters) == asked)
        same = new.get(key) or next(again, None)
        if same in come:
            come.remove(same)
        yield old[key], same
    for each in come:
        yield None, each


def _unlike(
    part: str, what: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old != new:
            yield Difference(part, what.format(name), _text(old), _text(new))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _digests(record: Record) -> dict[str, str]:
    """What each name stood for; several files of one name are told together."""
    found: dict[str, list[str]] = {}
    for each in record.inputs:
        found.setdefault(each.name, []).append(each.sha256 or each.note)
    return {name: ", ".join(sorted(each)) for name, each in found.items()}


def _results(before: Given | None, after: Given | None) -> Iterator[Difference]:
    either = after or before
    if either is None:
        return
    name = f"{either.question} of {either.of}"
    if before is None or after is None:
        was, now = (None if one is None else one.said for one in (before, after))
        yield Difference("results", name, was, now)
        return
    found = list(_inside(name, before, after))
    if not found and before.sha256 != after.sha256:
        found = [Difference("results", f"{name}: its rows", before.sha256, after.sha256)]
    yield from found


def _inside(name: str, before: Given, after: Given) -> Iterator[Difference]:
    if before.said != after.said:
        yield Difference("results", name, before.said, after.said)
    yield from _unlike("results", f"{name}: {{}}", before.facts, after.facts)
    if before.rows != after.rows:
        yield Difference("results", f"{name}: rows", str(before.rows), str(after.rows))
    if before.table and after.table:
        yield from _tables(name, before.table, after.table)


def _tables(name: str, before: str, after: str) -> Iterator[Difference]:
    """The first values that differ: by what their row is called, else by its place."""
    old, new = list(csv.reader(before.splitlines())), list(csv.reader(after.splitlines()))
    heads = new[0] if new else []
    told = 0
    for row, left, right in _rows(old[1:], new[1:]):
        for column, (was, now) in enumerate(zip_longest(left, right)):
            if was == now:
                continue
            told += 1
            if told > SHOWN_CELLS:
                yield Difference("results", f"{name}: and further values", None, None)
                return
            head = heads[column] if column < len(heads) else str(column)
            yield Difference("results", f"{name}: row {row}, {head}", was, now)


def _rows(old: _Rows, new: _Rows) -> Iterator[tuple[str, list[str], list[str]]]:
    """Rows of the same name side by side, where their first values are names; else by place."""
    mine, other = {row[0]: row for row in old if row}, {row[0]: row for row in new if row}
    if len(mine) == len(old) and len(other) == len(new):
        for key in {**mine, **other}:
            yield key, mine.get(key, []), other.get(key, [])
        return
    none: list[str] = []
    for place, (left, right) in enumerate(zip_longest(old, new, fillvalue=none)):
        yield str(place), left, right


def outputs(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    """What cells put out as text, where the first notebook was kept with its outputs."""
    pairs = zip(code_cells(before), code_cells(after), strict=False)
    for place, (old, new) in enumerate(pairs, start=1):
        was, now = _said(old), _said(new)
        if not old.get("outputs") or was == now:
            continue
        for number, (left, right) in enumerate(zip_longest(was, now), start=1):
            if left != right:
                yield Difference("outputs", f"code cell {place}, line {number}", left, right)
                break


def _said(cell: Mapping[str, Any]) -> list[str]:
    """The lines that it put out, without addresses in memory and without secrets."""
    lines: list[str] = []
    for output in cell.get("outputs") or ():
        if output.get("output_type") == "stream":
            text = output.get("text") if output.get("name") == "stdout" else ""
        else:
            data = output.get("data") or {}
            text = next((data[kind] for kind in (LASTING, *_TEXTS) if kind in data), "")
        joined = text if isinstance(text, str) else "".join(map(str, text or ()))
        lines += without_secrets(_ADDRESS.sub("at …", joined)).splitlines()
    return lines
