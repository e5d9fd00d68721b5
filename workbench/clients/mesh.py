"""MeshClient: tasks sent to a mesh node, followed, cancelled, and never lost on the way."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench.clients.answers import ANSWER_S
from workbench.clients.asking import Asking
from workbench.clients.branches import Branch, Branches
from workbench.clients.console import Console, ConsoleLine, Sink, note
from workbench.clients.defining import define
from workbench.clients.events import Handler, Handlers
from workbench.clients.roaming import EndpointSource, Roaming
from workbench.clients.upload import Progress, upload
from workbench.clients.waiting import ENDS, HEARD, Waiting, failure
from workbench.core.batch_address import batch_url
from workbench.core.endpoint import LinkState
from workbench.core.link import BY_THE_USER, Event
from workbench.core.mesh_config import ENDPOINTS, Address, MeshConfig, address
from workbench.core.mesh_metrics import MeshMetrics, Meter
from workbench.core.mesh_record import TaskRecord
from workbench.core.own_function import Defined, Definition
from workbench.core.own_tokens import refuse_tokens
from workbench.core.wire import encode
from workbench.errors import InputError, LinkError, WorkbenchError

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
    "batch_processed",
    "endpoint_changed",
)
LINK_EVENTS = frozenset({"connected", "disconnected", "reconnecting", "reconnect_failed"})
INLINE_LIMIT = 1 << 20
ID_CHARS = 200

Locate = Callable[[str], tuple[str, str | None] | None]


class MeshClient:
    """A client of mesh nodes. Async; all of it on one event loop.

    Events (`on`, `off`) hand over one dictionary with keys as on the wire. `locate` may
    give the (url, token) of an endpoint before each attempt, for a hub that moves. With
    `endpoints` new tasks go where that source prefers; those that run stay where they are.
    """

    def __init__(
        self,
        *,
        tokens: Mapping[str, str] | None = None,
        endpoint: str = "local",
        locate: Locate | None = None,
        endpoints: EndpointSource | None = None,
        **config: Any,
    ) -> None:
        given = {"keep_trying": True, **config} if endpoints is not None else config
        self._config = MeshConfig().changed(**given)
        self._tokens: dict[str, str] = {}
        self._used: dict[str, str] = {}
        self._locate = locate
        self._handlers = Handlers(EVENTS)
        self._console = Console(self.config.console_max_lines)
        self._meter = Meter()
        self._branches = Branches(_endpoint(endpoint), self._config, self._address, self._heard)
        self._asking = Asking(self._branches)
        self._roaming: Roaming | None = None
        if endpoints is not None:
            self._roaming = Roaming(endpoints, self._branches, self._move, self._warn)
        self._batches: dict[str, str] = {}
        self._waiting = Waiting(self._known)
        self._uploading = asyncio.Lock()
        for name, token in (tokens or {}).items():
            self.set_token(name, token)

    # Configuration and connection

    @property
    def config(self) -> MeshConfig:
        return self._config

    @property
    def endpoint(self) -> str:
        """Where new tasks go: `local`, `remote`, `custom`, or a name of the source's."""
        return self._branches.current.name

    @property
    def connected(self) -> bool:
        """Whether new tasks have a connection."""
        return self._branches.current.connected

    @property
    def links(self) -> list[LinkState]:
        """Every connection: that of new tasks first, then those of tasks that stay elsewhere."""
        current = self._branches.current
        others = [each for each in self._branches if each is not current]
        return [self._link_state(each) for each in (current, *others)]

    @property
    def metrics(self) -> MeshMetrics:
        """What this client counted and measured since it was made."""
        pending = sum(each.pending for each in self._branches)
        return self._meter.read(pending=pending, round_trip_s=self._branches.current.round_trip_s)

    def configure(self, **changes: Any) -> MeshConfig:
        """Change settings while running; addresses and delays count from the next attempt."""
        config = self._config = self.config.changed(**changes)
        self._branches.configure(config)
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
        """Connect, or try again now; `endpoint` chooses another one first, for new tasks: those
        that the former has accepted stay there, and are followed there until they end.

        Raises LinkError when there is no connection within `wait_s` (0 does not wait and
        never raises); the attempts go on in the background until they are spent.
        """
        if self._roaming is not None:
            if endpoint is not None:
                raise InputError("this client's source chooses the endpoint: connect() takes none")
            await self._roaming.begin(wait_s)
        elif endpoint is not None and _endpoint(endpoint) != self.endpoint:
            if self.connected:
                former = {"endpoint": self.endpoint, **BY_THE_USER}
                self._heard(self._branches.current, Event("disconnected", former))
            self._move(endpoint)
        self._address(self.endpoint)  # a wrong address is refused here, not in the background
        self._branches.start()
        if wait_s > 0:
            await self._asking.until_connected(wait_s)

    async def disconnect(self) -> None:
        """Close the connection. Nothing is cancelled: tasks go on at their node."""
        if self._roaming is not None:
            self._roaming.end()
        await self._branches.stop()

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
        model_version: str | None = None,
    ) -> str:
        """Send a task to the chosen endpoint and return its id; the node's word comes as events.

        Give `input_data_url`, or `input_data` as JSON of at most 1 MiB. The id is an
        idempotency key: the same id with the same content is the same task. `model_version`
        is for own functions only (see `define`): without it the newest version runs.
        """
        branch = self._branches.current
        if not (branch.connected or branch.running):
            raise LinkError("not connected to a mesh node: call connect() and try again")
        task_id = uuid.uuid4().hex if task_id is None else task_id
        if not 0 < len(task_id) <= ID_CHARS:
            raise InputError.field("task_id", task_id, f"a text of 1 to {ID_CHARS} characters")
        _refuse_tokens(parameters or {}, input_data, self._secrets())
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
            "modelVersion": model_version,
        }
        given = {name: value for name, value in message.items() if value is not None}
        for event in branch.session.submit(given, branch.name, time.monotonic()):
            self._heard(branch, event)
        branch.flush()
        return task_id

    async def process_batch(
        self,
        batch_id: str | int,
        *,
        model: str,
        parameters: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
        model_version: str | None = None,
    ) -> Any:
        """Send a task over the batch of that id and wait for its end: the result.

        The batch lies below `batch_base_url`, without that setting at the hub (`batch:<id>`).
        The end is also the event `batch_processed`, whoever still waits: `batchId`, `taskId`,
        `model`, `success`, and `result`, or `error` and `code`. Raises InputError for an id that
        could lead elsewhere and for what the node refuses, else as `result`.
        """
        url, task_id = batch_url(self.config.batch_base_url, batch_id), uuid.uuid4().hex
        self._batches[task_id] = str(batch_id)
        try:
            await self.send_task(
                model, url, parameters, task_id=task_id, model_version=model_version
            )
        except WorkbenchError:
            del self._batches[task_id]
            raise
        record = await self._ended(task_id, timeout_s)
        if record.state == "done":
            return record.result
        raise failure(record)

    async def cancel_task(self, task_id: str) -> bool:
        """Ask the task's node to stop it; False when it is not pending here.

        The word goes out again after a lost connection, until the task has ended.
        """
        branch = self._branches.of_task(task_id)
        asked = branch.session.cancel(task_id)
        branch.flush()
        return asked

    async def attach(self, task_id: str, *, after: int = 0, model: str = "") -> None:
        """Follow a task of another client, or of an earlier life of this one. One that this
        client knows is followed at its own endpoint."""
        branch = self._branches.of_task(task_id)
        branch.session.attach(task_id, branch.name, time.monotonic(), after=after, model=model)
        if branch is not self._branches.current and not branch.running:
            branch.start()
        branch.flush()

    async def resend_elsewhere(self, task_id: str) -> bool:
        """At the user's word: send a task that no node ever accepted to the chosen endpoint."""
        branch = self._branches.current
        moved = branch.session.move(task_id, branch.name)
        branch.flush()
        self._branches.tidy()
        return moved

    async def accepted(self, task_id: str, timeout_s: float = ANSWER_S) -> TaskRecord:
        """Wait until the node has made the task durable.

        Raises the node's refusal: InputError for what is wrong with the task.
        """
        record = self._known(task_id)
        if not record.accepted:
            record = await self._waiting.acceptance(task_id, timeout_s)
        if record.state == "refused":
            raise failure(record)
        return record

    async def result(self, task_id: str, timeout_s: float | None = None) -> Any:
        """Wait for the end: the result, or TaskError with the terminal code as `outcome`."""
        record = await self._ended(task_id, timeout_s)
        if record.state != "done":
            raise failure(record)
        return record.result

    def is_task_pending(self, task_id: str) -> bool:
        return self._branches.current.session.is_pending(task_id)

    def get_task(self, task_id: str) -> TaskRecord | None:
        """What is known of one task, as a copy; None when this client never had it."""
        return self._branches.current.session.record(task_id, time.monotonic())

    def get_task_history(self) -> list[TaskRecord]:
        """Copies of what is known, newest first: all pending tasks, the last 500 ended ones."""
        return self._branches.current.session.history(time.monotonic())

    def get_task_logs(self, task_id: str) -> list[dict[str, Any]]:
        """The log messages of a task so far, in order."""
        return self._branches.current.session.logs(task_id)

    # What else a node answers

    async def models(self) -> list[dict[str, Any]]:
        """`[{name, version, title, parametersSchema}]`"""
        return list((await self._asking.ask({"type": "models"})).get("models") or [])

    async def tasks(
        self, *, before: Any = None, limit: int | None = None, state: str | None = None
    ) -> list[dict[str, Any]]:
        """The node's own history, newest first; `before` pages on."""
        wanted = {"before": before, "limit": limit, "state": state}
        given = {name: value for name, value in wanted.items() if value is not None}
        return list((await self._asking.ask({"type": "tasks", **given})).get("tasks") or [])

    async def upload(
        self, source: Path | str | bytes, *, name: str = "", progress: Progress | None = None
    ) -> str:
        """Send a file or bytes in acknowledged slices; the `upload:<sha256>` to name them by.

        One at a time. After a lost connection it goes on where the node has got to.
        """
        async with self._uploading:
            return await upload(self._asking, source, name=name, progress=progress)

    async def define(self, definition: Definition) -> Defined:
        """Make the node keep an own function; tasks name it by the name and version it answers.

        The same one again changes nothing, and its bytes travel only where the node lacks them.
        Raises ProtocolError where the node does not allow it, InputError for what is wrong.
        """
        return await define(self._asking.ask, self.upload, definition, self._secrets())

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

    def _address(self, name: str) -> Address:
        found = self._found(name)
        if found.token:
            self._used[name] = found.token
        return found

    def _found(self, name: str) -> Address:
        named = self._roaming.address(name) if self._roaming is not None else None
        if named is not None:
            return named
        found = self._locate(name) if self._locate is not None else None
        url, token = found or (self.config.url(name), None)
        return address(url, self._tokens.get(name) or token)

    def _link_state(self, branch: Branch) -> LinkState:
        return LinkState(
            endpoint=branch.name,
            current=branch is self._branches.current,
            connected=branch.connected,
            pending=branch.pending,
        )

    def _move(self, name: str) -> None:
        """New tasks go to another endpoint from now on."""
        before = self.endpoint
        self._asking.give_back(LinkError("new tasks go to another endpoint now: ask again"))
        self._branches.choose(name)
        branch = self._branches.current
        self._heard(branch, Event("endpoint_changed", {"endpoint": name, "before": before}))
        if branch.connected:
            self._heard(branch, Event("connected", {"endpoint": name}))
        elif self._roaming is not None:
            branch.start()

    def _warn(self, error: WorkbenchError) -> None:
        self._write("error", error.template, error.values)

    def _heard(self, branch: Branch, event: Event) -> None:
        """One event of one branch. Only the connection of new tasks is `connected` or not."""
        name, data = event
        if name == "answer":
            self._asking.heard(data)
            return
        beside = name in LINK_EVENTS and branch is not self._branches.current
        self._measure(branch, name, data)
        if name in HEARD and self._waiting.of(str(data["taskId"])):
            self._waiting.tell(name, self._known(str(data["taskId"])))
        if name == "disconnected" and not beside:
            self._asking.give_back(LinkError(data["template"], **data["values"]))
        line = note(name, data, endpoint=branch.name, debug=self.config.debug)
        if line is not None:
            self._write(*line)
        if not beside:
            self._handlers.emit(name, data)
        if self._roaming is not None and name in LINK_EVENTS:
            self._roaming.heard(branch, event)
        if name in ENDS:
            self._end_batch(str(data["taskId"]))
            self._branches.tidy()

    def _measure(self, branch: Branch, name: str, data: dict[str, Any]) -> None:
        ended = self.get_task(str(data["taskId"])) if name == "task_error" else None
        refused = ended is not None and ended.state == "refused"
        latency_s = self._meter.heard(name, data, time.monotonic(), refused=refused)
        if latency_s is not None and self._roaming is not None:
            self._roaming.accepted(branch, latency_s)

    def _end_batch(self, task_id: str) -> None:
        batch_id = self._batches.pop(task_id, None)
        record = None if batch_id is None else self.get_task(task_id)
        if record is None:
            return
        success = record.state == "done"
        became = {"result": record.result} if success else {"error": record.error}
        told = {"batchId": batch_id, "taskId": task_id, "model": record.model, "success": success}
        code = {} if success else {"code": record.code}
        self._handlers.emit("batch_processed", {**told, **became, **code})

    def _write(self, level: str, template: str, values: dict[str, Any]) -> None:
        line = self._console.write(_wall_ms(), level, template, values)
        self._handlers.emit("console", line._asdict())

    def _secrets(self) -> list[str]:
        """Every token that this client knows. It asks nobody: each task is held against them."""
        return [*{*self._tokens.values(), *self._used.values()}]

    async def _ended(self, task_id: str, timeout_s: float | None) -> TaskRecord:
        record = self._known(task_id)
        return await self._waiting.end(task_id, timeout_s) if record.pending else record

    def _known(self, task_id: str) -> TaskRecord:
        record = self.get_task(task_id)
        if record is None:
            template = "this client knows no task {task}: attach to it first"
            raise InputError(template, task=task_id)
        return record


def _endpoint(name: str) -> str:
    if name not in ENDPOINTS:
        raise InputError.field("endpoint", name, ", ".join(ENDPOINTS))
    return name


def _refuse_tokens(parameters: Mapping[str, Any], data: Any, tokens: list[str]) -> None:
    """Before anything leaves: the node would keep it for everyone who may read its tasks."""
    named = {f"parameters.{name}": value for name, value in parameters.items()}
    refuse_tokens({**named, "inputData": data}, tokens)


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
