"""Seen: nothing that was added is ever missing, nothing else is found, and it stays small."""

from __future__ import annotations

from workbench.core.seen import FEWEST, Seen


def test_whatever_was_added_is_found_and_nothing_else() -> None:
    seen = Seen()
    names = [f"task-{number}" for number in range(5 * FEWEST)]
    assert not any(name in seen for name in names)
    for name in (*names, *names):
        seen.add(name)
    assert all(name in seen for name in names)
    assert not any(f"other-{name}" in seen for name in names)


def test_a_text_costs_at_most_24_bytes() -> None:
    seen = Seen()
    texts = 100_000
    for number in range(texts):
        seen.add(str(number))
    assert seen.bytes <= 24 * texts


def test_of_very_many_texts_the_newest_are_found_and_memory_stays() -> None:
    seen = Seen(most=FEWEST)
    for number in range(2 * FEWEST):
        seen.add(str(number))
    full = seen.bytes
    for number in range(2 * FEWEST, 20 * FEWEST):
        seen.add(str(number))
        assert seen.bytes <= full
    assert all(str(number) in seen for number in range(19 * FEWEST, 20 * FEWEST))
    assert not any(str(number) in seen for number in range(18 * FEWEST))


def test_what_was_seen_again_counts_among_the_newest() -> None:
    seen = Seen(most=FEWEST)
    for number in range(10 * FEWEST):
        seen.add("again")
        seen.add(str(number))
    assert "again" in seen
