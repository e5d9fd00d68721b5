"""The fast reader of NDJSON batches: Arrow's own, for good files alone.

Whatever it does not take for certain goes to the typed reader, which says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pa_json

from workbench.errors import InputError
from workbench.runes.amounts import parse_amounts
from workbench.runes.faults import table_faults
from workbench.runes.kinds import arrow_pattern
from workbench.runes.tables import ARROW, TABLES, Column

_BLOCK_BYTES = 16 * 1024 * 1024
_LINE = re.compile(rb'\{"table": ?"([a-z]+)"')
_KINDS = {
    column.name: pa.string() if column.kind.is_instant else column.kind.arrow
    for columns in TABLES.values()
    for column in columns
}
"""Columns of one name have one type in every table."""


def fast_tables(lines: bytes) -> dict[str, pa.Table] | None:
    """The tables of the lines below a header, checked; None where they need a closer look."""
    runs = _runs(lines)
    found = _whole(_one_by_one, lines, runs) if runs else None
    return found or _whole(_mixed, lines)


def _whole(read: Callable[..., dict[str, pa.Table | None]], *of: Any) -> dict[str, pa.Table] | None:
    """What is read, if there is a table and all of them are good."""
    try:
        tables = read(*of)
    except (pa.ArrowException, InputError):
        return None
    whole = {name: table for name, table in tables.items() if table is not None}
    return whole if whole and len(whole) == len(tables) else None


def _runs(lines: bytes) -> dict[str, slice] | None:
    """Where the lines of each table are, if one table's follow on another's, as `save_batch`
    writes them: as far as looking here and there can tell."""
    runs: dict[str, slice] = {}
    start = 0
    while start < len(lines):
        name = _table_at(lines, start)
        if name is None or name in runs:
            return None
        end = _end_of_run(lines, start, name)
        runs[name] = slice(start, end)
        start = end
    return runs


def _end_of_run(lines: bytes, start: int, name: str) -> int:
    low, high = start, len(lines)  # lines of the table begin at `low`, other ones at `high`
    while True:
        middle = (low + high) // 2
        place = lines.find(b"\n", middle, high - 1) + 1 or lines.rfind(b"\n", low, middle) + 1
        if place <= low:
            return high
        if _table_at(lines, place) == name:
            low = place
        else:
            high = place


def _table_at(lines: bytes, place: int) -> str | None:
    found = _LINE.match(lines, place)
    name = found[1].decode() if found else None
    return name if name in TABLES else None


def _one_by_one(lines: bytes, runs: Mapping[str, slice]) -> dict[str, pa.Table | None]:
    """Each run with its own columns alone: a third of the work."""
    body = pa.py_buffer(lines)
    tables: dict[str, pa.Table | None] = {}
    for name, run in runs.items():
        kinds = [(column.name, _KINDS[column.name]) for column in TABLES[name]]
        found = _read(body[run], kinds)
        own = pc.all(pc.equal(found["table"], name)).as_py()
        tables[name] = _table(name, found["row"]) if own else None
    return tables


def _mixed(lines: bytes) -> dict[str, pa.Table | None]:
    """Lines of tables in any order, read with the columns of them all."""
    names = [name for name in TABLES if f'"{name}"'.encode() in lines]
    columns = {column.name for name in names for column in TABLES[name]}
    found = _read(
        pa.py_buffer(lines), [(name, kind) for name, kind in _KINDS.items() if name in columns]
    )
    used = pc.unique(found["table"]).to_pylist()
    if not set(used) <= set(names):
        return {}
    return {
        name: _table(name, found["row"].filter(pc.equal(found["table"], name))) for name in used
    }


def _read(lines: Any, kinds: list[tuple[str, Any]]) -> pa.Table:
    """The lines as a column `table` and a struct `row`. Raises for a line without one of them."""
    schema = pa.schema([("table", pa.string()), ("row", pa.struct(kinds))])
    found = pa_json.read_json(
        pa.BufferReader(lines),
        read_options=pa_json.ReadOptions(block_size=_BLOCK_BYTES),
        parse_options=pa_json.ParseOptions(
            explicit_schema=schema, unexpected_field_behavior="error"
        ),
    )
    if found["table"].null_count or found["row"].null_count:
        raise pa.ArrowInvalid("a line without a table or a row")
    return found


def _table(name: str, rows: Any) -> pa.Table | None:
    """The rows of one table; None where one has a column of another table, or a fault."""
    flat = pa.table(dict(zip([each.name for each in rows.type], rows.flatten(), strict=True)))
    own = {column.name for column in TABLES[name]}
    if any(flat[key].null_count < len(flat) for key in flat.column_names if key not in own):
        return None
    arrays = [each for column in TABLES[name] for each in _arrays(column, flat[column.name])]
    loose = pa.schema([field.with_nullable(True) for field in ARROW[name]])
    table = pa.Table.from_arrays(arrays, schema=loose)
    return None if any(True for _ in table_faults({name: table})) else table.cast(ARROW[name])


def _arrays(column: Column, values: Any) -> list[Any]:
    if column.kind.is_amount:
        _check(column, values)
        return list(parse_amounts(values))
    if column.kind.is_instant:
        _check(column, values)
        return [values.cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("s"))]
    return [values]


def _check(column: Column, values: Any) -> None:
    """Raises where a text that becomes a number or an instant is not of its only form."""
    right = pc.match_substring_regex(values, arrow_pattern(column.kind))
    if pc.all(right).as_py() is False:
        raise pa.ArrowInvalid("a value out of form")
