"""A task as its client knows it, what happens to it, and the node's messages about it."""

from __future__ import annotations

from typing import Any

import msgspec

TERMINAL = frozenset({"done", "cancelled", "timeout", "failed", "rejected", "lost"})
ENDED = TERMINAL | {"refused"}


class TaskRecord(msgspec.Struct, kw_only=True, rename="camel", omit_defaults=False):
    """A task as its client knows it. Instants in milliseconds since the Unix epoch.

    `state` is `sent` until the node answers, then a state of the protocol, or `refused`
    when the node would not have it; `cause` is then `store` where its disk was at fault. `seq`
    is the last numbered message seen.
    """

    task_id: str
    model: str
    endpoint: str
    state: str = "sent"
    accepted: bool = False
    seq: int = 0
    attempt: int = 1
    progress: float | None = None
    status_text: str | None = None
    template: str | None = None
    values: dict[str, Any] = {}
    result: Any = None
    error: str | None = None
    code: str | None = None
    cause: str | None = None
    submitted_at: int = 0
    elapsed_s: float = 0.0
    silent_s: float = 0.0
    parameters: dict[str, Any] = {}
    input_data_url: str | None = msgspec.field(default=None, name="inputDataURL")

    @property
    def pending(self) -> bool:
        return self.state not in ENDED


class NodeMessage(msgspec.Struct):
    """What is read of a message about a task. Foreign nodes send less, and other types."""

    taskId: str | None = None
    seq: int | None = None
    attempt: int | None = None


class AcceptedMessage(NodeMessage):
    """The task is durable, or was already."""

    state: str = "queued"


class LogMessage(NodeMessage):
    """One line of a task's log."""


class ProgressMessage(NodeMessage):
    """Finished units over all units."""

    progress: float = 0.0
    statusText: str | None = None
    template: str | None = None
    values: dict[str, Any] | None = None
    state: str | None = None


class ResultMessage(NodeMessage):
    """The end of a task; `success` is false only at foreign nodes."""

    success: bool = True
    result: Any = None
    error: Any = None


class ErrorMessage(NodeMessage):
    """The end of a task when it has `seq`, else the refusal of one message."""

    error: Any = ""
    code: str | int | None = None


KINDS: dict[str, type[NodeMessage]] = {
    "taskAccepted": AcceptedMessage,
    "log": LogMessage,
    "taskProgress": ProgressMessage,
    "taskResult": ResultMessage,
    "error": ErrorMessage,
}
