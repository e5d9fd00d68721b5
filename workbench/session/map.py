"""`workbench.map`: one model over many batches, as one thing to watch, run again and collect."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from workbench.clients.events import Handler
from workbench.core import markup
from workbench.core.mesh_record import TERMINAL
from workbench.core.sentence import Sentence, Speech, spoken
from workbench.errors import InputError, TaskError, WorkbenchError
from workbench.runtime import Runtime
from workbench.session.live import displayed
from workbench.session.run import Host, Run, RunResult

if TYPE_CHECKING:
    import pandas

SENDING = 8
"""Tasks that are on their way to the hub at a time: uploads, mostly."""
AT_ONCE = 500
"""Tasks of one map that the hub holds at a time. What it holds outlives this kernel."""
SHOWN_FAILURES = 100
WORK = "map"
UNSENT = "batch {batch} could not be sent: {reason}"

_OTHERS = {
    "failed": "{failed} failed",
    "cancelled": "{cancelled} cancelled",
    "running": "{running} running",
    "waiting": "{waiting} waiting",
}
"""What else there may be beside the done ones."""

ENDED = TERMINAL | {"refused"}
FAILED = ENDED - {"done", "cancelled"}


class Part(msgspec.Struct, kw_only=True):
    """One batch of a map, and the task that it became."""

    number: int
    batch: str
    """How a person recognises it."""
    given: Any = None
    task_id: str = ""
    state: str = "waiting"
    error: WorkbenchError | None = None

    @property
    def over(self) -> bool:
        return self.state in ENDED

    @property
    def unsuccessful(self) -> bool:
        """Whether it ended otherwise than done."""
        return self.over and self.state != "done"

    @property
    def shown_state(self) -> str:
        """What was not even taken has failed, for whoever looks at it."""
        return "failed" if self.state == "refused" else self.state


class Client(Protocol):
    """The mesh client, as far as a map needs it."""

    def on(self, event: str, handler: Handler) -> Callable[[], None]: ...
    async def result(self, task_id: str, timeout_s: float | None = None) -> Any: ...
    async def cancel_task(self, task_id: str) -> bool: ...


class Bench(Host, Protocol):
    """The workbench, as far as a map needs it."""

    @property
    def runtime(self) -> Runtime: ...


Send = Callable[[Any], Coroutine[Any, Any, str]]
"""Sends one batch; gives the task's id once the hub has made it durable."""


