"""`workbench export`: from the hub that owns the store, or from the store when no hub runs."""

from __future__ import annotations

import difflib
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from workbench.clients.discovery import HubFile, find_hub
from workbench.clients.hub import HubClient
from workbench.errors import InputError
from workbench.settings import Settings
from workbench.store import Exported, QueryEnd, QueryFrame, QueryHead, Store
from workbench.store.export import Query, export, sql_for

LIMIT_S = 600.0
SHOWN_ALIASES = 10
TABLES = "SELECT table_name FROM information_schema.tables ORDER BY table_name"
ALIASES = "SELECT alias, tables FROM side_files ORDER BY created_at DESC LIMIT 1000"
NO_TABLE = "there is no table {name}; tables: {tables}; newest aliases, as alias.table: {aliases}"
MISSPELT = (
    "there is no table {name}; did you mean {nearest}? tables: {tables}; "
    "newest aliases, as alias.table: {aliases}"
)


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
        try:
            return await store.export(what, target)
        except InputError as error:
            raise await _explained(what, error, partial(store.query, fresh=True)) from None


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
    except InputError as error:
        raise await _explained(what, error, ask) from None
    finally:
        await client.disconnect()


async def _explained(what: str, error: InputError, ask: Query) -> InputError:
    """For a name that there is not, what there is; any other refusal as it stands."""
    name = what.strip()
    if sql_for(name) == name:
        return error
    tables = [row["table_name"] for row in await _rows(ask, TABLES)]
    kept = {row["alias"]: json.loads(row["tables"]) for row in await _rows(ask, ALIASES)}
    known = [*tables, *(f"{alias}.{table}" for alias, inside in kept.items() for table in inside)]
    if name in known:
        return error
    aliases = ", ".join(list(kept)[:SHOWN_ALIASES]) or "none"
    values: dict[str, Any] = {"name": name, "tables": ", ".join(tables), "aliases": aliases}
    for nearest in difflib.get_close_matches(name, known, n=1):
        return InputError(MISSPELT, nearest=nearest, **values)
    return InputError(NO_TABLE, **values)


async def _rows(ask: Query, sql: str) -> list[dict[str, Any]]:
    stream = b"".join([frame async for frame in ask(sql) if isinstance(frame, bytes)])
    rows: list[dict[str, Any]] = pa.ipc.open_stream(stream).read_all().to_pylist()
    return rows


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
