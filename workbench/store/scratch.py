"""SQL over Arrow tables in this process: for questions that no hub is needed for."""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
import threading
from collections.abc import Mapping
from typing import Any

import duckdb
import psutil
import pyarrow as pa

from workbench.errors import InputError
from workbench.store.exact import add_macros, exact

SHARE, LEAST_MB = 0.7, 256
"""Of the free memory what a query may take, and what it may in any case."""
PIECE = 1 << 17
"""Rows of a table that one thread takes at a time."""
MOST = 2**128 - 1
BEYOND = "amounts of the tables {tables} go beyond 2^128 - 1 where they are summed: {remedy}"
SUM_BEYOND = "the sum of {field} of {rune} is {value}; allowed: at most 2^128 - 1: {remedy}"
REMEDY = (
    "no rune can have more, so look for rows that are there twice, or for amounts that were "
    "multiplied by 10^divisibility once too often"
)
HELD = "balances"
_TAKEN = "SELECT sum(memory_usage_bytes) FROM duckdb_memory()"
_LARGEST = """
SELECT rune_id, sum(amount_high::HUGEINT) AS high, sum(amount_low::HUGEINT) AS low
FROM balances GROUP BY rune_id ORDER BY high DESC, rune_id LIMIT 1
"""


class Scratch:
    """Tables by name, read only where they lie. What is too large for the memory that is free
    beside them goes to a file: by itself DuckDB would take its share of all memory.

    For SQL of our own: what a stranger writes runs in `user_sql`.
    """

    def __init__(
        self, tables: Mapping[str, pa.Table], selects: Mapping[str, str] | None = None
    ) -> None:
        """`selects` are tables that lie in files: what reads them, by name."""
        self._turn = threading.Lock()
        self._columns = {name: table.column_names for name, table in tables.items()}
        self._connection = _connection()
        for name, table in tables.items():
            self._connection.register(name, _in_pieces(table))
        for name, select in (selects or {}).items():
            self._connection.execute(f"CREATE TEMP VIEW {name} AS {select}")

    def query(
        self,
        sql: str,
        params: Mapping[str, Any] | None = None,
        more: Mapping[str, pa.Table] | None = None,
    ) -> pa.Table:
        """The rows of a SELECT; a 128-bit amount is a decimal string. `more` are tables for this
        query alone."""
        with self._turn:  # tables and macros belong to the one connection
            for name, table in (more or {}).items():
                self._connection.register(name, _in_pieces(table))
            try:
                relation = self._connection.sql(sql, params=dict(params or {}))
                return exact(relation).to_arrow_table()
            except (duckdb.OutOfRangeException, duckdb.ConversionException):
                raise self._beyond() from None
            finally:
                for name in more or {}:
                    self._connection.unregister(name)

    def _beyond(self) -> InputError:
        """Whose amounts are too many to be true, where that can be told: what moved may come to
        more in time, what is held cannot."""
        if HELD in self._columns:
            [(rune, high, low)] = self._connection.sql(_LARGEST).fetchall() or [("?", 0, 0)]
            value = (int(high or 0) << 64) + int(low or 0)
            if value > MOST:
                field = f"{HELD}.amount"
                return InputError(
                    SUM_BEYOND, field=field, rune=rune, value=str(value), remedy=REMEDY
                )
        return InputError(BEYOND, tables=", ".join(self._columns), remedy=REMEDY)


@functools.cache
def _database(process: int) -> duckdb.DuckDBPyConnection:
    """The one in memory that all of a process share, for to open one takes longer than most
    queries. A fork must not use that of its parent: the threads stayed there."""
    database = duckdb.connect(config={"temp_directory": tempfile.gettempdir()})
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    add_macros(database, shared=True)
    return database


def _connection() -> duckdb.DuckDBPyConnection:
    """What is registered on one is seen by no other."""
    connection = _database(os.getpid()).cursor()
    connection.execute("SET enable_progress_bar = false")
    [(taken,)] = connection.execute(_TAKEN).fetchall()
    allowed = int(taken + psutil.virtual_memory().available * SHARE) >> 20
    with contextlib.suppress(duckdb.OutOfMemoryException):  # another query has just taken more
        connection.execute(f"SET memory_limit = '{max(LEAST_MB, allowed)}MiB'")
    return connection


def _in_pieces(table: pa.Table) -> pa.Table:
    """The same table, nothing copied: DuckDB hands out pieces to its threads, and all rows of one
    rune may lie in one."""
    return pa.Table.from_batches(table.to_batches(max_chunksize=PIECE), schema=table.schema)
