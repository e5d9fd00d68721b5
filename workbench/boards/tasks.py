"""What the boards of tasks share: the session's mesh client, its events, ends, results, cancels."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from workbench.boards.board import Board, started
from workbench.boards.home import Home
from workbench.boards.hub_watch import said
from workbench.boards.results import drawn
from workbench.clients.mesh import EVENTS, MeshClient
from workbench.core.metrics_wire import RunMetrics
from workbench.errors import InputError, TaskError, WorkbenchError
from workbench.runtime import Runtime
from workbench.session import Workbench, connect
from workbench.widgets.mesh_events import fold
from workbench.widgets.mesh_state import TERMINAL
from workbench.widgets.tasks import TasksWidget

HUB_S = 5.0
SOURCE = "SELECT source FROM functions WHERE name = $name AND version = $version"

LISTENED = tuple(name for name in EVENTS if name not in ("message", "console"))

Widget = TypeVar("Widget", bound=TasksWidget)


class TasksBoard(Board[Widget]):
    """Wires one widget of tasks to the session's MeshClient, which it leaves as it was."""

    def __init__(
        self,
        home: Home,
        widget: Widget,
        work: str,
        *,
        session: Callable[[], Workbench] = connect,
        background: Runtime | None = None,
    ) -> None:
        super().__init__(home, widget, work, session=session, background=background)
        self._mesh: MeshClient | None = None
        self._replayed: set[str] = set()
        self._sent: dict[str, str] = {}

    # On the runtime's thread

    async def _mesh_of_session(self) -> tuple[Workbench, MeshClient]:
        """The session and its client, whose events are heard from now on."""
        workbench = await self._session(endpoint="local")
        self._mesh = workbench.mesh
        self._hear(workbench.mesh, *LISTENED)
        return workbench, workbench.mesh

    def _heard(self, name: str, data: dict[str, Any]) -> None:
        self._tell(name, data)

    async def _reconnect(self) -> None:
        await self._client().connect("local", wait_s=0)

    async def _cancel(self, task_id: str) -> None:
        mesh = self._client()
        if not mesh.is_task_pending(task_id):
            await mesh.attach(task_id)
        await mesh.cancel_task(task_id)

    async def _fetch(self, task_id: str, model: str) -> None:
        """Log and end of a task, known here or replayed by the node; then its result, drawn."""
        found = await self._result(task_id, model)
        if found is None:
            return
        local = self._client().endpoint == "local" and self._workbench is not None
        query = self._workbench.query if local and self._workbench else None
        result = await asyncio.to_thread(drawn, found, query)
        self._home.call(lambda: self._fetched(task_id, result))

    async def _result(self, task_id: str, model: str) -> Mapping[str, Any] | None:
        """What a task gave, whole; None where it gave nothing."""
        mesh = self._client()
        record = mesh.get_task(task_id)
        if record is None or (record.state not in TERMINAL and not record.pending):
            await mesh.attach(task_id, model=model)
            record = None
        if record is None or record.pending:
            with contextlib.suppress(TaskError):
                await mesh.result(task_id, timeout_s=60)
            record = mesh.get_task(task_id)
        return record.result if record and isinstance(record.result, Mapping) else None

    async def _measure(self, task_id: str) -> None:
        """What a task used, or why nobody can tell."""
        answer: dict[str, Any] = {}
        try:
            answer["metrics"] = msgspec.to_builtins(await self._used(task_id))
            answer["source"] = await self._source(task_id)
        except WorkbenchError as error:
            answer["error"] = said(error)
        self._home.call(lambda: self.widget.reply("metrics", taskId=task_id, **answer))

    async def _used(self, task_id: str) -> RunMetrics:
        workbench, mesh = self._workbench, self._client()
        if workbench is None or mesh.endpoint != "local":
            raise InputError("what this task used is kept at the node that ran it")
        await workbench.client.connect(wait_s=HUB_S)
        return await workbench.metering.run(task_id=task_id)

    async def _source(self, task_id: str) -> str:
        """What the author of an own function wrote; empty where nobody recorded it."""
        task = self.widget.state.task(task_id) or {}
        if self._workbench is None or self._own(task.get("model")) is None:
            return ""
        asked = {"name": task.get("model"), "version": task.get("version")}
        rows = (await self._workbench.client.query(SOURCE, asked)).rows()
        return str(rows[0]["source"]) if rows else ""

    def _own(self, model: Any) -> dict[str, Any] | None:
        """An own function as the node lists it; None for an installed model."""
        known = self._offered(model)
        return known if known.get("own") else None

    def _schema(self, model: str) -> dict[str, Any]:
        """The JSON Schema of a model's parameters; empty where the node has told of none."""
        return self._offered(model).get("parametersSchema") or {}

    def _offered(self, model: Any) -> dict[str, Any]:
        """A model as the node lists it; empty where it has told of none."""
        return next((each for each in self.widget.models if each.get("name") == model), {})

    def _client(self) -> MeshClient:
        return started(self._mesh)

    # At home: the widget and its state

    def _take(self, name: str, data: Any) -> None:
        if name in EVENTS:
            self._name_model(name, data)
            fold(self.widget.state, name, data)
        else:
            super()._take(name, data)

    def _name_model(self, name: str, data: Mapping[str, Any]) -> None:
        """What another cell sent has its model from the start, not once the node lists it."""
        if name == "task_sent":
            self._sent[str(data["taskId"])] = str(data["model"])
        elif name == "task_accepted" and data.get("taskId") in self._sent:
            task_id = str(data["taskId"])
            self.widget.state.update(task_id, model=self._sent.pop(task_id))

    def _flush(self) -> None:
        self.widget.flush()

    def _act(self, kind: str, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        task_id = str(content.get("taskId"))
        if kind == "open":
            self._open(task_id)
        elif kind == "cancel":
            self._begin_cancel(task_id)
        elif kind == "metrics":
            self._spawn(self._measure(task_id))
        else:
            super()._act(kind, content, buffers)

    def _begin_cancel(self, task_id: str) -> None:
        self.widget.state.update(task_id, state="cancelling")
        self._drawing.ask()
        self._spawn(self._cancel(task_id))

    def _open(self, task_id: str) -> None:
        task = self.widget.state.task(task_id)
        self.widget.show_opened(task_id)
        if task is None or task["state"] not in TERMINAL or task_id in self._replayed:
            return
        if task["state"] != "done":
            self._replayed.add(task_id)
        if self.widget.state.result(task_id) is None:
            self._spawn(self._fetch(task_id, str(task.get("model") or "")))

    def _fetched(self, task_id: str, result: dict[str, Any]) -> None:
        self.widget.state.set_result(task_id, result)
        self.widget.show_opened(task_id)
