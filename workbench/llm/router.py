"""Chooses among the instances of a model, and lets those wait fairly for whom none is free.

The least busy with regard to its declared parallelism is chosen. A session goes back to the
instance that has its prompt in its cache, unless that one is full or much busier than the
least busy. Nobody waits while an instance is free. Those who wait are served by turns of
sessions (start-time fair queueing), so that a batch of one never starves the chat of another.
"""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import itertools
import time
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence

import msgspec

from workbench.core.llm import Busy, LanguageModel, Queued
from workbench.errors import LinkError
from workbench.llm.backend import Backend
from workbench.llm.breaker import Breaker, Outcome, Ticket

QUEUE_LIMIT = 1024
HOMES = 1024
MARGIN = 0.5
"""A session leaves its instance when that is busier than the least busy by more of its slots."""


class Instance(msgspec.Struct, frozen=True):
    """One back end's copy of a model."""

    backend: Backend
    model: LanguageModel

    @property
    def name(self) -> str:
        return self.backend.name

    @property
    def ref(self) -> str:
        return f"{self.model.id}@{self.backend.name}"


class Seat:
    """What the router knows of a back end."""

    def __init__(self) -> None:
        self.breaker = Breaker()
        self.in_flight = 0
        self.last_used = 0

    def load(self, backend: Backend) -> float:
        return self.in_flight / max(1, backend.parallel)


class Place:
    """A request's place in the queue. It keeps it when its first instance fails."""

    def __init__(self, session: str, start: float, number: int) -> None:
        self.session = session
        self.rank = (start, number)


class Lease:
    """A slot of an instance, held until `end`."""

    def __init__(self, router: Router, instance: Instance, seat: Seat, ticket: Ticket) -> None:
        self.instance = instance
        self._router = router
        self._seat = seat
        self._ticket = ticket
        self._held = True

    def answered(self) -> None:
        """The first piece of the answer is there: a probe has succeeded, others may follow."""
        breaker, now = self._seat.breaker, self._router.now()
        breaker.end(self._ticket, "good", now)
        self._ticket = breaker.begin(now) or self._ticket
        self._router.pump()

    def end(self, outcome: Outcome) -> None:
        """Give the slot back, and say how it went. A second end is ignored."""
        if self._held:
            self._held = False
            self._seat.in_flight -= 1
            self._seat.breaker.end(self._ticket, outcome, self._router.now())
            self._router.pump()


_Wish = frozenset[tuple[str, bool]]
"""Back ends, and whether the model is loaded there: who wishes the same is as lucky."""


class _Waiter:
    """Somebody in the queue."""

    def __init__(self, place: Place, instances: Sequence[Instance]) -> None:
        self.place = place
        self.rank = place.rank
        self.instances = instances
        self.names = frozenset(instance.name for instance in instances)
        self.wish: _Wish = frozenset((i.name, i.model.loaded) for i in instances)
        self.changed = asyncio.Event()
        self.position = 0
        self.lease: Lease | None = None


