"""show_mesh(): the mesh submitter on this process's session."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from workbench.boards.board import Board, show, started
from workbench.boards.home import Home
from workbench.boards.hub_watch import said
from workbench.boards.machine import missing_here
from workbench.boards.results import drawn
from workbench.boards.samples import list_samples
from workbench.boards.uploads import Spooled, Uploads
from workbench.clients.mesh import EVENTS, MeshClient
from workbench.core.mesh_config import ENDPOINTS
from workbench.core.metrics_wire import RunMetrics
from workbench.errors import InputError, LinkError, TaskError, WorkbenchError
from workbench.runtime import Runtime
from workbench.session import Workbench, connect
from workbench.widgets.mesh import MeshWidget
from workbench.widgets.mesh_events import fold, history_row
from workbench.widgets.mesh_state import TERMINAL

HISTORY_TASKS = 200
REFRESH_S = 10.0
QUEUE_REFRESH_S = 2.0
HUB_S = 5.0

LISTENED = tuple(name for name in EVENTS if name not in ("message", "console"))


class MeshBoard(Board[MeshWidget]):
    """Wires one MeshWidget to the session's MeshClient, which it leaves as it was."""

    def __init__(
        self,
        home: Home,
        *,
        session: Callable[[], Workbench] = connect,
        background: Runtime | None = None,
    ) -> None:
        widget = MeshWidget(dispatch=home.call)
        super().__init__(home, widget, "mesh board", session=session, background=background)
        self._mesh: MeshClient | None = None
        self._labels: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._waiting = False
        self._replayed: set[str] = set()
        self._uploads = Uploads(self.widget.reply, self._uploaded)
        self._start()

    def close(self) -> None:
        """Leave the client as it was; tasks go on."""
        self._uploads.close()
        super().close()

    # On the runtime's thread: the session, the client's events, what the node knows

    async def _live(self) -> None:
        workbench = await self._session(endpoint="local")
        mesh = self._mesh = workbench.mesh
        self._hear(mesh, *LISTENED)
        self._tell("samples", await asyncio.to_thread(list_samples, workbench.data))
        self._tell("endpoints", self._endpoints())
        mesh.configure(keep_trying=True)
        if mesh.connected:
            self._heard("connected", {})
        await mesh.connect(wait_s=0)
        self._tell("host", await asyncio.to_thread(missing_here, workbench.data))
        await self._keep_fresh()

    def _heard(self, name: str, data: dict[str, Any]) -> None:
        self._tell(name, data)
        if name == "connected":
            self._spawn(self._catch_up())

    async def _catch_up(self) -> None:
        """After each connection: what the node offers and what it knows of tasks."""
        mesh = self._client()
        models = await mesh.models()
        self._tell("models", sorted(models, key=lambda model: str(model.get("title"))))
        self._tell("endpoints", self._endpoints())
        await self._refresh()
        self._tell("problem", None)

    async def _refresh(self, before: int | None = None) -> None:
        rows = await self._client().tasks(limit=HISTORY_TASKS, before=before)
        shown = [history_row(row) for row in rows]
        for row in shown:
            known = self._names.get(str(row["inputDataURL"]))
            row["input"] = self._labels.get(row["taskId"]) or known or row["input"]
        full = len(rows) >= HISTORY_TASKS
        self._home.call(lambda: self._merge(shown, full))
        for row in shown:
            if row["state"] not in TERMINAL and not self._client().is_task_pending(row["taskId"]):
                await self._client().attach(row["taskId"], model=str(row["model"]))

    async def _keep_fresh(self) -> None:
        """Places in the queue, tasks of other clients, a hub that went; while a page looks."""
        refreshed = time.monotonic()
        while True:
            await asyncio.sleep(QUEUE_REFRESH_S)
            due = time.monotonic() - refreshed >= REFRESH_S
            if not self.widget.watched:
                continue
            mesh = self._client()
            if not mesh.connected:
                if self._workbench is not None and mesh.endpoint == "local":
                    await self._watch.look(self._workbench)
            elif self._waiting or due:
                refreshed = time.monotonic()
                with contextlib.suppress(WorkbenchError):  # the connection tells of it itself
                    await self._refresh()

    async def _reconnect(self) -> None:
        await self._client().connect("local", wait_s=0)

    async def _submit(self, task: Mapping[str, Any]) -> None:
        task_id = str(task["taskId"])
        mesh = self._client()
        try:
            await mesh.send_task(
                str(task["model"]),
                task["inputDataURL"],
                task.get("parameters"),
                task_id=task_id,
                use_cache=bool(task.get("useCache", True)),
            )
            await mesh.accepted(task_id)
        except WorkbenchError as error:
            self._home.call(partial(self._refused, task_id, error))
        else:
            self._home.call(lambda: self._submitted(task_id, task))

    async def _cancel(self, task_id: str) -> None:
        mesh = self._client()
        if not mesh.is_task_pending(task_id):
            await mesh.attach(task_id)
        await mesh.cancel_task(task_id)

    async def _fetch(self, task_id: str, model: str) -> None:
        """Log and end of a task, known here or replayed by the node; then its result, drawn."""
        mesh = self._client()
        record = mesh.get_task(task_id)
        if record is None or (record.state not in TERMINAL and not record.pending):
            await mesh.attach(task_id, model=model)
            record = None
        if record is None or record.pending:
            with contextlib.suppress(TaskError):
                await mesh.result(task_id, timeout_s=60)
            record = mesh.get_task(task_id)
        if record is None or not isinstance(record.result, Mapping):
            return
        local = mesh.endpoint == "local" and self._workbench is not None
        query = self._workbench.query if local and self._workbench else None
        result = await asyncio.to_thread(drawn, record.result, query)
        self._home.call(lambda: self._fetched(task_id, result))

    async def _measure(self, task_id: str) -> None:
        """What a task used, or why nobody can tell."""
        try:
            used = await self._used(task_id)
        except WorkbenchError as error:
            answer = {"error": said(error)}
        else:
            answer = {"metrics": msgspec.to_builtins(used)}
        self._home.call(lambda: self.widget.reply("metrics", taskId=task_id, **answer))

    async def _used(self, task_id: str) -> RunMetrics:
        workbench, mesh = self._workbench, self._client()
        if workbench is None or mesh.endpoint != "local":
            raise InputError("what this task used is kept at the node that ran it")
        await workbench.client.connect(wait_s=HUB_S)
        return await workbench.metering.run(task_id=task_id)

    async def _carry(self, spooled: Spooled) -> None:
        def progress(done: int, size: int) -> None:
            said = {"uploadId": spooled.upload_id, "phase": "storing", "done": done, "size": size}
            self._home.call(lambda: self.widget.reply("upload", **said))

        try:
            url = await self._client().upload(spooled.path, name=spooled.name, progress=progress)
        except WorkbenchError as error:
            self._home.call(partial(self._uploads.fail, spooled.upload_id, error))
            return
        self._names[url] = spooled.name
        self._home.call(lambda: self._carried(spooled, url))

    async def _connect(self, choice: Mapping[str, Any]) -> None:
        mesh, endpoint = self._client(), str(choice.get("endpoint"))
        try:
            if choice.get("url"):
                mesh.configure(custom_endpoint=str(choice["url"]))
            if choice.get("token"):
                mesh.set_token(endpoint, str(choice["token"]))
            await mesh.connect(endpoint, wait_s=0)
        except WorkbenchError as error:
            self._tell("reconnect_failed", said(error))

    def _client(self) -> MeshClient:
        return started(self._mesh)

    def _endpoints(self) -> list[dict[str, str]]:
        return [{"name": name, "url": self._url(name)} for name in ENDPOINTS]

    def _url(self, endpoint: str) -> str:
        """The address of an endpoint, without a token; the local one is where the hub is."""
        if endpoint == "local" and self._workbench is not None:
            with contextlib.suppress(LinkError):
                return self._workbench.hub.mesh
        return str(getattr(self._client().config, f"{endpoint}_endpoint") or "")

    # At home: the widget and its state

    def _take(self, name: str, data: Any) -> None:
        if name in EVENTS:
            fold(self.widget.state, name, data)
        else:
            super()._take(name, data)

    def _flush(self) -> None:
        state = self.widget.state
        self._waiting = any(
            (state.task(name) or {}).get("state") == "queued" for name in state.active
        )
        self.widget.flush()

    def _show_link(self, name: str, data: Mapping[str, Any]) -> None:
        endpoint = self._client().endpoint
        now = self.widget.state.now_ms()
        self._watch.show_link(name, data, now, endpoint=endpoint, url=self._url(endpoint))

    def _merge(self, rows: list[dict[str, Any]], full: bool) -> None:
        self.widget.state.older = full
        self.widget.state.merge_history(rows)
        self._flush()

    def _intent(self, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        kind, task_id = content.get("kind"), str(content.get("taskId"))
        if kind == "upload":
            self._uploads.handle(content, buffers)
        elif kind == "submit":
            self._labels[task_id] = str(content.get("input") or "")
            self._spawn(self._submit(content))
        elif kind == "rerun":
            self._rerun(str(content.get("of")), task_id)
        elif kind == "cancel":
            self.widget.state.update(task_id, state="cancelling")
            self._drawing.ask()
            self._spawn(self._cancel(task_id))
        elif kind == "open":
            self._open(task_id)
        elif kind == "metrics":
            self._spawn(self._measure(task_id))
        elif kind == "older":
            self._spawn(self._refresh(self.widget.state.oldest_ms))
        elif kind == "startHub":
            self._start_hub()
        elif kind == "connect":
            self._spawn(self._connect(content))

    def _open(self, task_id: str) -> None:
        task = self.widget.state.task(task_id)
        self.widget.show_opened(task_id)
        if task is None or task["state"] not in TERMINAL or task_id in self._replayed:
            return
        if task["state"] != "done":
            self._replayed.add(task_id)
        if self.widget.state.result(task_id) is None:
            self._spawn(self._fetch(task_id, str(task.get("model") or "")))

    def _rerun(self, earlier: str, task_id: str) -> None:
        task = self.widget.state.task(earlier) or {}
        if not task.get("inputDataURL"):
            self.widget.problem = said(
                InputError("this task brought its input along: choose the file again and submit it")
            )
            return
        self._labels[task_id] = str(task.get("input") or "")
        again = {name: task.get(name) for name in ("model", "parameters", "inputDataURL", "input")}
        self._spawn(self._submit({**again, "taskId": task_id, "useCache": False}))

    def _submitted(self, task_id: str, task: Mapping[str, Any]) -> None:
        self.widget.set_trait("problem", None)
        names = ("model", "parameters", "inputDataURL", "input")
        known = self.widget.state.task(task_id) or {}
        submitted = known.get("submittedAt") or self.widget.state.now_ms()
        fields = {name: task.get(name) for name in names}
        shown = self.widget.state.update(task_id, submittedAt=submitted, **fields)
        self.widget.flush()
        self.widget.reply("submitted", taskId=task_id, task=shown)

    def _refused(self, task_id: str, error: WorkbenchError) -> None:
        values = error.values
        faults = [values] if {"field", "value", "allowed"} <= values.keys() else []
        self.widget.reply("refused", taskId=task_id, error=said(error), faults=faults)

    def _fetched(self, task_id: str, result: dict[str, Any]) -> None:
        self.widget.state.set_result(task_id, result)
        self.widget.show_opened(task_id)

    def _uploaded(self, spooled: Spooled) -> None:
        self._spawn(self._carry(spooled))

    def _carried(self, spooled: Spooled, url: str) -> None:
        self._uploads.forget(spooled.upload_id)
        self.widget.reply("upload", uploadId=spooled.upload_id, inputDataURL=url)


def show_mesh() -> MeshWidget:
    """The mesh submitter. Shown again, the board that was there is replaced."""
    return show(MeshBoard)
