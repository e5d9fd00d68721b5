"""The process that runs SQL from users: `python -P sql_worker.py <memory_mb>`, requests on stdin.

It opens a copy, never the live file. It imports nothing of ours but three files beside it, so
that it starts fast, and it is killed from outside when it takes too long. Answers go to
stdout as frames: one letter, eight bytes of length, the payload. R: ready, once; C: a piece
of the Arrow IPC stream; E: the end, as JSON; F: a fault, as JSON.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import pickle
import queue
import re
import struct
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb
import pyarrow as pa

CHUNK_ROWS = 16_000
GATHERED_BYTES = 1 << 20
"""Chunks go out together up to here: each frame costs its way through the hub and the client."""
CHUNK_BYTES = 8 << 20
"""A chunk has fewer rows where they are wide: what a socket takes as one message is bounded."""
IOV_MAX = 1024
READ_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_EXPLAIN = re.compile(r"\s*EXPLAIN(\s+ANALYZE)?\s", re.IGNORECASE)


class Refused(Exception):
    """The SQL does something else than reading. Its text says what."""


class TooWide(Exception):
    """A row with more bytes than a message may have. Its text is how many."""


class Sink(io.RawIOBase):
    """Gathers what Arrow writes, `size` bytes by now, and sends it as one frame."""

    def __init__(self, out: int) -> None:
        self._out = out
        self._parts: list[Any] = []
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self._parts.append(data)  # bytes, or a buffer that this keeps alive: no copy
        self.size += len(data)
        return len(data)

    def send(self) -> None:
        parts, self._parts, self.size = self._parts, [], 0
        if parts:
            send(self._out, b"C", *parts)


def send(out: int, kind: bytes, *parts: Any) -> None:
    """One frame of bytes or buffers. Blocks while the owner does not read."""
    head = kind + struct.pack("<Q", sum(map(len, parts)))
    waiting = [memoryview(part) for part in (head, *parts) if len(part)]
    while waiting:
        written = os.writev(out, waiting[:IOV_MAX])
        while waiting and written >= len(waiting[0]):
            written -= len(waiting.pop(0))
        if written:
            waiting[0] = waiting[0][written:]


def main() -> None:
    """Answer requests until the owner closes stdin; then stop at once, mid-query too."""
    memory_mb = int(sys.argv[1])
    out = os.dup(1)
    os.dup2(2, 1)  # whatever prints goes to stderr, never between the frames
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    _ready(memory_mb)
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    send(out, b"R")
    while True:  # a new instance for each query, so that none finds what another left
        with _instance(memory_mb) as connection:
            _answer(connection, requests.get(), out)


def _ready(memory_mb: int) -> None:
    """Load what a query needs, then shut the fence: afterwards is too late for both."""
    with duckdb.connect() as connection:
        connection.sql("SELECT 1").to_arrow_reader(1).read_all()
    fence = _beside("fence")
    fence.limit_memory(memory_mb)
    fence.forbid_writing()


def _beside(name: str) -> ModuleType:
    """A file of this folder, without the package around it."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


exact = _beside("exact")
every_batch = _beside("every_batch")


def _read(requests: queue.SimpleQueue[dict[str, Any]]) -> None:
    """Requests as they come. stdin ends when the owner is gone, however it went."""
    while True:
        head = sys.stdin.buffer.read(8)
        if len(head) < 8:
            os._exit(0)
        body = sys.stdin.buffer.read(struct.unpack("<Q", head)[0])
        requests.put(pickle.loads(body))  # noqa: S301 - from our own parent, over its pipe


def _answer(connection: duckdb.DuckDBPyConnection, request: dict[str, Any], out: int) -> None:
    started = time.monotonic()
    try:
        rows, truncated = _run(connection, request, out)
    except Refused as refusal:
        send(out, b"F", _json(kind="refused", reason=str(refusal)))
    except every_batch.TooMany as many:
        send(out, b"F", _json(kind="many", reason=str(many)))
    except TooWide as wide:
        send(out, b"F", _json(kind="wide", reason=str(wide)))
    except (MemoryError, duckdb.OutOfMemoryException):
        send(out, b"F", _json(kind="memory", reason=""))
    except Exception as error:
        send(out, b"F", _json(kind=_kind(error), reason=_reason(error)))
    else:
        elapsed_ms = round((time.monotonic() - started) * 1000)
        send(out, b"E", _json(rows=rows, truncated=truncated, elapsed_ms=elapsed_ms))


