"""What is done of a file never counts a byte twice, and never one that is not there."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.core.segments import Done, Range
from workbench.errors import InputError

SIZE = 60
RANGES = st.lists(
    st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)).map(lambda r: (min(r), max(r))),
    max_size=12,
)


def bytes_of(ranges: list[Range]) -> set[int]:
    return {at for start, end in ranges for at in range(start, end)}


@given(RANGES)
def test_it_holds_exactly_the_bytes_that_were_added(ranges: list[Range]) -> None:
    done = Done(ranges)
    assert bytes_of(list(done.ranges)) == bytes_of(ranges)
    assert done.bytes == len(bytes_of(ranges))


@given(RANGES)
def test_ranges_are_sorted_and_neither_touch_nor_overlap(ranges: list[Range]) -> None:
    found = Done(ranges).ranges
    assert all(start < end for start, end in found)
    assert all(one[1] < two[0] for one, two in itertools.pairwise(found))


@given(RANGES)
def test_what_is_done_and_what_is_missing_make_the_file(ranges: list[Range]) -> None:
    done = Done(ranges)
    missing = bytes_of(list(done.missing(SIZE)))
    assert missing == set(range(SIZE)) - bytes_of(ranges)


@given(RANGES)
def test_the_prefix_ends_at_the_first_gap(ranges: list[Range]) -> None:
    done = Done(ranges)
    first = min(set(range(SIZE)) - bytes_of(ranges), default=SIZE)
    assert done.prefix == first


@given(RANGES)
def test_what_was_written_is_read_back(ranges: list[Range]) -> None:
    done = Done(ranges)
    assert Done.from_json(json.loads(json.dumps(done.to_json())), SIZE) == done


@given(RANGES, RANGES, st.one_of(st.none(), st.integers(1, SIZE)))
def test_a_piece_is_the_first_that_is_neither_there_nor_under_way(
    ranges: list[Range], under_way: list[Range], piece: int | None
) -> None:
    free = set(range(SIZE)) - bytes_of(ranges) - bytes_of(under_way)
    found = Done(ranges).next_piece(SIZE, piece, under_way)
    if not free:
        assert found is None
        return
    assert found is not None
    assert found[0] == min(free)
    assert bytes_of([found]) <= free
    assert piece is None or found[1] - found[0] <= piece


@given(st.integers(1, 200), st.integers(1, 50))
def test_taking_pieces_in_turn_covers_the_file_once(size: int, piece: int) -> None:
    done, taken = Done(), 0
    while (found := done.next_piece(size, piece)) is not None:
        taken += found[1] - found[0]
        done.add(*found)
    assert (taken, done.ranges) == (size, ((0, size),))


@pytest.mark.parametrize(
    "said",
    [
        None,
        {},
        "[[0, 1]]",
        [[0, 11]],
        [[-1, 3]],
        [[3, 3]],
        [[4, 2]],
        [[0, 2], [1, 3]],
        [[0, 2], [2, 3]],
        [[4, 6], [0, 1]],
        [[0]],
        [[0, 1, 2]],
        [[0, True]],
        [[0, 1.0]],
        [[0, "1"]],
        [None],
    ],
)
def test_a_claim_that_no_file_can_have_is_refused(said: Any) -> None:
    with pytest.raises(InputError, match="allowed"):
        Done.from_json(said, 10)


def test_a_claim_without_end_is_refused_unread() -> None:
    with pytest.raises(InputError):
        Done.from_json([[0, 1]] * 100_001, 10)


def test_no_file_has_bytes_before_its_beginning() -> None:
    with pytest.raises(InputError):
        Done().add(-1, 2)
