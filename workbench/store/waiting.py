"""What waits to be written, and when its commit is due: at once, or with what others bring.

A commit costs about 1 ms of CPU time a table whatever it holds. So where several callers write at
a time, as many again are waited for, though not for long; and what nobody waits for goes with
what somebody does.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Condition
from typing import Any

from workbench.errors import StoreError

Rows = Mapping[str, Sequence[tuple[Any, ...]]]

GROUP_ROWS = 20_000
BACKLOG_ROWS = 500_000
REST_S = 0.02
"""How long after a commit of several appends the next one waits for as many again."""
SEVERAL = 4
"""Fewer fall together by chance: with 2, each line of a task that logs every 5 ms waited for
others from then on, most of them for longer than a commit takes."""
LAZY_S = 0.05
"""How long an append that nobody waits for may wait for one that somebody does."""

CLOSED = "the store is closed: open it again"
TOO_MUCH = "{count} rows would wait to be written, and {limit} may: send less at a time"


@dataclass(slots=True)
class Append:
    """Rows of several tables, to be written together."""

    rows: Rows
    count: int
    done: asyncio.Future[None]
    lazy_until: float | None = None
    """By when it is written, if nobody waits for it; None: somebody does."""


@dataclass(slots=True)
class Call:
    """Something to be run between two commits."""

    run: Callable[[], Any]
    done: asyncio.Future[Any]


class Waiting:
    """Items in the order they came: put in on the event loop, taken out by the one writer."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._items: deque[Append | Call] = deque()
        self.rows = 0
        self._wanted = 0
        """Items among them that somebody waits for."""
        self._enough, self._rest_until = 0, 0.0
        self._asleep_until = -math.inf
        """When the writer looks again by itself; in the past while it works."""
        self._wake = Condition()
        self._closing = False

    def append(self, rows: Rows, done: asyncio.Future[None], *, lazy: bool) -> None:
        """Put rows in. StoreError where too many wait already, or after the close."""
        count = sum(map(len, rows.values()))
        if self.rows + count > BACKLOG_ROWS:
            raise StoreError(TOO_MUCH, count=self.rows + count, limit=BACKLOG_ROWS)
        self._put(Append(rows, count, done, self._now() + LAZY_S if lazy else None), count)

    def call(self, run: Callable[[], Any], done: asyncio.Future[Any]) -> None:
        """Put a call in; it ends a rest. StoreError after the close."""
        self._put(Call(run, done), 0)

    def _put(self, item: Append | Call, count: int) -> None:
        with self._wake:
            if self._closing:
                raise StoreError(CLOSED)
            self._items.append(item)
            self.rows += count
            self._wanted += _wanted(item)
            if isinstance(item, Call):
                self._rest_until = 0.0
            if self.due() < self._asleep_until:
                self._wake.notify()

    def close(self) -> None:
        """Take nothing more in, and let the writer take out what is there."""
        with self._wake:
            self._closing = True
            self._wake.notify()

    def next(self) -> list[Append] | Call | None:
        """The next call, or the appends before it that make one group, once they are due.

        None once nothing will come any more. Blocks, in the writer's thread.
        """
        with self._wake:
            while not self._closing and (wait_s := self.due() - self._now()) > 0:
                self._asleep_until = self._now() + wait_s
                self._wake.wait(wait_s if math.isfinite(wait_s) else None)
            self._asleep_until = -math.inf
            return self._take() if self._items else None

    def due(self) -> float:
        """When the next commit is to begin, as far as is known by now."""
        if not self._items:
            return math.inf
        if self._wanted:
            return -math.inf if self._wanted >= self._enough else self._rest_until
        return getattr(self._items[0], "lazy_until", None) or -math.inf

    def rest(self, group: list[Append]) -> None:
        """A group was written. Of a few items nothing tells that more will come soon."""
        wanted = sum(map(_wanted, group))
        with self._wake:
            self._enough = wanted
            self._rest_until = self._now() + REST_S if wanted >= SEVERAL else -math.inf

    def _take(self) -> list[Append] | Call:
        group: list[Append] = []
        rows = 0
        while self._items and rows < GROUP_ROWS:
            item = self._items[0]
            if isinstance(item, Call):
                if group:
                    break
                self._wanted -= 1
                self._items.popleft()
                return item
            group.append(item)
            rows += item.count
            self._wanted -= _wanted(item)
            self._items.popleft()
        self.rows -= rows
        return group


def _wanted(item: Append | Call) -> bool:
    return isinstance(item, Call) or item.lazy_until is None
