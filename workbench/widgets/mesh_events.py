"""Folds what a mesh client says (wire names, protocol.md) into what the mesh page shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.widgets.mesh_state import TERMINAL, MeshState
from workbench.widgets.tables import nested

Wire = Mapping[str, Any]


def said(message: Wire, key: str) -> dict[str, Any] | None:
    """A sentence of the wire: its text under `key`, our template and values beside it."""
    text = message.get(key)
    if not text:
        return None
    values = message.get("values")
    return {
        "text": str(text),
        "template": message.get("template") or "",
        "values": dict(values) if isinstance(values, Mapping) else {},
    }


def fold(state: MeshState, event: str, message: Wire) -> None:
    """One event of the client. What is not about a task changes nothing."""
    task_id = message.get("taskId")
    if isinstance(task_id, str) and event in _FOLDS:
        _FOLDS[event](state, task_id, message)


def _accepted(state: MeshState, task_id: str, message: Wire) -> None:
    submitted = (
        {} if (state.task(task_id) or {}).get("submittedAt") else {"submittedAt": state.now_ms()}
    )
    state.update(task_id, state=message.get("state"), heardAt=state.now_ms(), **submitted)


def _progress(state: MeshState, task_id: str, message: Wire) -> None:
    state.progress(
        task_id,
        float(message.get("progress") or 0.0),
        state=message.get("state") or "running",
        attempt=message.get("attempt") or 1,
        status=said(message, "statusText"),
    )


def _log(state: MeshState, task_id: str, message: Wire) -> None:
    line = said(message, "content") or {"text": "", "template": "", "values": {}}
    at, level = message.get("timestamp"), message.get("level") or "info"
    line |= {"at": at if isinstance(at, int) else state.now_ms(), "level": level}
    state.add_log(task_id, {**line, "seq": message.get("seq"), "attempt": message.get("attempt")})
    if (state.task(task_id) or {}).get("state") not in TERMINAL:
        state.heard(task_id)


def _completed(state: MeshState, task_id: str, message: Wire) -> None:
    result = message.get("result")
    version = result.get("version") if isinstance(result, Mapping) else None
    state.end(task_id, "done", progress=1.0, attempt=message.get("attempt"), version=version)


def _error(state: MeshState, task_id: str, message: Wire) -> None:
    code = str(message.get("code") or "failed")
    if message.get("seq") is None and code not in TERMINAL:
        return  # a refusal: the form shows it, and there is no task
    outcome = code if code in TERMINAL else "failed"
    state.end(task_id, outcome, error=said(message, "error"), attempt=message.get("attempt"))


_FOLDS = {
    "task_accepted": _accepted,
    "task_progress": _progress,
    "log": _log,
    "task_completed": _completed,
    "task_error": _error,
}


def history_row(row: Wire) -> dict[str, Any]:
    """A task of the node's `tasks` answer as the page shows it."""
    names = (
        "taskId", "model", "state", "attempt", "progress", "submittedAt", "startedAt",
        "finishedAt", "inputDataURL", "position", "version",
    )  # fmt: skip
    shown = {name: row.get(name) for name in names}
    why = {
        "text": row.get("waitsFor"),
        "template": row.get("waitsForTemplate"),
        "values": row.get("waitsForValues") or {},
    }
    removed = {
        "text": row.get("removed"),
        "template": row.get("removedTemplate"),
        "values": row.get("removedValues") or {},
    }
    told = {**row, "values": row.get("errorValues"), "template": row.get("errorTemplate")}
    return {
        **shown,
        "parameters": nested(row.get("parameters")),
        "input": row.get("inputLabel") or input_label(row.get("inputDataURL")),
        "why": why if why["text"] else None,
        "removed": removed if removed["text"] else None,
        "error": said(told, "error") if row.get("state") in TERMINAL else None,
    }


def input_label(url: Any) -> str | None:
    """An input as a person recognises it; an upload is named by the start of its hash."""
    if not isinstance(url, str):
        return None
    return f"upload {url.removeprefix('upload:')[:8]}" if url.startswith("upload:") else url
