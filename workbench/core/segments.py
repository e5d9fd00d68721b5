"""What of a file of known size is on the disk: sorted half-open ranges of bytes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Any

from workbench.errors import InputError, shown

Range = tuple[int, int]
"""Half-open: from the first byte, up to the one that follows the last."""

RANGE_LIMIT = 100_000
SIZE_LIMIT = 2**53


class Done:
    """The bytes that are there. Ranges neither touch nor overlap; adding merges them."""

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._ranges: list[Range] = []
        for start, end in ranges:
            self.add(start, end)

    @classmethod
    def from_json(cls, said: Any, size: int) -> Done:
        """What a file claims; InputError where no file of `size` bytes can have it."""
        if not isinstance(said, list | tuple) or len(said) > RANGE_LIMIT:
            raise InputError.field("done", said, "a list of [start, end]")
        done, reached = cls(), -1
        for item in said:
            if not _is_range(item) or not reached < item[0] < item[1] <= size <= SIZE_LIMIT:
                raise InputError(
                    "done holds {value}; allowed: rising [start, end] up to {size}",
                    value=shown(item),
                    size=size,
                )
            done.add(item[0], item[1])
            reached = item[1]
        return done

    def to_json(self) -> list[list[int]]:
        return [[start, end] for start, end in self._ranges]

    def __repr__(self) -> str:
        return f"Done({self._ranges})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Done) and self._ranges == other._ranges

    __hash__ = None  # type: ignore[assignment]  # it grows

    @property
    def ranges(self) -> tuple[Range, ...]:
        return tuple(self._ranges)

    @property
    def bytes(self) -> int:
        return sum(end - start for start, end in self._ranges)

    @property
    def prefix(self) -> int:
        """How many bytes are there from the beginning without a gap."""
        return self._ranges[0][1] if self._ranges and self._ranges[0][0] == 0 else 0

    def copy(self) -> Done:
        found = Done()
        found._ranges = list(self._ranges)
        return found

    def add(self, start: int, end: int) -> None:
        """The bytes of [start, end) are there; an empty range adds nothing."""
        if not 0 <= start <= end:
            raise InputError.field("range", (start, end), "0 <= start <= end")
        if start == end:
            return
        # The first range that ends at or beyond the start, and all that begin up to the end.
        first = bisect_left(self._ranges, start, key=lambda one: one[1])
        last = first
        while last < len(self._ranges) and self._ranges[last][0] <= end:
            last += 1
        if first < last:
            start = min(start, self._ranges[first][0])
            end = max(end, self._ranges[last - 1][1])
        self._ranges[first:last] = [(start, end)]

    def missing(self, size: int) -> tuple[Range, ...]:
        """The gaps in a file of `size` bytes, in order."""
        gaps, at = [], 0
        for start, end in self._ranges:
            if at < min(start, size):
                gaps.append((at, min(start, size)))
            at = end
        if at < size:
            gaps.append((at, size))
        return tuple(gaps)

    def next_piece(
        self, size: int, piece_bytes: int | None, under_way: Iterable[Range] = ()
    ) -> Range | None:
        """The first bytes that are neither there nor under way, at most `piece_bytes` of them.

        In order from the beginning, so that whoever hashes the file follows closely. None
        for `piece_bytes` takes a whole gap; None comes back where nothing is left.
        """
        taken = self.copy()
        for start, end in under_way:
            taken.add(start, end)
        for start, end in taken.missing(size):
            return start, end if piece_bytes is None else min(end, start + piece_bytes)
        return None


def _is_range(item: Any) -> bool:
    return (
        isinstance(item, list | tuple)
        and len(item) == 2
        and all(type(part) is int for part in item)
    )
