"""The tables of an open database: how many rows they have, and whether all can be read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb

from workbench.store.damage import explained
from workbench.store.place import quoted

_NAMES = (
    "SELECT table_name FROM duckdb_tables() "
    "WHERE database_name = current_database() AND NOT internal ORDER BY table_name"
)


@contextlib.contextmanager
def reading(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A store's file that nobody has open, read-only. Raises StoreError for a damaged one."""
    connection = duckdb.connect()
    try:
        connection.execute(f"ATTACH '{quoted(path)}' AS copy (READ_ONLY)")
        connection.execute("USE copy")
        yield connection
    except duckdb.Error as error:
        raise explained(path, error) from error
    finally:
        connection.close()


def names(cursor: duckdb.DuckDBPyConnection) -> list[str]:
    """The tables of the database in use, without views."""
    return [name for (name,) in cursor.execute(_NAMES).fetchall()]


def counts(cursor: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Rows by table."""
    return {name: int(_one(cursor, f"SELECT count(*) FROM {name}")[0]) for name in names(cursor)}  # noqa: S608


def fingerprints(cursor: duckdb.DuckDBPyConnection) -> dict[str, tuple[int, int]]:
    """Rows and a sum over the hashes of whole rows, by table: equal where the rows are equal,
    whatever their order, within one version of DuckDB. Every block is read for it."""
    found = {}
    for name in names(cursor):
        rows, total = _one(
            cursor,
            f"SELECT count(*), coalesce(sum((hash(t) & 1099511627775)::BIGINT), 0) FROM {name} t",  # noqa: S608
        )
        found[name] = (int(rows), int(total))
    return found


def _one(cursor: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] = cursor.execute(sql).fetchall()[0]
    return row
