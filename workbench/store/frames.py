"""What a query's answer is made of, and how the worker's pipe carries it."""

from __future__ import annotations

from datetime import datetime

import msgspec


class QueryHead(msgspec.Struct, frozen=True, kw_only=True):
    """The first item: the answer is of the data as it stood at `as_of` (UTC)."""

    as_of: datetime


class QueryEnd(msgspec.Struct, frozen=True, kw_only=True):
    """The last item. `truncated` says that `max_rows` cut the answer."""

    rows: int
    truncated: bool
    elapsed_ms: int
    as_of: datetime


QueryFrame = QueryHead | bytes | QueryEnd
"""Between head and end, the bytes together are one Arrow IPC stream."""
