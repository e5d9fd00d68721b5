"""Tables of a batch from the few values that matter to a test; the rest is filled in."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from workbench.runes.amounts import amount_columns
from workbench.runes.tables import TABLES, Column

_GIVEN = {
    "rune_id": "840001:1",
    "txid": "00" * 32,
    "hash": "00" * 32,
    "cause": "default",
    "commitment": "valid",
    "name": "ASH",
    "spaced_name": "ASH",
}


def table(name: str, *rows: dict[str, Any]) -> pa.Table:
    """The table `name`: what an optional column does not say is null, any other 0 or empty."""
    arrays: dict[str, Any] = {}
    for column in TABLES[name]:
        values = [row.get(column.name, _default(column)) for row in rows]
        if column.kind.is_amount:
            halves = amount_columns(values)
            arrays |= {field.name: half for field, half in zip(column.fields, halves, strict=True)}
        else:
            arrays[column.name] = pa.array(values, column.kind.arrow)
    return pa.table(arrays)


def _default(column: Column) -> Any:
    if column.optional:
        return None
    if column.kind.is_amount:
        return 0
    return _GIVEN.get(column.name, {"bool": False}.get(str(column.kind.arrow), 0))
