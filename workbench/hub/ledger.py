"""The ledger of GPU memory at work: reads the GPUs, asks the GpuLedger, wakes whoever waits.

Nothing is read while nobody waits, and no claim is decided by a reading older than itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from workbench.core import ledger_sentences as say
from workbench.core.gpu import GpuReading, Owners
from workbench.core.gpu_ledger import Decision, GpuLedger, Granted, Waits
from workbench.core.ledger_nouns import Claim, Lease, LedgerView, NoRoom
from workbench.core.sentence import Sentence

__all__ = ["Ledger", "NoRoom"]

LOOK_S = 2.0

log = logging.getLogger("workbench.hub")


def _nobody(reason: Sentence) -> None:
    """Nobody wants to hear why it waits."""


@dataclass(slots=True, eq=False)
class _Asker:
    claim: Claim
    answer: asyncio.Future[Lease]
    waiting: Callable[[Sentence], None]


class Ledger:
    """One for each hub; everything is called on its loop.

    `read` gives a reading of every GPU, `owners` whose processes are whose. While somebody
    waits, it looks every `look_s`, after each new claim and each end of a lease.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[GpuReading]],
        owners: Callable[[], Owners],
        *,
        look_s: float = LOOK_S,
        clock: Callable[[], float] = time.monotonic,
        tasks_elsewhere: bool = False,
    ) -> None:
        self._read, self._owners, self._look_s, self._clock = read, owners, look_s, clock
        self._book = GpuLedger(tasks_elsewhere=tasks_elsewhere)
        self._asked: dict[str, _Asker] = {}
        self._new: list[_Asker] = []
        self._due = asyncio.Event()
        self._looker: asyncio.Task[None] | None = None
        self._closed = False
        self._watchers: list[Callable[[], None]] = []
        self._on_granted: list[Callable[[Lease], None]] = []
        self._on_given_back: list[Callable[[Lease], None]] = []

    async def acquire(self, claim: Claim, waiting: Callable[[Sentence], None] = _nobody) -> Lease:
        """Wait for the memory that is claimed. `waiting` hears why, and each time that changes.

        Raises NoRoom if no GPU can ever hold it. Cancelled, it has left the line, and a lease
        that was just granted is given back.
        """
        if self._closed:
            raise NoRoom(say.CLOSED)
        if claim.claim_id in self._asked or self._book.holds(claim.claim_id):
            raise NoRoom(say.TWICE, name=claim.name, claim=claim.claim_id)
        asker = _Asker(claim, asyncio.get_running_loop().create_future(), waiting)
        self._asked[claim.claim_id] = asker
        self._new.append(asker)
        self._look_soon()
        try:
            return await asker.answer
        except asyncio.CancelledError:
            self._leave(asker)
            raise

    def release(self, claim_id: str) -> None:
        """Give a lease back, once the process that used it has ended. Twice is harmless."""
        if self._book.holds(claim_id):
            self._give_back(claim_id)

    def touch(self, claim_id: str) -> None:
        """Its holder is at work: it is not idle."""
        self._book.touch(claim_id, self._clock())

    def took(self, reading: GpuReading) -> None:
        """A reading that somebody else took anyway."""
        self._carry(self._book.readings(reading, self._owners(), self._clock()))

    def view(self) -> LedgerView:
        """Leases, the line and what is left, for a page."""
        return self._book.view(self._clock())

    def watch(self, watcher: Callable[[], None]) -> None:
        """Called after a lease or the line has changed."""
        self._watchers.append(watcher)

    def granted(self, watcher: Callable[[Lease], None]) -> None:
        """Called with each lease, before its asker hears of it."""
        self._on_granted.append(watcher)

    def given_back(self, watcher: Callable[[Lease], None]) -> None:
        """Called with each lease that has ended."""
        self._on_given_back.append(watcher)

    async def close(self) -> None:
        """Grant nothing more. Whoever waits is refused; leases can still be given back."""
        self._closed = True
        askers, self._asked, self._new = list(self._asked.values()), {}, []
        for asker in askers:
            self._book.release(asker.claim.claim_id)
            _refuse(asker, Sentence(say.CLOSED))
        if self._looker is not None:
            self._looker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._looker

    # Looking --------------------------------------------------------------------------

    def _look_soon(self) -> None:
        self._due.set()
        if self._asked and (self._looker is None or self._looker.done()):
            self._looker = asyncio.create_task(self._look_on())

    async def _look_on(self) -> None:
        while self._asked:
            self._due.clear()
            await self._look()
            if self._asked:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._due.wait(), self._look_s)

    async def _look(self) -> None:
        """Decide about those who had asked before the reading began."""
        new, self._new = self._new, []
        try:
            reading, owners = await self._reading(new), self._owners()
        except Exception:
            log.exception("ledger.unread")
            self._new = new + self._new
            self._put_off(new, Sentence(say.WAITS_AGAIN, {"seconds": self._look_s}))
            return
        now = self._clock()
        decisions = self._book.readings(reading, owners, now)
        for asker in new:
            if self._asked.get(asker.claim.claim_id) is asker:
                decisions += self._book.ask(asker.claim, now)
        self._carry(decisions)

    async def _reading(self, new: Iterable[_Asker]) -> GpuReading:
        """One reading, however long it takes: a driver that hangs is not asked twice."""
        reading = asyncio.ensure_future(self._read())
        try:
            if not (await asyncio.wait({reading}, timeout=self._look_s))[0]:
                self._put_off(new, Sentence(say.WAITS_SILENT, {"seconds": self._look_s}))
            return await reading
        finally:
            reading.cancel()

    def _put_off(self, askers: Iterable[_Asker], reason: Sentence) -> None:
        """There is no reading yet: who waits is told, who does not is refused."""
        for asker in askers:
            if asker.claim.waits:
                _say([asker], reason)
            elif self._asked.get(asker.claim.claim_id) is asker:
                del self._asked[asker.claim.claim_id]
                _refuse(asker, reason)

    # Carrying decisions out -----------------------------------------------------------

    def _carry(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            if isinstance(decision, Waits):
                _say([self._asked[decision.claim.claim_id]], decision.reason)
            elif isinstance(decision, Granted):
                self._grant(self._asked.pop(decision.lease.claim.claim_id), decision.lease)
            else:
                _refuse(self._asked.pop(decision.claim.claim_id), decision.sentence)
        if decisions:
            self._changed()

    def _grant(self, asker: _Asker, lease: Lease) -> None:
        _tell(self._on_granted, lease)
        if not asker.answer.done():  # cancelled a moment ago: it gives the lease back itself
            asker.answer.set_result(lease)

    def _leave(self, asker: _Asker) -> None:
        claim_id = asker.claim.claim_id
        if self._asked.get(claim_id) is asker:
            del self._asked[claim_id]
        self._give_back(claim_id)

    def _give_back(self, claim_id: str) -> None:
        lease = self._book.release(claim_id)
        if lease is not None:
            _tell(self._on_given_back, lease)
        self._changed()
        self._look_soon()

    def _changed(self) -> None:
        _tell(self._watchers)


def _refuse(asker: _Asker, why: Sentence) -> None:
    if not asker.answer.done():
        asker.answer.set_exception(NoRoom(why.template, **why.values))


def _say(askers: Iterable[_Asker], reason: Sentence) -> None:
    for asker in askers:
        if not asker.answer.done():
            _tell([asker.waiting], reason)


def _tell(hearers: Iterable[Callable[..., None]], *news: object) -> None:
    """A hearer that fails must not keep others from their memory."""
    for hear in list(hearers):
        try:
            hear(*news)
        except Exception:
            log.exception("ledger.hearer")
