"""One task below the cell that sent it: live until its end, then its result."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from workbench.boards.home import Home
from workbench.boards.tasks import TasksBoard
from workbench.clients.mesh import MeshClient
from workbench.errors import WorkbenchError
from workbench.runtime import Runtime
from workbench.session import Workbench, connect
from workbench.session.attaching import attach
from workbench.widgets.mesh_events import fold, history_row
from workbench.widgets.mesh_state import TERMINAL
from workbench.widgets.run import RunWidget

LOOKED_AT = 200
"""Of the node's history: when an older task began and what it was given is not shown."""
LOOKED_AT_AGAIN = 10
"""Once it is known when the task was sent."""


class RunBoard(TasksBoard[RunWidget]):
    """Wires one RunWidget to one task. After the task's end it hears nothing more of the client,
    so that a notebook may show hundreds."""

    def __init__(
        self,
        home: Home,
        task_id: str,
        *,
        session: Callable[[], Workbench] = connect,
        background: Runtime | None = None,
    ) -> None:
        self._task_id = task_id
        widget = RunWidget(task_id=task_id, dispatch=home.call)
        work = f"run board {task_id}"  # its troubles are shown on this card alone
        super().__init__(home, widget, work, session=session, background=background)
        self._start()

    # On the runtime's thread

    async def _live(self) -> None:
        _, mesh = await self._mesh_of_session()
        mesh.configure(keep_trying=True)
        try:
            await attach(mesh, self._task_id)
            self._tell("connected", {})
            self._tell("models", await mesh.models())
            listed = await self._listed(mesh, LOOKED_AT)
            self._catch_up(mesh, listed)
            with contextlib.suppress(WorkbenchError):  # how it ended came as an event
                await mesh.result(self._task_id)
            if listed and listed[0]["state"] not in TERMINAL:
                before = listed[0]["submittedAt"] + 1
                listed = await self._listed(mesh, LOOKED_AT_AGAIN, before)
            self._catch_up(mesh, listed)
        finally:
            self._hear_no_more()

    async def _listed(
        self, mesh: MeshClient, limit: int, before: int | None = None
    ) -> list[dict[str, Any]]:
        """The task as its node lists it; nothing where it is none of those looked at."""
        rows = await mesh.tasks(limit=limit, before=before)
        return [history_row(row) for row in rows if row.get("taskId") == self._task_id]

    def _catch_up(self, mesh: MeshClient, listed: list[dict[str, Any]]) -> None:
        """What was said before this board listened: the log so far, and what the node lists."""
        lines = mesh.get_task_logs(self._task_id)
        self._home.call(partial(self._merge, lines, listed))

    def _heard(self, name: str, data: dict[str, Any]) -> None:
        if data.get("taskId") in (None, self._task_id):
            super()._heard(name, data)

    # At home

    def _merge(self, lines: Sequence[Mapping[str, Any]], rows: list[dict[str, Any]]) -> None:
        for line in lines:
            fold(self.widget.state, "log", line)
        self.widget.state.merge_history(rows)
        self._flush()

    def _show_link(self, name: str, data: Mapping[str, Any]) -> None:
        now = self.widget.state.now_ms()
        self._watch.show_link(name, data, now, endpoint=self._client().endpoint, url="")

    def _intent(self, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        """Of this one task, whatever a page names."""
        super()._intent({**content, "taskId": self._task_id}, buffers)


def show_run(workbench: Workbench, task_id: str) -> RunWidget:
    """The card of a task, live. Needs the kernel's running event loop."""
    return RunBoard(Home(asyncio.get_running_loop()), task_id, session=lambda: workbench).widget
