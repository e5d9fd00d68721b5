"""Tables of a batch from rows that name only what a test is about, and rows as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tests.runes.questions.hand import txid
from workbench.runes.batch import Batch, Source, table_amounts
from workbench.runes.building import Rows
from workbench.runes.tables import TABLES, Column

PLAIN: dict[str, Any] = {
    "name": "ASH",
    "spaced_name": "A•SH",
    "kind": "runestone",
    "commitment": "valid",
    "cause": None,
    "hash": "ab" * 32,
}


def laid(**rows: Sequence[Mapping[str, Any]]) -> dict[str, pa.Table]:
    """Tables by name. A column that a row leaves out is null where it may be, else plain."""
    made = Rows()
    for name, given in rows.items():
        for row in map(_placed, given):
            made.add(name, *(_value(column, row) for column in TABLES[name]))
    tables = made.tables()
    return {name: tables[name] for name in rows}


def _placed(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """An etching that names no place has that of its rune."""
    height, _, index = row.get("rune_id", "0:0").partition(":")
    return {"height": int(height), "tx_index": int(index), **row}


def _value(column: Column, row: Mapping[str, Any]) -> Any:
    if column.name == "txid" and "txid" not in row:
        return txid(row["height"], row["tx_index"])
    if column.name in row or column.optional:
        return row.get(column.name)
    if column.name in PLAIN:
        return PLAIN[column.name]
    return False if column.kind.name == "flag" else 0


def batch(
    tables: Mapping[str, pa.Table], first: int, last: int, level: str = "state", **more: Any
) -> Batch:
    """The tables as a batch of the blocks `first` to `last`, of a source that speaks of all of its
    level."""
    return Batch(
        id="laid",
        network="mainnet",
        source=Source(producer="by hand"),
        completeness=level,
        first_height=first,
        last_height=last,
        tables=tables,
        **{"covers": tuple(TABLES), **more},
    )


def plain(of: Batch | Mapping[str, pa.Table], name: str) -> list[dict[str, Any]]:
    """The rows of a table, amounts as integers: what a naive answer is made of."""
    table = (of.tables if isinstance(of, Batch) else of).get(name)
    if table is None:
        return []
    rows: list[dict[str, Any]] = table.to_pylist()
    for column in TABLES[name]:
        if column.kind.is_amount:
            for row, amount in zip(rows, table_amounts(table, column.name), strict=True):
                row[column.name] = amount
    return rows
