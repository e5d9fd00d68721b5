"""Which of several endpoints is preferred: the first that has not failed lately."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.core.endpoint import Named, Outcome, name_of
from workbench.core.link import STABLE_S

HOLD_S = 60.0
MOST_HOLD_S = 600.0
PATIENCE = 2


class _Standing:
    """How one endpoint did."""

    def __init__(self) -> None:
        self.failures = 0
        self.connected_at: float | None = None
        self.held_until: float | None = None

    def failed(self, now: float, hold_s: float, final: bool) -> None:
        if self.connected_at is not None and now - self.connected_at >= STABLE_S:
            self.failures = 0
        self.connected_at = None
        self.failures = max(self.failures + 1, PATIENCE if final else 0)
        if self.failures >= PATIENCE:
            doubled = hold_s * 2.0 ** min(self.failures - PATIENCE, 20)
            self.held_until = now + min(doubled, max(hold_s, MOST_HOLD_S))


class Choice:
    """An endpoint that failed twice in succession is passed over for `hold_s`, which doubles
    with each further failure; a connection counts as a success after a stable minute.

    While every one is held the choice stays where it is: nobody is driven from one dead node
    to the next. `now` is any clock that never goes back.
    """

    def __init__(self, hold_s: float = HOLD_S) -> None:
        self._hold_s = hold_s
        self._offered: list[Named] = []
        self._standing: dict[str, _Standing] = {}
        self._last: str | None = None

    def offer(self, endpoints: Sequence[Named]) -> None:
        """The endpoints that there are now, the wanted one first."""
        before = {name_of(each): each for each in self._offered}
        self._offered = list(endpoints)
        self._standing = {
            name: self._standing.get(name, _Standing()) if before.get(name) == each else _Standing()
            for name, each in ((name_of(each), each) for each in endpoints)
        }

    def report(self, endpoint: Named, outcome: Outcome, now: float) -> None:
        """What became of one; one that is no longer offered does not count."""
        standing = self._standing.get(name_of(endpoint))
        if standing is None or endpoint not in self._offered:
            return
        if outcome.kind == "connected":
            standing.connected_at, standing.held_until = now, None
        elif outcome.kind == "failed":
            standing.failed(now, self._hold_s, outcome.final)

    def preferred(self, now: float) -> Named | None:
        """The choice; None while nothing is offered."""
        free = [each for each in self._offered if not self._held(each, now)]
        stays = [each for each in self._offered if name_of(each) == self._last]
        found = next(iter(free or stays or self._offered), None)
        self._last = None if found is None else name_of(found)
        return found

    def next_at(self, now: float) -> float | None:
        """When the next hold ends, and with it perhaps the choice."""
        ends = [each.held_until for each in self._standing.values()]
        return min((end for end in ends if end is not None and end > now), default=None)

    def _held(self, endpoint: Named, now: float) -> bool:
        until = self._standing[name_of(endpoint)].held_until
        return until is not None and now < until
