"""Arrow tables from elsewhere as tables of a batch: which one it is, in its columns and types."""

from __future__ import annotations

from decimal import Decimal
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from workbench.errors import Fault, InputError
from workbench.runes.amounts import amount_columns, parse_amounts
from workbench.runes.faults import refuse, table_faults
from workbench.runes.repeats import repeat_faults
from workbench.runes.tables import ARROW, TABLES, Column


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
            return [table[field.name].cast(field.type) for field in column.fields]
        if column.name in found:
            return list(_halves(table[column.name]))
    except InputError as error:  # of an amount: which, and what is allowed, is said here
        field, value = f"tables.{name}.{column.name}", error.values.get("value", str(error))
        raise InputError.of([Fault(field, str(value), column.kind.rule)]) from None
    except (pa.ArrowException, ValueError) as error:
        field = f"tables.{name}.{column.name}"
        raise InputError.field(field, str(error), column.kind.rule) from None
    if not column.optional:
        raise InputError.field(f"tables.{name}", sorted(found), f"a column {column.name}")
    return [pa.nulls(table.num_rows, field.type) for field in column.fields]


def _halves(values: pa.ChunkedArray) -> tuple[Any, Any]:
    """Amounts of whatever type. A float is refused: it is not exact."""
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        refuse_odd = pc.all(pc.match_substring_regex(values.drop_null(), r"^(0|[1-9]\d{0,38})$"))
        if refuse_odd.as_py() is False:
            raise ValueError("a text that is no whole number")
        return parse_amounts(values.cast(pa.string()))
    if pa.types.is_integer(values.type) or pa.types.is_decimal(values.type):
        return amount_columns([_whole(value) for value in values.to_pylist()])
    raise ValueError(f"a column of {values.type}")


def _whole(value: int | Decimal | None) -> int | None:
    if value is None or value == int(value):
        return None if value is None else int(value)
    raise ValueError(str(value))
