"""show_mesh(): the mesh submitter on this process's session."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.boards.board import show
from workbench.boards.home import Home
from workbench.boards.hub_watch import said
from workbench.boards.machine import missing_here
from workbench.boards.samples import list_samples
from workbench.boards.submitting import SubmittingBoard
from workbench.core.mesh_config import ENDPOINTS
from workbench.errors import InputError, LinkError, WorkbenchError, without_secrets
from workbench.runtime import Runtime
from workbench.session import Workbench, connect
from workbench.session.cells import CELL
from workbench.session.own import Model, name_of, named
from workbench.widgets.mesh import MeshWidget
from workbench.widgets.mesh_state import TERMINAL

HISTORY_TASKS = 200
REFRESH_S = 10.0
QUEUE_REFRESH_S = 2.0
FIRST = "cypher-v1"


class MeshBoard(SubmittingBoard[MeshWidget]):
    """Wires one MeshWidget to the session's MeshClient, which it leaves as it was."""

    def __init__(
        self,
        home: Home,
        *,
        model: Model | None = None,
        session: Callable[[], Workbench] = connect,
        background: Runtime | None = None,
    ) -> None:
        widget = MeshWidget(dispatch=home.call, chosen="" if model is None else name_of(model))
        super().__init__(home, widget, "mesh board", session=session, background=background)
        self._model = model
        self._waiting = False
        self._gone: set[str] = set()
        self._start()

    # On the runtime's thread: the session, the client's events, what the node knows

    async def _live(self) -> None:
        workbench, mesh = await self._mesh_of_session()
        self._tell("samples", await asyncio.to_thread(list_samples, workbench.data))
        self._tell("endpoints", self._endpoints())
        mesh.configure(keep_trying=True)
        if mesh.connected:
            self._heard("connected", {})
        await mesh.connect(wait_s=0)
        self._tell("host", await asyncio.to_thread(missing_here, workbench.data))
        await self._keep_fresh()

    def _heard(self, name: str, data: dict[str, Any]) -> None:
        super()._heard(name, data)
        if name == "connected":
            self._spawn(self._catch_up())

    async def _catch_up(self) -> None:
        """After each connection: what the node offers and what it knows of tasks."""
        self._tell("endpoints", self._endpoints())
        self._tell("problem", None)
        await self._define()
        await self._list_models()
        await self._refresh()

    async def _define(self) -> None:
        """The own function that the form begins with, where the node allows it."""
        if self._model is not None and self._client().endpoint == "local":
            try:
                await named(self._client(), self._model)
            except WorkbenchError as error:
                self._tell("problem", said(error))

    async def _list_models(self) -> None:
        models = [
            {**each, "listed": each.get("listed", True) and each.get("name") != CELL}
            for each in await self._client().models()
        ]
        self._tell("models", sorted(models, key=_place))

    async def _refresh(self, before: int | None = None) -> None:
        rows = await self._client().tasks(limit=HISTORY_TASKS, before=before)
        shown = self._rows(rows)
        full = len(rows) >= HISTORY_TASKS
        known_models = {each.get("name") for each in self.widget.models}
        if {row["model"] for row in shown} - known_models - self._gone:
            await self._list_models()  # an own function that another notebook defined
            self._gone = {str(row["model"]) for row in shown}
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

    def _endpoints(self) -> list[dict[str, str]]:
        return [{"name": name, "url": self._url(name)} for name in ENDPOINTS]

    def _url(self, endpoint: str) -> str:
        """The address of an endpoint, without a token; the local one is where the hub is."""
        if endpoint == "local" and self._workbench is not None:
            with contextlib.suppress(LinkError):
                return self._workbench.hub.mesh
        return str(getattr(self._client().config, f"{endpoint}_endpoint") or "")

    # At home: the widget and its state

    def _flush(self) -> None:
        state = self.widget.state
        self._waiting = any(
            (state.task(name) or {}).get("state") == "queued" for name in state.active
        )
        super()._flush()

    def _show_link(self, name: str, data: Mapping[str, Any]) -> None:
        endpoint = self._client().endpoint
        now = self.widget.state.now_ms()
        self._watch.show_link(name, data, now, endpoint=endpoint, url=self._url(endpoint))

    def _merge(self, rows: list[dict[str, Any]], full: bool) -> None:
        self.widget.state.older = full
        self.widget.state.merge_history(rows)
        self._flush()

    def _act(self, kind: str, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        task_id = str(content.get("taskId"))
        if kind == "submit":
            self._labels[task_id] = without_secrets(str(content.get("input") or ""))
            self._spawn(self._submit(content))
        elif kind == "older":
            self._spawn(self._refresh(self.widget.state.oldest_ms))
        elif kind == "connect":
            self._spawn(self._connect(content))
        else:
            super()._act(kind, content, buffers)

    def _rerun(self, earlier: str, task_id: str) -> None:
        task = self.widget.state.task(earlier) or {}
        own = self._own(task.get("model"))
        if not task.get("inputDataURL") and not (own and not own.get("needsBatch")):
            self.widget.problem = said(
                InputError("this task brought its input along: choose the file again and submit it")
            )
            return
        version = task.get("version") if own else None
        self._spawn(self._submit(self._again(earlier, task_id, version)))


def _place(model: Mapping[str, Any]) -> tuple[bool, bool, str]:
    """The form begins with the model that explores; questions, which have a board, come last."""
    name = str(model.get("name"))
    return name.startswith("runes-"), name != FIRST, str(model.get("title"))


def show_mesh(model: Model | None = None) -> MeshWidget:
    """The mesh submitter. Shown again, the board that was there is replaced.

    `model` is what its form begins with: a model's name, or a function with `@workbench.model`
    above it, which the hub is given first.
    """
    return show(MeshBoard, model=model)
