"""Side files: immutable DuckDB files, one per batch or result, written once, read by anybody.

A side file holds the tables of one task and its JSON document, in `document(body BLOB)`.
It is written beside its place, made durable and renamed, so it is either whole or absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import duckdb
import msgspec
import pyarrow as pa

from workbench.core.job import TableBytes
from workbench.errors import InputError, StoreError
from workbench.store.damage import first_line
from workbench.store.place import PRIVATE_FOLDER, STORAGE_VERSION, begin_private, quoted, sync

Folder = Literal["batches", "results"]
FOLDERS: tuple[Folder, ...] = ("batches", "results")
SMALL_BYTES, SMALL_BLOCK = 1 << 20, 16_384
"""With DuckDB's blocks of 256 KiB a result of ten rows took 800 kB, with these 60 kB."""
ALIAS = re.compile(r"[a-z][a-z0-9_]{0,62}")
RESERVED = frozenset({"workbench", "main", "memory", "system", "temp", "side"})
_TABLE = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


class SideFile(msgspec.Struct, frozen=True, kw_only=True):
    """What was written. `path` is relative to the data folder; `sha256` is of the file's bytes;
    `rows` counts the rows of each table."""

    alias: str
    path: str
    sha256: str
    bytes: int
    rows: dict[str, int]


def write_side_file(
    data: Path, folder: Folder, alias: str, tables: Mapping[str, TableBytes], document: bytes
) -> SideFile:
    """Write one side file, durable on return. `tables` are Arrow IPC streams.

    The same content again under the same alias changes nothing. Other content gets the
    alias with `_2`, `_3` and so on, because a side file never changes: use the alias of
    the answer.
    """
    if not ALIAS.fullmatch(alias) or alias in RESERVED:
        raise InputError.field("alias", alias, "a-z, 0-9 and _, from a letter on, 63 at most")
    for name in tables:
        if not _TABLE.fullmatch(name) or name == "document":
            raise InputError.field("table", name, "letters, digits and _, and not 'document'")
    place = data / folder
    place.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    with ThreadPoolExecutor(1) as beside:  # the digest of a large table, while it is written
        content = beside.submit(_digest, tables, document)
        for name in _names(alias):
            path = place / f"{name}.duckdb"
            if not path.exists():
                return _described(data, path, _write(path, tables, document, content.result))
            if _content_of(path) == content.result():
                return _described(data, path, _rows(path))
    raise AssertionError("names never end")


def read_document(path: Path) -> bytes:
    """The JSON document of a side file."""
    with opened(path) as side:
        rows = side.execute("SELECT body FROM side.document").fetchall()
        return bytes(rows[0][0])


def read_table(path: Path, name: str) -> bytes:
    """One table of a side file as an Arrow IPC stream."""
    with opened(path) as side:
        names = _tables(side)
        if name not in names:
            raise InputError.field("table", name, ", ".join(names))
        reader = side.table(f"side.{name}").to_arrow_reader(16_000)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, reader.schema) as stream:
            for batch in reader:
                stream.write_batch(batch)
        return bytes(sink.getvalue())


@contextlib.contextmanager
def opened(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A side file, read-only, attached as `side`."""
    connection = duckdb.connect(config={"threads": 1, "python_enable_replacements": False})
    try:
        connection.execute(f"ATTACH '{quoted(path)}' AS side (READ_ONLY)")
        yield connection
    except duckdb.Error as error:
        raise StoreError(
            "{path} could not be read: {reason}", path=str(path), reason=first_line(error)
        ) from error
    finally:
        connection.close()


def sweep(data: Path) -> None:
    """Remove what a killed owner left unfinished. For the new owner, before it writes."""
    for folder in FOLDERS:
        for path in (data / folder).glob("*.tmp*"):
            path.unlink(missing_ok=True)


def _names(alias: str) -> Iterator[str]:
    yield alias
    number = 2
    while True:
        yield f"{alias}_{number}"
        number += 1


def _write(
    path: Path, tables: Mapping[str, TableBytes], document: bytes, content: Callable[[], str]
) -> dict[str, int]:
    """How many rows each table has."""
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    unfinished.unlink(missing_ok=True)
    connection = duckdb.connect(config={"threads": 1, "python_enable_replacements": False})
    try:
        small = sum(map(len, tables.values())) + len(document) < SMALL_BYTES
        block = f", BLOCK_SIZE {SMALL_BLOCK}" if small else ""
        connection.execute(
            f"ATTACH '{quoted(unfinished)}' AS side (STORAGE_VERSION '{STORAGE_VERSION}'{block})"
        )
        begin_private(Path(f"{unfinished}.wal"))
        for name, stream in tables.items():
            connection.from_arrow(pa.ipc.open_stream(stream)).create(f"side.{name}")
        connection.execute("CREATE TABLE side.document (body BLOB NOT NULL)")
        connection.execute("INSERT INTO side.document VALUES ($1)", [document])
        connection.execute(f"COMMENT ON TABLE side.document IS '{content()}'")
        connection.execute("CHECKPOINT side")
        rows = _counted(connection)
        connection.close()
        _publish(unfinished, path)
        return rows
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        raise StoreError(
            "{path} could not be written: {reason}", path=str(path), reason=first_line(error)
        ) from error
    finally:
        connection.close()
        unfinished.unlink(missing_ok=True)
        Path(f"{unfinished}.wal").unlink(missing_ok=True)


def _publish(unfinished: Path, path: Path) -> None:
    """Bytes first, then the name, then the folder that holds the name."""
    unfinished.chmod(0o400)
    sync(unfinished)
    unfinished.rename(path)
    sync(path.parent)


def _digest(tables: Mapping[str, TableBytes], document: bytes) -> str:
    """Of the content: the bytes of two DuckDB files differ even where their rows do not."""
    digest = hashlib.sha256()
    for name, content in [*sorted(tables.items()), ("", document)]:
        digest.update(f"{name}:{len(content)}:".encode())
        digest.update(content)
    return digest.hexdigest()


def _content_of(path: Path) -> str | None:
    with opened(path) as side:
        found = side.execute(
            "SELECT comment FROM duckdb_tables() "
            "WHERE database_name = 'side' AND table_name = 'document'"
        ).fetchall()
        return found[0][0] if found else None


def _tables(side: duckdb.DuckDBPyConnection) -> list[str]:
    found = side.execute(
        "SELECT table_name FROM duckdb_tables() "
        "WHERE database_name = 'side' AND table_name <> 'document' ORDER BY table_oid"
    ).fetchall()
    return [name for (name,) in found]


def _rows(path: Path) -> dict[str, int]:
    with opened(path) as side:
        return _counted(side)


def _counted(side: duckdb.DuckDBPyConnection) -> dict[str, int]:
    return {
        name: int(side.table(f"side.{name}").count("*").fetchall()[0][0]) for name in _tables(side)
    }


def _described(data: Path, path: Path, rows: dict[str, int]) -> SideFile:
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return SideFile(
        alias=path.stem,
        path=path.relative_to(data).as_posix(),
        sha256=sha256,
        bytes=path.stat().st_size,
        rows=rows,
    )
