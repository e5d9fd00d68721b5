"""One client's side of the mesh protocol, without a socket and without a clock.

The shell around it feeds `opened / received / tick / closed`, hands the events on and
sends what lies in the `outbox()`. It holds every task of the client, each with the endpoint
that it belongs to, so that a dropped connection loses and doubles nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from workbench.core.link import BY_THE_USER, Event, Reconnects, reason_of
from workbench.core.masking import as_kept
from workbench.core.mesh_config import MeshConfig
from workbench.core.mesh_following import Following, Tasks
from workbench.core.mesh_record import (
    ENDED,
    KINDS,
    TERMINAL,
    AcceptedMessage,
    ErrorMessage,
    LogMessage,
    NodeMessage,
    ProgressMessage,
    ResultMessage,
    TaskRecord,
)
from workbench.core.sentence import filled
from workbench.core.wire import encode
from workbench.errors import InputError, LinkError

BUSY_TRIES = 7
BUSY_FIRST_S = 0.5
BUSY_MOST_S = 8.0


class MeshSession:
    """The client's decisions. One thread only; `now` is any clock that never goes back."""

    def __init__(self, config: MeshConfig | None = None, tasks: Tasks | None = None) -> None:
        self.config = config or MeshConfig()
        self.endpoint: str | None = None
        """The endpoint that the open connection leads to; None while there is none."""
        self._schedule = Reconnects()
        self._tasks = Tasks() if tasks is None else tasks
        """Perhaps those of a client with several sessions, each connected elsewhere."""
        self._outbox: list[str | bytes] = []
        self._handlers: dict[str, Callable[..., list[Event]]] = {
            "taskAccepted": self._accepted,
            "log": self._log,
            "taskProgress": self._progress,
            "taskResult": self._result,
            "error": self._error,
        }

    # The four inputs of the shell

    def opened(self, endpoint: str, now: float) -> list[Event]:
        """A connection stands: everything that belongs to this endpoint is taken up again."""
        self._schedule.opened(now)
        self.endpoint = endpoint
        self._outbox.clear()
        for following in self._tasks.pending.values():
            if following.record.endpoint == endpoint:
                self._take_up(following)
        return [Event("connected", {"endpoint": endpoint})]

    def received(self, frame: str | bytes, now: float) -> list[Event]:
        """One frame of the node. What is unknown or malformed is passed over, never fatal."""
        try:
            document = msgspec.json.decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [_warning("the node sent a frame that is not JSON: passed over")]
        if not isinstance(document, dict):
            return [_warning("the node sent a frame that is not an object: passed over")]
        events = [Event("message", document)]
        kind = document.get("type")
        if kind == "heartbeat":
            self._send({"type": "heartbeat-response"})
        elif "requestId" in document or "uploadId" in document:
            events.append(Event("answer", document))
        elif kind in self._handlers:
            events += self._dispatch(str(kind), document, now)
        return events

    def tick(self, now: float) -> list[Event]:
        """To be called about twice a second: silence noticed, refused-for-busy sent again."""
        events: list[Event] = []
        for task_id, following in self._tasks.pending.items():
            due = following.resend_at is not None and now >= following.resend_at
            if due and self.endpoint == following.record.endpoint:
                self._take_up(following)
            silent_s = now - following.heard_at
            if silent_s >= self.config.task_timeout and not following.silence_told:
                following.silence_told = True
                events.append(Event("task_timeout", {"taskId": task_id, "silentS": silent_s}))
        return events

    def closed(self, error: LinkError, now: float, jitter: float) -> list[Event]:
        """A connection is gone or could not be made. A ProtocolError is final."""
        return self._drop(reason_of(error)) + self._schedule.closed(
            error,
            now,
            delay_s=self.config.reconnect_delay,
            max_attempts=self.config.reconnect_max_attempts,
            keep_trying=self.config.keep_trying,
            jitter=jitter,
        )

    def outbox(self) -> list[str | bytes]:
        """The frames to be sent now, oldest first; each is handed out once."""
        frames, self._outbox = self._outbox, []
        return frames

    # What the user wants

    @property
    def retry_at(self) -> float | None:
        """When the shell is to try again, on the caller's clock; None for never."""
        return self._schedule.retry_at

    def disconnected(self) -> list[Event]:
        """The user wants no connection now. Tasks stay, to be taken up by the next one."""
        self._schedule.start_anew()
        return self._drop(BY_THE_USER)

    def asked_anew(self) -> None:
        """The user asks for a connection: the count of attempts begins at nothing."""
        self._schedule.start_anew()

    def submit(self, message: dict[str, Any], endpoint: str, now: float) -> list[Event]:
        """Send a `task` message to `endpoint`, now or when it is connected again.

        The same task again, while it is under way, is that task.
        """
        task_id = message["taskId"]
        if task_id in self._tasks.pending:
            if self._tasks.pending[task_id].is_of(message):
                return []
            raise InputError(
                "task {task} is under way with another content: choose another id, or wait for "
                "its end",
                task=task_id,
            )
        record = TaskRecord(
            task_id=task_id,
            model=message["model"],
            endpoint=endpoint,
            submitted_at=message.get("timestamp", 0),
            parameters=as_kept(message.get("parameters") or {}),
            input_data_url=as_kept(message.get("inputDataURL")),
        )
        following = Following(record, message, now)
        self._tasks.keep(following)
        if self.endpoint == endpoint:
            self._take_up(following)
        sent = {"taskId": task_id, "model": record.model, "endpoint": endpoint}
        return [Event("task_sent", sent)]

    def attach(
        self, task_id: str, endpoint: str, now: float, *, after: int = 0, model: str = ""
    ) -> None:
        """Follow a task that somebody else sent, or one of an earlier life of this client."""
        if task_id in self._tasks.pending:
            return
        record = TaskRecord(
            task_id=task_id, model=model, endpoint=endpoint, accepted=True, seq=after
        )
        following = Following(record, None, now)
        self._tasks.keep(following)
        if self.endpoint == endpoint:
            self._take_up(following)

    def cancel(self, task_id: str) -> bool:
        """Ask the node to stop a task; False when it is not pending here.

        Remembered until the task has ended, so that a dropped connection loses no cancel.
        """
        following = self._tasks.pending.get(task_id)
        if following is None:
            return False
        following.cancel_wanted = True
        if self.endpoint == following.record.endpoint:
            self._send({"type": "cancelTask", "taskId": task_id})
        return True

    def move(self, task_id: str, endpoint: str) -> bool:
        """At the user's word: a task never accepted is sent to another endpoint instead."""
        following = self._tasks.pending.get(task_id)
        if following is None or following.record.accepted or following.message is None:
            return False
        following.record.endpoint = endpoint
        if self.endpoint == endpoint:
            self._take_up(following)
        return True

    def ask(self, message: dict[str, Any]) -> None:
        """Send a message that belongs to no task (`models`, `tasks`, `upload`)."""
        self._must_be_open()
        self._send(message)

    def send_slice(self, part: bytes) -> None:
        """Send one binary frame of an upload."""
        self._must_be_open()
        self._outbox.append(part)

    # What the user may know

    def record(self, task_id: str, now: float) -> TaskRecord | None:
        """A copy of what is known of a task."""
        following = self._tasks.known.get(task_id)
        return None if following is None else following.snapshot(now)

    def history(self, now: float) -> list[TaskRecord]:
        """Every task that is kept, newest first: all pending ones and the last 500 ended."""
        return [following.snapshot(now) for following in reversed(self._tasks.known.values())]

    def logs(self, task_id: str) -> list[dict[str, Any]]:
        """The log messages of a task, in order."""
        following = self._tasks.known.get(task_id)
        return [] if following is None else list(following.logs)

    def is_pending(self, task_id: str) -> bool:
        return task_id in self._tasks.pending

    # Inside

    def _drop(self, reason: dict[str, Any]) -> list[Event]:
        endpoint, self.endpoint = self.endpoint, None
        self._outbox.clear()
        if endpoint is None:
            return []
        return [Event("disconnected", {"endpoint": endpoint, **reason})]

    def _dispatch(self, kind: str, document: dict[str, Any], now: float) -> list[Event]:
        try:
            message = msgspec.convert(document, KINDS[kind])
        except msgspec.ValidationError as error:
            return [
                _warning(
                    "the node sent a {kind} that cannot be read ({reason}): passed over",
                    kind=kind,
                    reason=str(error),
                )
            ]
        following = self._tasks.pending.get(message.taskId) if message.taskId else None
        if following is None:
            return self._about_no_task(message, document, now)
        if self.endpoint != following.record.endpoint or _seen(following.record, message):
            return []
        following.unanswered = False
        following.heard_at, following.silence_told = now, False
        record = following.record
        if message.seq is not None:
            record.seq = message.seq
        record.attempt = max(record.attempt, message.attempt or 1)
        return self._handlers[kind](following, message, document, now)

    def _about_no_task(
        self, message: NodeMessage, document: dict[str, Any], now: float
    ) -> list[Event]:
        if isinstance(message, ErrorMessage) and message.taskId is None:
            if message.code == "busy":
                self._busy(self._unanswered_here(), now)
            return [Event("log", {**document, "level": "error", "content": str(message.error)})]
        if isinstance(message, LogMessage) and message.taskId not in self._tasks.known:
            return [Event("log", document)]
        return []

    def _accepted(
        self, following: Following, message: AcceptedMessage, document: dict[str, Any], now: float
    ) -> list[Event]:
        record = following.record
        told, record.accepted = record.accepted and message.seq is None, True
        record.state = message.state if message.state not in ENDED else "running"
        return [] if told else [Event("task_accepted", document)]

    def _log(
        self, following: Following, message: LogMessage, document: dict[str, Any], now: float
    ) -> list[Event]:
        following.record.accepted = True
        following.logs.append(document)
        return [Event("log", document)]

    def _progress(
        self, following: Following, message: ProgressMessage, document: dict[str, Any], now: float
    ) -> list[Event]:
        record = following.record
        record.accepted = True
        record.state = message.state or (
            "cancelling" if record.state == "cancelling" else "running"
        )
        record.progress = min(1.0, max(0.0, message.progress))
        record.status_text, record.template = message.statusText, message.template
        record.values = message.values or {}
        return [Event("task_progress", {**document, "progress": record.progress})]

    def _result(
        self, following: Following, message: ResultMessage, document: dict[str, Any], now: float
    ) -> list[Event]:
        if not message.success:  # only a foreign node says it in this way
            error = str(message.error or "the task failed; the node gives no reason")
            return self._end(following, "failed", {**document, "error": error}, now)
        following.record.result = message.result
        following.record.progress = 1.0
        return self._end(following, "done", document, now)

    def _error(
        self, following: Following, message: ErrorMessage, document: dict[str, Any], now: float
    ) -> list[Event]:
        record, code = following.record, str(message.code or "failed")
        if message.seq is not None:
            return self._end(following, code if code in TERMINAL else "failed", document, now)
        if code == "busy" and following.busy < BUSY_TRIES:
            self._busy([following], now)
            return []
        if code == "unknown-task":
            return self._unknown(following, document, now)
        numbered = record.seq > 0 or following.message is None
        if record.accepted and numbered:  # one message was refused; the task goes on
            return [Event("log", {**document, "level": "error", "content": str(message.error)})]
        return self._end(following, "failed" if record.accepted else "refused", document, now)

    def _unknown(self, following: Following, document: dict[str, Any], now: float) -> list[Event]:
        if not following.record.accepted:
            if not following.cancel_wanted:
                return []
            error = "cancelled before the node had accepted it"
            return self._end(following, "cancelled", _told(document, "cancelled", error), now)
        error = "the node no longer knows this task: its data was removed, or it is another node"
        return self._end(following, "lost", _told(document, "lost", error), now)

    def _end(
        self, following: Following, state: str, document: dict[str, Any], now: float
    ) -> list[Event]:
        record = following.record
        record.state, record.accepted = state, True
        record.elapsed_s = now - following.sent_at
        following.message = None
        self._tasks.end(record.task_id)
        if state == "done":
            return [Event("task_completed", document)]
        code = str(document.get("code") or state)
        record.error, record.code = str(document.get("error") or state), code
        record.cause = "store" if document.get("cause") == "store" else None
        record.template, record.values = document.get("template"), document.get("values") or {}
        return [Event("task_error", {**document, "error": record.error, "code": code})]

    def _unanswered_here(self) -> list[Following]:
        """The tasks that a word of this connection's node without a task may be about."""
        pending = self._tasks.pending.values()
        return [
            each for each in pending if each.unanswered and each.record.endpoint == self.endpoint
        ]

    def _busy(self, tasks: Iterable[Following], now: float) -> None:
        for following in tasks:
            wait = min(BUSY_MOST_S, BUSY_FIRST_S * 2**following.busy)
            following.busy += 1
            following.resend_at = now + wait

    def _take_up(self, following: Following) -> None:
        """Send what lets this connection speak about a task: the task itself, or an attach."""
        record = following.record
        following.unanswered, following.resend_at = True, None
        if following.message is not None and not record.accepted and not following.cancel_wanted:
            self._send(following.message)
            return
        self._send({"type": "attach", "taskId": record.task_id, "after": record.seq})
        if following.cancel_wanted:
            self._send({"type": "cancelTask", "taskId": record.task_id})

    def _send(self, message: dict[str, Any]) -> None:
        self._outbox.append(encode(message))

    def _must_be_open(self) -> None:
        if self.endpoint is None:
            raise LinkError("not connected to a mesh node: call connect() and try again")


def _seen(record: TaskRecord, message: NodeMessage) -> bool:
    """Whether a message came before, or belongs to an attempt that is over."""
    if message.seq is not None:
        return message.seq <= record.seq
    return (
        isinstance(message, ProgressMessage)
        and (message.attempt or record.attempt) < record.attempt
    )


def _told(document: dict[str, Any], code: str, template: str) -> dict[str, Any]:
    return {**document, "code": code, "error": template, "template": template, "values": {}}


def _warning(template: str, **values: Any) -> Event:
    content = filled(template, values)
    told = {"content": content, "level": "warning", "template": template, "values": values}
    return Event("log", told)
