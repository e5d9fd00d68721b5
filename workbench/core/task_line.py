"""The waiting lines: higher priority first, then earlier arrival."""

from __future__ import annotations

import heapq

AHEAD = 8
"""Tasks that may lie fetched and wait, for a slot or for GPU memory."""

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


class Lines:
    """The lines of one node. At most about AHEAD tasks lie fetched in each of the last two."""

    def __init__(self) -> None:
        self._cpu, self._gpu = Line(), Line()
        self.asking, self.ready = Line(), Line()
        """Fetched: those that wait for GPU memory, and those that wait for a slot only."""

    @property
    def unfetched(self) -> int:
        """How many wait for being fetched."""
        return len(self._cpu) + len(self._gpu)

    def enter(self, name: str, rank: Rank, *, gpu: bool) -> None:
        """Wait for being fetched; `gpu`: and for GPU memory after that."""
        (self._gpu if gpu else self._cpu).push(name, rank)

    def leave(self, name: str) -> None:
        """Wait no more, for whatever it was."""
        for line in (self._cpu, self._gpu, self.asking, self.ready):
            line.discard(name)

    def next(self) -> str | None:
        """Take out who is to be fetched now; None while enough lie fetched that go first.

        Those that wait for a GPU keep nobody waiting who needs none.
        """
        open_lines = [
            (rank, line)
            for line, ahead in ((self._cpu, [self.ready]), (self._gpu, [self.ready, self.asking]))
            if (rank := line.head()) is not None
            and not any(enough(waiting, rank) for waiting in ahead)
        ]
        return min(open_lines, key=lambda each: each[0])[1].pop() if open_lines else None

    def fetched(self) -> list[str]:
        """Who lies fetched and waits, in order."""
        return [name for _, name in sorted(self.asking.ranked() + self.ready.ranked())]

    def places(self) -> dict[str, int]:
        """How many are ahead of each that waits for its turn."""
        waiting = sorted(self.ready.ranked() + self._cpu.ranked() + self._gpu.ranked())
        return {name: place for place, (_, name) in enumerate(waiting)}


def enough(line: Line, rank: Rank) -> bool:
    """Whether so many lie fetched in a line that one of this rank is not fetched as well."""
    head = line.head()
    return len(line) >= AHEAD and head is not None and head < rank
