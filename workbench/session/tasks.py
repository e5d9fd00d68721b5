"""The workbench's calls about tasks: models sent, followed, found again, mapped over batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from workbench.clients.answer import QueryResult
from workbench.clients.hub import Parameters
from workbench.clients.inputs import Batch, Inputs
from workbench.clients.mesh import MeshClient
from workbench.clients.metrics import MetricsClient
from workbench.core import markup
from workbench.core.sentence import Sentence, spoken
from workbench.errors import InputError
from workbench.runtime import Runtime
from workbench.session.attaching import attach, caught_up
from workbench.session.batches import KeptBatch
from workbench.session.cells import definition_of_cell
from workbench.session.limits import limit_ms
from workbench.session.map import Part, Runs, parts_of
from workbench.session.own import Model, Named, check_batch, name_of, named, taken
from workbench.session.run import Run, RunResult

T = TypeVar("T")
_SAID = "SELECT coalesce(max(seq), 0) AS seq FROM task_logs WHERE task_id = $task"


class Models(list[dict[str, Any]]):
    """The models of a node, which draw themselves as a table."""

    def _repr_html_(self) -> str:
        speech = spoken()
        rows = [
            (each.get("name"), each.get("version"), speech.say(str(each.get("title") or "")))
            for each in self
        ]
        count = speech.say(Sentence("{count} models", {"count": len(rows)}))
        return markup.table(speech.each("name", "version", "title"), rows, count)


class Tasks(ABC):
    """What a workbench does with tasks. Every call blocks until it is answered."""

    mesh: MeshClient
    metering: MetricsClient
    _inputs: Inputs

    def submit(
        self,
        model: Model,
        batch: Batch | None = None,
        *,
        task_id: str | None = None,
        timeout_s: float | None = None,
        priority: int | None = None,
        use_cache: bool | None = None,
        **parameters: Any,
    ) -> Run:
        """Send a task and return once the hub has made it durable.

        `model` is a model's name, or a function with `@workbench.model` above it, which is sent
        by value to a hub that allows it. `batch` is a path, a URL, bytes, a dictionary or a data
        frame. A parameter that names a second input may be a path too. It is stopped after
        `timeout_s` seconds, at most 600, which is also the default. The task goes on when this
        kernel ends.
        """
        options = {"task_id": task_id, "timeout_ms": limit_ms(timeout_s), "priority": priority}
        options["use_cache"] = use_cache
        return Run(self, self.block_on(self._submit(model, batch, parameters, options)))

    def submit_cell(
        self,
        source: str,
        space: Mapping[str, Any],
        *,
        give: tuple[str, ...] = (),
        timeout_s: float | None = None,
    ) -> Run:
        """Send code to be run as `%%mesh` does: with the names of `space` that it uses.

        The run's value is that of the last expression, or the names in `give` as a dictionary.
        """
        options = {"timeout_ms": limit_ms(timeout_s), "use_cache": False}
        definition = definition_of_cell(source, space, give)

        async def send() -> str:
            await self._ready()
            kept = await self.mesh.define(definition)
            return await self._send(Named(kept.name, kept.version), None, {}, options)

        return Run(self, self.block_on(send()))

    def map(
        self,
        model: Model,
        batches: Iterable[Batch] | Mapping[str, Batch],
        *,
        timeout_s: float | None = None,
        priority: int | None = None,
        use_cache: bool | None = None,
        **parameters: Any,
    ) -> Runs:
        """One task for each batch, all with the same parameters; returns at once.

        Batches are as in `submit`; a dictionary names them. A first task that the hub refuses
        ends nothing: each failure is listed, and `.again()` runs them once more.
        """
        options = {"timeout_ms": limit_ms(timeout_s), "priority": priority, "use_cache": use_cache}
        parts = parts_of(batches)
        for part in parts:
            check_batch(model, part.batch)
        given = taken(model, parameters)
        known = self.block_on(self._named(model))

        async def send(batch: Batch) -> str:
            await self._ready()
            return await self._send(known, batch, given, options)

        return Runs(self, name_of(model), parts, send)

    def process_batch(
        self,
        batch_id: str | int,
        *,
        model: Model,
        parameters: Mapping[str, Any] | None = None,
        timeout_s: float | None = None,
    ) -> RunResult:
        """Run a model, or an own function, over the batch of that id, and wait for the result.

        The batch lies below the setting `batch_base_url`; without it, among the batches that
        this hub keeps. Raises InputError for an id that could lead elsewhere, TaskError when the
        task ended otherwise than done. Ctrl-C ends the waiting and not the task.
        """
        found = self.block_on(self._process_batch(batch_id, model, parameters, timeout_s))
        return RunResult(found if isinstance(found, dict) else {"data": found}, self.query)

    def run(self, task_id: str | None = None) -> Run:
        """A task sent earlier, by whatever kernel: followed from now on. Without an id the newest.

        Raises InputError for a task that the hub does not know.
        """
        found = self.block_on(self._newest()) if task_id is None else task_id
        self.block_on(self._attach(found))
        [said] = self.query(_SAID, {"task": found}, fresh=True).rows()
        self.block_on(caught_up(self.mesh, found, said["seq"]))
        return Run(self, found)

    def runs(self, ids: Iterable[str]) -> Runs:
        """The tasks of an earlier `map` by their ids (`runs.ids`), followed from now on."""
        if isinstance(ids, str) or not isinstance(ids, Iterable):
            raise InputError.field("ids", ids, "several tasks' ids, as runs.ids gives them")
        wanted = list(ids)
        if not wanted:
            raise InputError.field("ids", "none", "at least one task's id")
        for task_id in wanted:
            self.block_on(self._attach(task_id))
        parts = [Part(number=n, batch=each[:12], task_id=each) for n, each in enumerate(wanted)]
        return Runs(self, "tasks found again", parts, None)

    def batch(self, alias: str) -> KeptBatch:
        """A batch that the hub keeps, for the questions of `workbench.runes`.

        Raises InputError where it keeps none of that name.
        """
        kept = KeptBatch(self, alias)
        kept.evidence()
        return kept

    def tasks(self, limit: int = 100) -> QueryResult:
        """The newest tasks of this hub, as it remembers them."""
        sql = "SELECT * FROM task_history ORDER BY submitted_at DESC LIMIT $count"
        return self.query(sql, {"count": limit}, fresh=True)

    def models(self) -> Models:
        """The models that this hub runs, each with the JSON Schema of its parameters."""
        return self.block_on(self._models())

    # On the background thread

    async def _named(self, model: Model) -> Named:
        await self._ready()
        return await named(self.mesh, model)

    async def _submit(
        self,
        model: Model,
        batch: Batch | None,
        parameters: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> str:
        check_batch(model, batch)
        given = taken(model, parameters)
        known = await self._named(model)
        return await self._send(known, batch, given, options)

    async def _send(
        self,
        known: Named,
        batch: Batch | None,
        parameters: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> str:
        """The task's id once the hub has made it durable."""
        given = await self._inputs.parameters(known.name, parameters)
        url, inline = (None, None) if batch is None else await self._inputs.batch(batch)
        task_id = await self.mesh.send_task(
            known.name,
            url,
            given,
            input_data=inline,
            task_id=options.get("task_id"),
            timeout_ms=options.get("timeout_ms"),
            priority=options.get("priority"),
            use_cache=options.get("use_cache"),
            model_version=known.version,
        )
        await self.mesh.accepted(task_id)
        return task_id

    async def _process_batch(
        self,
        batch_id: str | int,
        model: Model,
        parameters: Mapping[str, Any] | None,
        timeout_s: float | None,
    ) -> Any:
        given = taken(model, parameters or {})
        known = await self._named(model)
        return await self.mesh.process_batch(
            batch_id,
            model=known.name,
            parameters=await self._inputs.parameters(known.name, given),
            timeout_s=timeout_s,
            model_version=known.version,
        )

    async def _attach(self, task_id: str) -> None:
        await self._ready()
        await attach(self.mesh, task_id)

    async def _newest(self) -> str:
        await self._ready()
        rows = await self.mesh.tasks(limit=1)
        if not rows:
            raise InputError("this hub has no task yet: bench.submit(model, ...) sends one")
        return str(rows[0]["taskId"])

    async def _models(self) -> Models:
        await self._ready()
        return Models(await self.mesh.models())

    # What the workbench itself says

    @property
    @abstractmethod
    def runtime(self) -> Runtime:
        """The background thread."""

    @abstractmethod
    def query(
        self, sql: str, params: Parameters | None = None, *, fresh: bool = False
    ) -> QueryResult:
        """A read-only question in SQL."""

    @abstractmethod
    def block_on(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the background thread and wait for it."""

    @abstractmethod
    async def _ready(self) -> None:
        """Both clients connected."""
