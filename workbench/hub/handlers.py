"""One connection to `/ws`: decode, one call, encode. Every message needs a scope.

`view` is enough to look at this machine, at tasks and at what they used; a query reads
everything that is stored and costs a worker, and so do conversations and models: they need
`submit`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from workbench.core import chat_wire, llm_wire, metrics_wire, models_wire
from workbench.core import hub_wire as wire
from workbench.core.hub_kinds import KINDS
from workbench.core.ledger_nouns import LedgerView
from workbench.core.wire import decode
from workbench.errors import InputError, WorkbenchError
from workbench.hub.alerting import AlertDesk
from workbench.hub.chat import ChatDesk
from workbench.hub.conversations import Conversations
from workbench.hub.downloads import DownloadDesk
from workbench.hub.llm import ModelDesk
from workbench.hub.metrics_history import MetricsKeeper
from workbench.hub.prompts import Prompts
from workbench.hub.publishing import Metrics, TaskFollowers
from workbench.hub.queries import Questions, answer
from workbench.hub.run_metrics import RunDesk
from workbench.listener import Connection, ConnectionGone, Scope, allows

CALLS_AT_ONCE = 8
QUERIES_AT_ONCE = 4
LANE_LIMIT = 100

log = logging.getLogger("workbench.hub")

SCOPES: dict[type[wire.HubMessage], Scope] = {
    wire.Ping: "view",
    wire.MonitoringSubscribe: "view",
    wire.MonitoringUnsubscribe: "view",
    wire.TaskSubscribe: "view",
    wire.TaskUnsubscribe: "view",
    wire.Query: "submit",
    wire.QueryCancel: "submit",
    wire.Terminal: "admin",
    **dict.fromkeys(chat_wire.CHAT_KINDS.values(), "submit"),
    **dict.fromkeys(llm_wire.LLM_KINDS.values(), "submit"),
    **dict.fromkeys(metrics_wire.METRICS_KINDS.values(), "view"),
    **dict.fromkeys(models_wire.MODELS_KINDS.values(), "submit"),
    metrics_wire.AlertSave: "submit",
    metrics_wire.AlertDelete: "submit",
}
"""What each message needs; one that is not listed is refused."""

LATER: dict[type[wire.HubMessage], str] = {wire.Terminal: "the terminal"}
KIND_OF = {struct: kind for kind, struct in KINDS.items()}

Verb = Callable[[Connection, Any], Coroutine[Any, Any, None]]


class Rates(Protocol):
    """How often a token may ask for what."""

    def check(self, token: str, endpoint: str) -> None: ...


class Ledger(Protocol):
    """Who holds and who waits for GPU memory."""

    def view(self) -> LedgerView: ...


@dataclass(frozen=True, slots=True)
class Desks:
    """What all connections share."""

    questions: Questions
    metrics: Metrics
    followers: TaskFollowers
    chat: ChatDesk
    conversations: Conversations
    prompts: Prompts
    models: ModelDesk
    downloads: DownloadDesk
    history: MetricsKeeper
    runs: RunDesk
    alerts: AlertDesk
    ledger: Ledger
    rates: Rates


class Session:
    """What one peer asked for and has not ended yet.

    Conversations are served one message after the other, in the order they came; what takes
    long (queries, models) runs beside, and is stopped by its `requestId`.
    """

    def __init__(self, connection: Connection, desks: Desks) -> None:
        self._connection, self._desks = connection, desks
        self._calls: dict[asyncio.Task[None], wire.HubMessage] = {}
        self._lane: asyncio.Queue[tuple[Verb, wire.HubMessage]] = asyncio.Queue(LANE_LIMIT)
        self._worker: asyncio.Task[None] | None = None
        self._verbs: dict[type[wire.HubMessage], Callable[..., None]] = {
            wire.Ping: self._ping,
            wire.MonitoringSubscribe: self._monitor,
            wire.MonitoringUnsubscribe: self._stop_monitoring,
            wire.TaskSubscribe: self._follow,
            wire.TaskUnsubscribe: self._leave,
            wire.Query: self._query,
            wire.QueryCancel: self._cancel,
            llm_wire.LlmCancel: self._cancel,
            metrics_wire.LedgerList: self._ledger,
        }
        self._in_order = in_order(desks)
        self._beside = beside(desks)

    def handle(self, frame: str | bytes) -> None:
        """One message. Whatever is wrong with it is answered, and the connection stays open."""
        request_id: wire.RequestId = None
        try:
            if isinstance(frame, bytes):
                raise InputError("binary frames have no meaning here: send JSON as text")
            request = decode(frame, KINDS)
            request_id = request.request_id
            self._permit(request)
            self._dispatch(request)
        except WorkbenchError as fault:
            request_id = request_id if request_id is not None else wire.request_id_of(frame)
            self._connection.send(wire.error(fault, request_id))
        except Exception:
            log.exception("message.failed connection=%d", self._connection.id)
            self._connection.send(wire.error(_broken(), request_id))

    async def end(self) -> None:
        """The peer is gone: nothing goes on for it, but what it said is still answered."""
        self._desks.metrics.leave(self._connection)
        self._desks.followers.forget(self._connection)
        calls = list(self._calls)
        if self._worker is not None:
            await self._lane.join()
            calls.append(self._worker)
        self._desks.chat.audience.forget(self._connection)
        for task in calls:
            task.cancel()
        await asyncio.gather(*calls, return_exceptions=True)

    def _dispatch(self, request: wire.HubMessage) -> None:
        kind = type(request)
        if kind in self._verbs:
            self._verbs[kind](request)
            return
        self._desks.rates.check(self._connection.scope, KIND_OF[kind])
        if kind in self._in_order:
            self._queue(self._in_order[kind], request)
        else:
            self._call(self._beside[kind], request)

    def _permit(self, request: wire.HubMessage) -> None:
        kind = type(request)
        needed = SCOPES.get(kind, "admin")
        if not allows(self._connection.scope, needed):
            raise wire.Forbidden(
                "this needs a token with the scope {needed}; yours has {scope}",
                needed=needed,
                scope=self._connection.scope,
            )
        if kind in LATER:
            raise wire.Unavailable(
                "{feature} is not available in this version of the hub", feature=LATER[kind]
            )

    def _ping(self, request: wire.Ping) -> None:
        self._connection.send(wire.message("pong", request_id=request.request_id))

    def _monitor(self, request: wire.MonitoringSubscribe) -> None:
        wanted = request.data or wire.Interval()
        interval_ms = wanted.interval_ms
        confirmed = {"intervalMs": interval_ms}
        frame = wire.message("monitoring:subscribed", confirmed, request.request_id)
        self._connection.send(frame)
        self._desks.metrics.follow(self._connection, interval_ms / 1000, wanted.pid)

    def _stop_monitoring(self, request: wire.MonitoringUnsubscribe) -> None:
        self._desks.metrics.leave(self._connection)

    def _ledger(self, request: metrics_wire.LedgerList) -> None:
        view = msgspec.to_builtins(self._desks.ledger.view())
        self._connection.send(wire.message("gpu:ledger", view, request.request_id))

    def _follow(self, request: wire.TaskSubscribe) -> None:
        task_id = request.data.task_id
        self._desks.followers.add(self._connection, task_id)
        frame = wire.message("task:subscribed", {"taskId": task_id}, request.request_id)
        self._connection.send(frame)
        self._desks.followers.show(self._connection, task_id)

    def _leave(self, request: wire.TaskUnsubscribe) -> None:
        self._desks.followers.remove(self._connection, request.data.task_id)

    def _query(self, request: wire.Query) -> None:
        if sum(isinstance(each, wire.Query) for each in self._calls.values()) >= QUERIES_AT_ONCE:
            raise wire.Busy(
                "{limit} queries of this connection are running already: wait for one to end",
                limit=QUERIES_AT_ONCE,
            )
        self._call(self._answer, request)

    def _cancel(self, request: wire.QueryCancel | llm_wire.LlmCancel) -> None:
        for task, running in self._calls.items():
            if running.request_id == request.request_id and not task.cancelling() and task.cancel():
                what = "query" if isinstance(running, wire.Query) else "call"
                self._connection.send(wire.error(_cancelled(what), request.request_id))

    async def _answer(self, connection: Connection, request: wire.Query) -> None:
        await answer(connection, request, self._desks.questions)

    # What takes its time

    def _call(self, verb: Verb, request: wire.HubMessage) -> None:
        """Beside everything else of this connection."""
        if len(self._calls) >= CALLS_AT_ONCE:
            raise wire.Busy(
                "{limit} calls of this connection are running already: wait for one to end",
                limit=CALLS_AT_ONCE,
            )
        task = asyncio.create_task(self._guarded(verb, request))
        self._calls[task] = request
        task.add_done_callback(self._calls.pop)

    def _queue(self, verb: Verb, request: wire.HubMessage) -> None:
        """After what this connection asked before."""
        if self._worker is None:
            self._worker = asyncio.create_task(self._work())
        try:
            self._lane.put_nowait((verb, request))
        except asyncio.QueueFull:
            raise wire.Busy(
                "{limit} messages of this connection wait already: send more slowly",
                limit=LANE_LIMIT,
            ) from None

    async def _work(self) -> None:
        while True:
            verb, request = await self._lane.get()
            try:
                await self._guarded(verb, request)
            finally:
                self._lane.task_done()

    async def _guarded(self, verb: Verb, request: wire.HubMessage) -> None:
        fault: WorkbenchError
        try:
            await verb(self._connection, request)
            return
        except ConnectionGone:
            return
        except WorkbenchError as error:
            fault = error
        except Exception:
            log.exception(
                "message.failed connection=%d type=%s",
                self._connection.id,
                KIND_OF[type(request)],
            )
            fault = _broken()
        self._connection.send(wire.error(fault, request.request_id))


def in_order(desks: Desks) -> dict[type[wire.HubMessage], Verb]:
    """The verbs that are served one after the other."""
    chat, conversations, prompts = desks.chat, desks.conversations, desks.prompts
    downloads = desks.downloads
    return {
        chat_wire.ChatSend: chat.send,
        chat_wire.ChatHistory: chat.history,
        chat_wire.ChatStop: chat.stop,
        chat_wire.ChatRegenerate: chat.regenerate,
        chat_wire.ChatEdit: chat.edit,
        chat_wire.ConversationCreate: conversations.create,
        chat_wire.ConversationUpdate: conversations.update,
        chat_wire.ConversationList: conversations.page,
        chat_wire.ConversationFollow: conversations.follow,
        chat_wire.ConversationUnfollow: conversations.unfollow,
        chat_wire.ConversationDelete: conversations.delete,
        chat_wire.ConversationExport: conversations.export,
        chat_wire.InstructionSave: prompts.save,
        chat_wire.InstructionList: prompts.known,
        chat_wire.InstructionDelete: prompts.delete,
        chat_wire.TemplateSave: prompts.save,
        chat_wire.TemplateList: prompts.known,
        chat_wire.TemplateDelete: prompts.delete,
        metrics_wire.AlertList: desks.alerts.listing,
        metrics_wire.AlertSave: desks.alerts.save,
        metrics_wire.AlertDelete: desks.alerts.delete,
        models_wire.ModelDownloads: downloads.listing,
        models_wire.ModelPause: downloads.pause,
        models_wire.ModelResume: downloads.resume,
        models_wire.ModelCancel: downloads.cancel,
        models_wire.ModelVerify: downloads.verify,
        models_wire.ModelMove: downloads.move,
        models_wire.ModelForget: downloads.forget,
    }


def beside(desks: Desks) -> dict[type[wire.HubMessage], Verb]:
    """The verbs that take long, each in a task of its own."""
    models, downloads = desks.models, desks.downloads
    return {
        metrics_wire.MetricsHistory: desks.history.answer,
        metrics_wire.MetricsRun: desks.runs.answer,
        llm_wire.ModelList: models.known,
        llm_wire.ModelLoad: models.load,
        llm_wire.ModelSwitch: models.switch,
        llm_wire.ModelUnload: models.unload,
        llm_wire.LlmChat: models.chat,
        llm_wire.LlmComplete: models.complete,
        llm_wire.LlmEmbed: models.embed,
        llm_wire.LlmCount: models.count,
        llm_wire.LlmTruncate: models.truncate,
        llm_wire.LlmSplit: models.split,
        llm_wire.LlmProcess: models.process,
        llm_wire.LlmBenchmark: models.benchmark,
        llm_wire.LlmCompare: models.compare,
        llm_wire.LlmGenerate: models.generate,
        llm_wire.LlmRecommend: models.recommend,
        models_wire.ModelCards: downloads.cards,
        models_wire.ModelFind: downloads.find,
        models_wire.ModelDownload: downloads.download,
        models_wire.ModelDelete: downloads.delete,
    }


def _cancelled(what: str) -> WorkbenchError:
    if what == "query":
        return wire.Cancelled("the query was cancelled")
    return wire.Cancelled("the call was cancelled")


def _broken() -> WorkbenchError:
    return WorkbenchError("the hub failed at this message: its log says why")
