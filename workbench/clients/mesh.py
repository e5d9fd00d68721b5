"""MeshClient: tasks sent to a mesh node, followed, cancelled, and never lost on the way."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from workbench.clients.answers import ANSWER_S, Answers, Queue, next_answer
from workbench.clients.console import Console, ConsoleLine, Sink, note
from workbench.clients.events import Handler, Handlers
from workbench.clients.faults import fault, sentence
from workbench.clients.link import Link, settle
from workbench.clients.upload import Progress, upload
from workbench.core.link import Event
from workbench.core.mesh_config import ENDPOINTS, Address, MeshConfig, address
from workbench.core.mesh_record import TaskRecord
from workbench.core.mesh_session import MeshSession
from workbench.core.wire import encode
from workbench.errors import InputError, LinkError, TaskError, WorkbenchError

EVENTS = (
    "connected",
    "disconnected",
    "reconnecting",
    "reconnect_failed",
    "task_sent",
    "task_accepted",
    "task_progress",
    "task_completed",
    "task_error",
    "task_timeout",
    "log",
    "message",
    "console",
)
INLINE_LIMIT = 1 << 20
ID_CHARS = 200

Locate = Callable[[str], tuple[str, str | None] | None]


class MeshClient:
    """A client of mesh nodes. Async; all of it on one event loop.

    Events (`on`, `off`) hand over one dictionary with keys as on the wire. `locate` may
    give the (url, token) of an endpoint before each attempt, for a hub that moves.
    """

    def __init__(
        self,
        *,
        tokens: Mapping[str, str] | None = None,
        endpoint: str = "local",
        locate: Locate | None = None,
        **config: Any,
    ) -> None:
        self._session = MeshSession(MeshConfig().changed(**config))
        self._tokens: dict[str, str] = {}
        self._endpoint = _endpoint(endpoint)
        self._locate = locate
        self._handlers = Handlers(EVENTS)
        self._console = Console(self.config.console_max_lines)
        self._link: Link | None = None
        self._ends: dict[str, list[asyncio.Future[None]]] = {}
        self._accepts: dict[str, list[asyncio.Future[None]]] = {}
        self._answers = Answers()
        self._uploading = asyncio.Lock()
        for name, token in (tokens or {}).items():
            self.set_token(name, token)

    # Configuration and connection

    @property
    def config(self) -> MeshConfig:
        return self._session.config

    @property
    def endpoint(self) -> str:
        """The endpoint that is chosen: `local`, `remote` or `custom`."""
        return self._endpoint

    @property
    def connected(self) -> bool:
        return self._session.endpoint is not None

    def configure(self, **changes: Any) -> MeshConfig:
        """Change settings while running; addresses and delays count from the next attempt."""
        config = self._session.config = self.config.changed(**changes)
        self._console.keep(config.console_max_lines)
        return config

    def set_token(self, endpoint: str, token: str | None) -> None:
        """The token of one endpoint; it is never sent to another."""
        self._tokens.pop(_endpoint(endpoint), None)
        if token:
            self._tokens[endpoint] = token

    async def init(self, *, wait_s: float = 10.0, **changes: Any) -> None:
        """Configure, then connect to the chosen endpoint."""
        self.configure(**changes)
        await self.connect(wait_s=wait_s)

    async def connect(self, endpoint: str | None = None, *, wait_s: float = 10.0) -> None:
        """Connect, or try again now; `endpoint` chooses another one first.

        Raises LinkError when there is no connection within `wait_s` (0 does not wait and
        never raises); the attempts go on in the background until they are spent.
        """
        if endpoint is not None and _endpoint(endpoint) != self._endpoint:
            await self.disconnect()
            self._endpoint = endpoint
        self._address()  # a wrong address is refused here, not in the background
        if self.connected:
            return
        self._session.asked_anew()
        self._link = self._link or Link(self._session, self._target, self._emit)
        self._link.start()
        if wait_s > 0:
            await self.until_connected(wait_s)

    async def disconnect(self) -> None:
        """Close the connection. Nothing is cancelled: tasks go on at their node."""
        link, self._link = self._link, None
        if link is not None:
            await link.stop()
        for event in self._session.disconnected():
            self._emit(event)

    # Tasks

    async def send_task(
        self,
        model: str,
        input_data_url: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        *,
        input_data: Any = None,
        task_id: str | None = None,
        return_logs: bool = True,
        timeout_ms: int | None = None,
        priority: int | None = None,
        use_cache: bool | None = None,
    ) -> str:
        """Send a task to the chosen endpoint and return its id; the node's word comes as events.

        Give `input_data_url`, or `input_data` as JSON of at most 1 MiB. The id is an
        idempotency key: the same id with the same content is the same task.
        """
        if self._link is None or not (self.connected or self._link.running):
            raise LinkError("not connected to a mesh node: call connect() and try again")
        task_id = uuid.uuid4().hex if task_id is None else task_id
        if not 0 < len(task_id) <= ID_CHARS:
            raise InputError.field("task_id", task_id, f"a text of 1 to {ID_CHARS} characters")
        message = {
            "type": "task",
            "taskId": task_id,
            "model": model,
            "inputDataURL": input_data_url,
            "inputData": _inline(input_data),
            "parameters": dict(parameters or {}),
            "returnLogs": return_logs,
            "timestamp": _wall_ms(),
            "timeoutMs": timeout_ms,
            "priority": priority,
            "useCache": use_cache,
        }
        given = {name: value for name, value in message.items() if value is not None}
        self._apply(self._session.submit(given, self._endpoint, time.monotonic()))
        return task_id

    async def cancel_task(self, task_id: str) -> bool:
        """Ask the task's node to stop it; False when it is not pending here.

        The word goes out again after a lost connection, until the task has ended.
        """
        asked = self._session.cancel(task_id)
        self._flush()
        return asked

    async def attach(self, task_id: str, *, after: int = 0, model: str = "") -> None:
        """Follow a task of another client, or of an earlier life of this one."""
        self._session.attach(task_id, self._endpoint, time.monotonic(), after=after, model=model)
        self._flush()

    async def resend_elsewhere(self, task_id: str) -> bool:
        """At the user's word: send a task that no node ever accepted to the chosen endpoint."""
        moved = self._session.move(task_id, self._endpoint)
        self._flush()
        return moved

    async def accepted(self, task_id: str, timeout_s: float = ANSWER_S) -> TaskRecord:
        """Wait until the node has made the task durable.

        Raises the node's refusal: InputError for what is wrong with the task.
        """
        record = self._known(task_id)
        if not record.accepted:
            await _within(timeout_s, self._accepts, task_id)
            record = self._known(task_id)
        if record.state == "refused":
            raise _failure(record)
        return record

    async def result(self, task_id: str, timeout_s: float | None = None) -> Any:
        """Wait for the end: the result, or TaskError with the terminal code as `outcome`."""
        record = self._known(task_id)
        if record.pending:
            await _within(timeout_s, self._ends, task_id)
            record = self._known(task_id)
        if record.state != "done":
            raise _failure(record)
        return record.result

    def is_task_pending(self, task_id: str) -> bool:
        return self._session.is_pending(task_id)

    def get_task(self, task_id: str) -> TaskRecord | None:
        """What is known of one task, as a copy; None when this client never had it."""
        return self._session.record(task_id, time.monotonic())

    def get_task_history(self) -> list[TaskRecord]:
        """Copies of what is known, newest first: all pending tasks, the last 500 ended ones."""
        return self._session.history(time.monotonic())

    def get_task_logs(self, task_id: str) -> list[dict[str, Any]]:
        """The log messages of a task so far, in order."""
        return self._session.logs(task_id)

    # What else a node answers

    async def models(self) -> list[dict[str, Any]]:
        """`[{name, version, title, parametersSchema}]`"""
        return list((await self._ask({"type": "models"})).get("models") or [])

    async def tasks(
        self, *, before: Any = None, limit: int | None = None, state: str | None = None
    ) -> list[dict[str, Any]]:
        """The node's own history, newest first; `before` pages on."""
        wanted = {"before": before, "limit": limit, "state": state}
        given = {name: value for name, value in wanted.items() if value is not None}
        return list((await self._ask({"type": "tasks", **given})).get("tasks") or [])

    async def upload(
        self, source: Path | str | bytes, *, name: str = "", progress: Progress | None = None
    ) -> str:
        """Send a file or bytes in acknowledged slices; the `upload:<sha256>` to name them by.

        One at a time. After a lost connection it goes on where the node has got to.
        """
        async with self._uploading:
            return await upload(self, source, name=name, progress=progress)

    # Events and console

    def on(self, event: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` with one dictionary at each event; returns the function that ends it."""
        return self._handlers.on(event, handler)

    def off(self, event: str, handler: Handler | None = None) -> None:
        self._handlers.off(event, handler)

    @property
    def console(self) -> list[ConsoleLine]:
        """The newest lines, at most `console_max_lines`, oldest first."""
        return self._console.lines

    def append_to_console(self, text: str, level: str = "info") -> None:
        """Add a line of the caller's own."""
        self._write(level, "{text}", {"text": text})

    def clear_console(self) -> None:
        self._console.clear()

    def set_console(self, sink: Sink | None) -> None:
        """Hand each line also to `sink`, and at once the lines so far; None ends it."""
        self._console.hand_to(sink)

    # Inside

    def _address(self) -> Address:
        found = self._locate(self._endpoint) if self._locate is not None else None
        url, token = found or (self.config.url(self._endpoint), None)
        return address(url, self._tokens.get(self._endpoint) or token)

    def _target(self) -> tuple[str, Address]:
        return self._endpoint, self._address()

    def _apply(self, events: list[Event]) -> None:
        for event in events:
            self._emit(event)
        self._flush()

    def _flush(self) -> None:
        if self._link is not None:
            self._link.flush()

    def _emit(self, event: Event) -> None:
        name, data = event
        if name == "answer":
            self._answers.route(data)
            return
        if name in ("task_accepted", "task_progress", "task_completed", "task_error"):
            self._tell_waiters(name, str(data["taskId"]))
        elif name == "disconnected":
            self._answers.give_back(LinkError(data["template"], **data["values"]))
        line = note(name, data, endpoint=self._endpoint, debug=self.config.debug)
        if line is not None:
            self._write(*line)
        self._handlers.emit(name, data)

    def _tell_waiters(self, name: str, task_id: str) -> None:
        for waiting in self._accepts.pop(task_id, ()):
            settle(waiting)
        if name in ("task_completed", "task_error"):
            for waiting in self._ends.pop(task_id, ()):
                settle(waiting)

    def _write(self, level: str, template: str, values: dict[str, Any]) -> None:
        line = self._console.write(_wall_ms(), level, template, values)
        self._handlers.emit("console", line._asdict())

    async def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        request_id = uuid.uuid4().hex
        with self.answers(request_id) as answers:
            self.say({**message, "requestId": request_id})
            return await next_answer(answers, message["type"])

    # What an upload needs

    def answers(self, key: str) -> AbstractContextManager[Queue]:
        """Everything that the node says with this requestId or uploadId."""
        return self._answers.of(key)

    def say(self, message: dict[str, Any]) -> None:
        """Send a message that belongs to no task. Raises LinkError when not connected."""
        self._session.ask(message)
        self._flush()

    def say_slice(self, part: bytes) -> None:
        """Send one binary frame."""
        self._session.send_slice(part)
        self._flush()

    async def until_connected(self, wait_s: float) -> None:
        """Return when connected. Raises LinkError when the attempts or the time are spent."""
        if self._link is None:
            raise LinkError("not connected to a mesh node: call connect() and try again")
        await self._link.until_open(wait_s)

    def _known(self, task_id: str) -> TaskRecord:
        record = self.get_task(task_id)
        if record is None:
            template = "this client knows no task {task}: attach to it first"
            raise InputError(template, task=task_id)
        return record


async def _within(
    timeout_s: float | None, waiters: dict[str, list[asyncio.Future[None]]], task_id: str
) -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiters.setdefault(task_id, []).append(future)
    try:
        async with asyncio.timeout(timeout_s):
            await future
    except TimeoutError:
        raise LinkError(
            "no word about task {task} within {limit_s} s; it goes on at its node",
            task=task_id,
            limit_s=timeout_s,
        ) from None


def _failure(record: TaskRecord) -> WorkbenchError:
    """Why a task has no result: the node's refusal, or the way it ended."""
    message = {"template": record.template, "values": record.values, "error": record.error}
    if record.state == "refused":
        return fault({**message, "code": record.code})
    template, values = sentence(message)
    return TaskError(template, outcome=record.state, **values)


def _endpoint(name: str) -> str:
    if name not in ENDPOINTS:
        raise InputError.field("endpoint", name, ", ".join(ENDPOINTS))
    return name


def _inline(data: Any) -> Any:
    """Inline data, if it is JSON and small enough to travel in the message itself."""
    size = 0 if data is None else len(encode({"data": data}).encode())
    if size > INLINE_LIMIT:
        raise InputError(
            "inputData takes {size} bytes of JSON; allowed: {limit}. upload() it instead",
            size=size,
            limit=INLINE_LIMIT,
        )
    return data


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000