def _run(
    connection: duckdb.DuckDBPyConnection, request: dict[str, Any], out: int
) -> tuple[int, bool]:
    _lock_down(connection, request)
    _refuse_all_but_reading(connection, request["sql"])
    relation = connection.sql(request["sql"], params=request["params"])
    if relation is None:
        raise Refused("a statement without rows")
    reader = exact.exact(relation).to_arrow_reader(CHUNK_ROWS)
    return _stream(reader, out, request["max_rows"], request["row_bytes"])


def _instance(memory_mb: int) -> duckdb.DuckDBPyConnection:
    """An empty instance. Opening one takes some 10 ms, so it is done before it is asked for."""
    return duckdb.connect(
        config={
            "memory_limit": f"{max(64, memory_mb * 3 // 4)}MiB",
            "temp_directory": "",
            "allow_persistent_secrets": False,
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
        }
    )


def _lock_down(connection: duckdb.DuckDBPyConnection, request: dict[str, Any]) -> None:
    """Attach the files, then shut the outside, then lock the settings: in no other order."""
    for alias, path in request["files"].items():
        escaped = path.replace("'", "''")
        connection.execute(f"ATTACH '{escaped}' AS \"{alias}\" (READ_ONLY)")
    exact.add_macros(connection)
    every_batch.add_views(connection, Path(request["data"]), request["words"], request["files"])
    connection.execute("USE workbench")
    connection.execute(f"SET max_execution_time = {int(request['longest_ms'])}")
    connection.execute("SET python_enable_replacements = false")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _refuse_all_but_reading(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """One statement, and every query node of it a reading one.

    The type of a statement says nothing: `WITH x AS (COPY ...) FROM x` is a SELECT.
    """
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise Refused(f"{len(statements)} statements")
    kind = statements[0].type.name
    if kind == "EXPLAIN":
        sql = _EXPLAIN.sub("", sql, count=1)
    elif kind != "SELECT":
        raise Refused("PIVOT as a statement of its own" if kind == "MULTI" else kind)
    cursor = connection.execute("SELECT json_serialize_sql($1::VARCHAR)", [sql])
    tree = json.loads(cursor.fetchall()[0][0])
    if tree.get("error"):
        raise Refused(kind)
    for node in _nodes(tree):
        if node not in READ_NODES:
            raise Refused(node.removesuffix("_NODE").removesuffix("_QUERY"))


def _nodes(tree: Any) -> Iterator[str]:
    waiting = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            kind = part.get("type")
            if isinstance(kind, str) and kind.endswith("_NODE"):
                yield kind
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _stream(
    reader: pa.RecordBatchReader, out: int, max_rows: int | None, row_bytes: int
) -> tuple[int, bool]:
    """Send the answer; how many rows it has, and whether `max_rows` cut it."""
    sink = Sink(out)
    rows, truncated = 0, False
    with pa.ipc.new_stream(sink, reader.schema) as stream:
        sink.send()
        for batch in reader:
            if max_rows is not None and rows + batch.num_rows > max_rows:
                batch, truncated = batch.slice(0, max_rows - rows), True
            for part in _parts(batch, row_bytes):
                if sink.size + part.nbytes > GATHERED_BYTES:
                    sink.send()
                stream.write_batch(part)
            rows += batch.num_rows
            if truncated:
                break
    sink.send()
    return rows, truncated


def _parts(batch: pa.RecordBatch, row_bytes: int) -> Iterator[pa.RecordBatch]:
    """The batch in parts of CHUNK_BYTES, or of one row where that has more."""
    if batch.nbytes <= CHUNK_BYTES:
        yield batch
    elif batch.num_rows > 1:
        middle = batch.num_rows // 2
        yield from _parts(batch.slice(0, middle), row_bytes)
        yield from _parts(batch.slice(middle), row_bytes)
    elif batch.nbytes <= row_bytes:
        yield batch
    else:
        raise TooWide(str(batch.nbytes))


def _kind(error: Exception) -> str:
    text = str(error)
    if isinstance(error, duckdb.InterruptException) or "maximum execution time" in text:
        return "time"
    if "Out of Memory" in text or "bad_alloc" in text or "bad allocation" in text:
        return "memory"
    if "Overflow in" in text and "UINT128" in text:
        return "amount"
    if "Window function macro bodies" in text or '"amount_sum" is a Macro Function' in text:
        return "window"
    return "damage" if "Corrupt database file" in text or "checksum" in text else "sql"


def _reason(error: Exception) -> str:
    """DuckDB's sentence with its hints, without the excerpt of the SQL."""
    return " ".join(str(error).split("\n\nLINE ")[0].split())


def _json(**values: Any) -> bytes:
    return json.dumps(values).encode()


if __name__ == "__main__":
    main()
