"""The named queries of the store, one file each in queries/, with $name parameters."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any

import duckdb

from workbench.errors import StoreError
from workbench.store.owner import Owner, first_line


@cache
def sql_of(query: str) -> str:
    """The text of a named query."""
    return (resources.files("workbench.store") / "queries" / f"{query}.sql").read_text("utf-8")


def read(owner: Owner, query: str, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Run a named query on a cursor of its own; its rows by column. Instants are naive UTC."""
    sql = sql_of(query)
    cursor = owner.cursor()
    try:
        cursor.execute(sql, params)
        columns = [column[0] for column in cursor.description]
        return [dict(zip(columns, row, strict=True)) for row in cursor.fetchall()]
    except duckdb.Error as error:
        raise StoreError(
            "the store could not answer {query}: {reason}", query=query, reason=first_line(error)
        ) from error
    finally:
        cursor.close()


def change(owner: Owner, query: str, params: dict[str, Any]) -> None:
    """Run a named change of several statements, all or none. In the writer's thread only."""
    connection = owner.connection
    connection.execute("BEGIN")
    try:
        for statement in duckdb.extract_statements(sql_of(query)):
            wanted = {name: params[name] for name in statement.named_parameters}
            connection.execute(statement, wanted)
        connection.execute("COMMIT")
    except duckdb.Error:
        connection.execute("ROLLBACK")
        raise
