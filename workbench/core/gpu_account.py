"""How much of one GPU's memory is left, as a reading and the leases on it tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from workbench.core.gpu import Gpu, Owners, owner_of
from workbench.core.ledger_nouns import Claim, Lease


@dataclass(slots=True)
class Use:
    """Who uses one GPU's memory, in MB."""

    taken: dict[str, float] = field(default_factory=dict)
    """By the processes of each claim, as far as their use is told."""
    untold: set[str] = field(default_factory=set)
    """Claims of whose processes one does not tell its use."""
    others: float = 0.0
    """By processes that can be seen and are nobody's here."""

    @property
    def listed(self) -> float:
        """All that can be told apart."""
        return self.others + sum(self.taken.values())


@dataclass(slots=True)
class Account:
    """One GPU's memory at its newest reading."""

    gpu: Gpu
    use: Use
    seen_at: float
    hidden: float
    """MB in use that no process which can be told apart accounts for, less what may be that of
    a lease: the driver's own, and where the driver lists no processes (or, in a container, only
    such as cannot be seen from inside), all that was in use before the first lease."""
    present: bool = True
    """Whether the newest reading of all had it."""

    @property
    def ready(self) -> bool:
        """Whether it can be lent at all now."""
        return self.present and self.gpu.state == "ok"

    def room(self, leases: Iterable[Lease]) -> float | None:
        """MB that may still be lent; None where nobody knows. Below 0: more is in use than was
        lent. A claim that gave its lease back counts for as long as its processes are there.
        """
        total, used = self.gpu.memory_total_mb, self.gpu.memory_used_mb
        if not self.ready or total is None or used is None:
            return None
        leased = {lease.claim.claim_id: lease.claim.memory_mb for lease in leases}
        ours = sum(
            max(leased.get(claim_id, 0.0), self.use.taken.get(claim_id, 0.0))
            for claim_id in leased.keys() | self.use.taken.keys()
        )
        return total - max(self.use.others + self.hidden + ours, used)

    def may_hold(self, claim: Claim) -> bool:
        """Whether it could, with nobody else on it. One that is lost may come back."""
        if self.gpu.state == "denied":
            return False
        if self.gpu.memory_total_mb is None:
            return not self.ready
        return self.gpu.memory_total_mb >= claim.memory_mb


def account(
    gpu: Gpu, owners: Owners, leases: Iterable[Lease], before: Account | None, now: float
) -> Account:
    """What a reading says about one GPU, in the light of what was known `before`."""
    use = _use(gpu, owners)
    if gpu.memory_used_mb is None:
        return Account(gpu, use, now, before.hidden if before else 0.0)
    hidden = max(gpu.memory_used_mb - use.listed, 0.0)
    ids = {lease.claim.claim_id for lease in leases}
    if before is not None and not ids <= use.taken.keys() - use.untold:
        hidden = min(hidden, before.hidden)  # what came since then may be that of a lease
    return Account(gpu, use, now, hidden)


def _use(gpu: Gpu, owners: Owners) -> Use:
    use = Use()
    for process in gpu.processes or ():
        owner = owner_of(process, gpu.node, owners)
        claim_id = owner.claim_id if owner else ""
        if process.memory_mb is None:
            use.untold.add(claim_id)
        elif claim_id:
            use.taken[claim_id] = use.taken.get(claim_id, 0.0) + process.memory_mb
        elif owner is not None or process.ancestors:  # without either it may be a lease's
            use.others += process.memory_mb
    return use


def names(gpu: Gpu | Lease) -> frozenset[str]:
    """Under which the same memory may appear: a Dask worker on the hub's own machine reports
    the hub's GPU under another `gpuId`, and its `uuid` gives it away."""
    return frozenset(name for name in (gpu.gpu_id, gpu.uuid) if name is not None)