class Runs(Sequence[Run]):
    """The tasks of one `map`, in the order of their batches. They go on when this kernel ends,
    as far as they had been sent: `workbench.runs(ids)` finds them again.
    """

    def __init__(self, bench: Bench, title: str, parts: Iterable[Part], send: Send | None) -> None:
        self.title = title
        self._bench, self._send = bench, send
        self._parts = list(parts)
        self._by_id: dict[str, Part] = {}
        self._watchers: list[Callable[[], None]] = []
        self._over = threading.Event()
        self._began = time.time()
        self._ended: float | None = None
        self._begin(self._parts)

    # What a person asks

    @property
    def ids(self) -> list[str]:
        """The ids of the tasks that have been sent, by which another kernel finds them."""
        return [part.task_id for part in self._parts if part.task_id]

    @property
    def counts(self) -> dict[str, int]:
        """`total`, `done`, `failed`, `cancelled`, `running`, `waiting`."""
        found = Counter(map(_kind, self._parts))
        kinds = ("done", "failed", "cancelled", "running", "waiting")
        return {"total": len(self._parts), **{kind: found[kind] for kind in kinds}}

    @property
    def failures(self) -> list[dict[str, Any]]:
        """`[{number, batch, taskId, state, error}]` of what ended otherwise than done."""
        return [
            {
                "number": part.number,
                "batch": part.batch,
                "taskId": part.task_id,
                "state": part.shown_state,
                "error": str(part.error or ""),
            }
            for part in self._parts
            if part.unsuccessful
        ]

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until all have ended; False when the time was over before. Ctrl-C ends the
        waiting and no task."""
        return self._over.wait(timeout_s)

    @property
    def results(self) -> list[RunResult | None]:
        """Each batch's result, once all have ended; None where there is none."""
        self.wait()
        return [
            self[at].result() if part.state == "done" else None
            for at, part in enumerate(self._parts)
        ]

    @property
    def values(self) -> list[Any]:
        """What each returned, as `Run.value`; None where it has none."""
        return [None if found is None else found.value for found in self.results]

    @property
    def frame(self) -> pandas.DataFrame:
        """The frames of all that are done, one below the other; the first column `batch` says
        which is whose. Waits for the end. Raises InputError where none wrote a table."""
        import pandas

        found = zip(self._parts, self.results, strict=True)
        frames = {part.number: (part.batch, each.frame) for part, each in found if each is not None}
        if not frames:
            raise InputError("no task of this map is done: its failures say why")
        for batch, frame in frames.values():
            frame.insert(0, "batch", batch, allow_duplicates=True)
        return pandas.concat([frame for _, frame in frames.values()], ignore_index=True)

    def again(self) -> Runs:
        """Run once more what failed or was cancelled, as new tasks; the others stay as they are."""
        if self._send is None:
            raise InputError(
                "these tasks were found again by their ids, and their batches are not here: "
                "map them again"
            )
        parts = [part for part in self._parts if part.unsuccessful]
        for part in parts:
            part.task_id, part.state, part.error = "", "waiting", None
        if parts:
            self._begin(parts)
        return self

    def cancel(self) -> None:
        """Stop all that has not ended, and send nothing more."""
        self._bench.block_on(self.cancelled())

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [self[each] for each in range(*at.indices(len(self)))]
        part = self._parts[at]
        if not part.task_id:
            raise part.error or InputError("batch {batch} was not sent yet", batch=part.batch)
        return Run(self._bench, part.task_id)

    def __repr__(self) -> str:
        return f"Runs({self.title}: {self._words(Speech())})"

    def _repr_html_(self) -> str:
        counts = self.counts
        over = (counts["done"] + counts["failed"] + counts["cancelled"]) / max(1, counts["total"])
        speech = spoken()
        shown = [markup.heading(self.title, self._words(speech)), markup.bar(over, "")]
        if failures := self.failures[:SHOWN_FAILURES]:
            rows = [(e["number"], e["batch"], speech.say(e["state"]), e["error"]) for e in failures]
            shown.append(markup.table(speech.each("number", "batch", "state", "error"), rows))
        return "".join(shown)

    def _ipython_display_(self) -> None:
        from workbench.boards.map import show_map

        displayed(self, lambda: show_map(self))

    # What its card needs

    @property
    def began_ms(self) -> int:
        return round(self._began * 1000)

    @property
    def ended_ms(self) -> int | None:
        return None if self._ended is None else round(self._ended * 1000)

    @property
    def runtime(self) -> Runtime:
        return self._bench.runtime

    def parts(self) -> Iterator[Part]:
        """Each batch and how it stands."""
        return iter(self._parts)

    def watch(self, told: Callable[[], None]) -> None:
        """`told()` is called at each change, on the background thread."""
        self._watchers.append(told)

    async def cancelled(self) -> None:
        """Stop all that has not ended. On the background thread."""
        for part in self._parts:
            if part.task_id and not part.over:
                await self._mesh.cancel_task(part.task_id)
            elif not part.over:
                part.state = "cancelled"
        self._tell()

    # Inside: on the background thread

    @property
    def _mesh(self) -> Client:
        return self._bench.mesh

    def _begin(self, parts: Sequence[Part]) -> None:
        self._over.clear()
        self._ended = None
        self._bench.runtime.spawn(self._follow(list(parts)), WORK)

    async def _follow(self, parts: Sequence[Part]) -> None:
        """Send what was not sent, follow all to their ends."""
        leave = self._mesh.on("task_progress", self._progressed)
        sending, held = asyncio.Semaphore(SENDING), asyncio.Semaphore(AT_ONCE)
        self._by_id |= {part.task_id: part for part in parts if part.task_id}
        try:
            async with asyncio.TaskGroup() as group:
                for part in parts:
                    await held.acquire()
                    one = group.create_task(self._one(part, sending))
                    one.add_done_callback(lambda _: held.release())
        except BaseException:  # cut off, as by close(): whoever waits must not wait for ever
            self._over.set()
            raise
        finally:
            leave()
            if all(part.over for part in self._parts):
                self._ended = time.time()
                self._over.set()
            self._tell()

    async def _one(self, part: Part, sending: asyncio.Semaphore) -> None:
        try:
            if not part.task_id:
                async with sending:
                    if part.over:  # cancelled before its turn
                        return
                    assert self._send is not None  # noqa: S101  # only found tasks have none
                    part.task_id = await self._send(part.given)
                    self._by_id[part.task_id] = part
                if part.over:  # cancelled on its way
                    await self._mesh.cancel_task(part.task_id)
            await self._mesh.result(part.task_id)
            part.state = "done"
        except TaskError as error:
            part.state, part.error = error.outcome, error
        except WorkbenchError as error:
            part.state, part.error = "refused", error
        except Exception as error:  # one odd batch is its own failure, whatever it raises
            reason = str(error).partition("\n")[0] or type(error).__name__
            part.state = "refused"
            part.error = InputError(UNSENT, batch=part.batch, reason=reason)
        self._tell()

    def _progressed(self, data: Mapping[str, Any]) -> None:
        part = self._by_id.get(str(data.get("taskId")))
        state = "waiting" if data.get("state") == "queued" else "running"
        if part is not None and not part.over and part.state != state:
            part.state = state
            self._tell()

    def _tell(self) -> None:
        for told in self._watchers:
            told()

    def _words(self, speech: Speech) -> str:
        """How many are done, and how the others stand."""
        counts = self.counts
        done = Sentence("{done} of {total} done", counts)
        others = (Sentence(said, counts) for kind, said in _OTHERS.items() if counts[kind])
        return ", ".join(map(speech.say, (done, *others)))


def parts_of(batches: Iterable[Any] | Mapping[str, Any]) -> list[Part]:
    """Each batch with the name by which a person recognises it. A dictionary names them."""
    if isinstance(batches, str | bytes | Path) or not isinstance(batches, Iterable):
        raise InputError.field("batches", batches, "several batches: a list, or names and batches")
    named = batches.items() if isinstance(batches, Mapping) else map(_labelled, batches)
    parts = [
        Part(number=number, batch=str(name) or str(number), given=given)
        for number, (name, given) in enumerate(named)
    ]
    if not parts:
        raise InputError.field("batches", "none", "at least one")
    return parts


def _labelled(batch: Any) -> tuple[str, Any]:
    """A file by its name, an address as it is, all else by its place."""
    if isinstance(batch, Path) or (isinstance(batch, str) and "://" not in batch):
        return Path(batch).name, batch
    return (batch if isinstance(batch, str) else ""), batch


def _kind(part: Part) -> str:
    if part.state in FAILED:
        return "failed"
    return part.state if part.state in ("done", "cancelled", "running") else "waiting"
