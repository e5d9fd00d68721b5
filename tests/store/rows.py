"""Rows, tables and answers, as the tests of the store use them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from workbench.store import QueryEnd, QueryHead, Store

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def task(task_id: str, *, minute: int = 0, content_hash: str = "c0ffee") -> tuple[Any, ...]:
    at = NOON + timedelta(minutes=minute)
    return (
        task_id, "cypher-v1", "1", True, '{"k":3}', "https://example.org/batch.json", None,
        0, None, True, True, content_hash, at,
    )  # fmt: skip


def event(
    task_id: str, seq: int, kind: str, *, attempt: int = 1, body: str = "{}", second: float = 0
) -> tuple[Any, ...]:
    return (task_id, seq, attempt, kind, body, NOON + timedelta(seconds=second))


def log(task_id: str, seq: int, content: str) -> tuple[Any, ...]:
    return (task_id, seq, 1, "info", content, "{content}", "{}", NOON)


def metric(value: float) -> tuple[Any, ...]:
    return ("host.cpu", "", value, NOON)


def stream(columns: Mapping[str, pa.Array]) -> bytes:
    """Columns as an Arrow IPC stream."""
    table = pa.table(dict(columns))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def amounts(*values: int) -> bytes:
    """128-bit integers as a table with the columns amount_high and amount_low."""
    return stream(
        {
            "amount_high": pa.array([value >> 64 for value in values], pa.uint64()),
            "amount_low": pa.array([value & (2**64 - 1) for value in values], pa.uint64()),
        }
    )


def table(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()


async def ask(
    store: Store, sql: str, params: Any = None, **options: Any
) -> tuple[pa.Table, QueryEnd]:
    """A whole answer, with the order of its frames checked."""
    async with aclosing(store.query(sql, params, **options)) as frames:
        got = [frame async for frame in frames]
    head, *chunks, end = got
    assert isinstance(head, QueryHead)
    assert isinstance(end, QueryEnd)
    assert head.as_of == end.as_of
    return table(b"".join(chunk for chunk in chunks if isinstance(chunk, bytes))), end


async def rows(store: Store, sql: str, params: Any = None, **options: Any) -> list[dict[str, Any]]:
    answer, _ = await ask(store, sql, params, **options)
    return answer.to_pylist()
