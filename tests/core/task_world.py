"""A node, an engine, a disk and clients around a TaskBook, as plain values: for its tests."""

from __future__ import annotations

from collections import defaultdict, deque
from typing import Any

from workbench.core.job import Cancelled, Failed, Log, Lost, Progress, TimedOut
from workbench.core.mesh_wire import TERMINAL
from workbench.core.task import TaskBook
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
    Stop,
    StopFetch,
    Submitted,
    Task,
    Ticked,
)

SHOWN = TERMINAL | {"accepted", "log"}


def a_task(task_id: str, content: str = "c", **fields: Any) -> Task:
    """A task with what a test does not care about filled in."""
    whole: dict[str, Any] = {
        "model": "steady",
        "model_version": "1",
        "pure": True,
        "parameters": {},
        "input_url": "https://x.org/batch",
        "content_hash": content,
    }
    return Task(task_id=task_id, **whole | fields)


class Client:
    """What one client has seen of each task on its present connection and before."""

    def __init__(self) -> None:
        self.seen: dict[str, list[Note]] = defaultdict(list)
        self.connection = 1
        self.following: dict[str, int] = {}
        self.missing: dict[str, int] = {}
        """The last number seen of each task whose end was not seen yet."""
        self.asked: dict[str, Task] = {}
        """What was sent and not yet accepted: it is sent again after a lost connection."""

    def hear(self, task_id: str, note: Note) -> None:
        if task_id in self.following and note.seq > self.following[task_id]:
            self.following[task_id] = self.missing[task_id] = note.seq
            self.asked.pop(task_id, None)
            self.seen[task_id].append(note)
            if note.kind in TERMINAL:
                del self.missing[task_id], self.following[task_id]

    def hear_again(self, order: Again) -> None:
        """Accepted before: everything after that acceptance follows, from the beginning."""
        if order.task_id not in self.following:
            self.seen[order.task_id] = []
            self.following[order.task_id] = 0
            self.hear(order.task_id, Note(order.seq, order.attempt, "accepted", {}))
            del self.following[order.task_id]


class Lender:
    """One GPU of 10 MB: lent in order of asking. It knows each claim until it is given back."""

    total_mb = 10

    def __init__(self) -> None:
        self.line: dict[tuple[str, int], int] = {}
        self.lent: dict[tuple[str, int], int] = {}
        self.without: set[tuple[str, int]] = set()
        """Those that do not wait, and run on the CPU."""

    def ask(self, key: tuple[str, int], need_mb: int) -> None:
        assert key not in self.line and key not in self.lent, f"{key} asks twice"
        self.line[key] = need_mb

    def decide(self) -> LendRefused | Lent | LendWaits | None:
        """About who asked first."""
        for key, need_mb in self.line.items():
            if need_mb > self.total_mb:
                del self.line[key]
                return LendRefused(*key, "no GPU has {need} MB", {"need": need_mb})
            if need_mb > self.total_mb - sum(self.lent.values()):
                return LendWaits(*key, "held by {who}", {"who": next(iter(self.lent))[0]})
            self.lent[key] = self.line.pop(key)
            return Lent(*key, "0")
        return None

    def take_back(self, key: tuple[str, int]) -> None:
        assert key in self.line or key in self.lent, f"{key} gives back what it has not"
        self.line.pop(key, None)
        self.lent.pop(key, None)


