"""What went wrong with a query of a user, said with what to do."""

from __future__ import annotations

import json

from workbench.errors import InputError, StoreError, WorkbenchError

ROW_BYTES = 32 << 20
"""What clients take as one message has 64 MiB at most, and a row is never cut."""


def said(kind: str, reason: str, *, limit_s: float, limit_mb: int) -> WorkbenchError:
    """What a worker tells of a query as `kind` and `reason`, for a person."""
    if kind == "refused":
        return InputError(
            "the query is {reason}, which is refused: send one SELECT; queries only read",
            reason=reason,
        )
    if kind == "wide":
        return InputError(
            "a row of the answer has {bytes} bytes; allowed: {limit_bytes}: ask for fewer "
            "columns, or for a part of what is long",
            bytes=int(reason),
            limit_bytes=ROW_BYTES,
        )
    if kind == "amount":
        return InputError(
            "an amount is above 2^128 - 1, the most that amount and amount_sum hold: add up fewer "
            "rows, or round with sum(amount_double(x_high, x_low))"
        )
    if kind == "window":
        return InputError(
            "amount and amount_sum take no OVER and no FILTER; allowed: both in the sums of "
            "amount_of_sums(sum(x_high) OVER (...), sum(x_low) OVER (...))"
        )
    if kind == "many":
        return InputError(
            "{view} has the rows of {count} batches; allowed: at most {limit}: name batches, as in "
            "SELECT * FROM alias.events",
            **json.loads(reason),
        )
    if kind == "time":
        return StoreError(
            "the query ran longer than {limit_s} s and was stopped: ask for less, or set "
            "WORKBENCH_QUERY_LIMIT_S higher",
            limit_s=limit_s,
        )
    if kind == "memory":
        return StoreError(
            "the query needed more than {limit_mb} MB of memory and was stopped: ask for "
            "less, or set WORKBENCH_QUERY_MEMORY_MB higher",
            limit_mb=limit_mb,
        )
    if kind == "damage":
        return StoreError(
            "the query met a damaged block ({reason}): restore a backup with `workbench store "
            "restore BACKUP --force`, or ask for what is whole",
            reason=reason,
        )
    return InputError("the query failed: {reason}", reason=reason)
