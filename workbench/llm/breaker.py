"""A circuit breaker as a pure state machine: time is an argument, from a monotonic clock.

Closed, it lets every call through and counts faults in a row. Open, it lets none through until
its pause is over. Half-open, it lets exactly one through, the probe, whose outcome decides.
What a user or a bad request ends is neutral: it says nothing about the other side.
"""

from __future__ import annotations

from typing import Literal

from workbench.core.llm import Busy
from workbench.core.llm_results import BreakerState
from workbench.errors import LinkError

Outcome = Literal["good", "faulty", "neutral"]

THRESHOLD = 3
PAUSE_S = 2.0
LONGEST_S = 30.0


class Ticket:
    """A call that was let through. It ends once; a second end is ignored."""

    __slots__ = ("generation",)

    def __init__(self, generation: int) -> None:
        self.generation = generation


class Breaker:
    """Opens after `threshold` faults in a row; each failed probe doubles the pause."""

    def __init__(
        self, *, threshold: int = THRESHOLD, pause_s: float = PAUSE_S, longest_s: float = LONGEST_S
    ) -> None:
        self._threshold = threshold
        self._first_pause_s = pause_s
        self._longest_s = longest_s
        self._pause_s = pause_s
        self._faults = 0
        self._until: float | None = None
        self._probe: Ticket | None = None
        self._generation = 0

    def state(self, now: float) -> BreakerState:
        if self._until is None:
            return "closed"
        return "open" if now < self._until else "half-open"

    def allows(self, now: float) -> bool:
        """Whether a call may begin. Not while a probe is under way."""
        state = self.state(now)
        return state == "closed" or (state == "half-open" and self._probe is None)

    def wait_s(self, now: float) -> float:
        """Until a call may be tried; 0 where it may be now, or where a probe decides."""
        return 0.0 if self._until is None else max(0.0, self._until - now)

    def begin(self, now: float) -> Ticket | None:
        """Let a call through: its ticket, or None where it may not begin."""
        if not self.allows(now):
            return None
        ticket = Ticket(self._generation)
        if self._until is not None:
            self._probe = ticket
        return ticket

    def end(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        """Say how a call ended. One that began in an earlier state decides nothing."""
        if ticket is self._probe:
            self._probe = None
            if outcome == "good":
                self._close()
            elif outcome == "faulty":
                self._open(now, min(self._longest_s, 2 * self._pause_s))
        elif self._until is None and ticket.generation == self._generation:
            self._count(ticket, outcome, now)

    def retry(self, now: float) -> None:
        """Somebody saw the other side answer: an open breaker tries a probe now."""
        if self._until is not None:
            self._until = min(self._until, now)

    def _count(self, ticket: Ticket, outcome: Outcome, now: float) -> None:
        ticket.generation = -1
        if outcome == "good":
            self._faults = 0
        elif outcome == "faulty":
            self._faults += 1
            if self._faults >= self._threshold:
                self._open(now, self._first_pause_s)

    def _open(self, now: float, pause_s: float) -> None:
        self._generation += 1
        self._pause_s = pause_s
        self._until = now + pause_s

    def _close(self) -> None:
        self._generation += 1
        self._faults = 0
        self._until = None


def outcome_of(error: BaseException) -> Outcome:
    """What an error says about the back end: only a broken link or a broken answer counts."""
    return "faulty" if isinstance(error, LinkError) and not isinstance(error, Busy) else "neutral"
