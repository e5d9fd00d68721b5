"""What the mesh page shows, as plain data: folded from the client's events, told as deltas."""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

KEEP_TASKS = 500
KEEP_LINES = 1000
WATCHED_LOGS = 8
"""Logs that are followed at a time: those that pages opened last."""

TERMINAL = frozenset({"done", "cancelled", "timeout", "failed", "rejected", "lost"})

Task = dict[str, Any]


class Log:
    """The newest lines of one task's log, and how many older ones are not kept."""

    def __init__(self) -> None:
        self.lines: deque[dict[str, Any]] = deque(maxlen=KEEP_LINES)
        self.dropped = 0
        self.seen = -1
        self.unsent: list[dict[str, Any]] = []

    def add(self, line: Mapping[str, Any]) -> None:
        """One line; a number that was here before is left out (a replay after a reconnect)."""
        seq = line.get("seq")
        if isinstance(seq, int):
            if seq <= self.seen:
                return
            self.seen = seq
        self.dropped += len(self.lines) == KEEP_LINES
        kept = {name: value for name, value in line.items() if name != "seq"}
        self.lines.append(kept)
        self.unsent = [*self.unsent, kept][-KEEP_LINES:]


class MeshState:
    """Tasks by id with their logs and results. Instants are ms since the epoch (`wall`)."""

    def __init__(self, wall: Callable[[], float] = time.time) -> None:
        self._wall = wall
        self._tasks: dict[str, Task] = {}
        self._logs: dict[str, Log] = {}
        self._results: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._followed: OrderedDict[str, None] = OrderedDict()
        self._changed: set[str] = set()
        self.older = False
        """Whether the node has tasks older than those known here."""

    @classmethod
    def from_snapshot(cls, read: Mapping[str, Any]) -> MeshState:
        """A state as a file holds it."""
        state = cls()
        for task in read.get("tasks", []):
            state._tasks[task["taskId"]] = dict(task)
        for task_id, opened in read.get("opened", {}).items():
            for line in opened.get("lines", []):
                state.add_log(task_id, line)
            if opened.get("result"):
                state.set_result(task_id, opened["result"])
        state._changed.clear()
        return state

    def now_ms(self) -> int:
        """The clock of the page's instants."""
        return int(self._wall() * 1000)

    def task(self, task_id: str) -> Task | None:
        """What is known of one task."""
        return self._tasks.get(task_id)

    def __len__(self) -> int:
        return len(self._tasks)

    @property
    def oldest_ms(self) -> int | None:
        """When the oldest known task was submitted."""
        times = [task["submittedAt"] for task in self._tasks.values() if task.get("submittedAt")]
        return min(times, default=None)

    @property
    def active(self) -> list[str]:
        """Tasks that have not ended."""
        return [name for name, task in self._tasks.items() if task["state"] not in TERMINAL]

    def update(self, task_id: str, **changes: Any) -> Task:
        """Fold changes into a task. A task that has ended stays ended, as it ended."""
        task = self._tasks.get(task_id)
        if task is None:
            task = self._tasks[task_id] = {"taskId": task_id, "model": "", "state": "queued"}
            self._forget()
        elif task["state"] in TERMINAL:
            changes.pop("state", None)
        task.update({name: value for name, value in changes.items() if value is not None})
        self._changed.add(task_id)
        return task

    def heard(self, task_id: str) -> None:
        """There was news of this task just now."""
        self.update(task_id, heardAt=self.now_ms())

    def progress(self, task_id: str, share: float, **changes: Any) -> None:
        """Finished units over all, 0..1, with what else the message said."""
        now = self.now_ms()
        task = self._tasks.get(task_id, {})
        state = changes.get("state")
        if state == "running" and (
            not task.get("startedAt") or self._is_new_attempt(task, changes)
        ):
            changes["startedAt"] = now
        if share != task.get("progress") or "progressAt" not in task:
            changes["progressAt"] = now
        if share > 0 and ("progressFrom" not in task or self._is_new_attempt(task, changes)):
            # The pace counts from the first finished unit: a process has to start before it.
            changes["progressFrom"] = {"at": now, "share": share}
        self.update(task_id, progress=share, heardAt=now, **changes)

    def _is_new_attempt(self, task: Mapping[str, Any], changes: Mapping[str, Any]) -> bool:
        return bool(changes.get("attempt", 1) > task.get("attempt", 1))

    def end(self, task_id: str, state: str, **changes: Any) -> None:
        """The task ended now, if it had not; `position` and `why` of the queue are gone."""
        task = self._tasks.get(task_id, {})
        if task.get("state") in TERMINAL:  # told again by a replay: only its sentence is better
            self.update(task_id, error=changes.get("error"), version=changes.get("version"))
            return
        self.update(task_id, state=state, finishedAt=self.now_ms(), **changes)
        for name in ("position", "why"):
            self._tasks[task_id].pop(name, None)

    def add_log(self, task_id: str, line: Mapping[str, Any]) -> None:
        """A line: {seq?, at, level, text, template, values, attempt}."""
        self._logs.setdefault(task_id, Log()).add(line)

    def set_result(self, task_id: str, result: dict[str, Any]) -> None:
        """What a finished task gave, ready to be drawn; the newest few are kept."""
        self._results[task_id] = result
        self._results.move_to_end(task_id)
        while len(self._results) > WATCHED_LOGS:
            self._results.popitem(last=False)

    def result(self, task_id: str) -> dict[str, Any] | None:
        """The drawn result, if it is kept here."""
        return self._results.get(task_id)

    def merge_history(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Tasks as the node lists them; what events said of a running task is newer."""
        for row in rows:
            known = self._tasks.get(row["taskId"])
            if known is None or known["state"] in TERMINAL or row["state"] in TERMINAL:
                self.update(row["taskId"], **{k: v for k, v in row.items() if k != "taskId"})
            else:
                queued = {name: row.get(name) for name in ("position", "why")}
                known.update(queued)
                missing = {k: v for k, v in row.items() if k != "taskId" and not known.get(k)}
                self.update(row["taskId"], **missing)

    def follow(self, task_id: str) -> None:
        """A page looks at this task: its log lines travel from now on."""
        self._followed[task_id] = None
        self._followed.move_to_end(task_id)
        while len(self._followed) > WATCHED_LOGS:
            self._followed.popitem(last=False)

    def snapshot(self) -> dict[str, Any]:
        """All tasks as they are."""
        tasks = [dict(task) for task in self._tasks.values()]
        return {"now": self.now_ms(), "tasks": tasks, "older": self.older}

    def opened(self, task_id: str) -> dict[str, Any]:
        """Everything of one task."""
        self.follow(task_id)
        log = self._logs.get(task_id, Log())
        log.unsent = []
        return {
            "taskId": task_id,
            "lines": list(log.lines),
            "dropped": log.dropped,
            "result": self._results.get(task_id),
        }

    def take_delta(self) -> dict[str, Any]:
        """What changed since the last call; empty where nothing did."""
        tasks = [dict(self._tasks[name]) for name in sorted(self._changed) if name in self._tasks]
        self._changed.clear()
        logs = {
            name: log.unsent
            for name, log in self._logs.items()
            if log.unsent and name in self._followed
        }
        for log in self._logs.values():
            log.unsent = []
        if not tasks and not logs:
            return {}
        return {"now": self.now_ms(), "tasks": tasks, "logs": logs, "older": self.older}

    def _forget(self) -> None:
        """At most KEEP_TASKS are known; the oldest that have ended go first."""
        if len(self._tasks) <= KEEP_TASKS:
            return
        ended = (name for name, task in self._tasks.items() if task["state"] in TERMINAL)
        oldest = min(ended, key=lambda name: self._tasks[name].get("submittedAt", 0), default=None)
        if oldest is not None:
            del self._tasks[oldest]
            self._logs.pop(oldest, None)
            self._results.pop(oldest, None)
            self.older = True
