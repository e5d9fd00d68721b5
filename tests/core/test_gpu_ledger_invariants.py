"""Whatever happens in whatever order, the GpuLedger lends no memory twice and forgets nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from workbench.core.gpu import Gpu, GpuProcess, GpuReading, Owner
from workbench.core.gpu_account import Account
from workbench.core.gpu_ledger import Decision, GpuLedger, Granted, Refused
from workbench.core.ledger_nouns import Claim, Lease

Sight = Literal["listed", "container", "unlisted"]
"""What a driver tells of processes: all, only such as nobody here can see, or nothing."""
DRIVER_MB = 400.0
STRANGER, HUB = 9_000, 1


@dataclass
class Card:
    """A GPU as it really is."""

    gpu_id: str
    total_mb: float
    sight: Sight
    strangers_mb: float = 0.0
    loaded: dict[str, float] = field(default_factory=dict)
    """What the process of each lease really uses."""
    lost: bool = False

    @property
    def used_mb(self) -> float:
        return DRIVER_MB + self.strangers_mb + sum(self.loaded.values())

    def read(self) -> Gpu:
        seen = {"listed": (HUB,), "container": ()}
        everybody = {STRANGER: self.strangers_mb} | {
            pid_of(claim_id): mb for claim_id, mb in self.loaded.items()
        }
        processes = None
        if self.sight != "unlisted":
            processes = tuple(
                GpuProcess(pid=pid, memory_mb=mb, ancestors=seen[self.sight])
                for pid, mb in everybody.items()
            )
        return Gpu(
            gpu_id=self.gpu_id,
            vendor="nvidia",
            state="lost" if self.lost else "ok",
            memory_total_mb=self.total_mb,
            memory_used_mb=None if self.lost else self.used_mb,
            processes=None if self.lost else processes,
        )


def pid_of(claim_id: str) -> int:
    return 100 + int(claim_id.partition(":")[2])


class Life(RuleBasedStateMachine):
    """Claims come and go, processes load and end, others come and go, GPUs are lost and found."""

    book: ClassVar[type[GpuLedger]] = GpuLedger

    @initialize(
        sight=st.sampled_from(["listed", "container", "unlisted"]),
        totals=st.lists(st.sampled_from([8_000.0, 10_000.0, 24_000.0]), min_size=1, max_size=3),
    )
    def begin(self, sight: Sight, totals: list[float]) -> None:
        self.cards = {str(n): Card(str(n), total, sight) for n, total in enumerate(totals)}
        self.ledger, self.sight, self.now, self.count = self.book(), sight, 0.0, 0
        self.line: list[Claim] = []
        self.leases: dict[str, Lease] = {}

    @rule(
        memory_mb=st.sampled_from([500.0, 3_000.0, 6_000.0, 9_000.0, 20_000.0, 30_000.0]),
        gpu=st.sampled_from([None, None, "0", "1"]),
        kind=st.sampled_from(["task", "model"]),
    )
    def ask(self, memory_mb: float, gpu: str | None, kind: Literal["task", "model"]) -> None:
        self.look()
        self.count += 1
        name = f"c:{self.count}"
        claim = Claim(claim_id=name, kind=kind, name=name, memory_mb=memory_mb, gpu=gpu)
        self.line.append(claim)
        decisions = self.ledger.ask(claim, self.now)
        assert decisions[-1:], f"{name} was not answered"
        self.check(decisions)

    @rule(seconds=st.floats(0, 90))
    def look_later(self, seconds: float) -> None:
        self.now += seconds
        self.look()

    @precondition(lambda self: self.leases)
    @rule(share=st.sampled_from([0.1, 0.9, 1.0]), data=st.data())
    def load(self, share: float, data: st.DataObject) -> None:
        lease = self.leases[data.draw(st.sampled_from(sorted(self.leases)))]
        card, name = self.cards[lease.gpu_id], lease.claim.claim_id
        card.loaded.pop(name, None)
        card.loaded[name] = min(share * lease.claim.memory_mb, card.total_mb - card.used_mb)
        self.ledger.touch(name, self.now)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """The process ends, then its lease is given back; nobody looks in between."""
        self.give_back(data.draw(st.sampled_from(sorted(self.leases))))

    @precondition(lambda self: self.line)
    @rule(data=st.data())
    def leave_the_line(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.line))
        assert self.ledger.release(claim.claim_id) is None
        self.line.remove(claim)

    @rule(data=st.data(), memory_mb=st.sampled_from([0.0, 1_000.0, 7_000.0]))
    def others_come_or_go(self, data: st.DataObject, memory_mb: float) -> None:
        """Where the driver hides whose memory it is, only while nobody of ours is there."""
        card = self.cards[data.draw(st.sampled_from(sorted(self.cards)))]
        if self.sight == "listed" or not self.on(card):
            card.strangers_mb = 0.0
            card.strangers_mb = min(memory_mb, card.total_mb - card.used_mb)

    @rule(data=st.data())
    def lose_or_find(self, data: st.DataObject) -> None:
        card = self.cards[data.draw(st.sampled_from(sorted(self.cards)))]
        card.lost = not card.lost

    # What must hold

    def look(self) -> None:
        reading = GpuReading(gpus=tuple(card.read() for card in self.cards.values()))
        owners = {
            ("", pid_of(name)): Owner(kind=lease.claim.kind, name=name, claim_id=name)
            for name, lease in self.leases.items()
        }
        owned = owners if self.sight == "listed" else {}
        self.check(self.ledger.readings(reading, owned, self.now))

    def check(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            if isinstance(decision, Granted):
                self.check_grant(decision.lease)
            elif isinstance(decision, Refused):
                assert self.hopeless(decision.claim), f"refused: {decision.claim}"
                self.line.remove(decision.claim)
            else:
                assert decision.claim in self.line
                assert str(decision.reason).startswith("waiting for GPU ")
        self.check_view()

    def check_grant(self, lease: Lease) -> None:
        card, claim = self.cards[lease.gpu_id], lease.claim
        assert not card.lost, "a lost GPU was lent"
        assert claim.gpu in (None, lease.gpu_id)
        earlier = self.line[: self.line.index(claim)]
        passed = [each for each in earlier if self.could(each, card)]
        assert not passed, f"{claim} passed {passed}"
        self.line.remove(claim)
        self.leases[claim.claim_id] = lease
        ours = sum(
            max(each.claim.memory_mb, card.loaded.get(each.claim.claim_id, 0.0))
            for each in self.on(card)
        )
        assert DRIVER_MB + card.strangers_mb + ours <= card.total_mb, "lent more than is there"

    def check_view(self) -> None:
        view = self.ledger.view(self.now)
        assert {each.claim_id for each in view.holdings} == self.leases.keys()
        assert [each.claim_id for each in view.waiting] == [each.claim_id for each in self.line]
        assert all(room.free_mb is None or room.free_mb >= 0 for room in view.rooms)

    def on(self, card: Card) -> list[Lease]:
        return [lease for lease in self.leases.values() if lease.gpu_id == card.gpu_id]

    def could(self, claim: Claim, card: Card) -> bool:
        return claim.gpu in (None, card.gpu_id) and claim.memory_mb <= card.total_mb

    def hopeless(self, claim: Claim) -> bool:
        return not any(self.could(claim, card) for card in self.cards.values())

    def give_back(self, name: str) -> None:
        lease = self.leases.pop(name)
        self.cards[lease.gpu_id].loaded.pop(name, None)
        given_back = self.ledger.release(name)
        assert given_back is not None
        assert given_back.claim == lease.claim

    def teardown(self) -> None:
        """Once all is well and leases end, everybody who waits gets its turn."""
        if not hasattr(self, "cards"):
            return
        for card in self.cards.values():
            card.lost, card.strangers_mb = False, 0.0
        for _ in range(2 * self.count + 2):
            for name in list(self.leases):
                self.give_back(name)
            self.look()
        assert self.line == [], "somebody waits for ever"


def live(kind: type[Life], examples: int, phases: list[Phase]) -> None:
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            phases=phases,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_nothing_is_lent_twice_and_nobody_is_passed_or_forgotten() -> None:
    live(Life, 80, [Phase.generate, Phase.shrink])


class LendsTwice(GpuLedger):
    """Takes no account of leases."""

    def _left(self, account: Account) -> float:
        return account.room([]) or 0.0


class Unfair(GpuLedger):
    """Gives to whoever fits."""

    def _decision(self, claim: Claim, ahead: Mapping[str, Claim], now: float) -> Decision:
        return super()._decision(claim, {}, now)


class LendsTheLost(GpuLedger):
    """Believes that a GPU which is lost is there."""

    def _left(self, account: Account) -> float:
        return account.gpu.memory_total_mb or 0.0


class Forgets(GpuLedger):
    """Loses the last of the line when it looks."""

    def _decide(self, now: float) -> list[Decision]:
        decisions = super()._decide(now)
        if len(self._line) > 2:
            self._line.popitem()
        return decisions


class BlindToOthers(GpuLedger):
    """Counts only what it lent itself."""

    def _left(self, account: Account) -> float:
        leased = sum(lease.claim.memory_mb for lease in self._on(account.gpu))
        known = account.room([]) is not None
        return (account.gpu.memory_total_mb or 0.0) - leased if known else 0.0


@pytest.mark.parametrize("broken", [LendsTwice, Unfair, LendsTheLost, Forgets, BlindToOthers])
def test_the_invariants_notice_a_ledger_that_is_wrong(broken: type[GpuLedger]) -> None:
    class Wrong(Life):
        book = broken

    with pytest.raises(AssertionError):
        live(Wrong, 150, [Phase.generate])
