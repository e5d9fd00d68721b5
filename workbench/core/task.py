"""The TaskBook: decides what becomes of every task, as values in and values out.

`handle(event, now) -> [instruction]`; it does nothing itself. Its five mechanisms (journal,
replay, dedupe, fence, attempt limit) are constructor arguments, so that a test can pass null
ones and see its invariants fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from workbench.core import task_sentences as say
from workbench.core.job import Begun, Failed, Log, Lost, Progress, TimedOut
from workbench.core.mesh_wire import sentence
from workbench.core.task_entry import (
    Entry,
    Past,
    missed,
    same_attempt,
    same_content,
    written,
)
from workbench.core.task_nouns import (
    Again,
    Attached,
    Borrow,
    CancelAsked,
    Capacity,
    DrainBegan,
    DrainOver,
    Ended,
    Event,
    Fetch,
    Fetched,
    FetchFailed,
    FetchStopped,
    Follow,
    GiveBack,
    Greet,
    Instruction,
    Known,
    LendRefused,
    LendWaits,
    Lent,
    Note,
    Record,
    Recovered,
    Refuse,
    Remind,
    Reported,
    Run,
    Saved,
    Show,
    Stop,
    StopFetch,
    Submitted,
    Ticked,
    Unrecorded,
)
from workbench.core.task_state import PAST_KEPT, TaskState

LOG_LINES = 10_000
ATTEMPTS = 3
AT_ONCE = 64
"""So many are fetched at once where nothing has to be brought: each waits for its commit alone."""
GRACE_S = 5.0
"""An engine enforces the limit on running itself; so long after it the book steps in."""


class TaskBook(TaskState):
    """Every task of one node. `slots` may run at once, `fetchers` may download."""

    def __init__(
        self,
        *,
        slots: int = 0,
        fetchers: int = 4,
        waiting_limit: int = 100_000,
        waiting_bytes: int = 256 << 20,
        log_lines: int = LOG_LINES,
        past_kept: int = PAST_KEPT,
        attempts: float = ATTEMPTS,
        journal: Callable[[Record], Record] = written,
        replay: Callable[[Follow], Follow] = missed,
        dedupe: Callable[[str | None, str], str] = same_content,
        fence: Callable[[Entry, int], bool] = same_attempt,
    ) -> None:
        super().__init__(slots, past_kept)
        self._fetchers, self._attempts, self._most_lines = fetchers, attempts, log_lines
        self._waiting_limit, self._waiting_bytes = waiting_limit, waiting_bytes
        self._journal, self._replay, self._dedupe, self._fence = journal, replay, dedupe, fence
        self._out: list[Instruction] = []
        self._handlers: dict[type, Callable[[Any, float], None]] = {
            Submitted: self._submitted,
            Attached: self._attached,
            CancelAsked: self._cancel_asked,
            Unrecorded: self._unrecorded,
            Fetched: self._fetched,
            FetchFailed: self._fetch_failed,
            FetchStopped: self._fetch_stopped,
            Lent: self._lent,
            LendWaits: self._lend_waits,
            LendRefused: self._lend_refused,
            Reported: self._reported,
            Ended: self._ended,
            Capacity: self._capacity,
            Ticked: self._ticked,
            DrainBegan: self._drain_began,
            DrainOver: self._drain_over,
            Recovered: self._recovered,
            Known: self._known,
        }

    def handle(self, event: Event, now: float) -> list[Instruction]:
        """What is to be done about `event`. `now` is monotonic, in seconds."""
        out: list[Instruction] = []
        self._out = out
        self._handlers[type(event)](event, now)
        if not self.draining:
            self._admit(now)
        return out

    # What clients want --------------------------------------------------------------

    def _submitted(self, event: Submitted, now: float) -> None:
        task, known = event.task, self._found(event.task.task_id)
        verdict = self._dedupe(known.content_hash if known else None, task.content_hash)
        if verdict == "conflict":
            self._refuse(event, "conflict", say.CONFLICT, task=task.task_id)
        elif verdict == "again":
            self._again(event)
        elif self.draining:
            self._refuse(event, "unavailable", say.DRAINING)
        elif self._lines.unfetched >= self._waiting_limit or self._weight > self._waiting_bytes:
            self._refuse(event, "busy", say.BUSY, count=self._lines.unfetched)
        else:
            self._accept(event)

    def _accept(self, event: Submitted) -> None:
        task = event.task
        entry = self._enter(task.light())
        self._out.append(Follow(task.task_id, event.by, 0, missed=False))
        self._write(entry, [entry.note("accepted")], task=task)
        self._line_up(entry, fetched=False)

    def _again(self, event: Submitted) -> None:
        task_id = event.task.task_id
        entry, past = self._open.get(task_id), self._past.get(task_id)
        about = entry or past
        if about is None:
            return
        self._out.append(Again(task_id, event.by, 1, about.attempt, about.state, event.request_id))
        self._follow(Follow(task_id, event.by, 1, missed=True, keep=True))

    def _attached(self, event: Attached, now: float) -> None:
        if self._found(event.task_id) is None:
            self._refuse(event, "unknown-task", say.UNKNOWN, task=event.task_id)
            return
        if event.task_id in self._open:
            self._out.append(Greet(event.task_id, event.by, event.request_id))
        wanted = Follow(
            event.task_id, event.by, event.after, missed=True, request_id=event.request_id
        )
        self._follow(wanted)

    def _cancel_asked(self, event: CancelAsked, now: float) -> None:
        entry, past = self._open.get(event.task_id), self._past.get(event.task_id)
        if entry is None and past is None:
            self._refuse(event, "unknown-task", say.UNKNOWN, task=event.task_id)
        elif entry is None:
            self._out.append(Remind(event.task_id, event.by, event.request_id))
        else:
            self._follow(Follow(event.task_id, event.by, entry.seq, missed=True, keep=True))
            self._cancel(entry)
            if event.task_id in self._open:
                self._out.append(Greet(event.task_id, event.by, event.request_id))

    def _cancel(self, entry: Entry) -> None:
        task_id = entry.task.task_id
        if entry.state == "queued":
            self._finish(entry, "cancelled", say.CANCELLED)
        elif entry.state != "cancelling":
            stop = StopFetch if task_id in self._fetching else Stop
            entry.state, entry.stopping = "cancelling", "cancel"
            self._out.append(stop(task_id, entry.attempt))
            self._write(entry, [entry.note("cancelling", lost=entry.lost)])
            self._out.append(Show(task_id))

    # What the node reports ------------------------------------------------------------

    def _unrecorded(self, event: Unrecorded, now: float) -> None:
        entry = self._open.pop(event.task_id, None)
        if entry is not None:
            self._release(entry)

    def _fetched(self, event: Fetched, now: float) -> None:
        entry = self._present(event.task_id, event.attempt)
        if entry is None or event.task_id not in self._fetching:
            return
        self._fetched_all(event.task_id)
        if entry.stopping:
            self._fetch_over(entry)
            return
        entry.state, entry.template, entry.values = "queued", "", {}
        self._line_up(entry, fetched=True)

    def _fetch_failed(self, event: FetchFailed, now: float) -> None:
        entry = self._present(event.task_id, event.attempt)
        if entry is None or event.task_id not in self._fetching:
            return
        if entry.stopping:
            self._fetch_over(entry)
        else:
            self._finish(entry, event.kind, event.template, **event.values)

    def _fetch_stopped(self, event: FetchStopped, now: float) -> None:
        entry = self._present(event.task_id, event.attempt)
        if entry is not None and event.task_id in self._fetching:
            self._fetch_over(entry)

    def _fetch_over(self, entry: Entry) -> None:
        """Fetching was stopped: by a cancel for good, by a drain until the restart."""
        self._fetched_all(entry.task.task_id)
        if entry.stopping == "cancel":
            self._finish(entry, "cancelled", say.CANCELLED)
        else:
            self._put_back(entry, say.NODE_DRAINED, fetched=False)

    def _reported(self, event: Reported, now: float) -> None:
        entry = self._present(event.task_id, event.attempt)
        if entry is None or entry.state == "queued":
            return
        notes, moved = [], False
        for piece in event.news:
            if isinstance(piece, Progress):
                moved = True
                entry.advance(piece)
            elif isinstance(piece, Begun):
                entry.time_from(now + GRACE_S)
            elif entry.log_lines < self._most_lines:
                notes.append(entry.line(piece))
            else:
                entry.dropped += 1
        if notes:
            self._write(entry, notes, gate=False)
        if moved:
            self._out.append(Show(event.task_id))

    def _ended(self, event: Ended, now: float) -> None:
        entry = self._present(event.task_id, event.attempt)
        outcome = event.outcome
        kept = isinstance(outcome, Saved)  # a kept result may spare the run
        held = event.task_id in self._running or (kept and event.task_id in self._fetching)
        if entry is None or not held:
            return
        if isinstance(outcome, Saved):  # work that is done is done, whatever was asked meanwhile
            self._end(entry, "done", outcome.body, shown=outcome.shown, side=outcome.side)
        elif entry.stopping == "cancel":
            self._finish(entry, "cancelled", say.CANCELLED)
        elif entry.stopping == "timeout" or isinstance(outcome, TimedOut):
            self._finish(entry, "timeout", say.TIMED_OUT, limit_s=entry.task.timeout_ms / 1000)
        elif entry.stopping == "drain" and entry.task.pure:
            self._put_back(entry, say.NODE_DRAINED, fetched=True)
        elif isinstance(outcome, Failed):
            self._failed(entry, outcome)
        else:
            reason = outcome.reason if isinstance(outcome, Lost) else "its process was stopped"
            self._was_lost(entry, say.NODE_DRAINED if entry.stopping == "drain" else reason)

    def _failed(self, entry: Entry, outcome: Failed) -> None:
        before = []
        if outcome.traceback:
            before = [entry.line(Log("error", "{traceback}", {"traceback": outcome.traceback}))]
        kind = "rejected" if outcome.rejected else "failed"
        self._finish(entry, kind, outcome.template, before, **outcome.values)

    def _was_lost(self, entry: Entry, reason: str, *, harmless: bool = False) -> None:
        """Try again, or give up. `harmless`: the model's function had not been started."""
        entry.lost += 1
        if not entry.task.pure and not harmless:
            self._finish(entry, "lost", say.LOST_ONCE, reason=reason, model=entry.task.model)
        elif entry.lost >= self._attempts:
            self._finish(entry, "lost", say.LOST, count=entry.lost, reason=reason)
        else:
            values = {"attempt": entry.attempt, "reason": reason, "next": entry.attempt + 1}
            notice = entry.line(Log("warning", say.AGAIN, values))
            self._put_back(entry, reason, notice, fetched=entry.task.task_id in self._running)

    def _put_back(self, entry: Entry, why: str, *before: Note, fetched: bool) -> None:
        """Into the line again, at its old place, as the next attempt."""
        self._leave(entry)
        self._give_back(entry)
        entry.state, entry.stopping, entry.deadline = "queued", "", math.inf
        entry.done, entry.template, entry.values = 0.0, "", {}
        entry.attempt += 1
        note = entry.note("queued", lost=entry.lost, why=why)
        self._write(entry, [*before, note], gate=False)
        self._line_up(entry, fetched=fetched)
        self._out.append(Show(entry.task.task_id))

    # GPU memory -----------------------------------------------------------------------

    def _line_up(self, entry: Entry, *, fetched: bool) -> None:
        """Wait for being fetched, then for GPU memory where the model needs it, then for a slot."""
        task_id, need_mb = entry.task.task_id, entry.task.gpu_memory_mb
        if not fetched or self.draining:
            self._lines.enter(task_id, entry.rank, gpu=need_mb is not None)
        elif need_mb is None:
            self._lines.ready.push(task_id, entry.rank)
        else:
            entry.loan = "asked"
            entry.template, entry.values = say.WAITS_GPU, {"need_mb": need_mb}
            self._lines.asking.push(task_id, entry.rank)
            self._out += [Borrow(entry.task, entry.attempt), Show(task_id)]

    def _lent(self, event: Lent, now: float) -> None:
        entry = self._asking(event)
        if entry is not None:
            self._lines.asking.discard(event.task_id)
            entry.loan = "" if event.gpu_id is None else "lent"
            entry.gpu_id = event.gpu_id or ""
            entry.template, entry.values = "", {}
            self._lines.ready.push(event.task_id, entry.rank)

    def _lend_waits(self, event: LendWaits, now: float) -> None:
        """That it waits is kept once: it may take hours, and is no attempt when the node dies."""
        entry = self._asking(event)
        if entry is None:
            return
        if entry.loan == "asked":
            why = sentence(event.template, event.values)
            self._write(entry, [entry.note("queued", lost=entry.lost, why=why)], gate=False)
        entry.loan, entry.template, entry.values = "waits", event.template, event.values
        self._out.append(Show(event.task_id))

    def _lend_refused(self, event: LendRefused, now: float) -> None:
        entry = self._asking(event)
        if entry is not None:
            entry.loan = ""
            self._finish(entry, "failed", event.template, **event.values)

    def _asking(self, event: Lent | LendWaits | LendRefused) -> Entry | None:
        entry = self._present(event.task_id, event.attempt)
        return entry if event.task_id in self._lines.asking else None

    def _give_back(self, entry: Entry) -> None:
        """Before anything is written about it: a disk that is full must not keep a GPU."""
        if entry.loan:
            entry.loan = ""
            self._out.append(GiveBack(entry.task.task_id, entry.attempt))

    # Time, capacity, start and end ------------------------------------------------------

    def _capacity(self, event: Capacity, now: float) -> None:
        self.slots = event.slots

    def _ticked(self, event: Ticked, now: float) -> None:
        for task_id in self._running:
            entry = self._open[task_id]
            if now > entry.deadline and not entry.stopping:
                entry.stopping = "timeout"
                self._out.append(Stop(task_id, entry.attempt))

    def _drain_began(self, event: DrainBegan, now: float) -> None:
        """What lies fetched and waits goes back into the line, that its wait is no attempt."""
        self.draining = True
        for task_id in self._lines.fetched():
            self._put_back(self._open[task_id], say.NODE_DRAINED, fetched=False)
        for task_id in self._fetching:
            entry = self._open[task_id]
            if not entry.stopping:
                entry.stopping = "drain"
                self._out.append(StopFetch(task_id, entry.attempt))

    def _drain_over(self, event: DrainOver, now: float) -> None:
        for task_id in self._running:
            entry = self._open[task_id]
            if not entry.stopping:
                entry.stopping = "drain"
                self._out.append(Stop(task_id, entry.attempt))

    def _recovered(self, event: Recovered, now: float) -> None:
        entry = self._enter(event.task)
        entry.attempt, entry.seq = event.attempt, event.seq
        entry.lost, entry.log_lines = event.lost, event.log_lines
        if event.kind == "cancelling":
            self._finish(entry, "cancelled", say.CANCELLED)
        elif event.kind in ("fetching", "running"):
            self._was_lost(entry, say.NODE_DIED, harmless=event.kind == "fetching")
        else:
            self._line_up(entry, fetched=False)

    def _known(self, event: Known, now: float) -> None:
        past = Past(event.content_hash, event.state, event.model, event.attempt)
        self._keep_past(event.task_id, past)

    # Decisions ------------------------------------------------------------------------

    def _admit(self, now: float) -> None:
        """Start what may start, in order. A fetched task that waits lets a better one pass."""
        while len(self._running) < self.slots and len(self._lines.ready):
            self._run(self._open[self._lines.ready.pop()], now)
        most = max(self._fetchers, AT_ONCE)
        while self.slots and len(self._fetching) < most and len(self._downloading) < self._fetchers:
            task_id = self._lines.next()
            if task_id is None:
                return
            self._fetch(self._open[task_id])

    def _fetch(self, entry: Entry) -> None:
        task_id = entry.task.task_id
        entry.state = "fetching"
        self._fetching.add(task_id)
        if entry.task.downloads:
            self._downloading.add(task_id)
        self._out.append(Fetch(entry.task, entry.attempt))
        if entry.task.input_url is not None:
            note = entry.note("fetching", lost=entry.lost)
            self._write(entry, [note], gate=False)
            self._out.append(Show(task_id))

    def _run(self, entry: Entry, now: float) -> None:
        """A pure model need not wait until its start is durable; any other must, so that it is
        never run twice."""
        entry.state, entry.done = "running", 0.0
        if not entry.loan:  # beside its GPU it may still wait for a worker: until Begun
            entry.time_from(now + GRACE_S)
        self._running.add(entry.task.task_id)
        on_gpu = {"gpu": entry.gpu_id} if entry.loan else {}
        note = entry.note("running", lost=entry.lost, **on_gpu)
        self._write(entry, [note], gate=not entry.task.pure)
        self._out += [Run(entry.task, entry.attempt), Show(entry.task.task_id)]

    def _finish(
        self,
        entry: Entry,
        kind: str,
        template: str,
        before: list[Note] | None = None,
        /,
        **values: Any,
    ) -> None:
        body = {"error": sentence(template, values), "template": template, "values": values}
        self._end(entry, kind, body, before or [])

    def _end(
        self,
        entry: Entry,
        kind: str,
        body: dict[str, Any],
        before: list[Note] | None = None,
        *,
        shown: dict[str, Any] | None = None,
        side: dict[str, Any] | None = None,
    ) -> None:
        self._give_back(entry)
        task = entry.task
        notes = list(before or [])
        if entry.dropped:
            values = {"count": entry.dropped, "most": self._most_lines}
            notes = [*notes, entry.line(Log("warning", say.DROPPED, values))]
        entry.seq += 1
        last = Note(entry.seq, entry.attempt, kind, body, shown)
        self._write(entry, [*notes, last], side=side)
        self._release(entry)
        del self._open[task.task_id]
        past = Past(task.content_hash, kind, task.model, entry.attempt, entry.seq)
        self._keep_past(task.task_id, past)

    # Small verbs ----------------------------------------------------------------------

    def _present(self, task_id: str, attempt: int) -> Entry | None:
        entry = self._open.get(task_id)
        return entry if entry is not None and self._fence(entry, attempt) else None

    def _write(self, entry: Entry, notes: list[Note], **rest: Any) -> None:
        record = Record(entry.task.task_id, notes, logs=entry.task.return_logs, **rest)
        self._out.append(self._journal(record))

    def _follow(self, follow: Follow) -> None:
        self._out.append(self._replay(follow))

    def _refuse(
        self, event: Submitted | Attached | CancelAsked, code: str, template: str, /, **values: Any
    ) -> None:
        task_id = event.task.task_id if isinstance(event, Submitted) else event.task_id
        self._out.append(Refuse(event.by, code, template, values, task_id, event.request_id))
