"""Tables of a batch, built row by row from Python values."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from workbench.runes.amounts import amount_columns
from workbench.runes.tables import ARROW, TABLES, Column

PORTION = 50_000
"""Rows of a table that are held as objects before they become Arrow, which takes a tenth."""


class Rows:
    """Rows under construction. Values come in the order of the table's columns: amounts as
    integers, instants as whole seconds since the epoch."""

    def __init__(self) -> None:
        self._rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in TABLES}
        self._done: dict[str, list[pa.Table]] = {name: [] for name in TABLES}

    def add(self, name: str, *values: Any) -> None:
        """One row of the table `name`."""
        rows = self._rows[name]
        rows.append(values)
        if len(rows) >= PORTION:
            self._flush(name)

    def count(self, name: str) -> int:
        """How many rows the table has so far."""
        done: int = sum(each.num_rows for each in self._done[name])
        return done + len(self._rows[name])

    def tables(self) -> dict[str, pa.Table]:
        """Everything added so far, as Arrow tables."""
        for name in self._rows:
            self._flush(name)
        return {name: pa.concat_tables(done) for name, done in self._done.items()}

    def _flush(self, name: str) -> None:
        rows, self._rows[name] = self._rows[name], []
        if rows or not self._done[name]:
            self._done[name].append(_table(name, rows))


def _table(name: str, rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = TABLES[name]
    values = zip(*rows, strict=True) if rows else ([] for _ in columns)
    arrays: list[Any] = []
    for column, given in zip(columns, values, strict=True):
        arrays.extend(_arrays(column, list(given)))
    return pa.Table.from_arrays(arrays, schema=ARROW[name])


def _arrays(column: Column, values: list[Any]) -> list[Any]:
    if column.kind.is_amount:
        return list(amount_columns(values))
    return [pa.array(values, column.kind.arrow)]
