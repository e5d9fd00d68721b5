"""More connections only while they help; a step that does not help is taken back."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from workbench.core.lane_count import LaneCount

SIZE = 10**12


def settled(speed: Callable[[int], float], most: int = 6, size: float = SIZE) -> list[int]:
    """The numbers in turn, for a server that gives `speed(connections)` bytes a second."""
    count, received, numbers = LaneCount(most), 0.0, [1]
    for tick in range(400):
        wanted = count.look(tick * 0.1, int(received), int(size - received))
        if wanted != numbers[-1]:
            numbers.append(wanted)
        received += speed(wanted) * 0.1
    return numbers


def test_a_server_that_limits_each_connection_gets_all_that_are_allowed() -> None:
    assert settled(lambda n: 20e6 * n) == [1, 2, 4, 6]


def test_a_server_that_limits_everybody_together_gets_one() -> None:
    assert settled(lambda n: 20e6) == [1, 2, 1]


def test_a_line_that_is_full_with_three_keeps_the_step_that_helped() -> None:
    assert settled(lambda n: min(n, 3) * 20e6) == [1, 2, 4, 6, 4]


@pytest.mark.parametrize(("most", "numbers"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3])])
def test_never_more_than_allowed(most: int, numbers: list[int]) -> None:
    assert settled(lambda n: 20e6 * n, most) == numbers


def test_a_file_that_ends_soon_is_not_worth_another() -> None:
    assert settled(lambda n: 20e6, size=100e6) == [1]


def test_a_server_that_gives_nothing_is_not_asked_more_often() -> None:
    assert settled(lambda n: 0.0) == [1]
