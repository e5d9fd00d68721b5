"""The messages of the mesh protocol: what a client may say, and what a node answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec

from workbench.core.naming import NAME, TITLE_CHARS, VERSION
from workbench.core.sentence import is_fillable
from workbench.core.signature import BatchKind
from workbench.core.wire import decode
from workbench.errors import InputError, counted

FRAME_BYTES = 1 << 20
"""Largest binary frame of an upload, and largest inline input."""
PARAMETERS_BYTES = 64 << 10
SCHEMA_BYTES = 64 << 10
"""Largest JSON Schema of an own function's parameters."""
SOURCE_CHARS = 256 << 10
DESCRIPTION_CHARS = 4000
FUNCTION_BYTES = 16 << 20
"""Largest own function, with all that it uses."""
TIMEOUT_MOST_MS = 600_000

State = Literal[
    "queued", "fetching", "running", "cancelling",
    "done", "cancelled", "timeout", "failed", "rejected", "lost",
]  # fmt: skip
TERMINAL = frozenset({"done", "cancelled", "timeout", "failed", "rejected", "lost"})
OPEN = frozenset(get_args(State)) - TERMINAL

TaskId = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Natural = Annotated[int, msgspec.Meta(ge=0, le=2**53)]

_NAMES = {
    "task_id": "taskId",
    "request_id": "requestId",
    "input_url": "inputDataURL",
    "input_data": "inputData",
    "return_logs": "returnLogs",
    "timeout_ms": "timeoutMs",
    "use_cache": "useCache",
    "upload_id": "uploadId",
    "model_version": "modelVersion",
    "function_url": "functionURL",
    "gpu_memory_mb": "gpuMemoryMB",
    "parameters_schema": "parametersSchema",
    "source_sha256": "sourceSha256",
    "batch_kind": "batchKind",
    "needs_batch": "needsBatch",
}


class Message(msgspec.Struct, frozen=True, kw_only=True, rename=_NAMES):
    """What every message may carry; an answer echoes `requestId`."""

    request_id: Annotated[str, msgspec.Meta(max_length=200)] | int | None = None


class TaskMessage(Message, frozen=True, kw_only=True, rename=_NAMES):
    """`task`: run this model over this input. `priority`: higher goes first.

    `model_version` names one version of an own function; without it the newest one runs.
    """

    task_id: TaskId
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    input_url: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)] | None = None
    input_data: Any = msgspec.UNSET
    parameters: dict[str, Any] | None = None
    return_logs: bool | None = None
    timeout_ms: Annotated[int, msgspec.Meta(ge=1, le=TIMEOUT_MOST_MS)] = TIMEOUT_MOST_MS
    priority: Annotated[int, msgspec.Meta(ge=-100, le=100)] = 0
    use_cache: bool = True
    model_version: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None


class CancelMessage(Message, frozen=True, kw_only=True, rename=_NAMES):
    """`cancelTask`: stop the work itself."""

    task_id: TaskId


class HeartbeatMessage(Message, frozen=True, kw_only=True, rename=_NAMES):
    """`heartbeat-response`: still here."""


class AttachMessage(Message, frozen=True, kw_only=True, rename=_NAMES):
    """`attach`: send what came after `after`, then follow."""

    task_id: TaskId
    after: Natural = 0


class ModelsMessage(Message, frozen=True, kw_only=True, rename=_NAMES):
    """`models`: which models are there?"""


class TasksMessage(Message, frozen=True, kw_only=True, rename=_NAMES):
    """`tasks`: newest first, those submitted before `before` (ms since the epoch)."""

    before: Natural | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100
    state: State | None = None


class UploadMessage(Message, frozen=True, kw_only=True, rename=_NAMES):
    """`upload`: binary frames with `size` bytes follow, from where the answer says."""

    upload_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    size: Annotated[int, msgspec.Meta(ge=1, le=2**53)]
    sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class DefineMessage(Message, frozen=True, kw_only=True, rename=_NAMES):
    """`define`: keep this own function. Its bytes were uploaded before; the node never loads them.

    `version` is its author's word for it; the node adds what its content says.
    """

    function_url: Annotated[str, msgspec.Meta(pattern="^upload:[0-9a-f]{64}$")]
    name: Annotated[str, msgspec.Meta(pattern=rf"^{NAME}$")]
    version: Annotated[str, msgspec.Meta(pattern=rf"^{VERSION}$")] = "own"
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=TITLE_CHARS)]
    description: Annotated[str, msgspec.Meta(max_length=DESCRIPTION_CHARS)] = ""
    pure: bool = True
    gpu_memory_mb: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    parameters_schema: dict[str, Any]
    batch_kind: BatchKind | None = None
    needs_batch: bool = False
    source: Annotated[str, msgspec.Meta(min_length=1, max_length=SOURCE_CHARS)]
    source_sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    python: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,2}\.[0-9]{1,3}$")]
    cloudpickle: Annotated[str, msgspec.Meta(pattern=r"^[\w.+-]{1,50}$")]


