"""`workbench export`: from the hub that owns the store, or from the store when no hub runs."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from workbench.clients.discovery import HubFile, find_hub
from workbench.clients.hub import HubClient
from workbench.settings import Settings
from workbench.store import Exported, QueryEnd, QueryFrame, QueryHead, Store
from workbench.store.export import export

LIMIT_S = 600.0


async def export_from(settings: Settings, what: str, target: Path) -> Exported:
    """Write `what`, a table or a SELECT, to `target`. The hub's limits on queries hold."""
    running = await find_hub(settings.data)
    if running is not None:
        return await _from_hub(running, what, target)
    async with await Store.open(
        settings.data,
        query_memory_mb=settings.query_memory_mb,
        query_limit_s=settings.query_limit_s,
    ) as store:
        return await store.export(what, target)


async def _from_hub(running: HubFile, what: str, target: Path) -> Exported:
    client = HubClient(running.ws, running.token, reconnect_max_attempts=0, keep_trying=False)
    await client.connect()

    async def ask(sql: str) -> AsyncIterator[QueryFrame]:
        answer = await client.query(sql, fresh=True, timeout_s=LIMIT_S)
        as_of = answer.as_of or datetime.now(UTC)
        table = _plain(answer.arrow())
        yield QueryHead(as_of=as_of)
        for part in _stream(table):
            yield part
        yield QueryEnd(
            rows=table.num_rows,
            truncated=answer.truncated,
            elapsed_ms=round(answer.elapsed_ms),
            as_of=as_of,
        )

    try:
        return await export(what, target, ask)
    finally:
        await client.disconnect()


def _plain(table: pa.Table) -> pa.Table:
    """Without dictionaries, which one chunk would share with the next."""
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            column = table.column(index).cast(field.type.value_type)
            table = table.set_column(index, field.name, column)
    return table


def _stream(table: pa.Table) -> list[bytes]:
    """A table as the parts of one Arrow IPC stream: the schema, then a part for each chunk."""
    head: bytes = table.schema.serialize().to_pybytes()
    parts = [head]
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        for chunk in table.to_batches():
            writer.write_batch(chunk)
            parts.append(sink.getvalue())
            sink.seek(0)
            sink.truncate()
    if len(parts) > 1:  # the writer begins its first chunk with the schema, too
        parts[1] = parts[1].removeprefix(head)
    return parts
