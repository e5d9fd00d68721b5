"""How the tasks stand, for whoever draws them: the hub's `task:update`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from workbench.core.mesh_wire import sentence
from workbench.core.task import TaskBook
from workbench.mesh.models import AnyModel

log = logging.getLogger("workbench.mesh")

Told = Callable[[dict[str, Any]], None]
LookUp = Callable[[str], Awaitable[None]]
"""Makes the book know again what it knows of a task that ended long ago."""


class TaskFeed:
    """`snapshot` gives a task's present state; `follow` hears of every change of any task."""

    def __init__(self, book: TaskBook, models: Mapping[str, AnyModel], look_up: LookUp) -> None:
        self._book, self._models, self._look_up = book, models, look_up
        self._followers: dict[int, Told] = {}
        self._numbers = 0

    async def looked_up(self, task_id: str) -> dict[str, Any] | None:
        """The same, also of a task that ended long ago."""
        await self._look_up(task_id)
        return self.snapshot(task_id)

    def must_look_up(self, task_id: str) -> bool:
        """Whether `snapshot` gives None although there was such a task."""
        return self._book.must_look_up(task_id)

    def snapshot(self, task_id: str) -> dict[str, Any] | None:
        """A task as a dashboard shows it; None while there is no such task."""
        entry, past = self._book.entry(task_id), self._book.past(task_id)
        if entry is not None:
            text = sentence(entry.template, entry.values)
            state = {"status": entry.state, "progress": entry.done, "statusText": text}
            return self._named(task_id, entry.task.model, entry.attempt) | state
        if past is not None:
            progress = 1.0 if past.state == "done" else None
            state = {"status": past.state, "progress": progress, "statusText": ""}
            return self._named(task_id, past.model, past.attempt) | state
        return None

    def follow(self, callback: Told) -> Callable[[], None]:
        """Call `callback` with a snapshot at each change; the answer ends it."""
        self._numbers += 1
        number = self._numbers
        self._followers[number] = callback

        def leave() -> None:
            self._followers.pop(number, None)

        return leave

    def changed(self, task_id: str) -> None:
        """A task changed: tell everybody. One that fails does not keep it from the others."""
        task = self.snapshot(task_id) if self._followers else None
        if task is None:
            return
        for callback in list(self._followers.values()):
            try:
                callback(dict(task))
            except Exception:
                log.exception("feed.follower_failed task=%s", task_id)

    def _named(self, task_id: str, model: str, attempt: int) -> dict[str, Any]:
        known = self._models.get(model)
        title = known.title if known is not None else model or task_id
        return {"id": task_id, "title": title, "model": model, "attempt": attempt}
