"""Seen: nothing that was added is ever missing, nothing else is found, and it stays small."""

from __future__ import annotations

import sys

from workbench.core.seen import FEWEST, Seen


def test_whatever_was_added_is_found_and_nothing_else() -> None:
    seen = Seen()
    names = [f"task-{number}" for number in range(5 * FEWEST)]
    assert not any(name in seen for name in names)
    for name in (*names, *names):
        seen.add(name)
    assert len(seen) == len(names)
    assert all(name in seen for name in names)
    assert not any(f"other-{name}" in seen for name in names)


def test_a_text_costs_at_most_24_bytes() -> None:
    seen = Seen()
    for number in range(100_000):
        seen.add(str(number))
    assert sys.getsizeof(seen._marks) <= 24 * len(seen)
