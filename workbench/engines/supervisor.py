"""What a Dask worker's thread does for one mesh task: it supervises one child process.

Dask neither cancels nor times out a task that runs. So the task that Dask sees is this
watch, and the work is done by a process that can be ended.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable

from workbench.core.job import (
    Cancelled,
    Done,
    Failed,
    Log,
    Lost,
    Outcome,
    Progress,
    TableBytes,
    TimedOut,
)
from workbench.engines.frames import (
    Frame,
    Lines,
    News,
    Order,
    Question,
    Raised,
    Reader,
    Returned,
    Started,
    Table,
    line_event,
)
from workbench.engines.hiding import Hiding
from workbench.engines.nursery import Nursery
from workbench.engines.own import is_own
from workbench.engines.process import TaskProcess

START_S = 60.0  # from the order to the child's word that it took it
CLOSING_S = 0.5  # from the end of its pipe to its own
TICK_S = 0.5  # how often a silent child is looked at
RENEW_S = 0.2  # how often a lease is renewed, at most
WINDOW = 32  # batches of events under way before the child has to wait
BATCH_EVENTS = 1000

Post = Callable[[int, list[News]], None]
"""Sends one numbered batch of events towards the hub."""


class Supervision:
    """One attempt: from its order to its outcome, with the child gone or fit for the next."""

    def __init__(
        self, order: Order, nursery: Nursery, post: Post, wanted: Callable[[], bool]
    ) -> None:
        self._order, self._nursery, self._post, self._wanted = order, nursery, post, wanted
        self._own = order.target if is_own(order.target) else ""
        self._lock = threading.Lock()
        self._process: TaskProcess | None = None
        self._cancelled = False
        self._granted = WINDOW
        self._replies: list[bytes] = []
        self.sent = 0
        self._reader = Reader()
        self._hiding = Hiding(order.parameters, os.environ)
        self._texts = {"stdout": ("info", Lines()), "stderr": ("warning", Lines())}
        self._tables: dict[str, TableBytes] = {}
        self._end: Returned | Raised | None = None
        self._broken = ""
        self._closed = False
        self._limit = "start"
        self._deadline = 0.0

    @property
    def pid(self) -> int | None:
        """From any thread: the process at work, while there is one."""
        process = self._process
        return None if process is None else process.pid

    def cancel(self) -> None:
        """From any thread: end the work."""
        with self._lock:
            self._cancelled = True
            if self._process is not None:
                self._process.wake()

    def grant(self, batch: int) -> None:
        """From any thread: the hub has dealt with the events up to `batch`."""
        with self._lock:
            self._granted = max(self._granted, batch + WINDOW)
            if self._process is not None:
                self._process.wake()

    def answer(self, reply: bytes) -> None:
        """From any thread: the frame that answers what the process asked."""
        with self._lock:
            self._replies.append(reply)
            if self._process is not None:
                self._process.wake()

    def run(self) -> Outcome:
        """The outcome, after the last event was sent."""
        if self._cancelled:
            return Cancelled()
        try:
            process = self._nursery.take(self._order.gpu, self._order.vendor, own=self._own)
        except OSError as error:
            return Lost(f"no process could be started for the task: {error}")
        with self._lock:
            self._process = process
        try:
            outcome = self._watch(process)
        except BaseException:
            self._release(process, reusable=False)
            raise
        self._release(process, reusable=self._end is not None and self._end.reusable)
        return outcome

    def _release(self, process: TaskProcess, *, reusable: bool) -> None:
        with self._lock:
            self._process = None
        if reusable:
            if self._order.lease_s:
                self._nursery.lease(process, math.inf)
            self._nursery.keep(process)
        else:
            # A model that ended by itself gets no grace: what it left running is litter.
            self._nursery.end(process, 0.0 if self._end is not None else 1.0)
        if self._own and self._order.gpu is None:
            self._nursery.spare()

    def _watch(self, process: TaskProcess) -> Outcome:
        self._deadline = time.monotonic() + START_S
        beat, renewed = time.monotonic(), -math.inf
        process.order(self._order)
        while True:
            now = time.monotonic()
            if self._order.lease_s and now - renewed >= RENEW_S:
                self._nursery.lease(process, self._order.lease_s)
                renewed = now
            if (outcome := self._verdict(process, now)) is not None:
                return outcome
            if now - beat >= self._order.beat_s:
                self._post(0, [])
                beat = now
            self._hand_on(process)
            left = min(self._deadline - now, TICK_S)
            self._take(process.wait(left, listen=self.sent < self._granted))

    def _hand_on(self, process: TaskProcess) -> None:
        with self._lock:
            replies, self._replies = self._replies, []
        for reply in replies:
            process.tell(reply)

    def _verdict(self, process: TaskProcess, now: float) -> Outcome | None:
        if self._cancelled or not self._wanted():
            process.stop()
            return Cancelled()
        if self._end is not None:
            # Its descriptors may still hold what it said before its end: a pipe each. One look
            # takes all, for a pipe holds less than one read.
            self._take(process.leftovers())
            return self._finished()
        fate = self._broken or process.fate(CLOSING_S if self._closed else 0.0)
        if fate or self._closed:
            self._last_words(process)
            if self._end is None:
                return Lost(f"the task's process {fate or 'closed its pipe'}")
            return self._finished()
        if now < self._deadline:
            return None
        process.stop()
        self._last_words(process)
        if self._limit == "start":
            return Lost(f"the task's process did not start within {START_S:.0f} s")
        return TimedOut()

    def _last_words(self, process: TaskProcess) -> None:
        """What a process said before it died: a crash is explained there."""
        while pieces := process.leftovers():
            self._take(pieces)
        self._send(self._rest())

    def _finished(self) -> Outcome:
        self._send(self._rest())
        match self._end:
            case Raised() as end:
                return Failed(
                    template=end.template,
                    values=end.values,
                    traceback=end.traceback,
                    rejected=end.rejected,
                )
            case Returned() as end:
                return Done(
                    document=end.document,
                    tables=self._tables,
                    figures=end.figures,
                    batch=end.batch,
                    elapsed_ms=end.elapsed_ms,
                    device=end.device,
                )
        return Lost("the task's process said nothing")

    def _take(self, pieces: Iterable[tuple[str, bytes]]) -> None:
        for source, data in pieces:
            if source != "frames":
                level, lines = self._texts[source]
                text = data.decode(errors="replace")
                self._send([line_event(level, line) for line in lines.feed(text)])
            elif not data:
                self._closed = True
            else:
                self._send(self._events(data))

    def _events(self, data: bytes) -> list[News]:
        events: list[News] = []
        try:
            for frame in self._reader.feed(data):
                self._sort(frame, events)
        except ValueError as error:
            self._broken = f"sent something unreadable ({error})"
        return events

    def _sort(self, frame: Frame, events: list[News]) -> None:
        if isinstance(frame, Progress):
            if events and isinstance(events[-1], Progress):
                events.pop()  # nobody could have seen it: the newest wins
            events.append(frame)
        elif isinstance(frame, Log | Question):
            events.append(frame)
        elif isinstance(frame, Started):
            self._limit, self._deadline = "run", time.monotonic() + self._order.timeout_s
        elif isinstance(frame, Table):
            self._tables[frame.name] = frame.body
        elif isinstance(frame, Returned | Raised):
            self._end = self._hiding.raised(frame) if isinstance(frame, Raised) else frame

    def _rest(self) -> list[News]:
        return [line_event(level, x) for level, lines in self._texts.values() for x in lines.rest()]

    def _send(self, events: list[News]) -> None:
        for start in range(0, len(events), BATCH_EVENTS):
            self.sent += 1
            batch = events[start : start + BATCH_EVENTS]
            self._post(
                self.sent,
                [x if isinstance(x, Question) else self._hiding.event(x) for x in batch],
            )
