"""show_runes(): questions about the batches that the hub keeps, and their answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import msgspec

from workbench.boards.asked_line import KEPT, QUESTION, asked_line
from workbench.boards.board import show, started
from workbench.boards.home import Home
from workbench.boards.hub_watch import said
from workbench.boards.runes_desk import RunesDesk
from workbench.boards.samples import list_samples, sample_kind
from workbench.boards.submitting import SubmittingBoard
from workbench.boards.table_file import Exported, Format
from workbench.boards.whole_numbers import whole_numbers
from workbench.errors import InputError, LinkError, WorkbenchError, without_secrets
from workbench.runtime import Runtime
from workbench.session import Workbench, connect
from workbench.widgets.mesh_state import TERMINAL
from workbench.widgets.runes import RunesWidget

HISTORY_TASKS = 100
LOOK_S = 2.0
ABOUT_A_BATCH = ("cypher-v1", "neuro-embed", "rune-classifier", "runegpt-v2")
IMPORTS = {"block": "block-import", "batch": "batch-import"}
ELSEWHERE = (
    "a question is asked where its batch is kept, and this kernel's mesh client is at the "
    "{endpoint} node: choose the local node in the mesh panel"
)


class RunesBoard(SubmittingBoard[RunesWidget]):
    """Wires one RunesWidget to the session's MeshClient. Nothing is asked for until a page has
    it in view."""

    def __init__(
        self,
        home: Home,
        *,
        session: Callable[[], Workbench] = connect,
        background: Runtime | None = None,
    ) -> None:
        widget = RunesWidget(dispatch=home.call)
        super().__init__(home, widget, "runes board", session=session, background=background)
        self._looked_at = asyncio.Event()
        self._desk: RunesDesk | None = None
        self._mine: set[str] = set()
        self._imports: set[str] = set()
        self._start()

    # On the runtime's thread: the session, the client's events, what the hub keeps

    async def _live(self) -> None:
        await self._looked_at.wait()
        workbench, mesh = await self._mesh_of_session()
        self._desk = RunesDesk(workbench)
        self._tell("samples", await asyncio.to_thread(list_samples, workbench.data))
        mesh.configure(keep_trying=True)
        if mesh.connected:
            self._heard("connected", {})
        await mesh.connect(wait_s=0)
        while True:
            await asyncio.sleep(LOOK_S)
            if self.widget.watched and not mesh.connected and mesh.endpoint == "local":
                await self._watch.look(workbench)

    def _heard(self, name: str, data: dict[str, Any]) -> None:
        """Of other tasks of this kernel nothing is shown."""
        if data.get("taskId") is None or data["taskId"] in self._mine:
            super()._heard(name, data)
        if name == "connected":
            self._spawn(self._catch_up())

    async def _catch_up(self) -> None:
        """After each connection: the questions there are, the batches, what was asked before."""
        models = [_parted(each) for each in await self._client().models()]
        known = [each for each in models if each["part"]]
        self._tell("models", sorted(known, key=lambda model: str(model.get("title"))))
        await self._list_batches()
        await self._list_asked(models)

    async def _list_batches(self) -> None:
        try:
            batches = await asyncio.to_thread(started(self._desk).batches)
        except WorkbenchError as error:
            self._tell("problem", said(error))
        else:
            self._tell("batches", batches)
            self._tell("listed", True)

    async def _list_asked(self, models: Sequence[Mapping[str, Any]]) -> None:
        asked = {each["name"] for each in models if each["part"] in ("question", "model")}
        listed = await self._client().tasks(limit=HISTORY_TASKS)
        rows = self._rows([row for row in listed if row.get("model") in asked])
        self._mine.update(str(row["taskId"]) for row in rows)
        self._home.call(partial(self._merge, rows))
        for row in rows:
            if row["state"] not in TERMINAL and not self._client().is_task_pending(row["taskId"]):
                await self._client().attach(row["taskId"], model=str(row["model"]))

    async def _send(self, task: Mapping[str, Any]) -> None:
        endpoint = self._client().endpoint
        try:
            if endpoint != "local":
                raise InputError(ELSEWHERE, endpoint=endpoint)
            await self._check_rune(task)
        except InputError as error:
            self._home.call(partial(self._refused, str(task["taskId"]), error))
        else:
            await self._submit(task)

    async def _check_rune(self, task: Mapping[str, Any]) -> None:
        """Raises InputError for a rune that no batch of the question knows: the page says so at
        its field, and no task fails for it."""
        given = task.get("parameters") or {}
        batches = [str(one) for one in (task.get("inputDataURL"), given.get("other")) if one]
        if not str(task["model"]).startswith(QUESTION) or not given.get("rune"):
            return
        kept = [one.removeprefix(KEPT) for one in batches if one.startswith(KEPT)]
        with contextlib.suppress(LinkError):  # then the task itself says how it went
            await asyncio.to_thread(started(self._desk).check_rune, kept, str(given["rune"]))

    async def _imported(self, task_id: str, alias: str) -> None:
        await self._list_batches()
        self._home.call(partial(self._show_imported, task_id, alias))

    async def _about(self, alias: str) -> None:
        answer: dict[str, Any] = {"alias": alias}
        try:
            answer |= await asyncio.to_thread(started(self._desk).about, alias)
        except WorkbenchError as error:
            answer["error"] = said(error)
        self._home.call(lambda: self.widget.reply("about", **answer))

    async def _search(self, number: Any, alias: str, text: str) -> None:
        found: list[dict[str, Any]] = []
        with contextlib.suppress(WorkbenchError):  # a search that fails offers nothing
            found = await asyncio.to_thread(started(self._desk).runes, alias, text)
        self._home.call(lambda: self.widget.reply("runes", number=number, found=found))

    async def _export(self, task_id: str, model: str, table: str, format: Any) -> None:
        try:
            told = await self._exported(task_id, model, table, format)
        except WorkbenchError as error:
            answer = {"taskId": task_id, "error": said(error)}
            self._home.call(lambda: self.widget.reply("exportRefused", **answer))
        else:
            named = {"name": told.name, "mediaType": told.media_type}
            self._home.call(lambda: self.widget.give((told.content,), **named))

    async def _exported(self, task_id: str, model: str, table: str, format: Any) -> Exported:
        result = await self._result(task_id, model)
        if result is None:
            raise InputError("task {task} has no answer to export", task=task_id)
        if format == "json":
            name = f"{result.get('model')}-{result.get('alias') or task_id}.json"
            return Exported(name, "application/json", msgspec.json.encode(result))
        kind: Format = "parquet" if format == "parquet" else "csv"
        return await asyncio.to_thread(started(self._desk).exported, result, table, kind)

    # At home: the widget and its state

    def _take(self, name: str, data: Any) -> None:
        super()._take(name, data)
        if name == "task_completed" and data["taskId"] in self._imports:
            result = data.get("result")
            alias = result.get("alias") if isinstance(result, Mapping) else None
            if alias:
                self._spawn(self._imported(data["taskId"], str(alias)))

    def _merge(self, rows: list[dict[str, Any]]) -> None:
        self.widget.state.merge_history(rows)
        self._flush()

    def _fetched(self, task_id: str, result: dict[str, Any]) -> None:
        super()._fetched(task_id, {**result, "line": self._line(task_id)})

    def _line(self, task_id: str) -> str:
        """What asks the same in a notebook; empty where its batch is not one that the hub keeps."""
        task = self.widget.state.task(task_id) or {}
        url, name = str(task.get("inputDataURL") or ""), str(task.get("model") or "")
        if not url.startswith(KEPT):
            return ""
        schema = self._schema(name)
        given = whole_numbers(task.get("parameters") or {}, schema)
        return asked_line(name, url.removeprefix(KEPT), given, schema)

    def _show_imported(self, task_id: str, alias: str) -> None:
        self._draw()
        self.widget.reply("imported", taskId=task_id, alias=alias)

    def _show_link(self, name: str, data: Mapping[str, Any]) -> None:
        endpoint = self._client().endpoint
        self._watch.show_link(name, data, self.widget.state.now_ms(), endpoint=endpoint, url="")

    def _act(self, kind: str, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        task_id = str(content.get("taskId"))
        alias, text = str(content.get("alias") or ""), str(content.get("text") or "")
        if kind == "look":
            self._runtime.call(self._looked_at.set)
        elif kind == "ask":
            self._ask(task_id, alias, content)
        elif kind == "import":
            self._import(task_id, content)
        elif kind == "batches":
            self._spawn(self._list_batches())
        elif kind == "about":
            self._spawn(self._about(alias))
        elif kind == "search":
            self._spawn(self._search(content.get("number"), alias, text))
        elif kind == "export":
            task = self.widget.state.task(task_id) or {}
            table, model = str(content.get("table") or ""), str(task.get("model") or "")
            self._spawn(self._export(task_id, model, table, content.get("format")))
        else:
            super()._act(kind, content, buffers)

    def _ask(self, task_id: str, alias: str, asked: Mapping[str, Any]) -> None:
        self._mine.add(task_id)
        self._labels[task_id] = alias
        task = {"taskId": task_id, "model": asked.get("model"), "input": alias}
        parameters = asked.get("parameters")
        self._spawn(
            self._send({**task, "inputDataURL": f"{KEPT}{alias}", "parameters": parameters})
        )

    def _rerun(self, earlier: str, task_id: str) -> None:
        self._mine.add(task_id)
        if earlier in self._imports:
            self._imports.add(task_id)
        self._spawn(self._send(self._again(earlier, task_id)))

    def _import(self, task_id: str, given: Mapping[str, Any]) -> None:
        """A raw block is decoded, a batch is checked: whatever the file's name says it is."""
        self._mine.add(task_id)
        self._imports.add(task_id)
        label = self._labels[task_id] = without_secrets(str(given.get("name") or ""))
        model = IMPORTS["block" if sample_kind_of(label) == "block" else "batch"]
        spent = given.get("spentOutputsURL") if model == IMPORTS["block"] else None
        task = {"taskId": task_id, "model": model, "input": label}
        parameters = {"spentOutputsURL": spent} if spent else {}
        url = given.get("inputDataURL")
        self._spawn(self._send({**task, "inputDataURL": url, "parameters": parameters}))


def sample_kind_of(name: str) -> str:
    """As of a sample; of an address, its path says it."""
    return sample_kind(PurePosixPath(urlsplit(name).path))


def _parted(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model as the node lists it, with the part that it has on this board."""
    name = str(model.get("name"))
    part = "question" if name.startswith(QUESTION) and not model.get("own") else ""
    if name in ABOUT_A_BATCH:
        part = "model"
    elif name in IMPORTS.values():
        part = "import"
    return {**model, "part": part}


def show_runes() -> RunesWidget:
    """Questions about the batches that the hub keeps. Shown again, the board that was there is
    replaced."""
    return show(RunesBoard)
