"""The GpuLedger: decides who may use how much memory of which GPU. Values in, decisions out.

First come, first served among those who want the same GPU; what is lent is never more than what
the newest reading says is there, less leases and what others use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from workbench.core import ledger_sentences as say
from workbench.core.gpu import Gpu, GpuReading, Owners
from workbench.core.gpu_account import Account, account, names
from workbench.core.ledger_nouns import Claim, Holding, Lease, LedgerView, Room, Waiting
from workbench.core.sentence import Sentence

FORGET_S = 60.0
"""So long a GPU that no reading has any more counts as lost; then it is as if never there."""
IDLE_S = 60.0


@dataclass(frozen=True, slots=True)
class Granted:
    """It may start now, on the GPU of its lease."""

    lease: Lease


@dataclass(frozen=True, slots=True)
class Waits:
    """It stands in the line, or its reason to wait is another now."""

    claim: Claim
    reason: Sentence


@dataclass(frozen=True, slots=True)
class Refused:
    """It will never get what it asks for here, or does not wait for it: it has left the line."""

    claim: Claim
    sentence: Sentence


Decision = Granted | Waits | Refused


@dataclass(slots=True)
class _Waiter:
    claim: Claim
    since: float
    reason: Sentence


class GpuLedger:
    """All leases of one hub, and the line of those who wait."""

    def __init__(self, *, tasks_elsewhere: bool = False) -> None:
        """`tasks_elsewhere`: tasks run on the GPUs of Dask workers only, as with a cluster of
        other machines. Language models run on the hub's own machine, whatever tasks do."""
        self._tasks_elsewhere = tasks_elsewhere
        self._accounts: dict[str, Account] = {}
        self._leases: dict[str, Lease] = {}
        self._line: dict[str, _Waiter] = {}
        self._split: dict[str, list[str]] = {}
        """The slices of each card that has some."""
        self._lefts: dict[str, float] = {}
        """What `_left` has worked out since a reading or a lease changed it."""

    def readings(self, reading: GpuReading, owners: Owners, now: float) -> list[Decision]:
        """What the GPUs are now, and what follows for those who wait. `now` is monotonic, s."""
        for gpu in reading.gpus:
            before = self._accounts.get(gpu.gpu_id)
            self._accounts[gpu.gpu_id] = account(gpu, owners, self._on(gpu), before, now)
        for gpu_id in self._accounts.keys() - {gpu.gpu_id for gpu in reading.gpus}:
            self._missed(self._accounts[gpu_id], now)
        self._split = {}
        for each in self._accounts.values():
            if each.gpu.parent is not None:
                self._split.setdefault(each.gpu.parent, []).append(each.gpu.gpu_id)
        self._lefts.clear()
        return self._decide(now)

    def ask(self, claim: Claim, now: float) -> list[Decision]:
        """A new claim, to be decided by the newest reading."""
        if claim.claim_id in self._leases or claim.claim_id in self._line:
            values = {"name": claim.name, "claim": claim.claim_id}
            return [Refused(claim, Sentence(say.TWICE, values))]
        self._line[claim.claim_id] = _Waiter(claim, now, Sentence(""))  # its reason follows at once
        return self._decide(now)

    def release(self, claim_id: str) -> Lease | None:
        """The end of a lease, which is returned, or of waiting. What it held is lent again at
        the next reading, which shows whether it is free."""
        self._line.pop(claim_id, None)
        self._lefts.clear()
        return self._leases.pop(claim_id, None)

    def touch(self, claim_id: str, now: float) -> None:
        """It did something, so it is not idle. One without a lease changes nothing."""
        lease = self._leases.get(claim_id)
        if lease is not None:
            self._leases[claim_id] = replace(lease, used_at=now)

    def holds(self, claim_id: str) -> bool:
        """Whether a lease was granted to it and not given back."""
        return claim_id in self._leases

    def view(self, now: float) -> LedgerView:
        """Everything, for a page: the line in its order, leases the oldest first."""
        whole = [each for name, each in self._accounts.items() if name not in self._split]
        return LedgerView(
            rooms=tuple(map(self._room, whole)),
            holdings=tuple(_holding(lease, now) for lease in self._leases.values()),
            waiting=tuple(_waiting(waiter, now) for waiter in self._line.values()),
        )

    # The GPUs -------------------------------------------------------------------------

    def _missed(self, account: Account, now: float) -> None:
        """A reading came without it: a worker that is late, or a GPU that was taken out."""
        account.present = False
        if now - account.seen_at > FORGET_S and not self._on(account.gpu):
            del self._accounts[account.gpu.gpu_id]

    def _on(self, gpu: Gpu) -> list[Lease]:
        return [lease for lease in self._leases.values() if names(lease) & names(gpu)]

    def _usable(self, claim: Claim) -> list[Account]:
        """Those that its kind may use, whatever their memory."""
        far = claim.kind == "task" and self._tasks_elsewhere
        return [
            each
            for name, each in self._accounts.items()
            if (bool(each.gpu.worker) if far else not (each.gpu.worker or each.gpu.node))
            and name not in self._split
        ]

    # Decisions ------------------------------------------------------------------------

    def _decide(self, now: float) -> list[Decision]:
        """Go down the line once. Whoever has to wait keeps those behind off what it waits for."""
        decisions: list[Decision] = []
        ahead: dict[str, Claim] = {}
        for waiter in list(self._line.values()):
            decision = self._decision(waiter.claim, ahead, now)
            if isinstance(decision, Waits) and not waiter.claim.waits:
                decision = Refused(waiter.claim, decision.reason)
            if isinstance(decision, Waits):
                for each in self._wanted(waiter.claim):
                    for name in names(each.gpu):
                        ahead.setdefault(name, waiter.claim)
                if decision.reason == waiter.reason:
                    continue
                waiter.reason = decision.reason
            else:
                del self._line[waiter.claim.claim_id]
            if isinstance(decision, Granted):
                self._leases[waiter.claim.claim_id] = decision.lease
                self._lefts.clear()
            decisions.append(decision)
        return decisions

    def _decision(self, claim: Claim, ahead: Mapping[str, Claim], now: float) -> Decision:
        refusal = self._refusal(claim)
        if refusal is not None:
            return Refused(claim, refusal)
        wanted = self._wanted(claim)
        its_turn = [each for each in wanted if not ahead.keys() & names(each.gpu)]
        if not its_turn:
            return Waits(claim, _behind(max(wanted, key=self._left), ahead))
        fitting = [each for each in its_turn if self._left(each) >= claim.memory_mb]
        if not fitting:
            return Waits(claim, self._shortage(claim, its_turn, now))
        return Granted(_lease(claim, min(fitting, key=self._left).gpu, now))

    def _left(self, account: Account) -> float:
        """What may still be lent of it; less than nothing where nobody knows."""
        name = account.gpu.gpu_id
        if name not in self._lefts:
            room = account.room(self._on(account.gpu))
            self._lefts[name] = -math.inf if room is None else room
        return self._lefts[name]

    def _asked(self, claim: Claim) -> list[Account]:
        usable = self._usable(claim)
        return [each for each in usable if claim.gpu in (None, each.gpu.gpu_id)]

    def _wanted(self, claim: Claim) -> list[Account]:
        """Those on which it could run one day."""
        return [each for each in self._asked(claim) if each.may_hold(claim)]

    def _refusal(self, claim: Claim) -> Sentence | None:
        """Why it can never be granted here, as far as is known now."""
        if not 0 < claim.memory_mb < math.inf:
            values = {"name": claim.name, "amount": claim.memory_mb}
            return Sentence(say.NO_AMOUNT, values)
        asked = self._asked(claim)
        if not asked:
            return self._absence(claim)
        if self._wanted(claim):
            return None
        values = {"name": claim.name, "need": _up(claim.memory_mb)}
        told = [(each.gpu.memory_total_mb or 0.0, each.gpu.gpu_id) for each in asked]
        total, gpu_id = max(told)
        if total < claim.memory_mb and total:
            return Sentence(say.TOO_LARGE, {**values, "gpu": gpu_id, "total": _down(total)})
        return Sentence(say.UNTOLD, {**values, "gpu": gpu_id})

    def _absence(self, claim: Claim) -> Sentence:
        known = [each.gpu.gpu_id for each in self._usable(claim)]
        if claim.gpu is None or not known:
            return Sentence(say.NO_GPU, {"name": claim.name, "need": _up(claim.memory_mb)})
        if claim.gpu in self._split:
            slices = ", ".join(self._split[claim.gpu])
            return Sentence(say.SPLIT, {"gpu": claim.gpu, "slices": slices})
        values = {"gpu": claim.gpu, "name": claim.name, "known": ", ".join(known)}
        return Sentence(say.NO_SUCH_GPU, values)

    # Why it waits ---------------------------------------------------------------------

    def _shortage(self, claim: Claim, accounts: list[Account], now: float) -> Sentence:
        """Names a GPU on which it would be enough to unload an idle model, if there is one."""
        roomiest = sorted(accounts, key=self._left, reverse=True)
        for each in roomiest:
            missing_mb = claim.memory_mb - self._left(each)
            idle = [lease for lease in self._on(each.gpu) if _idle(lease, now)]
            largest = max(idle, key=_size, default=None)
            if largest is not None and _size(largest) >= missing_mb:
                idle_min = int((now - largest.used_at) // 60)
                return self._waits(say.WAITS_IDLE, claim, each, holder=largest, idle=idle_min)
        return self._plainly(claim, roomiest[0])

    def _plainly(self, claim: Claim, account: Account) -> Sentence:
        gpu = account.gpu
        if not account.present or gpu.state == "lost":
            return Sentence(say.WAITS_LOST, {"gpu": gpu.gpu_id})
        if self._left(account) == -math.inf:
            return Sentence(say.WAITS_UNREAD, {"gpu": gpu.gpu_id})
        largest = max(self._on(gpu), key=_size, default=None)
        template = say.WAITS_OTHERS if largest is None else say.WAITS_HELD
        return self._waits(template, claim, account, holder=largest)

    def _waits(
        self, template: str, claim: Claim, account: Account, holder: Lease | None, **more: Any
    ) -> Sentence:
        free = max(self._left(account), 0.0)
        values = {"gpu": account.gpu.gpu_id, "free": _down(free), "need": _up(claim.memory_mb)}
        named = {"holder": holder.claim.name} if holder else {}
        return Sentence(template, {**values, **named, **more})

    def _room(self, account: Account) -> Room:
        left, leases = self._left(account), self._on(account.gpu)
        return Room(
            gpu_id=account.gpu.gpu_id,
            total_mb=account.gpu.memory_total_mb,
            free_mb=None if left == -math.inf else round(max(left, 0.0), 1),
            leased_mb=sum(map(_size, leases)),
        )


def _lease(claim: Claim, gpu: Gpu, now: float) -> Lease:
    return Lease(
        claim=claim,
        gpu_id=gpu.gpu_id,
        uuid=gpu.uuid,
        vendor=gpu.vendor,
        worker=gpu.worker,
        granted_at=now,
        used_at=now,
    )


def _behind(account: Account, ahead: Mapping[str, Claim]) -> Sentence:
    its_names = names(account.gpu)
    first = next(claim for name, claim in ahead.items() if name in its_names)
    values = {"gpu": account.gpu.gpu_id, "first": first.name, "need": _up(first.memory_mb)}
    return Sentence(say.WAITS_TURN, values)


def _idle(lease: Lease, now: float) -> bool:
    """A task is at work for as long as it runs; only a model can be loaded and do nothing."""
    return lease.claim.kind == "model" and now - lease.used_at >= IDLE_S


def _size(lease: Lease) -> float:
    return lease.claim.memory_mb


def _holding(lease: Lease, now: float) -> Holding:
    claim = lease.claim
    return Holding(
        claim_id=claim.claim_id,
        kind=claim.kind,
        name=claim.name,
        memory_mb=claim.memory_mb,
        gpu_id=lease.gpu_id,
        held_s=round(now - lease.granted_at, 1),
        idle_s=round(now - lease.used_at, 1),
    )


def _waiting(waiter: _Waiter, now: float) -> Waiting:
    claim = waiter.claim
    return Waiting(
        claim_id=claim.claim_id,
        kind=claim.kind,
        name=claim.name,
        memory_mb=claim.memory_mb,
        reason=waiter.reason,
        waits_s=round(now - waiter.since, 1),
    )


def _up(amount_mb: float) -> float:
    """In GB, never shown as less than it is: what is missing must not look as if it were there."""
    return _plain(math.ceil(amount_mb / 100) / 10)


def _down(amount_mb: float) -> float:
    """In GB, never shown as more than it is."""
    return _plain(math.floor(amount_mb / 100) / 10)


def _plain(amount: float) -> float:
    """`6` rather than `6.0`."""
    return int(amount) if amount.is_integer() else amount
