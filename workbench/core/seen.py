"""Which texts were seen before: about 16 bytes each, of the newest million or two."""

from __future__ import annotations

from array import array

MOST = 1_000_000
"""At least so many of the newest are known, and at most twice as many."""
FEWEST = 1024
_MARKS = (1 << 64) - 1


class Seen:
    """A set that can only be asked, and that keeps of each text no more than a hash of 64 bits.

    Of a million texts one that was not seen is taken for seen once in 10^13 questions: whoever
    asks looks where the text itself is kept. After `most` texts it begins anew beside them, and
    lets go of those before them: 34 MB at most.
    """

    __slots__ = ("_before", "_count", "_marks", "_most")

    def __init__(self, most: int = MOST) -> None:
        self._most, self._count = most, 0
        self._marks, self._before = _empty(FEWEST), _empty(1)

    def __contains__(self, text: str) -> bool:
        mark = _mark(text)
        return any(marks[_place(marks, mark)] == mark for marks in (self._marks, self._before))

    @property
    def bytes(self) -> int:
        """What it takes of memory."""
        return self._marks.itemsize * (len(self._marks) + len(self._before))

    def add(self, text: str) -> None:
        """It was seen."""
        mark = _mark(text)
        place = _place(self._marks, mark)
        if self._marks[place] == mark:
            return
        if self._count == self._most:
            self._before, self._marks, self._count = self._marks, _empty(FEWEST), 0
            place = _place(self._marks, mark)
        self._marks[place] = mark
        self._count += 1
        if 3 * self._count > 2 * len(self._marks):
            self._grow()

    def _grow(self) -> None:
        grown = _empty(2 * len(self._marks))
        for mark in self._marks:
            if mark:
                grown[_place(grown, mark)] = mark
        self._marks = grown


def _empty(places: int) -> array[int]:
    return array("Q", bytes(8 * places))


def _place(marks: array[int], mark: int) -> int:
    """Where a mark stands, or would: the next free place after its own."""
    last = len(marks) - 1
    place = mark & last
    while marks[place] not in (0, mark):
        place = (place + 1) & last
    return place


def _mark(text: str) -> int:
    return hash(text) & _MARKS or 1