class World:
    """Carries instructions as the node does: a record is shown only once it is on the disk."""

    def __init__(self, slots: int = 2, **mechanisms: Any) -> None:
        self.mechanisms, self.slots = mechanisms, slots
        self.now = 0.0
        self.disk: dict[str, list[Note]] = defaultdict(list)
        self.accepted: dict[str, Task] = {}
        self.promised: set[str] = set()
        self.client = Client()
        self.refused: list[Refuse] = []
        self.reminded: list[str] = []
        self.again: list[Again] = []
        self.reset()
        self.tell(Capacity(slots))

    def reset(self) -> None:
        """A fresh process: what ran and what was on its way to the disk is gone."""
        self.book = TaskBook(**self.mechanisms)
        self.events: deque[Event] = deque()
        self.telling = False
        self.pending: list[Record] = []
        self.held: list[Any] = []
        self.fetching: dict[str, int] = {}
        self.running: dict[str, list[int]] = defaultdict(list)
        self.stopping: set[tuple[str, int]] = set()
        self.runs: list[tuple[str, int]] = []
        self.lender = Lender()

    # The node

    def tell(self, event: Event) -> None:
        """One event after the other: what an order causes is told when all orders are given."""
        self.events.append(event)
        if self.telling:
            return
        self.telling = True
        try:
            while self.events:
                for order in self.book.handle(self.events.popleft(), self.now):
                    self.carry(order)
        finally:
            self.telling = False

    def carry(self, order: Any) -> None:
        if isinstance(order, Record):
            if order.durable:
                self.pending.append(order)
            else:
                self.show(order)
        elif isinstance(order, Refuse):
            self.refused.append(order)
        else:
            task_id = order.task.task_id if hasattr(order, "task") else order.task_id
            gated = any(r.task_id == task_id and r.gate for r in self.pending)
            if gated:
                self.held.append((len(self.pending), order))
            else:
                self.do(order)

    def commit(self) -> None:
        """Everything that was written is on the disk, and what waited for it is done."""
        pending, self.pending = self.pending, []
        held, self.held = self.held, []
        for record in pending:
            if record.task is not None:
                self.accepted[record.task_id] = record.task
            self.disk[record.task_id] += record.notes
        for count, record in enumerate(pending, 1):
            self.show(record)
            for after, order in held:
                if after == count:
                    self.do(order)

    def show(self, record: Record) -> None:
        self.promised.add(record.task_id)
        for note in record.notes:
            if note.kind in SHOWN:
                self.client.hear(record.task_id, note)

    def do(self, order: Any) -> None:
        if getattr(order, "by", self.client.connection) != self.client.connection:
            return
        if isinstance(order, Fetch):
            self.fetching[order.task.task_id] = order.attempt
        elif isinstance(order, StopFetch):
            if self.fetching.pop(order.task_id, None) is not None:
                self.tell(FetchStopped(order.task_id, order.attempt))
        elif isinstance(order, Borrow):
            self.lender.ask((order.task.task_id, order.attempt), order.task.gpu_memory_mb or 0)
        elif isinstance(order, GiveBack):
            self.give_back(order)
        elif isinstance(order, Run):
            self.begin(order.task, order.attempt)
        elif isinstance(order, Stop):
            self.stopping.add((order.task_id, order.attempt))
        elif isinstance(order, Follow):
            self.follow(order)
        elif isinstance(order, Again):
            self.again.append(order)
            self.client.hear_again(order)
        elif isinstance(order, Remind):
            self.reminded.append(order.task_id)

    def give_back(self, order: GiveBack) -> None:
        at_work = order.attempt in self.running[order.task_id]
        assert not at_work, f"{order.task_id} runs on a GPU that it has given back"
        self.lender.take_back((order.task_id, order.attempt))

    def begin(self, task: Task, attempt: int) -> None:
        task_id, lent = task.task_id, self.lender.lent
        key, without = (task_id, attempt), self.lender.without
        borrowed = task.gpu_memory_mb is None or key in lent or key in without
        assert borrowed, f"{task_id} runs on a GPU that nobody lent"
        overlap = f"attempt {attempt} of {task_id} overlaps {self.running[task_id]}"
        assert not self.running[task_id], overlap
        assert task_id in self.accepted, f"{task_id} runs before it is durable"
        self.running[task_id].append(attempt)
        self.runs.append((task_id, attempt))

    def follow(self, order: Follow) -> None:
        if order.keep and order.task_id in self.client.following:
            return
        self.client.following[order.task_id] = order.after
        if order.missed:
            for note in sorted(self.disk[order.task_id], key=lambda note: note.seq):
                if note.kind in SHOWN:
                    self.client.hear(order.task_id, note)

    # What happens to it

    def submit(self, task: Task) -> None:
        if task.task_id not in self.client.following:
            self.client.asked.setdefault(task.task_id, task)
        self.tell(Submitted(task, self.client.connection))

    def fetched(self, task_id: str) -> None:
        self.tell(Fetched(task_id, self.fetching.pop(task_id)))

    def fetch_failed(self, task_id: str) -> None:
        attempt = self.fetching.pop(task_id)
        self.tell(FetchFailed(task_id, attempt, "rejected", "{url} is bad", {"url": "u"}))

    def lend(self) -> None:
        """The lender says something to whoever stands first."""
        if (said := self.lender.decide()) is not None:
            self.tell(said)

    def lend_nothing(self, task_id: str, attempt: int = 1) -> None:
        """Nothing is free, and its model does without."""
        del self.lender.line[task_id, attempt]
        self.lender.without.add((task_id, attempt))
        self.tell(Lent(task_id, attempt, None))

    def drain(self) -> None:
        """A node that is shut down in good order, and started again."""
        self.tell(DrainBegan())
        self.tell(DrainOver())
        self.commit()
        for task_id in [name for name, attempts in self.running.items() if attempts]:
            self.end(task_id, Cancelled())
        self.commit()
        self.check_lender()
        self.crash()

    def end(self, task_id: str, outcome: Any) -> None:
        """The attempt that runs is over; a stopped one says so unless it was already done."""
        attempt = self.running[task_id].pop()
        if (task_id, attempt) in self.stopping and not isinstance(outcome, Saved):
            outcome = Cancelled()
        self.tell(Ended(task_id, attempt, outcome))

    def late(self, task_id: str, attempt: int, outcome: Any) -> None:
        """A message that was under way when its attempt was given up."""
        self.tell(Ended(task_id, attempt, outcome))

    def report(self, task_id: str, *news: Progress | Log) -> None:
        self.tell(Reported(task_id, self.running[task_id][-1], list(news)))

    def cancel(self, task_id: str) -> None:
        self.tell(CancelAsked(task_id, self.client.connection))

    def tick(self, seconds: float) -> None:
        self.now += seconds
        self.tell(Ticked())

    def disconnect(self) -> None:
        """The client's connection is lost; it attaches again with the last it has seen."""
        self.client.following = {}
        self.client.connection += 1
        for task_id, last in list(self.client.missing.items()):
            self.tell(Attached(task_id, last, self.client.connection))
        for task in list(self.client.asked.values()):
            self.tell(Submitted(task, self.client.connection))

    def crash(self) -> None:
        """kill -9, then a start from the disk alone. The client attaches to what it knows."""
        self.reset()
        for task_id, task in self.accepted.items():
            notes = self.disk[task_id]
            last = max(notes, key=lambda note: note.seq)
            ends = [note for note in notes if note.kind in TERMINAL]
            if ends:
                self.tell(Known(task_id, task.content_hash, ends[0].kind))
                continue
            events = [note for note in notes if note.kind != "log"]
            newest = max(events, key=lambda note: note.seq)
            self.tell(
                Recovered(
                    task=task,
                    kind=newest.kind,
                    attempt=max(note.attempt for note in events),
                    seq=last.seq,
                    lost=max(int(note.body.get("lost", 0)) for note in events),
                    log_lines=sum(note.kind == "log" for note in notes),
                )
            )
        self.tell(Capacity(self.slots))
        self.disconnect()

    def settle(self, most: int = 2000) -> None:
        """Let everything that is open come to its end undisturbed."""
        for _ in range(most):
            self.commit()
            busy = [task_id for task_id, attempts in self.running.items() if attempts]
            if self.fetching:
                self.fetched(next(iter(self.fetching)))
            elif self.lender.line and not self.lender.lent:
                self.lend()
            elif busy:
                self.end(busy[0], saved())
            elif not self.pending and not self.held:
                return
        raise AssertionError("it never comes to rest")

    # What must hold

    def check_lender(self) -> None:
        """When nothing runs or waits any more."""
        lender = self.lender
        assert not lender.line and not lender.lent, f"left: {lender.line}, {lender.lent}"

    def check_seqs(self) -> None:
        for task_id, notes in self.disk.items():
            seqs = [note.seq for note in notes]
            assert seqs == sorted(set(seqs)), f"{task_id} was numbered {seqs}"

    def check_ends(self) -> None:
        """After `settle`: every promised task has ended once, and the client knows all of it."""
        for task_id in self.promised:
            ends = [note.kind for note in self.disk[task_id] if note.kind in TERMINAL]
            assert len(ends) == 1, f"{task_id} ended {ends}"
            wanted = [note.seq for note in self.disk[task_id] if note.kind in SHOWN]
            seen = [note.seq for note in self.client.seen[task_id]]
            assert seen == wanted, f"{task_id}: the client saw {seen} of {wanted}"


def saved() -> Saved:
    return Saved(body={"result": {"data": 1}, "cacheKey": "k", "kept": False})


def outcome_of(name: str) -> Any:
    return {
        "done": saved(),
        "failed": Failed(template="it broke: {why}", values={"why": "x"}, traceback="Traceback"),
        "rejected": Failed(template="bad amount", rejected=True),
        "timeout": TimedOut(),
        "lost": Lost("the worker died"),
        "stopped": Cancelled(),
    }[name]
