"""A task's batch, read from its file as its function wants it: by content, not by name."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from workbench.core.signature import BatchKind
from workbench.errors import InputError

STREAM = b"\xff\xff\xff\xff"
"""Every message of an Arrow IPC stream begins so."""
HEAD_BYTES = 64

NOT_A_TABLE = (
    "the batch holds no table; allowed: Arrow IPC, Parquet, CSV, lines of JSON, or JSON as a list "
    "of rows or a dictionary of columns"
)
NOT_JSON = "the batch is a {found}; the function takes it as a {wanted}"
UNREADABLE = "the batch cannot be read as {what}: {reason}"
UNKNOWN = "the batch is neither text nor a table: annotate the parameter batch as bytes or Path"


def read(path: Path, kind: BatchKind) -> Any:
    """The batch as the function takes it. Raises InputError where its content is something else."""
    if kind == "path":
        return path
    if kind == "bytes":
        return path.read_bytes()
    what = format_of(path)
    if kind in ("dict", "list"):
        return _as_json(path, what, kind)
    if kind == "any" and what == "JSON":
        return _parsed(path)
    table = _table(path, what)
    if kind == "arrow":
        return table
    if kind == "polars":
        import polars

        return polars.from_arrow(table)
    return table.to_pandas()


def format_of(path: Path) -> str:
    """What a file holds, by its first bytes: Arrow, a stream of Arrow, Parquet, JSON, or lines."""
    with path.open("rb") as stream:
        head = stream.read(HEAD_BYTES)
        if head.startswith(b"ARROW1"):
            return "Arrow"
        if head.startswith(b"PAR1"):
            return "Parquet"
        if head.startswith(STREAM):
            return "an Arrow stream"
        if b"\0" in head:
            raise InputError(UNKNOWN)
        if head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] not in (b"{", b"["):
            return "CSV"
    return "lines of JSON" if _is_lines(path) else "JSON"


def _is_lines(path: Path) -> bool:
    """More than one line, of which the first is a whole object."""
    with path.open("rb") as stream:
        first = stream.readline()
        more = any(line.strip() for line in stream)
    try:
        return more and isinstance(json.loads(first), dict)
    except ValueError:
        return False


def _table(path: Path, what: str) -> Any:
    """A pyarrow.Table. Integers beyond 64 bits in JSON stay out of it: they need `dict`."""
    import pyarrow
    from pyarrow import csv, ipc, parquet
    from pyarrow import json as lines

    try:
        if what == "JSON":
            return _of_rows(_parsed(path))
        with path.open("rb") as stream:
            if what == "Arrow":
                return ipc.open_file(stream).read_all()
            if what == "an Arrow stream":
                return ipc.open_stream(stream).read_all()
            if what == "Parquet":
                return parquet.read_table(stream)
            reader = lines.read_json if what == "lines of JSON" else csv.read_csv
            return reader(io.BytesIO(stream.read()))
    except (pyarrow.ArrowException, OSError, OverflowError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(UNREADABLE, what=what, reason=reason) from None


def _of_rows(document: Any) -> Any:
    import pyarrow

    rows = isinstance(document, list) and all(isinstance(row, dict) for row in document)
    columns = isinstance(document, dict) and all(
        isinstance(each, list) for each in document.values()
    )
    if not (rows or columns) or not document:
        raise InputError(NOT_A_TABLE)
    return pyarrow.Table.from_pylist(document) if rows else pyarrow.table(document)


def _as_json(path: Path, what: str, kind: BatchKind) -> Any:
    """A dictionary or a list: JSON as it stands, a table as columns or as rows."""
    if what != "JSON":
        table = _table(path, what)
        return table.to_pydict() if kind == "dict" else table.to_pylist()
    document = _parsed(path)
    if type(document).__name__ != kind:
        raise InputError(NOT_JSON, found=type(document).__name__, wanted=kind)
    return document


def _parsed(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InputError(UNREADABLE, what="JSON", reason=str(error)) from None
