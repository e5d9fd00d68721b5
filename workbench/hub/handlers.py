"""One connection to `/ws`: decode, one call, encode. Every message needs a scope.

`view` is enough to look at this machine and at tasks; a query reads everything that is
stored and costs a worker, so it needs `submit`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from workbench.core import hub_wire as wire
from workbench.core.wire import decode
from workbench.errors import InputError, WorkbenchError
from workbench.hub.publishing import Metrics, TaskFollowers
from workbench.hub.queries import Questions, answer
from workbench.listener import Connection, ConnectionGone, Scope, allows

QUERIES_AT_ONCE = 4

log = logging.getLogger("workbench.hub")

SCOPES: dict[type[wire.HubMessage], Scope] = {
    wire.Ping: "view",
    wire.MonitoringSubscribe: "view",
    wire.MonitoringUnsubscribe: "view",
    wire.TaskSubscribe: "view",
    wire.TaskUnsubscribe: "view",
    wire.Query: "submit",
    wire.QueryCancel: "submit",
    wire.ChatSend: "submit",
    wire.ChatOther: "submit",
    wire.ModelMessage: "submit",
    wire.Terminal: "admin",
}
"""What each message needs; one that is not listed is refused."""

LATER: dict[type[wire.HubMessage], str] = {
    wire.ChatSend: "chat",
    wire.ChatOther: "chat",
    wire.ModelMessage: "loading language models",
    wire.Terminal: "the terminal",
}


class Session:
    """What one peer asked for and has not ended yet."""

    def __init__(
        self,
        connection: Connection,
        *,
        questions: Questions,
        metrics: Metrics,
        followers: TaskFollowers,
    ) -> None:
        self._connection, self._questions = connection, questions
        self._metrics, self._followers = metrics, followers
        self._queries: dict[asyncio.Task[None], wire.RequestId] = {}
        self._verbs: dict[type[wire.HubMessage], Callable[..., None]] = {
            wire.Ping: self._ping,
            wire.MonitoringSubscribe: self._monitor,
            wire.MonitoringUnsubscribe: self._stop_monitoring,
            wire.TaskSubscribe: self._follow,
            wire.TaskUnsubscribe: self._leave,
            wire.Query: self._query,
            wire.QueryCancel: self._cancel_query,
        }

    def handle(self, frame: str | bytes) -> None:
        """One message. Whatever is wrong with it is answered, and the connection stays open."""
        request_id: wire.RequestId = None
        try:
            if isinstance(frame, bytes):
                raise InputError("binary frames have no meaning here: send JSON as text")
            request = decode(frame, wire.KINDS)
            request_id = request.request_id
            self._permit(request)
            self._verbs[type(request)](request)
        except WorkbenchError as fault:
            request_id = request_id if request_id is not None else wire.request_id_of(frame)
            self._connection.send(wire.error(fault, request_id))
        except Exception:
            log.exception("message.failed connection=%d", self._connection.id)
            self._connection.send(wire.error(_broken(), request_id))

    async def end(self) -> None:
        """The peer is gone: nothing goes on for it."""
        self._metrics.leave(self._connection)
        self._followers.forget(self._connection)
        queries = list(self._queries)
        for task in queries:
            task.cancel()
        await asyncio.gather(*queries, return_exceptions=True)

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
        interval_ms = (request.data or wire.Interval()).interval_ms
        confirmed = {"intervalMs": interval_ms}
        frame = wire.message("monitoring:subscribed", confirmed, request.request_id)
        self._connection.send(frame)
        self._metrics.follow(self._connection, interval_ms / 1000)

    def _stop_monitoring(self, request: wire.MonitoringUnsubscribe) -> None:
        self._metrics.leave(self._connection)

    def _follow(self, request: wire.TaskSubscribe) -> None:
        task_id = request.data.task_id
        self._followers.add(self._connection, task_id)
        frame = wire.message("task:subscribed", {"taskId": task_id}, request.request_id)
        self._connection.send(frame)
        self._followers.show(self._connection, task_id)

    def _leave(self, request: wire.TaskUnsubscribe) -> None:
        self._followers.remove(self._connection, request.data.task_id)

    def _query(self, request: wire.Query) -> None:
        if len(self._queries) >= QUERIES_AT_ONCE:
            raise wire.Busy(
                "{limit} queries of this connection are running already: wait for one to end",
                limit=QUERIES_AT_ONCE,
            )
        task = asyncio.create_task(self._answer(request))
        self._queries[task] = request.request_id
        task.add_done_callback(self._queries.pop)

    def _cancel_query(self, request: wire.QueryCancel) -> None:
        for task, request_id in self._queries.items():
            if request_id == request.request_id and not task.cancelling() and task.cancel():
                fault = WorkbenchError("the query was cancelled")
                self._connection.send(wire.error(fault, request_id))

    async def _answer(self, request: wire.Query) -> None:
        fault: WorkbenchError
        try:
            await answer(self._connection, request, self._questions)
            return
        except ConnectionGone:
            return
        except WorkbenchError as error:
            fault = error
        except Exception:
            log.exception("query.failed connection=%d", self._connection.id)
            fault = _broken()
        self._connection.send(wire.error(fault, request.request_id))


def _broken() -> WorkbenchError:
    return WorkbenchError("the hub failed at this message: its log says why")