class Router:
    """For one event loop."""

    def __init__(
        self, *, clock: Callable[[], float] = time.monotonic, queue_limit: int = QUEUE_LIMIT
    ) -> None:
        self.now = clock
        self._queue_limit = queue_limit
        self._seats: dict[str, Seat] = {}
        self._homes: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._queue: list[_Waiter] = []
        self._numbers = itertools.count(1)
        self._virtual = 0.0
        self._finish: dict[str, float] = {}

    def seat(self, name: str) -> Seat:
        """The seat of a back end, by its name."""
        if name not in self._seats:
            self._seats[name] = Seat()
        return self._seats[name]

    def place(self, session: str) -> Place:
        """A place for a new request. All requests without a session count as one session."""
        start = max(self._virtual, self._finish.get(session, 0.0))
        self._finish[session] = start + 1
        if len(self._finish) > HOMES:
            self._finish = {s: f for s, f in self._finish.items() if f > self._virtual}
        return Place(session, start, next(self._numbers))

    async def take(
        self, place: Place, instances: Sequence[Instance]
    ) -> AsyncGenerator[Queued | Lease]:
        """Positions in the queue, from 1, while it lasts; the last item is the lease.

        Raises Busy where the queue is full, LinkError where every breaker is open.
        """
        waiter = _Waiter(place, instances)
        if len(self._queue) >= self._queue_limit:
            raise Busy(
                "{count} requests wait for an answer already: try again when some are done",
                count=len(self._queue),
            )
        bisect.insort(self._queue, waiter, key=lambda other: other.rank)
        told = 0
        try:
            self.pump()
            while waiter.lease is None:
                self._check_alive(waiter)
                waiter.changed.clear()
                if waiter.position != told:
                    told = waiter.position
                    yield Queued(position=told)
                await self._wait(waiter)
            lease, waiter.lease = waiter.lease, None
        finally:
            self._leave(waiter)
        yield lease

    async def _wait(self, waiter: _Waiter) -> None:
        """Until something changed, or the next breaker lets a probe through."""
        if waiter.changed.is_set():
            return
        now = self.now()
        pauses = [self.seat(name).breaker.wait_s(now) for name in waiter.names]
        soonest = min((pause for pause in pauses if pause > 0), default=None)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(soonest):
                await waiter.changed.wait()
            return
        self.pump()

    def _check_alive(self, waiter: _Waiter) -> None:
        if self._are_dead(waiter.names):
            breakers = [self.seat(name).breaker for name in waiter.names]
            raise LinkError(
                "{backends} failed several times just now: try again in {wait_s} s, "
                "or see whether it still runs",
                backends=", ".join(sorted(waiter.names)),
                wait_s=round(min(breaker.wait_s(self.now()) for breaker in breakers), 1),
            )

    def _leave(self, waiter: _Waiter) -> None:
        if waiter in self._queue:
            self._queue.remove(waiter)
            self.pump()
        if waiter.lease is not None:  # granted, and the request was given up before it knew
            waiter.lease.end("neutral")

    def pump(self) -> None:
        """Serve whoever can be served, and tell the others where they stand."""
        if not self._queue:
            return
        full: set[_Wish] = set()  # for the same instances there is no second look
        for waiter in tuple(self._queue):
            if waiter.wish in full:
                continue
            waiter.lease = self._grant(waiter)
            if waiter.lease is None:
                full.add(waiter.wish)
            else:
                self._queue.remove(waiter)
                waiter.changed.set()
        self._number()

    def _number(self) -> None:
        """A position counts only those ahead who want one of the same back ends."""
        ahead: Counter[frozenset[str]] = Counter()
        groups = {waiter.names for waiter in self._queue}
        rivals = {names: [other for other in groups if names & other] for names in groups}
        dead = {names: self._are_dead(names) for names in groups}
        for waiter in self._queue:
            position = 1 + ahead[waiter.names]
            for names in rivals[waiter.names]:
                ahead[names] += 1
            if position != waiter.position or dead[waiter.names]:
                waiter.position = position
                waiter.changed.set()

    def _are_dead(self, names: frozenset[str]) -> bool:
        now = self.now()
        return all(self.seat(name).breaker.state(now) == "open" for name in names)

    def _grant(self, waiter: _Waiter) -> Lease | None:
        instance = self._pick(waiter)
        if instance is None:
            return None
        seat = self.seat(instance.name)
        ticket = seat.breaker.begin(self.now())
        if ticket is None:
            return None
        seat.in_flight += 1
        seat.last_used = next(self._numbers)
        self._virtual = max(self._virtual, waiter.rank[0])
        self._remember(waiter.place.session, instance)
        return Lease(self, instance, seat, ticket)

    def _pick(self, waiter: _Waiter) -> Instance | None:
        """A second copy of a model is loaded only where no loaded one can answer."""
        now = self.now()
        usable = [
            instance
            for instance in waiter.instances
            if self.seat(instance.name).breaker.state(now) != "open"
        ]
        tier = [instance for instance in usable if instance.model.loaded] or usable
        free = [instance for instance in tier if self._is_free(instance, now)]
        if not free:
            return None
        best = min(free, key=lambda instance: (self._load(instance), self._used(instance)))
        home = self._homes.get((waiter.place.session, best.model.id))
        for instance in free:
            if instance.name == home and self._load(instance) - self._load(best) <= MARGIN:
                return instance
        return best

    def _is_free(self, instance: Instance, now: float) -> bool:
        return self._load(instance) < 1 and self.seat(instance.name).breaker.allows(now)

    def _load(self, instance: Instance) -> float:
        return self.seat(instance.name).load(instance.backend)

    def _used(self, instance: Instance) -> int:
        return self.seat(instance.name).last_used

    def _remember(self, session: str, instance: Instance) -> None:
        if session:
            key = (session, instance.model.id)
            self._homes[key] = instance.name
            self._homes.move_to_end(key)
            if len(self._homes) > HOMES:
                self._homes.popitem(last=False)
