"""What happened is counted by how long it took; the last bound holds everything."""

from __future__ import annotations

from workbench.core.tally import BOUNDS_S, Durations, Tally


def test_a_duration_counts_in_its_bound_and_all_above() -> None:
    durations = Durations()
    for seconds in (0.001, 0.02, 5000.0):
        durations.add(seconds)
    upto = dict(durations.upto())
    assert upto[0.001] == 1
    assert (upto[0.005], upto[0.025]) == (1, 2)
    assert (upto[BOUNDS_S[-1]], upto[float("inf")]) == (2, 3)
    assert durations.total_s == 5000.021


def test_outcomes_are_counted_apart() -> None:
    tally = Tally()
    tally.add("done", 1)
    tally.add("done", 2)
    tally.add("failed", 1)
    assert tally.counts() == {"done": 2, "failed": 1}
