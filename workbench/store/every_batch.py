"""`runes_events` and its like in SQL: a table of all batches that the hub keeps, under one name.

Loaded by path, by the process that runs SQL of users.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

import duckdb

PREFIX = "runes_"
MOST_BATCHES = 500
"""To attach one takes some 2 ms."""

_KEPT = """
SELECT alias, any_value(path), any_value(tables) FROM workbench.side_files
WHERE folder = 'batches' GROUP BY alias ORDER BY min(created_at), alias
"""
_TABLE = 'SELECT {alias!r} AS batch, * FROM "{alias}"."{table}"'


class TooMany(Exception):
    """More batches than one query may read. Its text is JSON: view, count and limit."""


def add_views(
    connection: duckdb.DuckDBPyConnection,
    data: Path,
    words: Collection[str],
    attached: Collection[str],
) -> None:
    """A view for each of the words that asks for one, over the batches that the attached copy
    knows, each row with its alias in the column `batch`."""
    wanted = sorted(word for word in words if word.startswith(PREFIX))
    if not wanted:
        return
    rows = connection.execute(_KEPT).fetchall()
    kept = {alias: (data / path, json.loads(tables)) for alias, path, tables in rows}
    known = set(attached)
    for view in wanted:
        _add_view(connection, view, kept, known)


def _add_view(
    connection: duckdb.DuckDBPyConnection,
    view: str,
    kept: Mapping[str, tuple[Path, Mapping[str, int]]],
    attached: set[str],
) -> None:
    """None for what is no table of a batch: a name of the user's own may begin alike."""
    table = view.removeprefix(PREFIX)
    having = [alias for alias, (_, tables) in kept.items() if table in tables]
    filled = [alias for alias in having if kept[alias][1][table] != 0] or having[:1]
    if len(filled) > MOST_BATCHES:
        raise TooMany(json.dumps({"view": view, "count": len(filled), "limit": MOST_BATCHES}))
    for alias in set(filled) - attached:
        escaped = str(kept[alias][0]).replace("'", "''")
        connection.execute(f"ATTACH '{escaped}' AS \"{alias}\" (READ_ONLY)")
        attached.add(alias)
    if filled:
        parts = [_TABLE.format(alias=alias, table=table) for alias in filled]
        connection.execute(f'CREATE TEMP VIEW "{view}" AS ' + " UNION ALL BY NAME ".join(parts))
