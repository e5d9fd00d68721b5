"""Which texts were seen before: about 16 bytes each, for as many as a hub meets in its life."""

from __future__ import annotations

from array import array

FEWEST = 1024
_MOST = (1 << 64) - 1


class Seen:
    """A set that can only be asked, and that keeps of each text no more than a hash of 64 bits.

    Of a million texts one that was not seen is taken for seen once in 10^13 questions: whoever
    asks looks where the text itself is kept.
    """

    __slots__ = ("_count", "_marks")

    def __init__(self) -> None:
        self._marks = array("Q", bytes(8 * FEWEST))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, text: str) -> bool:
        mark = _mark(text)
        return self._marks[self._place(mark)] == mark

    def add(self, text: str) -> None:
        """It was seen."""
        mark = _mark(text)
        place = self._place(mark)
        if self._marks[place] != mark:
            self._marks[place] = mark
            self._count += 1
            if 3 * self._count > 2 * len(self._marks):
                self._grow()

    def _place(self, mark: int) -> int:
        """Where a mark stands, or would: the next free place after its own."""
        last = len(self._marks) - 1
        place = mark & last
        while self._marks[place] not in (0, mark):
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        before = self._marks
        self._marks = array("Q", bytes(16 * len(before)))
        for mark in before:
            if mark:
                self._marks[self._place(mark)] = mark


def _mark(text: str) -> int:
    return hash(text) & _MOST or 1
