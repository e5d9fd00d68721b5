"""What the boards that send tasks share: submitting, refusals, files on their way to the node."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from workbench.boards.home import Home
from workbench.boards.hub_watch import said
from workbench.boards.tasks import TasksBoard, Widget
from workbench.boards.uploads import Spooled, Uploads
from workbench.boards.whole_numbers import whole_numbers
from workbench.core.masking import as_kept
from workbench.errors import WorkbenchError
from workbench.runtime import Runtime
from workbench.session import Workbench, connect
from workbench.widgets.mesh_events import history_row
from workbench.widgets.tables import nested

KEPT = ("model", "parameters", "inputDataURL", "input")
"""What a task was given, as the page shows it and as it is sent again."""


class SubmittingBoard(TasksBoard[Widget]):
    """A board of tasks whose page submits some: tasks outlive it, half-sent files do not."""

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
        self._labels: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._uploads = Uploads(self.widget.reply, self._uploaded)

    def close(self) -> None:
        """Leave the client as it was; tasks go on."""
        self._uploads.close()
        super().close()

    # On the runtime's thread

    async def _submit(self, task: Mapping[str, Any]) -> None:
        task_id = str(task["taskId"])
        mesh = self._client()
        given = whole_numbers(task.get("parameters") or {}, self._schema(str(task["model"])))
        try:
            await mesh.send_task(
                str(task["model"]),
                task["inputDataURL"],
                given,
                task_id=task_id,
                use_cache=bool(task.get("useCache", True)),
                model_version=task.get("version"),
            )
            await mesh.accepted(task_id)
        except WorkbenchError as error:
            self._home.call(partial(self._refused, task_id, error))
        else:
            self._home.call(lambda: self._submitted(task_id, task))

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

    def _rows(self, listed: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Tasks as the node lists them; inputs under the names that a person knows them by."""
        rows = [history_row(row) for row in listed]
        for row in rows:
            known = self._names.get(str(row["inputDataURL"]))
            row["input"] = self._labels.get(row["taskId"]) or known or row["input"]
        return rows

    # At home: the widget and its state

    def _submitted(self, task_id: str, task: Mapping[str, Any]) -> None:
        self.widget.set_trait("problem", None)
        known = self.widget.state.task(task_id) or {}
        submitted = known.get("submittedAt") or self.widget.state.now_ms()
        fields = nested(as_kept({name: task.get(name) for name in KEPT}))
        shown = self.widget.state.update(task_id, submittedAt=submitted, **fields)
        self.widget.flush()
        self.widget.reply("submitted", taskId=task_id, task=shown)

    def _refused(self, task_id: str, error: WorkbenchError) -> None:
        values = error.values
        faults = [values] if {"field", "value", "allowed"} <= values.keys() else []
        self.widget.reply("refused", taskId=task_id, error=said(error), faults=faults)

    def _act(self, kind: str, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        if kind == "upload":
            self._uploads.handle(content, buffers)
        elif kind == "rerun":
            self._rerun(str(content.get("of")), str(content.get("taskId")))
        else:
            super()._act(kind, content, buffers)

    @abstractmethod
    def _rerun(self, earlier: str, task_id: str) -> None:
        """The same once more, under an id that the page chose."""

    def _again(self, earlier: str, task_id: str, version: Any = None) -> dict[str, Any]:
        """What an earlier task was given, to be sent without its kept result."""
        task = self.widget.state.task(earlier) or {}
        self._labels[task_id] = str(task.get("input") or "")
        given = {name: task.get(name) for name in KEPT}
        return {**given, "version": version, "taskId": task_id, "useCache": False}

    def _uploaded(self, spooled: Spooled) -> None:
        self._spawn(self._carry(spooled))

    def _carried(self, spooled: Spooled, url: str) -> None:
        self._uploads.forget(spooled.upload_id)
        self.widget.reply("upload", uploadId=spooled.upload_id, inputDataURL=url)
