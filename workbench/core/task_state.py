"""What a TaskBook holds: open tasks and where each stands, ended ones, and what may be asked."""

from __future__ import annotations

from typing import Any

from workbench.core import task_sentences as say
from workbench.core.seen import Seen
from workbench.core.task_entry import Entry, Past
from workbench.core.task_line import Lines
from workbench.core.task_nouns import Task

PAST_KEPT = 10_000
"""Ended tasks that are held whole; of older ones no more than that there was such an id."""


class TaskState:
    """Every task of one node. `slots` may run at once."""

    def __init__(self, slots: int, past_kept: int) -> None:
        self.slots, self.draining = slots, False
        self._open: dict[str, Entry] = {}
        self._past: dict[str, Past] = {}
        self._past_kept = past_kept
        self._older = Seen()
        self._lines = Lines()
        self._fetching: set[str] = set()
        self._downloading: set[str] = set()
        """Those being fetched that have anything to bring here."""
        self._running: set[str] = set()
        self._weight = self._arrivals = 0

    def entry(self, task_id: str) -> Entry | None:
        """An open task, for reading only."""
        return self._open.get(task_id)

    def past(self, task_id: str) -> Past | None:
        """An ended task, unless it has to be looked up."""
        return self._past.get(task_id)

    def must_look_up(self, task_id: str) -> bool:
        """Whether this ended so long ago that only the journal knows more: a `Known` is needed
        before anything about it is handled."""
        return task_id in self._older and task_id not in self._past and task_id not in self._open

    def tasks(self) -> list[Task]:
        """Every open task."""
        return [entry.task for entry in self._open.values()]

    @property
    def running(self) -> int:
        """How many attempts hold a slot."""
        return len(self._running)

    def standing(self) -> dict[str, int]:
        """How many open tasks there are in each state. Looks at those under way alone."""
        busy = [self._open[each].state for each in (*self._running, *self._fetching)]
        found = {state: busy.count(state) for state in ("fetching", "running", "cancelling")}
        return {"queued": len(self._open) - len(busy), **found}

    @property
    def busy(self) -> bool:
        """Whether anything runs, is being fetched or stopped."""
        return bool(self._running or self._fetching)

    def places(self) -> dict[str, int]:
        """How many tasks are ahead of each that waits; without those that wait for a GPU only."""
        return self._lines.places()

    def why(self, ahead: int) -> tuple[str, dict[str, Any]]:
        """Why a task waits that has so many ahead of it."""
        if self.draining:
            return say.WAITS_DRAIN, {}
        if not self.slots:
            return say.WAITS_WORKER, {}
        return say.WAITS_SLOT, {"busy": len(self._running), "slots": self.slots, "ahead": ahead}

    # For the book ---------------------------------------------------------------------

    def _keep_past(self, task_id: str, past: Past) -> None:
        self._past[task_id] = past
        if len(self._past) > self._past_kept:
            oldest = next(iter(self._past))
            del self._past[oldest]
            self._older.add(oldest)

    def _found(self, task_id: str) -> Past | Task | None:
        entry = self._open.get(task_id)
        return entry.task if entry else self._past.get(task_id)

    def _enter(self, task: Task) -> Entry:
        self._arrivals += 1
        self._weight += task.weight
        self._past.pop(task.task_id, None)
        entry = self._open[task.task_id] = Entry(task, self._arrivals)
        return entry

    def _leave(self, entry: Entry) -> None:
        """It is nowhere any more: neither in a line nor fetched nor run."""
        task_id = entry.task.task_id
        self._running.discard(task_id)
        self._fetched_all(task_id)
        self._lines.leave(task_id)

    def _fetched_all(self, task_id: str) -> None:
        self._fetching.discard(task_id)
        self._downloading.discard(task_id)

    def _release(self, entry: Entry) -> None:
        self._leave(entry)
        self._weight -= entry.task.weight
