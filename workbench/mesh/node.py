"""The mesh node: carries a TaskBook's instructions to journal, engine and connections.

It decides nothing about tasks itself; it decodes, asks the book, and does what it says.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from workbench.core import mesh_wire
from workbench.core.mesh_wire import (
    TERMINAL,
    AttachMessage,
    CancelMessage,
    DefineMessage,
    HeartbeatMessage,
    Message,
    ModelsMessage,
    TaskMessage,
    TasksMessage,
    UploadMessage,
    sentence,
)
from workbench.core.model import MeshModel
from workbench.core.tally import Tally
from workbench.core.task import TaskBook
from workbench.core.task_nouns import (
    Again,
    Attached,
    Borrow,
    CancelAsked,
    Capacity,
    DrainBegan,
    DrainOver,
    Event,
    Fetch,
    Follow,
    GiveBack,
    Greet,
    Instruction,
    Record,
    Refuse,
    Remind,
    Run,
    Show,
    Stop,
    StopFetch,
    Submitted,
    Ticked,
    Unrecorded,
)
from workbench.core.task_sentences import DRAINING
from workbench.core.wire import encode, error_message
from workbench.errors import StoreError, WorkbenchError
from workbench.gate import Scope
from workbench.mesh.addresses import Addresses
from workbench.mesh.asking import Asking
from workbench.mesh.carrier import Carrier
from workbench.mesh.connections import Connection, Connections, Link
from workbench.mesh.feed import TaskFeed
from workbench.mesh.functions import Forbidden, Functions
from workbench.mesh.history import History, urls_of
from workbench.mesh.inputs import Fetch as FetchUrl
from workbench.mesh.inputs import Inputs
from workbench.mesh.limits import Limits
from workbench.mesh.loans import Lender
from workbench.mesh.models import Models
from workbench.mesh.rows import Journal
from workbench.mesh.uploads import Uploads
from workbench.mesh.work import AskedModel, Engine, Work, no_language_model

FORBIDDEN = "{type} needs the scope submit, this connection has {scope}: use another token"
NOT_DURABLE = "the task was not accepted, because it could not be made durable: {reason}"
SUBMITTING = (TaskMessage, CancelMessage, UploadMessage)
KIND_OF = {struct: kind for kind, struct in mesh_wire.KINDS.items()}

log = logging.getLogger("workbench.mesh")


class Node:
    """One mesh node. `start`, then `serve` each connection; `drain` and `stop` at the end.

    Without a `lender` a task whose model needs a GPU fails, and says so. `own_functions` is the
    scope that `define` needs; None refuses it, and what was defined before. `language_model` names
    the one that a task would ask now. With another `code` than a kept result's a task runs anew.
    """

    def __init__(
        self,
        *,
        journal: Journal,
        engine: Engine,
        fetch: FetchUrl,
        models: Models | Mapping[str, MeshModel],
        folder: Path,
        limits: Limits | None = None,
        lender: Lender | None = None,
        language_model: AskedModel = no_language_model,
        own_functions: Scope | None = "admin",
        tokens: Collection[str] = (),
        book: TaskBook | None = None,
        code: str | None = None,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._limits = limits = limits or Limits()
        self._models = models if isinstance(models, Models) else Models(models)
        self._engine, self._now, self._wall = engine, now, wall
        self._book = book or TaskBook()
        self._journal = journal
        self._history = History(journal, self._book, self._models)
        self.tasks = TaskFeed(self._book, self._models, self._look_up)
        self._inputs = Inputs(
            folder, fetch, limit_bytes=limits.input_bytes, keep_bytes=limits.kept_inputs_bytes
        )
        self._uploads = Uploads(
            folder,
            self._inputs,
            limit_bytes=limits.input_bytes,
            disk_bytes=limits.upload_disk_bytes,
        )
        self._functions = Functions(
            folder,
            journal,
            self._inputs,
            self._models,
            allowed=own_functions,
            wall_ms=self._wall_ms,
            wanted=lambda: {(task.model, task.model_version) for task in self._book.tasks()},
            disk_bytes=limits.functions_disk_bytes,
        )
        self._asking = Asking(self._models, self._inputs, self._book, tokens)
        self._addresses = Addresses(folder)
        self._connections = Connections(
            self._history.messages,
            self._last_seq,
            heartbeat_s=limits.heartbeat_s,
            silence_s=limits.silence_s,
            patience_s=limits.slow_reader_s,
        )
        self._work = Work(
            self._tell,
            journal=journal,
            engine=engine,
            inputs=self._inputs,
            models=self._models,
            history=self._history,
            wall_ms=self._wall_ms,
            rune_limit=limits.runes,
            lender=lender,
            language_model=language_model,
            code=code,
        )
        self._carrier = Carrier(
            partial(self._addresses.append, journal),
            self._shown,
            self._do,
            self._lost_acceptance,
            self._wall_ms,
        )
        self._accepted_at: dict[str, float] = {}
        self.ended = Tally()
        """The tasks that ended since the start, and how long each took from its acceptance."""
        self._idle = asyncio.Event()
        self._idle.set()
        self._chores: set[asyncio.Task[None]] = set()
        self._ticker: asyncio.Task[None] | None = None
        self._verbs: dict[type, Callable[[Any], None]] = {
            Show: lambda order: self._show_progress(order.task_id),
            Fetch: lambda order: self._work.fetch(order.task, order.attempt),
            StopFetch: lambda order: self._work.stop_fetch(order.task_id, order.attempt),
            Borrow: lambda order: self._work.loans.borrow(order.task, order.attempt),
            GiveBack: lambda order: self._work.loans.give_back(order.task_id, order.attempt),
            Run: lambda order: self._work.run(order.task, order.attempt),
            Stop: lambda order: self._work.stop(order.task_id, order.attempt),
            Follow: self._follow,
            Again: self._again,
            Greet: self._greet,
            Remind: self._remind,
            Refuse: self._refuse,
        }
        self._answers: dict[type, Callable[[Link, Any], Any]] = {
            TaskMessage: self._task,
            CancelMessage: self._cancel,
            AttachMessage: self._attach,
        }
        self._slow_answers: dict[type, Callable[[Link, Any], Any]] = {
            ModelsMessage: self._list_models,
            TasksMessage: self._list_tasks,
            UploadMessage: self._begin_upload,
            DefineMessage: self._define,
        }

    # Life -----------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what the journal says is owed, then begin to work."""
        await asyncio.to_thread(self._inputs.prepare)
        await asyncio.to_thread(self._uploads.prepare)
        await self._functions.start()
        for known in await self._history.ended():
            self._work.old_contents.add(known.content_hash)
            self._tell(known)
        owed = await self._history.open()
        for recovered in await asyncio.to_thread(self._addresses.recovered, owed):
            age_s = max(0, self._wall_ms() - recovered.accepted_ms) / 1000
            self._accepted_at[recovered.task.task_id] = self._now() - age_s
            self._tell(recovered)
        self._tell(Capacity(self._engine.slots))
        self._ticker = asyncio.create_task(self._tick_forever())

    async def drain(self) -> None:
        """Say so, start nothing new, let what runs end for a while, then stop it and close."""
        self._tell(DrainBegan())
        notice = {"error": DRAINING, "code": "unavailable", "template": DRAINING, "values": {}}
        self._connections.tell_all({"type": "error", **notice})
        if not await _within(self._limits.drain_s, self._idle.wait()):
            self._tell(DrainOver())
            await _within(self._limits.stop_s, self._idle.wait())
        await _within(self._limits.stop_s, self._carrier.idle())
        await self._connections.close_all(1012, DRAINING)

    async def stop(self) -> None:
        """End at once. What is open stays in the journal, for the next start."""
        if self._ticker is not None:
            self._ticker.cancel()
        for chore in list(self._chores):
            chore.cancel()
        await self._work.close()
        await self._connections.close_all(1012, DRAINING)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def serve(self, connection: Connection) -> None:
        """One connection, until it closes. What it sent goes on without it."""
        link = self._connections.open(connection, self._now())
        try:
            while True:
                frame = await connection.receive()
                link.heard_at = self._now()
                if isinstance(frame, str):
                    await self._hear(link, frame)
                else:
                    await self._hear_slice(link, frame)
        finally:
            self._uploads.gone(connection.id)
            self._connections.gone(link)

    def standing(self) -> dict[str, int]:
        """How many open tasks there are in each state."""
        return self._book.standing()

    @property
    def slow_readers(self) -> int:
        """How many connections were closed because they read too slowly."""
        return self._connections.slow_readers

    def tick(self) -> None:
        """Time has passed: limits, heartbeats, and the engine's present capacity."""
        self._connections.tick(self._now())
        if self._engine.slots != self._book.slots:
            self._tell(Capacity(self._engine.slots))
        self._work.loans.touch()
        self._tell(Ticked())

    async def _tick_forever(self) -> None:
        ticks = 0
        while True:
            await asyncio.sleep(self._limits.tick_s)
            try:
                self.tick()
                if ticks % 1200 == 0:
                    await asyncio.to_thread(self._inputs.sweep, self._needed())
            except Exception:  # one failed look must not end the looking
                log.exception("mesh.tick_failed")
            ticks += 1

    def _needed(self) -> set[str]:
        return self._work.in_use() | {
            url.removeprefix("upload:")
            for task in self._book.tasks()
            for url in urls_of(
                task, self._models.extra_inputs(task.model, task.model_version)
            ).values()
        }

    # What clients say -------------------------------------------------------------------

    async def _hear(self, link: Link, frame: str) -> None:
        try:
            message = mesh_wire.read(frame)
            if isinstance(message, SUBMITTING) and link.connection.scope == "view":
                kind = KIND_OF[type(message)]
                raise Forbidden(FORBIDDEN, type=kind, scope=link.connection.scope)
            answer = self._answers.get(type(message))
            if answer is not None:
                await self._look_up(getattr(message, "task_id", ""))
                answer(link, message)
            elif not isinstance(message, HeartbeatMessage):
                await self._slow_answers[type(message)](link, message)
        except WorkbenchError as error:
            link.say(_refusal(error, mesh_wire.address(frame)))

    async def _hear_slice(self, link: Link, part: bytes) -> None:
        number = link.connection.id
        message = self._uploads.current(number)
        try:
            link.say(await self._uploads.slice(number, part))
        except WorkbenchError as error:
            about = {} if message is None else {"uploadId": message.upload_id, **_echo(message)}
            link.say(_refusal(error, about))

    async def _look_up(self, task_id: str) -> None:
        """What the book no longer holds of a task that ended long ago."""
        if self._book.must_look_up(task_id):
            known = await self._history.known(task_id)
            if known is not None:
                self._tell(known)

    def _task(self, link: Link, message: TaskMessage) -> None:
        event = Submitted(self._asking.task(message), link.connection.id, message.request_id)
        self._tell(event)

    def _cancel(self, link: Link, message: CancelMessage) -> None:
        self._tell(CancelAsked(message.task_id, link.connection.id, message.request_id))

    def _attach(self, link: Link, message: AttachMessage) -> None:
        number, request = link.connection.id, message.request_id
        self._tell(Attached(message.task_id, message.after, number, request))

    async def _list_models(self, link: Link, message: ModelsMessage) -> None:
        listed, problems = self._models.listing(), self._models.complaints()
        link.say(mesh_wire.models(listed, problems, **_echo(message)))

    async def _list_tasks(self, link: Link, message: TasksMessage) -> None:
        listed, truncated = await self._history.listing(message, self._wall_ms())
        link.say(mesh_wire.tasks(listed, truncated, **_echo(message)))

    async def _begin_upload(self, link: Link, message: UploadMessage) -> None:
        link.say(await self._uploads.begin(link.connection.id, message))

    async def _define(self, link: Link, message: DefineMessage) -> None:
        model, known = await self._functions.define(message, link.connection.scope)
        link.say(mesh_wire.defined(model.name, model.version, known, **_echo(message)))

    # What the book says -----------------------------------------------------------------

    def _tell(self, event: Event) -> None:
        self._carrier.carry(self._book.handle(event, self._now()))
        if self._book.busy:
            self._idle.clear()
        else:
            self._idle.set()

    def _do(self, instruction: Instruction) -> None:
        self._verbs[type(instruction)](instruction)

    def _shown(self, record: Record, at_ms: int) -> None:
        """A record is durable: show it, and remember what it means."""
        task_id = record.task_id
        notes = [note for note in record.notes if _numbered(note.kind, record.logs)]
        self._connections.show(task_id, notes, at_ms)
        last = record.notes[-1]
        if record.task is not None:
            self._accepted_at[task_id] = self._now()
            log.info("task.accepted task=%r model=%s", task_id, record.task.model)
        if last.kind in TERMINAL:
            self._addresses.forget(task_id)
            self._log_end(task_id, last.kind)
            self._work.over(task_id)
            if last.kind == "done" and (key := last.body["cacheKey"]) is not None:
                self._work.cache.add(key, task_id, at_ms, last.body)
        if last.kind != "log":
            self.tasks.changed(task_id)

    def _log_end(self, task_id: str, state: str) -> None:
        """Never what went in or came out: logs are shown around."""
        past, began = self._book.past(task_id), self._accepted_at.pop(task_id, None)
        model = past.model if past is not None else ""
        took = "unknown"
        if began is not None:
            self.ended.add(state, self._now() - began)
            took = f"{self._now() - began:.1f}"
        log.info("task.ended task=%r model=%s state=%s duration_s=%s", task_id, model, state, took)

    def _lost_acceptance(self, record: Record, error: BaseException) -> None:
        """Not durable, so not accepted: the client is told, and may send it again."""
        self._addresses.forget(record.task_id)
        log.error("mesh.not_accepted task=%s reason=%s", record.task_id, error)
        fault = StoreError(NOT_DURABLE, reason=str(error))
        self._connections.refuse(record.task_id, _refusal(fault, {"taskId": record.task_id}))
        self._tell(Unrecorded(record.task_id))

    def _show_progress(self, task_id: str) -> None:
        message = self._progress(task_id) if self._connections.followed(task_id) else None
        if message is not None:
            self._connections.show_progress(task_id, encode(message))
        self.tasks.changed(task_id)

    def _progress(self, task_id: str) -> dict[str, Any] | None:
        entry = self._book.entry(task_id)
        if entry is None:
            return None
        return mesh_wire.progress(
            task_id, entry.attempt, entry.state, entry.done, entry.template, entry.values
        )

    def _follow(self, order: Follow) -> None:
        self._connections.follow(
            order.by,
            order.task_id,
            order.after,
            missed=order.missed,
            keep=order.keep,
            request_id=order.request_id,
        )

    def _again(self, order: Again) -> None:
        message = mesh_wire.duplicate(order.task_id, order.seq, order.attempt, order.state)
        self._say(order.by, message, order.request_id)

    def _greet(self, order: Greet) -> None:
        message = self._progress(order.task_id)
        if message is not None:
            self._say(order.by, message, order.request_id)

    def _remind(self, order: Remind) -> None:
        """Who is being sent what was missed gets the end in its turn, after that."""
        if order.request_id is not None or not self._connections.follows(order.by, order.task_id):
            self._spawn(self._say_end(order))

    async def _say_end(self, order: Remind) -> None:
        message = await self._history.ending(order.task_id)
        if message is not None:
            self._say(order.by, message, order.request_id)

    def _refuse(self, order: Refuse) -> None:
        text = sentence(order.template, order.values)
        message: dict[str, Any] = {"type": "error", "error": text, "code": order.code}
        message |= {"template": order.template, "values": order.values}
        if order.task_id is not None:
            message["taskId"] = order.task_id
        self._say(order.by, message, order.request_id)

    def _say(self, number: int, message: dict[str, Any], request_id: str | int | None) -> None:
        link = self._connections.link(number)
        if link is not None:
            link.say(message if request_id is None else {**message, "requestId": request_id})

    # Small verbs ------------------------------------------------------------------------

    def _last_seq(self, task_id: str) -> int | None:
        past = self._book.past(task_id)
        if past is None:  # open, or over for so long that all of it is durable
            return None if self._book.entry(task_id) is not None else 0
        return past.seq

    def _wall_ms(self) -> int:
        return int(self._wall() * 1000)

    def _spawn(self, work: Any) -> None:
        chore: asyncio.Task[None] = asyncio.create_task(work)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)


def _refusal(error: WorkbenchError, about: Mapping[str, Any]) -> dict[str, Any]:
    """The answer to a message that was refused. A store's own fault is not the client's."""
    message = {"type": "error", **error_message(error, **about)}
    its_own = {"code": "unavailable", "cause": StoreError.code}
    return message | its_own if type(error) is StoreError else message


def _numbered(kind: str, logs: bool) -> bool:
    return kind == "accepted" or kind in TERMINAL or (kind == "log" and logs)


def _echo(message: Message) -> dict[str, Any]:
    return {} if message.request_id is None else {"requestId": message.request_id}


async def _within(limit_s: float, wait: Any) -> bool:
    """Whether something happened within the time."""
    try:
        await asyncio.wait_for(wait, limit_s)
    except TimeoutError:
        return False
    return True
