"""Exports: a Parquet file, and beside it a JSON page that says exactly what it is."""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import os
import platform
import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import InputError, StoreError
from workbench.store.damage import first_line
from workbench.store.frames import QueryEnd, QueryFrame
from workbench.store.place import sync
from workbench.version import VERSION

FORMAT = "workbench-export/1"
GROUP_CHUNKS = 8
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?")
_UNITS = {
    "_s": "seconds",
    "_ms": "milliseconds",
    "_sat": "satoshi",
    "_mb": "MB",
    "_bytes": "bytes",
    "_pct": "percent",
    "_w": "watts",
    "_c": "degrees Celsius",
    "_mhz": "MHz",
    "vsize": "virtual bytes",
    "weight": "weight units",
    "bytes": "bytes",
    "_at": "instant, UTC",
}

Query = Callable[[str], AsyncIterator[QueryFrame]]


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """Where an export lies, how many rows it has, and the data's instant."""

    path: Path
    page: Path
    rows: int
    sha256: str
    as_of: datetime


def sql_for(what: str) -> str:
    """`what` as SQL: a table's name, alone or as `alias.table`, or SQL already."""
    name = what.strip()
    return f"SELECT * FROM {name}" if _TABLE.fullmatch(name) else what  # noqa: S608 - a mere name


def unit_of(column: str) -> str | None:
    """The unit that a column's name states, None where it states none."""
    return next((unit for end, unit in _UNITS.items() if column.lower().endswith(end)), None)


async def export(what: str, target: Path, query: Query) -> Exported:
    """Write the rows to `target` and the page about them to `target` + `.json`."""
    if target.suffix != ".parquet":
        raise InputError.field("target", str(target), "a path that ends in .parquet")
    sql = sql_for(what)
    stream, unfinished = (
        target.with_name(f".{target.name}.{os.getpid()}.{kind}") for kind in ("arrows", "tmp")
    )
    try:
        await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
        end = await _receive(stream, query(sql))
        schema = await asyncio.to_thread(_convert, stream, unfinished)
        return await asyncio.to_thread(_publish, unfinished, target, what, sql, schema, end)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(
            "{path} could not be written: {reason}", path=str(target), reason=first_line(error)
        ) from error
    finally:
        await asyncio.to_thread(_remove, stream, unfinished)


async def _receive(path: Path, frames: AsyncIterator[QueryFrame]) -> QueryEnd:
    """Keep the answer's Arrow stream in a file, so that it may be larger than memory."""
    with await asyncio.to_thread(path.open, "wb") as file:
        async for frame in frames:
            if isinstance(frame, bytes):
                await asyncio.to_thread(file.write, frame)
            elif isinstance(frame, QueryEnd):
                return frame
    raise StoreError("the query's answer broke off: export again")


def _convert(stream: Path, target: Path) -> pa.Schema:
    """An Arrow stream as Parquet, in row groups of up to 128,000 rows."""
    with pa.memory_map(str(stream)) as source, pa.ipc.open_stream(source) as reader:
        with pq.ParquetWriter(target, reader.schema, compression="zstd") as writer:
            while batches := list(itertools.islice(reader, GROUP_CHUNKS)):
                writer.write_table(pa.Table.from_batches(batches))
        return reader.schema


def _remove(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _publish(
    unfinished: Path, target: Path, what: str, sql: str, schema: pa.Schema, end: QueryEnd
) -> Exported:
    with unfinished.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    page = target.with_name(target.name + ".json")
    described = {
        "format": FORMAT,
        "file": target.name,
        "what": what,
        "sql": sql,
        "rows": end.rows,
        "bytes": unfinished.stat().st_size,
        "sha256": sha256,
        "asOf": end.as_of.isoformat(),
        "exportedAt": datetime.now(UTC).isoformat(),
        "columns": [_column(field) for field in schema],
        "amounts": _amounts(schema.names),
        "versions": _versions(),
    }
    sync(unfinished)
    unfinished.rename(target)
    page.write_bytes(msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n")
    sync(page)
    sync(target.parent)
    return Exported(path=target, page=page, rows=end.rows, sha256=sha256, as_of=end.as_of)


def _column(field: pa.Field) -> dict[str, Any]:
    unit = unit_of(field.name)
    return {"name": field.name, "type": str(field.type), **({"unit": unit} if unit else {})}


def _amounts(names: list[str]) -> dict[str, str]:
    """The 128-bit integers that stand in two columns, and how to put them together."""
    return {
        name.removesuffix("_high"): f"{name} * 2**64 + {name.removesuffix('_high')}_low"
        for name in names
        if name.endswith("_high") and f"{name.removesuffix('_high')}_low" in names
    }


def _versions() -> dict[str, str]:
    return {
        "workbench": VERSION,
        "duckdb": duckdb.__version__,
        "pyarrow": pa.__version__,
        "python": platform.python_version(),
    }
