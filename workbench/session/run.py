"""One task as a notebook holds it: its state, its logs, its result; it draws itself."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from workbench.clients.answer import QueryResult
from workbench.clients.faults import sentence
from workbench.clients.hub import Parameters
from workbench.clients.mesh import MeshClient
from workbench.core import markup
from workbench.core.figure import Figure
from workbench.core.mesh_record import TaskRecord
from workbench.core.sentence import Sentence, spoken
from workbench.errors import InputError, LinkError, StoreError, TaskError
from workbench.runtime import Runtime
from workbench.session import drawing, snapshots
from workbench.session.live import displayed
from workbench.session.returned import NO_TABLES, VALUE, frame_of, returned, select_all
from workbench.session.run_metrics import Metered, RunMetrics, run_metrics

if TYPE_CHECKING:
    import pandas

    from workbench.session.workbench import Workbench

T = TypeVar("T")

SHOWN_LOGS = 10
_TIMES = (
    "SELECT epoch_ms(submitted_at) AS sent_ms, epoch_ms(finished_at) AS ended_ms "
    "FROM task_history WHERE task_id = $task"
)
QUIET_S = 10.0


class Host(Metered, Protocol):
    """The workbench, as far as a run needs it."""

    mesh: MeshClient

    @property
    def runtime(self) -> Runtime: ...
    def query(
        self, sql: str, params: Parameters | None = None, *, fresh: bool = False
    ) -> QueryResult: ...
    def block_on(self, coroutine: Coroutine[Any, Any, T]) -> T: ...


class RunResult(dict[str, Any]):
    """The result of a task, keys as on the wire: `data`, `tables`, `figures`, `alias`, ...

    As the last line of a cell it is drawn; `query` is what its tables' rows are asked with.
    """

    def __init__(
        self, found: Mapping[str, Any], query: Callable[[str], QueryResult] | None = None
    ) -> None:
        super().__init__(found)
        self._query = query

    def __reduce__(self) -> tuple[type[RunResult], tuple[dict[str, Any]]]:
        return RunResult, (dict(self),)  # a copy in a file or another process has no hub

    @property
    def data(self) -> Any:
        return self.get("data")

    @property
    def figures(self) -> list[Figure]:
        return [Figure(each) for each in self.get("figures") or ()]

    @property
    def table_names(self) -> list[str]:
        return list(self.get("tables") or {})

    @property
    def value(self) -> Any:
        """See `Run.value`."""
        return returned(self, self._query)

    def check_kept(self) -> None:
        """Raises StoreError where its rows were removed by age."""
        removed = self.get("removed")
        if removed:
            raise StoreError(removed["template"], **removed["values"])

    @property
    def frame(self) -> pandas.DataFrame:
        """See `Run.frame`. Raises InputError where it wrote no table."""
        self.check_kept()
        names = self.table_names
        if not names and hasattr(
            self.value, "columns"
        ):  # a table without columns is kept as a mark
            return cast("pandas.DataFrame", self.value)
        if not names:
            raise InputError.field("table", VALUE, NO_TABLES)
        return frame_of(self, VALUE if VALUE in names else names[0], self._query)

    def __repr__(self) -> str:
        return drawing.summary(self)

    def _repr_html_(self) -> str:
        from workbench.boards.results import drawn  # brings the widgets, which no shell needs

        return drawing.html(self, drawn(self, self._query))

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return markup.bundle(self, lasting=drawing.summary(self, timed=False))

    def _ipython_display_(self) -> None:
        _display(self._repr_mimebundle_(), self.figures)


class Run:
    """A task that a hub has accepted. It goes on whether or not anybody holds this."""

    def __init__(self, host: Host, task_id: str) -> None:
        self.task_id = task_id
        self._host = host

    @property
    def state(self) -> str:
        """`queued`, `fetching`, `running`, `cancelling`, `done`, or how else it ended."""
        return self._record().state

    @property
    def progress(self) -> float | None:
        """Finished units over all, from 0 to 1; None before the first word of it."""
        return self._record().progress

    @property
    def elapsed_s(self) -> float:
        """Seconds since it was sent, until it ended."""
        record = self._record()
        return record.elapsed_s if record.submitted_at else self._elapsed_by_hub()

    @property
    def error(self) -> str | None:
        """Why it has no result, when it has none."""
        return self._record().error

    def logs(self) -> list[str]:
        """The lines of its log so far."""
        return list(self._lines())

    def result(self, timeout_s: float | None = None) -> RunResult:
        """Wait for the end. Raises TaskError when the task ended otherwise than done.

        Ctrl-C, and the time limit with a LinkError, end the waiting and not the task.
        """
        found = self._host.block_on(self._host.mesh.result(self.task_id, timeout_s))
        result = self._result(found)
        record = self._host.block_on(_task(self._host.mesh, self.task_id))
        if record is not None:
            snapshots.note(record, result)
        return result

    def when_done(self, told: Callable[[Any], None]) -> Future[None]:
        """`told(value)` is called once it is done, on the background thread; never otherwise."""
        return self._host.runtime.spawn(self._tell_value(told), "run")

    async def _tell_value(self, told: Callable[[Any], None]) -> None:
        with contextlib.suppress(TaskError):
            found = await self._host.mesh.result(self.task_id)
            told(await asyncio.to_thread(lambda: self._result(found).value))

    def metrics(self) -> RunMetrics:
        """What it used so far, or used: GPU memory, energy, cost; None where nobody knows."""
        return self._host.block_on(run_metrics(self._host, task_id=self.task_id))

    def cancel(self) -> bool:
        """Stop the work itself; False when it had ended already."""
        return self._host.block_on(self._host.mesh.cancel_task(self.task_id))

    def table(self, name: str) -> QueryResult:
        """One of the tables that the task wrote; waits for the end."""
        result = self.result()
        result.check_kept()
        if name not in result.table_names:
            raise InputError.field("table", name, ", ".join(result.table_names) or NO_TABLES)
        return self._host.query(select_all(result["alias"], name))

    @property
    def value(self) -> Any:
        """What an own function or a cell returned, once it has: plain data, a data frame for a
        table, and both by name where it returned several. For any other model its `data`.
        """
        return self.result().value

    @property
    def frame(self) -> pandas.DataFrame:
        """The table that it returned, else the first that it wrote, once it has ended."""
        return self.result().frame

    @property
    def figures(self) -> list[Figure]:
        """The figures of the result; none before the end."""
        return self._result(self._record().result).figures

    def __repr__(self) -> str:
        return f"Run({self.task_id!r}, {self._record().state})"

    def _repr_html_(self) -> str:
        record, speech = self._record(), spoken()
        about = f"{speech.say(record.state)}, {speech.digits(f'{self.elapsed_s:.1f}')} s"
        parts = [markup.heading(record.model or speech.say("task"), about)]
        parts += self._drawn_state(record)
        if record.state == "done":
            parts.append(self._result(record.result)._repr_html_())
        lines = list(self._lines())
        if lines:
            parts.append(markup.block("\n".join(lines[-SHOWN_LOGS:])))
        return "".join(parts)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return markup.bundle(self, lasting="")

    def _ipython_display_(self) -> None:
        """Live in a notebook; elsewhere as it is now, and below it each of its figures."""
        from workbench.boards.run import show_run  # brings the widgets, which no shell needs

        displayed(self, lambda: show_run(cast("Workbench", self._host), self.task_id), self.figures)

    def _result(self, found: Any) -> RunResult:
        return RunResult(found if isinstance(found, dict) else {"data": found}, self._host.query)

    def _drawn_state(self, record: TaskRecord) -> list[str]:
        speech = spoken()
        if record.error:
            template, values = sentence(
                {"template": record.template, "values": record.values, "error": record.error}
            )
            return [markup.note(f"{record.code}: {speech.say(Sentence(template, values))}")]
        if not record.pending:
            return []
        drawn = [markup.bar(record.progress, speech.say(record.status_text or record.state))]
        if record.silent_s > QUIET_S:
            silent = Sentence("no news for {seconds} s", {"seconds": f"{record.silent_s:.0f}"})
            drawn.append(markup.note(speech.say(silent)))
        return drawn

    def _lines(self) -> Iterator[str]:
        for each in self._host.block_on(_logs(self._host.mesh, self.task_id)):
            yield f"{each.get('level') or 'info'}: {each.get('content') or ''}"

    def _elapsed_by_hub(self) -> float:
        """Of a task that another kernel sent: this one only knows since when it follows it."""
        [times] = self._host.query(_TIMES, {"task": self.task_id}, fresh=True).rows()
        ended = times["ended_ms"] or time.time() * 1000
        return max(0.0, float(ended - times["sent_ms"]) / 1000)

    def _record(self) -> TaskRecord:
        record = self._host.block_on(_task(self._host.mesh, self.task_id))
        if record is None:
            raise LinkError(
                "this kernel no longer follows task {task}: workbench.run('{task}') does again",
                task=self.task_id,
            )
        return record


async def _task(mesh: MeshClient, task_id: str) -> TaskRecord | None:
    return mesh.get_task(task_id)


async def _logs(mesh: MeshClient, task_id: str) -> list[dict[str, Any]]:
    return mesh.get_task_logs(task_id)


def _display(bundle: dict[str, str], figures: Sequence[Figure]) -> None:
    """One output of a cell, and below it each figure."""
    from IPython.display import display

    display(bundle, raw=True)  # type: ignore[no-untyped-call]
    for figure in figures:
        display(figure)  # type: ignore[no-untyped-call]
