"""Bytes of batches: JSON, NDJSON and gzip, bounded and deterministic, and Parquet folders.

What a file is, is told by its content, not by its name: fetched inputs have none.
"""

from __future__ import annotations

import gzip
import json
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import Fault, InputError
from workbench.runes.rows import json_rows
from workbench.runes.tables import ARROW, TABLES

MAX_DOCUMENT_BYTES = 1 << 30
"""A batch's JSON may not be larger unpacked: a gzip bomb stops there."""

HEADER_FILE = "batch.json"
STATED = "rows"
"""What the header of a folder calls its tables' numbers of rows."""
_ROWS = 1 << 20
"""How many rows of a Parquet file come in one piece."""
FORMS = ("parquet", "csv")
_GZIP = b"\x1f\x8b"


class NoBatch(InputError):
    """What was given is no batch at all; it may be what a producer exports."""


def read_file(path: Path) -> bytes:
    """The unpacked bytes of a batch file. Raises InputError."""
    try:
        with path.open("rb") as file:
            return unpacked(file)
    except FileNotFoundError:
        raise InputError("{path} is not there: give an existing file", path=str(path)) from None
    except OSError as error:
        raise InputError(
            "{path} cannot be read: {reason}", path=str(path), reason=str(error)
        ) from None


def unpacked(file: IO[bytes], *, limit: int = MAX_DOCUMENT_BYTES) -> bytes:
    """The bytes of a file, gunzipped where they are gzip, never more than `limit`."""
    packed = file.read(2) == _GZIP
    file.seek(0)
    try:
        reader = gzip.GzipFile(fileobj=file) if packed else file
        body = reader.read(limit + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError("the batch is not valid gzip: {reason}", reason=str(error)) from None
    if len(body) > limit:
        raise InputError(
            "the batch unpacks to more than {limit_mb} MB; allowed: up to {limit_mb} MB",
            limit_mb=limit >> 20,
        )
    return body


def json_bytes(document: Mapping[str, Any]) -> bytes:
    """A document as compact JSON. Raises InputError for what JSON cannot hold."""
    try:
        return msgspec.json.encode(document)
    except OverflowError:  # an integer beyond 64 bits: faulty, but to be told as a fault
        return json.dumps(document, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        raise InputError(
            "the batch cannot be written as JSON: {reason}", reason=str(error)
        ) from None


def parsed(body: bytes) -> Any:
    """The JSON value of a body that the typed reader refused, integers of any size kept."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise not_json(error) from None


def not_json(error: Exception) -> NoBatch:
    """The error for a body that is no JSON at all."""
    return NoBatch(
        "the batch is not valid JSON: {reason}; a raw block becomes a batch with block-import, "
        "what a producer exports with batch-import or runes.read",
        reason=str(error),
    )


def ndjson_bytes(header: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> bytes:
    """The header on the first line, then one line `{"table": ..., "row": {...}}` for each row."""
    encoder = msgspec.json.Encoder()
    lines = [encoder.encode(header)]
    for name, table in tables.items():
        lines.extend(encoder.encode({"table": name, "row": row}) for row in json_rows(name, table))
    return b"\n".join(lines) + b"\n"


def header_and_lines(body: bytes) -> tuple[bytes, bytes] | None:
    """The header and the lines of rows of an NDJSON batch; None for any other document."""
    head, _, rest = body.lstrip().partition(b"\n")
    return (head, rest) if _is_header(head) and rest and not rest.isspace() else None


def whole_document(body: bytes) -> bytes:
    """The body as one JSON document: NDJSON is joined, anything else comes back as it is."""
    parts = header_and_lines(body)
    if parts is None:
        return body
    head, rest = parts
    grouped: dict[str, list[bytes]] = {}
    for line in _lines(rest):
        grouped.setdefault(line.table, []).append(bytes(line.row))
    tables = b",".join(
        msgspec.json.encode(name) + b":[" + b",".join(rows) + b"]" for name, rows in grouped.items()
    )
    return head.rstrip()[:-1] + b',"tables":{' + tables + b"}}"


def _is_header(line: bytes) -> bool:
    try:
        header = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return "schema" in header and "tables" not in header


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    table: str
    row: msgspec.Raw


def _lines(rest: bytes) -> Iterator[_Line]:
    decoder = msgspec.json.Decoder(_Line)
    for number, text in enumerate(rest.split(b"\n"), start=2):
        if text.strip():
            try:
                yield decoder.decode(text)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise InputError(
                    "line {line} of the batch is no row: {reason}; allowed: an object with "
                    "table and row",
                    line=number,
                    reason=str(error),
                ) from None


def write_file(target: Path, body: bytes) -> None:
    """Write whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as scratch:
        scratch.write(body)
    Path(scratch.name).chmod(0o644)
    Path(scratch.name).replace(target)


def read_folder(folder: Path) -> tuple[bytes, Iterator[tuple[str, pa.Table]]]:
    """The header's bytes and the tables of a folder of Parquet or CSV files, columns checked.

    Each is read while the one before is looked at.
    """
    found = folder_files(folder)
    header, stated = folder_header(folder)
    return header, _read_tables(found, stated)


def folder_header(folder: Path) -> tuple[bytes, dict[str, int]]:
    """The header of a folder, and how many rows it says that each table has: without a word of
    that, a file that was lost would be an empty table. Older folders say nothing."""
    body = read_file(folder / HEADER_FILE)
    document = parsed(body)
    if not isinstance(document, dict) or STATED not in document:
        return body, {}
    stated = document.pop(STATED)
    try:
        return json_bytes(document), msgspec.convert(stated, dict[str, int])
    except msgspec.ValidationError:
        allowed = "an object with the number of rows of each table"
        raise InputError.field(f"{HEADER_FILE}: {STATED}", stated, allowed) from None


def check_rows(stated: Mapping[str, int], rows: Mapping[str, int]) -> None:
    """Raises InputError where a table that the header names is not there, or has other rows."""
    odd = [
        Fault(
            f"tables.{name}",
            f"a table of {rows[name]:,} rows" if name in rows else "missing",
            f"{count:,} rows, as {HEADER_FILE} says; whoever changes a table mends {STATED} there",
        )
        for name, count in stated.items()
        if count != rows.get(name, 0)
    ]
    if odd:
        raise InputError.of(odd)


def folder_files(folder: Path) -> dict[str, Path]:
    """The file of each table in a folder. Raises InputError for one that is of none."""
    paths = sorted(path for form in FORMS for path in folder.glob(f"*.{form}"))
    found = {path.stem: path for path in paths}
    odd = [
        Fault(path.name, "a table", "tables named " + ", ".join(TABLES) + ", once each")
        for path in paths
        if path.stem not in TABLES or found[path.stem] != path
    ]
    if odd:
        raise InputError.of(odd)
    return found


def _read_tables(
    found: Mapping[str, Path], stated: Mapping[str, int]
) -> Iterator[tuple[str, pa.Table]]:
    check_rows({name: count for name, count in stated.items() if name not in found}, {})
    with ThreadPoolExecutor(1) as pool:
        for name, table in zip(found, pool.map(_read_table, found, found.values()), strict=True):
            check_rows({name: stated.get(name, table.num_rows)}, {name: table.num_rows})
            yield name, table


def _read_table(name: str, path: Path) -> pa.Table:
    if path.suffix == ".csv":
        from workbench.runes.frames import read_csv  # it stands above this file

        return read_csv(name, path)
    return _read_parquet(name, path)


def _read_parquet(name: str, path: Path) -> pa.Table:
    import pyarrow.dataset as ds  # slow to import

    try:
        options = ds.ParquetFragmentScanOptions(pre_buffer=False)
        table = ds.dataset(path, format="parquet").to_table(
            batch_size=_ROWS, memory_pool=_pool(), fragment_scan_options=options
        )
        return shaped(name, table, path.name)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            "{path} cannot be read: {reason}", path=str(path), reason=str(error)
        ) from None


def _pool() -> pa.MemoryPool:
    """Where there is one, the pool that asks for no huge pages: the system may spend longer on
    finding those than a table takes to read."""
    if "jemalloc" in pa.supported_memory_backends():
        return pa.jemalloc_memory_pool()
    return pa.default_memory_pool()


def shaped(name: str, table: pa.Table, place: str = "") -> pa.Table:
    """The table's columns in the schema's order and types, nulls still unchecked. An optional
    column may be absent, as it is in what an earlier version wrote: then it is null. `place` is
    the file that it stands in."""
    wanted = ARROW[name]
    for field in wanted:
        if field.nullable and field.name not in table.column_names:
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    if sorted(table.column_names) != sorted(wanted.names):
        columns = ", ".join(wanted.names)
        raise InputError.field(f"tables.{name}", table.column_names, f"the columns {columns}")
    floats = [
        fault
        for field in wanted
        for fault in _float_faults(field, table[field.name], place or f"tables.{name}")
    ]
    if floats:
        raise InputError.of(floats)
    loose = pa.schema([field.with_nullable(True) for field in wanted])
    try:
        return table.select(wanted.names).cast(loose)
    except pa.ArrowException as error:
        allowed = "the column types of runes-batch/1"
        raise InputError.field(f"tables.{name}", str(error), allowed) from None


def _float_faults(field: pa.Field, values: Any, place: str) -> Iterator[Fault]:
    """Floats in a column of whole numbers or flags: what they were before, they do not say. A
    column without any value has lost none."""
    stored = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not pa.types.is_floating(stored) or pa.types.is_floating(field.type):
        return
    if values.null_count < len(values):
        allowed = f"a column of {field.type}: a float is not exact, beyond 2^53 digits are gone"
        yield Fault(f"{place}.{field.name}", f"a column of {stored}", allowed)


def write_folder(
    folder: Path, header: Mapping[str, Any], tables: Mapping[str, pa.Table], form: str = "parquet"
) -> None:
    """Write a folder of Parquet or CSV files, the header last. Refuses a folder with other
    content."""
    known = {HEADER_FILE, *(f"{name}.{each}" for name in TABLES for each in FORMS)}
    if folder.exists() and {path.name for path in folder.iterdir()} - known:
        raise InputError(
            "{path} holds other files: give a new or an empty folder", path=str(folder)
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in known:
        (folder / name).unlink(missing_ok=True)
    for name, table in tables.items():
        if table.num_rows and form == "csv":
            from workbench.runes.frames import csv_bytes

            write_file(folder / f"{name}.csv", csv_bytes(name, table))
        elif table.num_rows:
            pq.write_table(table, folder / f"{name}.parquet", compression="zstd")
    rows = {name: table.num_rows for name, table in tables.items() if table.num_rows}
    write_file(folder / HEADER_FILE, json_bytes({**header, STATED: rows}))
