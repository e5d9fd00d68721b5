"""What happened so far, as plain numbers: events counted, and how long things took."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

BOUNDS_S = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0, 300.0, 1800.0)
"""From a commit of the store to the longest task; few enough that one more costs nothing."""


class Durations:
    """How many took at most so long: a count for each of BOUNDS_S and one for all beyond."""

    __slots__ = ("counts", "total_s")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)
        self.total_s = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.total_s += seconds

    def upto(self) -> list[tuple[float, int]]:
        """(bound, how many took at most that long); the last bound is infinite."""
        found, so_far = [], 0
        for bound, count in zip((*BOUNDS_S, float("inf")), self.counts, strict=True):
            so_far += count
            found.append((bound, so_far))
        return found


class Tally:
    """Durations by outcome. Outcomes are few words of ours, never what somebody typed."""

    __slots__ = ("by_outcome",)

    def __init__(self) -> None:
        self.by_outcome: dict[str, Durations] = {}

    def add(self, outcome: str, seconds: float) -> None:
        """One ended so after that time."""
        self.by_outcome.setdefault(outcome, Durations()).add(seconds)

    def counts(self) -> Counter[str]:
        """How many ended in each way."""
        return Counter({outcome: sum(each.counts) for outcome, each in self.by_outcome.items()})
