"""User SQL over a socket: one Arrow stream in frames, no faster than the peer reads."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, Protocol

from workbench.core.hub_wire import Query, message
from workbench.listener import Connection
from workbench.store import QueryEnd, QueryFrame


class Questions(Protocol):
    """The store, as far as a user's SQL reaches it."""

    def query(
        self,
        sql: str,
        params: dict[str, Any] | list[Any] | None = None,
        *,
        fresh: bool = False,
        max_rows: int | None = None,
    ) -> AsyncIterator[QueryFrame]: ...


async def answer(connection: Connection, query: Query, questions: Questions) -> None:
    """Stream one answer. Ends the query in its worker when the connection is gone."""
    asked, number = query.data, 0
    frames = questions.query(asked.sql, asked.params, fresh=asked.fresh, max_rows=asked.max_rows)
    async with AsyncExitStack() as stack:
        close = getattr(frames, "aclose", None)
        if close is not None:  # a generator: closing it is what stops the query
            stack.push_async_callback(close)
        async for frame in frames:
            if isinstance(frame, bytes):
                # Both in one turn of the loop: nothing may come between them.
                connection.send(message("query:batch", {"n": number}, query.request_id))
                connection.send(frame)
                number += 1
                await connection.drained()
            elif isinstance(frame, QueryEnd):
                connection.send(message("query:done", _end(frame), query.request_id))


def _end(end: QueryEnd) -> dict[str, Any]:
    return {
        "rows": end.rows,
        "truncated": end.truncated,
        "elapsedMs": end.elapsed_ms,
        "asOf": milliseconds(end.as_of),
    }


def milliseconds(instant: datetime.datetime) -> int:
    """An instant as the wire has it; one without a zone is UTC, as in the store."""
    aware = instant if instant.tzinfo else instant.replace(tzinfo=datetime.UTC)
    return round(aware.timestamp() * 1000)
