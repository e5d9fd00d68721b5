"""Arrow tables from elsewhere as tables of a batch: which one it is, in its columns and types."""

from __future__ import annotations

from decimal import Decimal
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from workbench.errors import InputError
from workbench.runes.amounts import AMOUNT_TEXT, amount_columns, parse_amounts
from workbench.runes.faults import refuse, table_faults
from workbench.runes.repeats import repeat_faults
from workbench.runes.tables import ARROW, TABLES, Column

_TEXTS = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)


def recognised(table: pa.Table) -> str:
    """The table of a batch whose columns it has; of several the one of which it has most.

    Raises InputError where it is none of them.
    """
    names = set(table.column_names)
    fitting = [
        (sum(_has(column, names) for column in columns), name)
        for name, columns in TABLES.items()
        if all(column.optional or _has(column, names) for column in columns)
    ]
    if not fitting:
        allowed = "the columns of one table of a batch: " + ", ".join(TABLES)
        raise InputError.field("columns", sorted(names), allowed)
    return max(fitting)[1]


def taken(name: str, table: pa.Table) -> pa.Table:
    """It as the table `name`: amounts may come as two columns or as one of text, integers or
    decimals; columns that a batch does not know are left out, optional ones filled with null.

    Raises InputError for what is missing or no such value.
    """
    if name not in TABLES:
        raise InputError.field("tables", name, ", ".join(TABLES))
    arrays: list[Any] = []
    for column in TABLES[name]:
        arrays.extend(_arrays(name, column, table))
    whole = pa.Table.from_arrays(arrays, schema=_loose(name))
    refuse(chain(table_faults({name: whole}), repeat_faults(name, whole)))
    return whole


def _loose(name: str) -> pa.Schema:
    return pa.schema([field.with_nullable(True) for field in ARROW[name]])


def _has(column: Column, names: set[str]) -> bool:
    return column.name in names or {field.name for field in column.fields} <= names


def _arrays(name: str, column: Column, table: pa.Table) -> list[Any]:
    found = set(table.column_names)
    try:
        if {field.name for field in column.fields} <= found:
            return [_decoded(table[field.name]).cast(field.type) for field in column.fields]
        if column.name in found:
            return list(_amounts(name, column, _decoded(table[column.name])))
    except pa.ArrowException as error:
        field = f"tables.{name}.{column.name}"
        raise InputError.field(field, str(error), column.kind.rule) from None
    if not column.optional:
        raise InputError.field(f"tables.{name}", sorted(found), f"a column {column.name}")
    return [pa.nulls(table.num_rows, field.type) for field in column.fields]


def _decoded(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Categories as the texts that they stand for; Arrow itself cannot decode those of Polars."""
    if not pa.types.is_dictionary(values.type):
        return values
    texts = (
        pa.DictionaryArray.from_arrays(chunk.indices, chunk.dictionary.cast(pa.string()))
        for chunk in values.chunks
    )
    return pa.chunked_array([each.dictionary_decode() for each in texts], pa.string())


def _amounts(name: str, column: Column, values: pa.ChunkedArray) -> tuple[Any, Any]:
    """Amounts of whatever type as their halves. Raises InputError that names the first row which
    is none; a float is none: it is not exact."""
    try:
        halves = _halves(values)
        if column.optional or not values.null_count:
            return halves
    except (InputError, ValueError):
        pass
    row, value = next(
        (row, value)
        for row, value in enumerate(values.to_pylist())
        if not (column.optional if value is None else _is_amount(value))
    )
    raise InputError.field(f"tables.{name}[{row}].{column.name}", value, column.kind.rule)


def _is_amount(value: Any) -> bool:
    try:
        _halves(pa.chunked_array([[value]]))
    except (InputError, ValueError):
        return False
    return True


def _halves(values: pa.ChunkedArray) -> tuple[Any, Any]:
    kind = values.type
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return amount_columns([_whole(value) for value in values.to_pylist()])
    if not (any(is_text(kind) for is_text in _TEXTS) or pa.types.is_null(kind)):
        raise ValueError(f"a column of {kind}")
    texts = values.cast(pa.string())
    right = pc.all(pc.match_substring_regex(texts.drop_null(), AMOUNT_TEXT))
    if right.as_py() is False:
        raise ValueError("a text that is no whole number")
    return parse_amounts(texts)


def _whole(value: int | Decimal | None) -> int | None:
    if value is None or value == int(value):
        return None if value is None else int(value)
    raise ValueError(str(value))
