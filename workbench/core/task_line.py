"""A waiting line: higher priority first, then earlier arrival."""

from __future__ import annotations

import heapq

Rank = tuple[int, int]
"""(-priority, arrival): the smallest goes first."""


class Line:
    """Who waits, in order. Leaving early costs nothing until the head is looked at."""

    def __init__(self) -> None:
        self._heap: list[tuple[Rank, str]] = []
        self._ranks: dict[str, Rank] = {}

    def __len__(self) -> int:
        return len(self._ranks)

    def __contains__(self, name: str) -> bool:
        return name in self._ranks

    def push(self, name: str, rank: Rank) -> None:
        """Join the line at the place that `rank` gives."""
        self._ranks[name] = rank
        heapq.heappush(self._heap, (rank, name))

    def discard(self, name: str) -> None:
        """Leave the line, from wherever in it."""
        self._ranks.pop(name, None)

    def head(self) -> Rank | None:
        """The rank of whoever is next; None in an empty line."""
        while self._heap and self._ranks.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self) -> str:
        """Take the next one out. The line is not empty."""
        self.head()
        name = heapq.heappop(self._heap)[1]
        del self._ranks[name]
        return name

    def ranked(self) -> list[tuple[Rank, str]]:
        """Everybody with their rank, in no order."""
        return [(rank, name) for name, rank in self._ranks.items()]