KINDS: dict[str, type[Message]] = {
    "task": TaskMessage,
    "cancelTask": CancelMessage,
    "heartbeat-response": HeartbeatMessage,
    "attach": AttachMessage,
    "models": ModelsMessage,
    "tasks": TasksMessage,
    "upload": UploadMessage,
    "define": DefineMessage,
}


def read(frame: str) -> Message:
    """One text frame of a client. Raises InputError for the first faulty field."""
    message = decode(frame, KINDS)
    if isinstance(message, TaskMessage):
        _check_input(message)
    return message


def _check_input(message: TaskMessage) -> None:
    if message.input_url is not None and message.input_data is not msgspec.UNSET:
        raise InputError("inputDataURL and inputData are both given; allowed: one of them")


class _Addressed(msgspec.Struct):
    """The fields of a refused message that its answer echoes, whatever their type."""

    taskId: Any = None
    requestId: Any = None
    uploadId: Any = None


def address(frame: str) -> dict[str, Any]:
    """`taskId`, `requestId` and `uploadId` of a message that was refused, where readable."""
    try:
        found = msgspec.json.decode(frame, type=_Addressed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    fields = msgspec.to_builtins(found)
    return {name: value for name, value in fields.items() if isinstance(value, str | int)}


def sentence(template: str, values: Mapping[str, Any]) -> str:
    """A template filled in. A model's own text with stray braces stays as it is."""
    if not values or not is_fillable(template, values):
        return template
    return counted(template, values).format_map(values)  # numbers as they are: a line is data


def numbered(
    task_id: str, seq: int, attempt: int, kind: str, body: Mapping[str, Any], at_ms: int
) -> dict[str, Any]:
    """The message for one journal entry, the same whether it is live or replayed.

    `kind` is `accepted`, `log` or a terminal state; `body` is what the journal keeps of it.
    """
    ends = {"seq": seq, "attempt": attempt}
    if kind == "accepted":
        fields = {"state": "queued", "duplicate": False}
        return {"type": "taskAccepted", "taskId": task_id, **fields, **ends}
    if kind == "log":
        return {"type": "log", "taskId": task_id, **body, "timestamp": at_ms, **ends}
    if kind == "done":
        fields = {"success": True, "result": body["result"]}
        return {"type": "taskResult", "taskId": task_id, **fields, **ends}
    return {"type": "error", "taskId": task_id, **body, "code": kind, "timestamp": at_ms, **ends}


def duplicate(task_id: str, seq: int, attempt: int, state: str) -> dict[str, Any]:
    """The task was accepted before, as message `seq`, and is now in `state`."""
    fields = {"state": state, "duplicate": True, "seq": seq, "attempt": attempt}
    return {"type": "taskAccepted", "taskId": task_id, **fields}


def progress(
    task_id: str, attempt: int, state: str, done: float, template: str, values: Mapping[str, Any]
) -> dict[str, Any]:
    """How far a task is: `done` is 0..1, finished units over all."""
    fields: dict[str, Any] = {"progress": done, "state": state, "attempt": attempt}
    if template:
        text = sentence(template, values)
        fields |= {"statusText": text, "template": template, "values": values}
    return {"type": "taskProgress", "taskId": task_id, **fields}


def models(
    listed: list[dict[str, Any]], problems: list[dict[str, Any]], **echo: Any
) -> dict[str, Any]:
    """The models of this node, and those that could not be loaded."""
    return {"type": "models", "models": listed, "problems": problems, **echo}


def tasks(listed: list[dict[str, Any]], truncated: bool, **echo: Any) -> dict[str, Any]:
    """A page of tasks; `truncated` says that older ones are left."""
    return {"type": "tasks", "tasks": listed, "truncated": truncated, **echo}


def upload_progress(upload_id: str, received: int, size: int, **echo: Any) -> dict[str, Any]:
    """`received` of `size` bytes are stored; the next frame goes on from there."""
    fields = {"uploadId": upload_id, "received": received, "size": size}
    return {"type": "uploadProgress", **fields, **echo}


def uploaded(upload_id: str, sha256: str, **echo: Any) -> dict[str, Any]:
    """All bytes are here and are those that were promised."""
    fields = {"uploadId": upload_id, "inputDataURL": f"upload:{sha256}"}
    return {"type": "uploaded", **fields, **echo}


def defined(name: str, version: str, known: bool, **echo: Any) -> dict[str, Any]:
    """An own function is kept, as this version; `known`: it was kept before."""
    return {"type": "defined", "name": name, "version": version, "known": known, **echo}


HEARTBEAT = '{"type":"heartbeat"}'
