"""What the journal knows of tasks: missed messages, open tasks after a start, the list of all."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from workbench.core.masking import as_kept
from workbench.core.mesh_wire import TERMINAL, TasksMessage, sentence
from workbench.core.seen import MOST
from workbench.core.task import TaskBook
from workbench.core.task_nouns import Known, Recovered, Task
from workbench.core.wire import encode
from workbench.mesh.models import Models
from workbench.mesh.results import CACHE_S, whole_body
from workbench.mesh.rows import (
    Journal,
    event_message,
    instant,
    log_message,
    lost_of,
    milliseconds,
    recovered_of,
)

LABEL_CHARS = 60
SHOWN = TERMINAL | {"accepted"}


class History:
    """Reads the journal through its named queries."""

    def __init__(self, journal: Journal, book: TaskBook, models: Models) -> None:
        self._journal, self._book, self._models = journal, book, models

    async def messages(self, task_id: str, after: int, most: int) -> list[dict[str, Any]]:
        """The numbered messages above `after`, in order, at most about `most`.

        Events are read before logs: a terminal message is never seen without what precedes it.
        """
        events = await self._journal.read("task_events", task_id=task_id, after=after)
        logs: list[dict[str, Any]] = []
        if await self._returns_logs(task_id):
            logs = await self._journal.read("task_logs", task_id=task_id, after=after, limit=most)
        found = [log_message(task_id, row) for row in logs]
        end = logs[-1]["seq"] if len(logs) >= most else None
        for row in events:
            if row["kind"] in SHOWN and (end is None or row["seq"] < end):
                found.append(await self._event(task_id, row))
        return sorted(found, key=lambda message: int(message["seq"]))

    async def ending(self, task_id: str) -> dict[str, Any] | None:
        """The terminal message of a task."""
        rows = await self._journal.read("terminal", task_id=task_id)
        return await self._event(task_id, rows[0]) if rows else None

    async def ending_body(self, task_id: str) -> dict[str, Any] | None:
        """The terminal entry of a task, as the journal keeps it."""
        rows = await self._journal.read("terminal", task_id=task_id)
        return _body(rows[0]) if rows else None

    async def body_for(self, content_hash: str, wall_ms: int) -> dict[str, Any] | None:
        """The newest result of the same request within the cache's time."""
        since = instant(wall_ms - CACHE_S * 1000)
        rows = await self._journal.read("cached_result", content_hash=content_hash, since=since)
        return _body(rows[0]) if rows else None

    async def inline(self, task_id: str) -> str | None:
        """The inline input of a task."""
        rows = await self._journal.read("task", task_id=task_id)
        return rows[0]["inline_input"] if rows else None

    async def ended(self) -> list[Known]:
        """The newest tasks that had ended before this start, oldest first."""
        rows = await self._journal.read("all_task_ids", limit=MOST)
        return [
            Known(row["task_id"], row["content_hash"], row["state"])
            for row in reversed(rows)
            if row["state"] in TERMINAL
        ]

    async def known(self, task_id: str) -> Known | None:
        """One task, if it has ended."""
        ends = await self._journal.read("terminal", task_id=task_id)
        rows = await self._journal.read("task", task_id=task_id) if ends else []
        if not rows:
            return None
        end, row = ends[0], rows[0]
        return Known(task_id, row["content_hash"], end["kind"], row["model"], end["attempt"])

    async def open(self) -> list[Recovered]:
        """The tasks that are still owed an end, oldest first."""
        found = []
        for row in await self._journal.read("tasks_open"):
            lost = 0
            if row["attempt"] > 1:
                events = await self._journal.read("task_events", task_id=row["task_id"], after=0)
                lost = lost_of(events)
            gpu_memory_mb = self._models.gpu_memory_mb(row["model"], row["model_version"])
            found.append(recovered_of(row, lost, gpu_memory_mb))
        return found

    async def listing(self, message: TasksMessage, wall_ms: int) -> tuple[list[Any], bool]:
        """A page of tasks, newest first, and whether older ones are left."""
        before = None if message.before is None else instant(message.before)
        rows = await self._journal.read(
            "task_history", before=before, limit=message.limit + 1, state=message.state
        )
        places = self._book.places()
        listed = [self._listed(row, places, wall_ms) for row in rows[: message.limit]]
        return listed, len(rows) > message.limit

    # Inside -----------------------------------------------------------------------------

    async def _returns_logs(self, task_id: str) -> bool:
        entry = self._book.entry(task_id)
        if entry is not None:
            return entry.task.return_logs
        rows = await self._journal.read("task", task_id=task_id)
        return bool(rows and rows[0]["return_logs"])

    async def _event(self, task_id: str, row: Mapping[str, Any]) -> dict[str, Any]:
        body = _body(row)
        if row["kind"] == "done":
            body = await whole_body(self._journal, body)
        return event_message(task_id, row, body)

    def _listed(
        self, row: Mapping[str, Any], places: Mapping[str, int], wall_ms: int
    ) -> dict[str, Any]:
        task_id, state = row["task_id"], row["state"]
        ending = msgspec.json.decode(row["ending"]) if row.get("ending") else {}
        removed = msgspec.json.decode(row["removed"]) if row.get("removed") else {}
        started, finished = _ms(row["started_at"]), _ms(row["finished_at"])
        listed: dict[str, Any] = {
            "taskId": task_id,
            "model": row["model"],
            "version": row["model_version"],
            "state": state,
            "attempt": row["attempts"],
            "progress": 1.0 if state == "done" else None,
            "submittedAt": _ms(row["submitted_at"]),
            "startedAt": started,
            "finishedAt": finished,
            "durationMs": None if started is None else (finished or wall_ms) - started,
            "error": row["error"],
            "errorTemplate": ending.get("template"),
            "errorValues": ending.get("values"),
            "removed": removed.get("text"),
            "removedTemplate": removed.get("template"),
            "removedValues": removed.get("values"),
            "parameters": msgspec.json.decode(row["parameters"]),
            "inputDataURL": row["input_url"],
            "inputLabel": _label(row["inline_input"], row["content_hash"]),
            "alias": row["alias"],
        }
        return listed | self._present(task_id, places)

    def _present(self, task_id: str, places: Mapping[str, int]) -> dict[str, Any]:
        """What the book knows better than the journal: how an open task stands right now."""
        entry = self._book.entry(task_id)
        if entry is None:
            return {}
        fresh = {"state": entry.state, "attempt": entry.attempt, "progress": entry.done}
        place = places.get(task_id)
        if place is not None:
            return {**fresh, "position": place + 1, **_why(*self._book.why(place))}
        waits = entry.state == "queued" and entry.template  # for GPU memory, in no line of ours
        return {**fresh, **_why(entry.template, entry.values)} if waits else fresh


def _why(template: str, values: Mapping[str, Any]) -> dict[str, Any]:
    text = sentence(template, values)
    return {"waitsFor": text, "waitsForTemplate": template, "waitsForValues": values}


def _label(inline: str | None, content_hash: str) -> str | None:
    """By what a person tells an inline input from others: what it holds, without secrets, and
    where that is cut the start of a hash, too."""
    if inline is None:
        return None
    try:
        text = encode(as_kept(msgspec.json.decode(inline))) if inline else ""
    except RecursionError:
        text = ""
    if text and len(text) <= LABEL_CHARS:
        return text
    return f"{text[:LABEL_CHARS] or 'JSON'}… {content_hash[:8]}"


def _body(row: Mapping[str, Any]) -> dict[str, Any]:
    return dict(msgspec.json.decode(row["body"]))


def _ms(moment: datetime | None) -> int | None:
    return None if moment is None else milliseconds(moment)


def urls_of(task: Task, extra: tuple[str, ...]) -> dict[str, str]:
    """The URLs of a task's inputs by name: `batch`, and each parameter that names one."""
    urls = {} if task.input_url is None else {"batch": task.input_url}
    return urls | {name: task.parameters[name] for name in extra if task.parameters.get(name)}
