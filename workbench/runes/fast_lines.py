"""The fast reader of NDJSON batches: Arrow's own, for good files alone.

Whatever it does not take for certain goes to the typed reader, which says what is wrong.
"""

from __future__ import annotations

import io
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
_KINDS = {
    column.name: pa.string() if column.kind.is_instant else column.kind.arrow
    for columns in TABLES.values()
    for column in columns
}
"""Columns of one name have one type in every table."""


def fast_tables(lines: bytes) -> dict[str, pa.Table] | None:
    """The tables of the lines below a header, checked; None where they need a closer look."""
    names = [name for name in TABLES if f'"{name}"'.encode() in lines]
    columns = {column.name for name in names for column in TABLES[name]}
    row = pa.struct([(name, kind) for name, kind in _KINDS.items() if name in columns])
    schema = pa.schema([("table", pa.string()), ("row", row)])
    try:
        found = pa_json.read_json(
            io.BytesIO(lines),
            read_options=pa_json.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=pa_json.ParseOptions(
                explicit_schema=schema, unexpected_field_behavior="error"
            ),
        )
        if found["table"].null_count or found["row"].null_count:
            return None
        used = pc.unique(found["table"]).to_pylist()
        if not set(used) <= set(names):
            return None
        tables = {name: _table(name, found, alone=len(used) == 1) for name in used}
    except (pa.ArrowException, InputError):
        return None
    whole = {name: table for name, table in tables.items() if table is not None}
    return whole if len(whole) == len(used) else None


def _table(name: str, found: pa.Table, *, alone: bool) -> pa.Table | None:
    """The rows of one table; None where one has a column of another table, or a fault."""
    rows = found["row"] if alone else found["row"].filter(pc.equal(found["table"], name))
    flat = pa.table(dict(zip([each.name for each in rows.type], rows.flatten(), strict=True)))
    own = {column.name for column in TABLES[name]}
    if any(flat[key].null_count < len(flat) for key in flat.column_names if key not in own):
        return None
    arrays = [each for column in TABLES[name] for each in _arrays(column, flat[column.name])]
    loose = pa.schema([field.with_nullable(True) for field in ARROW[name]])
    table = pa.Table.from_arrays(arrays, schema=loose)
    return None if any(True for _ in table_faults(name, table)) else table.cast(ARROW[name])


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
