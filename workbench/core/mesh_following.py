"""The tasks of one client: what it keeps beside each record, and for how long."""

from __future__ import annotations

from collections import deque
from copy import copy
from typing import Any

from workbench.core.mesh_record import TaskRecord

LOGS_KEPT = 10_001  # a node caps a task at 10,000 lines, then says how many were dropped
HISTORY_KEPT = 500


_WHEN = {"timestamp": None}


class Following:
    """A record with its logs, the caller's times, and what the user still wants of it."""

    def __init__(self, record: TaskRecord, message: dict[str, Any] | None, now: float) -> None:
        self.record = record
        self.message = message
        self.logs: deque[dict[str, Any]] = deque(maxlen=LOGS_KEPT)
        self.sent_at = now
        self.heard_at = now
        self.silence_told = False
        self.cancel_wanted = False
        self.unanswered = True
        self.busy = 0
        self.resend_at: float | None = None

    def is_of(self, message: dict[str, Any]) -> bool:
        """Whether a `task` message asks for the same once more."""
        return self.message is not None and self.message | _WHEN == message | _WHEN

    def snapshot(self, now: float) -> TaskRecord:
        """A copy of the record as of now."""
        record = copy(self.record)
        if record.pending:
            record.elapsed_s = now - self.sent_at
            record.silent_s = now - self.heard_at
        return record


class Tasks:
    """Every pending task, and those that ended last; in the order in which they came."""

    def __init__(self) -> None:
        self.known: dict[str, Following] = {}
        self.pending: dict[str, Following] = {}
        self._ended: dict[str, None] = {}

    def keep(self, following: Following) -> None:
        """A new task, or one of the same name as an ended one."""
        task_id = following.record.task_id
        self.known.pop(task_id, None)
        self._ended.pop(task_id, None)
        self.known[task_id] = self.pending[task_id] = following

    def end(self, task_id: str) -> None:
        """No longer pending; of too many ended ones that which ended first is forgotten."""
        del self.pending[task_id]
        self._ended[task_id] = None
        while len(self._ended) > HISTORY_KEPT:
            first = next(iter(self._ended))
            del self._ended[first], self.known[first]
