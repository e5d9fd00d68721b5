"""What the node writes to its journal and reads from it: rows on one side, nouns on the other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from workbench.core import mesh_wire
from workbench.core.job import TableBytes
from workbench.core.task_nouns import INLINE_KEPT, Note, Record, Recovered, Task
from workbench.core.wire import encode

Rows = dict[str, list[tuple[Any, ...]]]


class SideFile(Protocol):
    """A written side file; `path` is relative to the data folder."""

    @property
    def alias(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def sha256(self) -> str: ...
    @property
    def bytes(self) -> int: ...
    @property
    def rows(self) -> Mapping[str, int]: ...


class Journal(Protocol):
    """The store, as far as the node uses it."""

    def append(
        self, rows: Mapping[str, Sequence[tuple[Any, ...]]], *, lazy: bool = False
    ) -> asyncio.Future[None]: ...

    async def read(self, query: str, **params: Any) -> list[dict[str, Any]]: ...

    async def write_side_file(
        self, folder: Any, alias: str, tables: Mapping[str, TableBytes], document: bytes
    ) -> SideFile: ...

    async def read_document(self, path: str) -> bytes: ...


def instant(wall_ms: int) -> datetime:
    """Milliseconds since the epoch as the journal keeps them: UTC, without a zone."""
    return datetime.fromtimestamp(wall_ms / 1000, UTC).replace(tzinfo=None)


def milliseconds(moment: datetime) -> int:
    """The way back: exact, as the journal keeps microseconds."""
    return round(moment.replace(tzinfo=UTC).timestamp() * 1000)


def rows_of(record: Record, wall_ms: int) -> Rows:
    """All rows of one record, to be committed together."""
    at, task_id = instant(wall_ms), record.task_id
    rows: Rows = {}
    if record.task is not None:
        rows["tasks"] = [_task_row(record.task, at)]
    for note in record.notes:
        if note.kind == "log":
            rows.setdefault("task_logs", []).append(_log_row(task_id, note, at))
        elif note.kind != "accepted":  # its row in `tasks` says it: one table less to commit
            body = encode(note.body)
            row = (task_id, note.seq, note.attempt, note.kind, body, at)
            rows.setdefault("task_events", []).append(row)
    if record.side is not None:
        side = record.side
        tables = encode(side["tables"])
        rows["side_files"] = [
            (
                *(side[name] for name in ("alias", "folder", "path", "sha256", "bytes")),
                *(tables, task_id, side["model"], side["batch"], at),
            )
        ]
    return rows


def _task_row(task: Task, at: datetime) -> tuple[Any, ...]:
    return (
        task.task_id,
        task.model,
        task.model_version,
        task.pure,
        encode(task.parameters),
        task.input_url,
        task.inline,
        task.priority,
        task.timeout_ms,
        task.use_cache,
        task.return_logs,
        task.content_hash,
        at,
    )


def _log_row(task_id: str, note: Note, at: datetime) -> tuple[Any, ...]:
    body, values = note.body, note.body.get("values")
    kept = encode(values) if values is not None else None
    text = (body["level"], body["content"], body.get("template"), kept)
    return (task_id, note.seq, note.attempt, *text, at)


def task_of(row: Mapping[str, Any], gpu_memory_mb: int | None) -> Task:
    """A row of `tasks` as the book knows it; what its model needs is for the model to say."""
    inline = row["inline_input"]
    size = len((inline or "").encode())
    parameters = row["parameters"]
    return Task(
        task_id=row["task_id"],
        model=row["model"],
        model_version=row["model_version"],
        pure=row["pure"],
        parameters=msgspec.json.decode(parameters),
        input_url=row["input_url"],
        inline=inline if size <= INLINE_KEPT else None,
        inline_bytes=size,
        priority=row["priority"],
        timeout_ms=row["timeout_ms"],
        use_cache=row["use_cache"],
        return_logs=row["return_logs"],
        content_hash=row["content_hash"],
        gpu_memory_mb=gpu_memory_mb,
        weight=len(parameters) + min(size, INLINE_KEPT),
    )


def recovered_of(row: Mapping[str, Any], lost: int, gpu_memory_mb: int | None) -> Recovered:
    """A row of the query `tasks_open`; `lost` attempts were counted before it."""
    return Recovered(
        task=task_of(row, gpu_memory_mb),
        kind=row["kind"] or "accepted",
        attempt=row["attempt"],
        seq=row["max_seq"],
        lost=lost,
        log_lines=row["logs"],
        accepted_ms=milliseconds(row["submitted_at"]),
    )


def lost_of(events: Sequence[Mapping[str, Any]]) -> int:
    """How many attempts had been lost, as the newest of a task's events says."""
    return max((int(msgspec.json.decode(row["body"]).get("lost", 0)) for row in events), default=0)


def event_message(task_id: str, row: Mapping[str, Any], body: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `task_events` as the message that was sent when it was written."""
    at_ms = milliseconds(row["recorded_at"])
    return mesh_wire.numbered(task_id, row["seq"], row["attempt"], row["kind"], body, at_ms)


def log_message(task_id: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `task_logs` as the message that was sent when it was written."""
    body = {"content": row["content"], "level": row["level"]}
    if row["template"] is not None:
        values = msgspec.json.decode(row["template_values"])
        body |= {"template": row["template"], "values": values}
    at_ms = milliseconds(row["logged_at"])
    return mesh_wire.numbered(task_id, row["seq"], row["attempt"], "log", body, at_ms)
