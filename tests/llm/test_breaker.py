"""The circuit breaker: when it opens, what probes it, and what does not count."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from workbench.core.llm import BackendBroken, Busy, ContextOverflow, NoModel
from workbench.errors import InputError, LinkError, ProtocolError
from workbench.llm.breaker import Breaker, Outcome, Ticket, outcome_of


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(threshold=2, pause_s=10, longest_s=30)
    for _ in range(2):
        ticket = breaker.begin(now)
        assert ticket
        breaker.end(ticket, "faulty", now)
    return breaker


def test_opens_after_so_many_faults_in_a_row() -> None:
    breaker = opened()
    assert breaker.state(0) == "open"
    assert breaker.begin(9.9) is None
    assert breaker.wait_s(4) == 6


def test_a_good_call_starts_the_count_anew() -> None:
    breaker = Breaker(threshold=2)
    outcomes: tuple[Outcome, ...] = ("faulty", "good", "faulty")
    for outcome in outcomes:
        ticket = breaker.begin(0)
        assert ticket
        breaker.end(ticket, outcome, 0)
    assert breaker.state(0) == "closed"


def test_lets_exactly_one_probe_through() -> None:
    breaker = opened()
    probe = breaker.begin(10)
    assert probe
    assert [breaker.begin(10) for _ in range(20)] == [None] * 20
    breaker.end(probe, "good", 11)
    assert breaker.state(11) == "closed"
    assert breaker.begin(11)


def test_a_failed_probe_doubles_the_pause_up_to_its_limit() -> None:
    breaker, now = opened(), 0.0
    pauses = []
    for _ in range(4):
        now += breaker.wait_s(now)
        probe = breaker.begin(now)
        assert probe
        breaker.end(probe, "faulty", now)
        pauses.append(breaker.wait_s(now))
    assert pauses == [20, 30, 30, 30]


def test_a_cancelled_probe_decides_nothing_and_frees_its_place() -> None:
    breaker = opened()
    probe = breaker.begin(10)
    assert probe
    breaker.end(probe, "neutral", 10)
    assert breaker.state(10) == "half-open"
    assert breaker.begin(10)


def test_a_call_that_began_before_it_opened_cannot_close_it() -> None:
    breaker = Breaker(threshold=1, pause_s=10)
    early, faulty = breaker.begin(0), breaker.begin(0)
    assert early
    assert faulty
    breaker.end(faulty, "faulty", 0)
    breaker.end(early, "good", 11)
    assert breaker.state(11) == "half-open"


def test_who_was_seen_to_answer_is_probed_at_once() -> None:
    breaker = opened()
    breaker.retry(1)
    assert breaker.state(1) == "half-open"


def test_only_a_broken_link_or_answer_counts() -> None:
    faulty = [LinkError("x"), BackendBroken("x"), ProtocolError("x")]
    neutral = [
        InputError("x"),
        NoModel("x"),
        ContextOverflow("x"),
        Busy("x"),
        ValueError("a bug of ours"),
    ]
    assert {outcome_of(error) for error in faulty} == {"faulty"}
    assert {outcome_of(error) for error in neutral} == {"neutral"}


class BreakerMachine(RuleBasedStateMachine):
    """Any order of calls, ends and waits."""

    @initialize(threshold=st.integers(1, 4), pause_s=st.floats(0.5, 5))
    def start(self, threshold: int, pause_s: float) -> None:
        self.breaker = Breaker(threshold=threshold, pause_s=pause_s, longest_s=20)
        self.threshold = threshold
        self.now = 0.0
        self.open_calls: list[tuple[Ticket, str]] = []
        self.in_a_row = 0

    @rule()
    def begin(self) -> None:
        state = self.breaker.state(self.now)
        probes = [t for t, began in self.open_calls if began == "half-open"]
        ticket = self.breaker.begin(self.now)
        if state == "open":
            assert ticket is None
        elif state == "closed":
            assert ticket is not None
        elif ticket is not None:
            assert not [t for t in probes if t in self.live_probes()]
        if ticket is not None:
            self.open_calls.append((ticket, state))

    def live_probes(self) -> list[Ticket]:
        return [t for t, began in self.open_calls if began == "half-open"]

    @precondition(lambda self: self.open_calls)
    @rule(data=st.data(), outcome=st.sampled_from(["good", "faulty", "neutral"]))
    def end(self, data: st.DataObject, outcome: Outcome) -> None:
        call = data.draw(st.sampled_from(self.open_calls))
        self.open_calls.remove(call)
        ticket, began = call
        before = self.breaker.state(self.now)
        self.breaker.end(ticket, outcome, self.now)
        after = self.breaker.state(self.now)
        if outcome == "neutral" or (began == "closed" and before != "closed"):
            assert after == before
        elif began == "half-open" and outcome == "good":
            assert after == "closed"
        elif began == "half-open":
            assert after == "open"
        self.breaker.end(ticket, "faulty", self.now)  # a second end
        assert self.breaker.state(self.now) == after

    @rule(seconds=st.floats(0, 10))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def at_most_one_probe(self) -> None:
        if hasattr(self, "breaker"):
            assert len(self.live_probes()) <= 1
            assert 0 <= self.breaker.wait_s(self.now) <= 20
            assert self.breaker.allows(self.now) == (
                self.breaker.state(self.now) == "closed"
                or (self.breaker.state(self.now) == "half-open" and not self.live_probes())
            )


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
