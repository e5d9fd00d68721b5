"""The named queries of the store, one file each in queries/, with $name parameters."""

from __future__ import annotations

import contextlib
from functools import cache
from importlib import resources
from typing import Any

import duckdb

from workbench.errors import StoreError
from workbench.store.damage import first_line, of_block
from workbench.store.owner import Owner


@cache
def sql_of(query: str) -> str:
    """The text of a named query."""
    return (resources.files("workbench.store") / "queries" / f"{query}.sql").read_text("utf-8")


def read(owner: Owner, query: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a named query on a cursor of its own; its rows by column. Instants are naive UTC."""
    sql = sql_of(query)
    try:
        with owner.reading() as cursor:  # there is none while the file cannot be opened again
            cursor.execute(sql, params)
            columns = [column[0] for column in cursor.description]
            return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    except duckdb.Error as error:
        raise of_block(owner.path, error) or StoreError(
            "the store could not answer {query}: {reason}", query=query, reason=first_line(error)
        ) from error


def change(owner: Owner, query: str, params: dict[str, Any], *, optimized: bool = False) -> int:
    """Run a named change of several statements, all or none; how many rows changed. In the
    writer's thread only. `optimized` is for what joins."""
    connection = owner.cursor() if optimized else owner.connection
    changed = 0
    connection.execute("BEGIN")
    try:
        for statement in duckdb.extract_statements(sql_of(query)):
            wanted = {name: params[name] for name in statement.named_parameters}
            changed += _count(connection.execute(statement, wanted).fetchall())
        connection.execute("COMMIT")
    except duckdb.Error:
        with contextlib.suppress(duckdb.Error):  # a commit that failed has rolled back already
            connection.execute("ROLLBACK")
        raise
    finally:
        if optimized:
            connection.close()
    return changed


def _count(rows: list[tuple[Any, ...]]) -> int:
    return int(rows[0][0]) if rows and isinstance(rows[0][0], int) else 0
