"""A double at the Lender protocol: one GPU, and so many leases at a time as it has slots.

It is as strict as the ledger: to give back what is not held is a fault of the test's subject.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from workbench.core.gpu import Vendor
from workbench.core.ledger_nouns import Claim, Lease, LedgerView, NoRoom, Room
from workbench.core.sentence import Sentence

UUID = "GPU-8f6a4c1e-0000-4000-8000-000000000001"


class ScriptedLender:
    """`total_mb` None is a machine on which no GPU was found."""

    def __init__(
        self,
        *,
        total_mb: float | None = 24_000,
        uuid: str | None = UUID,
        vendor: Vendor = "nvidia",
    ) -> None:
        self.total_mb, self.uuid, self.vendor = total_mb, uuid, vendor
        self.slots = 1
        self.asked: list[Claim] = []
        self.held: dict[str, Claim] = {}
        self.line: list[Claim] = []
        self.touched: list[str] = []
        self.on_release: Callable[[], None] = lambda: None
        self._changed = asyncio.Event()

    async def acquire(self, claim: Claim, waiting: Callable[[Sentence], None]) -> Lease:
        self.asked.append(claim)
        assert claim.claim_id not in {*self.held, *(each.claim_id for each in self.line)}
        if self.total_mb is None:
            raise NoRoom("no GPU was found")
        if claim.memory_mb > self.total_mb:
            raise NoRoom("{name} needs more than there is", name=claim.name)
        self.line.append(claim)
        try:
            while len(self.held) >= self.slots or self.line[0] is not claim:
                waiting(self.reason())
                await self._changed.wait()
        finally:
            self.line.remove(claim)
            self._wake()
        self.held[claim.claim_id] = claim
        return Lease(
            claim=claim,
            gpu_id=claim.gpu or "0",
            uuid=self.uuid,
            vendor=self.vendor,
            granted_at=0.0,
            used_at=0.0,
        )

    def release(self, claim_id: str) -> None:
        del self.held[claim_id]
        self.on_release()
        self._wake()

    def touch(self, claim_id: str) -> None:
        assert claim_id in self.held
        self.touched.append(claim_id)

    def view(self) -> LedgerView:
        if self.total_mb is None:
            return LedgerView()
        return LedgerView(rooms=(Room(gpu_id="0", total_mb=self.total_mb, free_mb=self.total_mb),))

    def reason(self) -> Sentence:
        """What somebody hears who has to wait now."""
        return Sentence("waiting for GPU 0, held by {holders}", {"holders": ", ".join(self.held)})

    def hold(self, name: str) -> None:
        """Somebody else has the GPU until `release(name)`."""
        self.held[name] = Claim(claim_id=name, kind="task", name=name, memory_mb=1)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
