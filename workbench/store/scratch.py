"""SQL over Arrow tables in this process: for questions that no hub is needed for."""

from __future__ import annotations

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
BEYOND = "the tables hold amounts that go beyond 2^128 - 1 where they are summed: {reason}"


class Scratch:
    """Tables by name, read only where they lie. What is too large for the memory that is free
    beside them goes to a file: by itself DuckDB would take its share of all memory.

    For SQL of our own: what a stranger writes runs in `user_sql`.
    """

    def __init__(self, tables: Mapping[str, pa.Table]) -> None:
        free_mb = max(LEAST_MB, int(psutil.virtual_memory().available * SHARE) >> 20)
        self._turn = threading.Lock()
        self._connection = duckdb.connect(
            config={"temp_directory": tempfile.gettempdir(), "memory_limit": f"{free_mb}MiB"}
        )
        self._connection.execute("SET enable_progress_bar = false")
        self._connection.execute("SET TimeZone = 'UTC'")
        add_macros(self._connection)
        for name, table in tables.items():
            self._connection.register(name, table)
        self._connection.execute("SET lock_configuration = true")

    def query(self, sql: str, params: Mapping[str, Any] | None = None) -> pa.Table:
        """The rows of a SELECT; a 128-bit amount is a decimal string."""
        with self._turn:  # tables and macros belong to the one connection
            try:
                relation = self._connection.sql(sql, params=dict(params or {}))
                return exact(relation).to_arrow_table()
            except (duckdb.OutOfRangeException, duckdb.ConversionException) as error:
                raise InputError(BEYOND, reason=str(error)) from None
