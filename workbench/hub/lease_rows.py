"""Who held which GPU's memory and when, kept for the metrics of runs."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from typing import Any

from workbench.core.ledger_nouns import Lease
from workbench.errors import WorkbenchError
from workbench.hub.chat_rows import Journal
from workbench.hub.instants import now

log = logging.getLogger("workbench.hub")


class LeaseRows:
    """A row at the grant, and one at the end with both instants."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._granted_at: dict[str, datetime] = {}

    async def start(self) -> None:
        """What a killed hub had lent ended with it, for its processes did."""
        rows = await self._journal.read("gpu_leases_open")
        for row in rows:
            row["released_at"] = now()
        self._keep([tuple(row.values()) for row in rows])

    def granted(self, lease: Lease) -> None:
        """A lease begins."""
        at = self._granted_at[lease.claim.claim_id] = now()
        self._keep([_row(lease, at, None)])

    def given_back(self, lease: Lease) -> None:
        """A lease has ended."""
        at = self._granted_at.pop(lease.claim.claim_id, None)
        if at is not None:
            self._keep([_row(lease, at, now())])

    def _keep(self, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            kept = self._journal.append({"gpu_lease_entries": rows})
            kept.add_done_callback(_log_unkept)


def _row(lease: Lease, granted_at: datetime, released_at: datetime | None) -> tuple[Any, ...]:
    claim = lease.claim
    return (
        claim.claim_id,
        claim.kind,
        claim.name,
        lease.gpu_id,
        claim.memory_mb,
        granted_at,
        released_at,
    )


def _log_unkept(kept: asyncio.Future[None]) -> None:
    error = None if kept.cancelled() else kept.exception()
    if isinstance(error, WorkbenchError):
        log.warning("lease.unsaved reason=%s", error)
