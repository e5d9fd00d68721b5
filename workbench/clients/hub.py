"""HubClient: what a kernel asks of a hub's `/ws`, and what it follows there."""

from __future__ import annotations

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from workbench.clients.answer import QueryResult
from workbench.clients.answers import ANSWER_S
from workbench.clients.events import Handler, Handlers
from workbench.clients.faults import fault
from workbench.clients.link import Link
from workbench.core.hub_session import HubSession
from workbench.core.link import Event
from workbench.core.mesh_config import Address, address
from workbench.errors import LinkError, ProtocolError

EVENTS = (
    "connected",
    "disconnected",
    "reconnecting",
    "reconnect_failed",
    "metrics",
    "alert",
    "task_update",
    "chat",
    "message",
)
URL = "ws://localhost:3001/ws"
PING_S = 5.0
QUERY_S = 120.0
SILENCE_S = 900.0
"""How long an answer in many parts may say nothing: a large prompt on a slow CPU takes minutes."""

Locate = Callable[[], tuple[str, str | None]]
Parameters = Mapping[str, Any] | Sequence[Any]


class HubClient:
    """A client of one hub. Async; all of it on one event loop.

    `locate` may give (url, token) before each attempt, for a hub that moves.
    """

    def __init__(
        self,
        url: str = URL,
        token: str | None = None,
        *,
        locate: Locate | None = None,
        reconnect_delay: float = 2.0,
        reconnect_max_attempts: int = 5,
        keep_trying: bool = True,
    ) -> None:
        self._locate = locate or (lambda: (url, token))
        self._session = HubSession(
            reconnect_delay=reconnect_delay,
            max_attempts=reconnect_max_attempts,
            keep_trying=keep_trying,
        )
        self._handlers = Handlers(EVENTS)
        self._link: Link | None = None
        self._answers: dict[str, asyncio.Queue[Event]] = {}
        self._task_handlers: dict[str, list[Handler]] = {}

    @property
    def connected(self) -> bool:
        return self._session.connected

    async def connect(self, *, wait_s: float = 10.0) -> None:
        """Connect, or try again now.

        Raises LinkError when there is no connection within `wait_s` (0 does not wait); the
        attempts go on in the background until they are spent.
        """
        if self.connected:
            return
        self._session.asked_anew()
        self._link = self._link or Link(self._session, self._target, self._emit)
        self._link.start()
        if wait_s > 0:
            await self._link.until_open(wait_s)

    async def disconnect(self) -> None:
        """Close the connection. Subscriptions are remembered for the next one."""
        link, self._link = self._link, None
        if link is not None:
            await link.stop()
        for event in self._session.disconnected():
            self._emit(event)

    async def until_connected(self, wait_s: float) -> None:
        """Return when connected. Raises LinkError when the attempts or the time are spent."""
        if self._link is None:
            raise LinkError("not connected to the hub: call connect() and try again")
        await self._link.until_open(wait_s)

    async def ping(self, *, timeout_s: float = PING_S) -> float:
        """The round trip to the hub and back, in seconds."""
        began = time.monotonic()
        async with self._ask("ping", None, timeout_s) as events:
            await events.get()
        return time.monotonic() - began

    async def query(
        self,
        sql: str,
        params: Parameters | None = None,
        *,
        fresh: bool = False,
        max_rows: int | None = None,
        timeout_s: float = QUERY_S,
    ) -> QueryResult:
        """A read-only question in SQL. `fresh` wants all that was written up to now.

        Raises InputError for faulty SQL, LinkError when the connection was lost meanwhile.
        """
        wanted = {"params": params, "fresh": fresh or None, "maxRows": max_rows}
        given = {name: value for name, value in wanted.items() if value is not None}
        parts: list[bytes] = []
        asked = {"sql": sql, **given}
        async with self._ask("query", asked, timeout_s, "query:cancel") as events:
            if "pyarrow" not in sys.modules:  # while the hub works
                await asyncio.to_thread(import_module, "pyarrow")
            while True:
                event = await events.get()
                if event.name == "part":
                    parts.append(event.data["frame"])
                elif event.data.get("type") == "query:done":
                    return QueryResult.of(parts, event.data.get("data") or {})

    def tell(self, kind: str, data: dict[str, Any] | None = None) -> None:
        """Send what asks for no answer. Raises LinkError without a connection."""
        self._session.tell(kind, data)
        self._flush()

    async def ask(
        self, kind: str, data: dict[str, Any] | None = None, *, timeout_s: float = ANSWER_S
    ) -> Any:
        """The `data` of the one answer to a question; what the hub refuses is raised."""
        async with self._ask(kind, data, timeout_s) as answers:
            return (await answers.get()).data.get("data")

    @asynccontextmanager
    async def asking(
        self,
        kind: str,
        data: dict[str, Any] | None = None,
        *,
        cancel: str | None = None,
        silence_s: float = SILENCE_S,
    ) -> AsyncIterator[Answering]:
        """A question with several answers. Whoever leaves before it is settled gives up on it:
        the hub is then told so by the verb `cancel`, if there is one."""
        request_id = uuid.uuid4().hex
        queue = self._answers[request_id] = asyncio.Queue()
        answering = Answering(queue, kind, silence_s)
        try:
            self._session.ask(request_id, kind, data)
            self._flush()
            yield answering
        finally:
            del self._answers[request_id]
            if answering.settled:
                self._session.settle(request_id)
            self._session.cancel(request_id, cancel is not None, cancel or "")
            self._flush()

    def follow_conversation(self, conversation_id: int) -> None:
        """Hear of a conversation by `on("chat")`, now and after every reconnection: first a
        `conversation:snapshot`, then everything that happens in it."""
        self._session.follow_conversation(conversation_id)
        self._flush()

    def leave_conversation(self, conversation_id: int) -> None:
        """Follow it no more: each `follow_conversation` is ended by one call of this."""
        self._session.leave_conversation(conversation_id)
        self._flush()

    def monitor(self, interval_ms: int = 2000, *, pid: int | None = None) -> None:
        """Follow `metrics` and `alert` (see `on`), now and after every reconnection.

        With `pid`, the asker's own process, what that and its children use of a GPU is told
        apart as the kernel's.
        """
        self._session.monitor(interval_ms, pid)
        self._flush()

    @property
    def monitored(self) -> tuple[int, int | None] | None:
        """The interval (ms) and the pid that metrics are followed with; None where they are not."""
        return self._session.monitored

    def stop_monitoring(self) -> None:
        self._session.monitor(None)
        self._flush()

    def follow_task(self, task_id: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` with each state of a task; returns the function that ends it."""
        self._task_handlers.setdefault(task_id, []).append(handler)
        self._session.follow_task(task_id)
        self._flush()

        def leave() -> None:
            handlers = self._task_handlers.get(task_id, [])
            if handler in handlers:
                handlers.remove(handler)
            if not handlers and self._task_handlers.pop(task_id, None) is not None:
                self._session.leave_task(task_id)
                self._flush()

        return leave

    def on(self, event: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` with one dictionary at each event; returns the function that ends it."""
        return self._handlers.on(event, handler)

    def off(self, event: str, handler: Handler | None = None) -> None:
        self._handlers.off(event, handler)

    # Inside

    @asynccontextmanager
    async def _ask(
        self, kind: str, data: dict[str, Any] | None, timeout_s: float, cancel: str | None = None
    ) -> AsyncIterator[Answering]:
        """One question that is to be answered in full within `timeout_s`."""
        try:
            async with (
                asyncio.timeout(timeout_s),
                self.asking(kind, data, cancel=cancel, silence_s=timeout_s) as answers,
            ):
                yield answers
                answers.settled = True
        except TimeoutError:
            template = "the hub did not answer {type} within {limit_s} s"
            raise LinkError(template, type=kind, limit_s=timeout_s) from None

    def _target(self) -> tuple[str, Address]:
        url, token = self._locate()
        return "hub", address(url, token)

    def _flush(self) -> None:
        if self._link is not None:
            self._link.flush()

    def _emit(self, event: Event) -> None:
        name, data = event
        if name in ("answer", "part", "unanswered"):
            queue = self._answers.get(data["requestId"])
            if queue is not None:
                queue.put_nowait(event)
            return
        if name == "task_update":
            for handler in list(self._task_handlers.get(data["task"]["id"], ())):
                self._handlers.call(handler, name, data["task"])
        self._handlers.emit(name, data)


class Answering:
    """The answers to one question; a refusal and a lost connection are raised."""

    def __init__(self, queue: asyncio.Queue[Event], kind: str, silence_s: float) -> None:
        self._queue, self._kind, self._silence_s = queue, kind, silence_s
        self.settled = False
        """Whether nothing more is to come: whoever asks says so, and a refusal does."""
        self.lost = False
        """Whether the connection went away before the end."""

    def put(self, event: Event) -> None:
        """Let something else stand in the same line, such as what happens meanwhile."""
        self._queue.put_nowait(event)

    async def get(self) -> Event:
        """The next answer or binary part. Raises LinkError when none comes for too long."""
        try:
            async with asyncio.timeout(self._silence_s):
                event = await self._queue.get()
        except TimeoutError:
            template = "the hub said nothing about {type} for {limit_s} s"
            raise LinkError(template, type=self._kind, limit_s=self._silence_s) from None
        if event.name == "unanswered":
            self.lost = True
            raise LinkError(event.data["template"], **event.data["values"])
        if event.name == "answer" and event.data.get("type") == "error":
            self.settled = True
            data = event.data.get("data")
            if not isinstance(data, dict):
                raise ProtocolError("the hub refused without a reason")
            raise fault(data, "message")
        return event
