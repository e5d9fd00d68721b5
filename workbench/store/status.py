"""What a data folder holds: files and their sizes, rows and their span, what is missing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from workbench.store.damage import explained
from workbench.store.owner import Owner
from workbench.store.place import FILE
from workbench.store.side_files import FOLDERS

COLUMNS = """
SELECT table_name, max(column_name) FILTER (data_type = 'TIMESTAMP') AS instant
FROM information_schema.columns JOIN information_schema.tables USING (table_name)
WHERE table_type = 'BASE TABLE' GROUP BY table_name ORDER BY table_name
"""
NAMED = "SELECT DISTINCT path FROM side_files ORDER BY path"
STEP = "SELECT max(step) AS step FROM schema_steps"
OTHERS = ("inputs", "uploads", "functions", "models", "query", "quarantine")

Rows = Sequence[Mapping[str, Any]]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows, and the oldest and newest of their instants (UTC)."""

    rows: int
    since: datetime | None = None
    until: datetime | None = None


class Folder(msgspec.Struct, frozen=True, kw_only=True):
    """Files below one folder of the data folder."""

    files: int
    bytes: int


class Status(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A store. `orphans`: side files that no row names; `missing`: named, and not there.

    `owner_pid` is None while nobody has it open. `problem` says why there are no tables.
    """

    folder: str
    database_bytes: int | None
    log_bytes: int
    duckdb: str
    owner_pid: int | None = None
    schema_step: int | None = None
    tables: dict[str, Table] = {}
    folders: dict[str, Folder] = {}
    orphans: list[str] = []
    missing: list[str] = []
    problem: str | None = None


def spans_sql(columns: Rows) -> str:
    """One SELECT for the rows and the span of every table; `columns` answer COLUMNS."""
    parts = []
    for row in columns:
        name, instant = row["table_name"], row["instant"]
        span = f'min("{instant}"), max("{instant}")' if instant else "NULL, NULL"
        parts.append(f"SELECT '{name}', count(*), {span} FROM \"{name}\"")  # noqa: S608
    return f"SELECT * FROM ({' UNION ALL '.join(parts)}) AS t(name, n, since, until)"  # noqa: S608


def of_files(data: Path) -> Status:
    """What the file system says of a folder, without opening the store."""
    main, log = data / FILE, data / f"{FILE}.wal"
    return Status(
        folder=str(data),
        database_bytes=main.stat().st_size if main.exists() else None,
        log_bytes=log.stat().st_size if log.exists() else 0,
        duckdb=duckdb.__version__,
        folders={
            name: _folder(data / name) for name in (*FOLDERS, *OTHERS) if (data / name).is_dir()
        },
    )


def with_rows(status: Status, step: Rows, spans: Rows, named: Rows) -> Status:
    """The same with what its tables say."""
    data = Path(status.folder)
    known = {str(row["path"]) for row in named}
    there = {
        path.relative_to(data).as_posix()
        for folder in FOLDERS
        for path in (data / folder).glob("*.duckdb")
    }
    return msgspec.structs.replace(
        status,
        schema_step=step[0]["step"],
        tables={
            str(row["name"]): Table(rows=row["n"], since=row["since"], until=row["until"])
            for row in spans
        },
        orphans=sorted(there - known),
        missing=sorted(known - there),
    )


def examine(data: Path) -> Status:
    """A store that no hub has open. Raises StoreError where one has, or where it is damaged."""
    with Owner(data, begin=False) as owner:
        try:
            with owner.cursor() as cursor:
                spans = _rows(cursor, spans_sql(_rows(cursor, COLUMNS)))
                return with_rows(of_files(data), _rows(cursor, STEP), spans, _rows(cursor, NAMED))
        except duckdb.Error as error:
            raise explained(owner.path, error) from error


def _rows(cursor: duckdb.DuckDBPyConnection, sql: str) -> list[dict[str, Any]]:
    cursor.execute(sql)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _folder(path: Path) -> Folder:
    sizes = list(_sizes(path))
    return Folder(files=len(sizes), bytes=sum(sizes))


def _sizes(path: Path) -> Iterable[int]:
    for each in path.rglob("*"):
        try:
            if each.is_file() and not each.is_symlink():
                yield each.stat().st_size
        except FileNotFoundError:  # a running hub tidies up
            continue
