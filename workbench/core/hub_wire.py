"""The messages of `/ws`, typed and bounded. Fixed names are those of existing clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from workbench.core.wire import encode, error_message
from workbench.errors import WorkbenchError

SQL_LIMIT = 100_000
MESSAGE_LIMIT = 1_000_000
INTERVAL_LIMITS_MS = (500, 3_600_000)
INTERVAL_MS = 10_000
QUERY_ROW_LIMIT = 5_000_000

Text = Annotated[str, msgspec.Meta(max_length=256)]
Identifier = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Number = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
TaskId = Identifier | Number
RequestId = Text | Number | None
Scalar = Annotated[str, msgspec.Meta(max_length=SQL_LIMIT)] | int | float | bool | None
Listed = Annotated[list[Scalar], msgspec.Meta(max_length=10_000)]
Parameters = (
    Annotated[dict[str, Scalar | Listed], msgspec.Meta(max_length=200)]
    | Annotated[list[Scalar], msgspec.Meta(max_length=200)]
    | None
)


class Unavailable(WorkbenchError):
    """This hub does not have the feature, or it is switched off."""

    code = "unavailable"


class Forbidden(WorkbenchError):
    """The token's scope does not reach this far."""

    code = "forbidden"


class Busy(WorkbenchError):
    """Too much at once: try again when something has ended."""

    code = "busy"


class Cancelled(WorkbenchError):
    """It was stopped, because its asker wanted that."""

    code = "cancelled"


class HubMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What every message may carry: `requestId`, echoed in each answer to it."""

    request_id: RequestId = None


class Ping(HubMessage, frozen=True):
    """Are you there?"""


class Interval(msgspec.Struct, frozen=True, rename="camel"):
    """How often, in ms. `pid` is the asker's own process, if it is on the hub's machine: what
    it uses of a GPU is then shown as its."""

    interval_ms: Annotated[
        int, msgspec.Meta(ge=INTERVAL_LIMITS_MS[0], le=INTERVAL_LIMITS_MS[1])
    ] = INTERVAL_MS
    pid: Annotated[int, msgspec.Meta(ge=1, le=2**31)] | None = None


class MonitoringSubscribe(HubMessage, frozen=True):
    """Send `metrics` now and then at an interval."""

    data: Interval | None = None


class MonitoringUnsubscribe(HubMessage, frozen=True):
    """Send no more `metrics`."""


class TaskName(msgspec.Struct, frozen=True, rename="camel"):
    """Which task; an integer and its decimal text are the same task."""

    task_id: TaskId


class TaskSubscribe(HubMessage, frozen=True):
    """Send `task:update` whenever the task changes, also if it does not exist yet."""

    data: TaskName


class TaskUnsubscribe(HubMessage, frozen=True):
    """Send no more about the task."""

    data: TaskName


class QueryText(msgspec.Struct, frozen=True, rename="camel"):
    """A read-only question. `fresh` wants what was written up to now."""

    sql: Annotated[str, msgspec.Meta(min_length=1, max_length=SQL_LIMIT)]
    params: Parameters = None
    fresh: bool = False
    max_rows: Annotated[int, msgspec.Meta(ge=0, le=QUERY_ROW_LIMIT)] | None = None


class Query(HubMessage, frozen=True):
    """Answered by `query:batch` and its binary frame for each chunk, then `query:done`."""

    data: QueryText


class QueryCancel(HubMessage, frozen=True):
    """Stop the query that was asked with the same `requestId`."""


class TerminalData(msgspec.Struct, frozen=True, rename="camel"):
    """One keystroke or one size."""

    session_id: TaskId | None = None
    input: Annotated[str, msgspec.Meta(max_length=MESSAGE_LIMIT)] | None = None
    cols: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    rows: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None


class Terminal(HubMessage, frozen=True):
    """`terminal:*`."""

    data: TerminalData | None = None


BASE_KINDS: dict[str, type[HubMessage]] = {
    "ping": Ping,
    "monitoring:subscribe": MonitoringSubscribe,
    "monitoring:unsubscribe": MonitoringUnsubscribe,
    "task:subscribe": TaskSubscribe,
    "task:unsubscribe": TaskUnsubscribe,
    "query": Query,
    "query:cancel": QueryCancel,
    "terminal:create": Terminal,
    "terminal:input": Terminal,
    "terminal:resize": Terminal,
    "terminal:close": Terminal,
}
"""Every `type` that a client may send, besides those of `chat_wire` and `llm_wire`."""


def message(kind: str, data: Any = None, request_id: RequestId = None) -> str:
    """One frame to a client. Without data the envelope holds none, as `pong` has it."""
    envelope: dict[str, Any] = {"type": kind}
    if data is not None:
        envelope["data"] = data
    if request_id is not None:
        envelope["requestId"] = request_id
    return encode(envelope)


def error(fault: WorkbenchError, request_id: RequestId = None) -> str:
    """The one error envelope of `/ws`."""
    return message("error", error_message(fault, key="message"), request_id)


def request_id_of(frame: str | bytes) -> RequestId:
    """The `requestId` of a frame that was refused, as far as it can be read."""
    try:
        found = msgspec.json.decode(frame)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    given = found.get("requestId") if isinstance(found, Mapping) else None
    usable = isinstance(given, str | int) and not isinstance(given, bool)
    return given if usable and len(str(given)) <= 256 else None
