"""Who waits for a task of a mesh client: until it is accepted, or until it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from workbench.clients.faults import fault, sentence
from workbench.core.mesh_record import TaskRecord
from workbench.errors import LinkError, TaskError, WorkbenchError

Futures = dict[str, list[asyncio.Future[TaskRecord]]]
HEARD = frozenset({"task_accepted", "task_progress", "task_completed", "task_error"})
ENDS = frozenset({"task_completed", "task_error"})
NO_WORD = "no word about task {task} within {limit_s} s; it goes on at its node"
STILL = (
    "task {task} is still {state} after {limit_s} s of waiting, followed for {followed_s} s; it "
    "goes on: ask for its result again to wait longer, or cancel it"
)
STILL_AT = (
    "task {task} is still {state} ({percent} % done) after {limit_s} s of waiting, followed for "
    "{followed_s} s; it goes on: ask for its result again to wait longer, or cancel it"
)


class Waiting:
    """Waits by task id, ended by the client's events. What is waited for is the record as it
    was then: when the waiter's turn comes, the client may have forgotten the task. `known` gives
    what is known of one still waited for."""

    def __init__(self, known: Callable[[str], TaskRecord]) -> None:
        self._known = known
        self._accepts: Futures = {}
        self._ends: Futures = {}

    async def acceptance(self, task_id: str, timeout_s: float | None) -> TaskRecord:
        """Until a node has said anything of it. Raises LinkError when the time is spent."""
        return await self._within(timeout_s, self._accepts, task_id)

    async def end(self, task_id: str, timeout_s: float | None) -> TaskRecord:
        """Until it has ended. Raises LinkError when the time is spent."""
        return await self._within(timeout_s, self._ends, task_id)

    def tell(self, name: str, record: TaskRecord) -> None:
        """An event about a task."""
        if name in HEARD:
            _settle(self._accepts, record)
        if name in ENDS:
            _settle(self._ends, record)

    def of(self, task_id: str) -> bool:
        """Whether anybody waits for this task."""
        return task_id in self._accepts or task_id in self._ends

    async def _within(self, timeout_s: float | None, waiters: Futures, task_id: str) -> TaskRecord:
        future: asyncio.Future[TaskRecord] = asyncio.get_running_loop().create_future()
        waiters.setdefault(task_id, []).append(future)
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise overdue(self._known(task_id), timeout_s) from None
        finally:
            if waiters.get(task_id) and future in waiters[task_id]:
                waiters[task_id].remove(future)
                if not waiters[task_id]:
                    del waiters[task_id]


def failure(record: TaskRecord) -> WorkbenchError:
    """Why a task has no result: the node's refusal, or the way it ended."""
    message = {"template": record.template, "values": record.values, "error": record.error}
    if record.state == "refused":
        return fault({**message, "code": record.code, "cause": record.cause})
    template, values = sentence(message)
    return TaskError(template, outcome=record.state, **values)


def overdue(record: TaskRecord, limit_s: float | None) -> LinkError:
    """A task that had not ended, or not been accepted, when the waiting for it was over."""
    if record.state == "sent":
        return LinkError(NO_WORD, task=record.task_id, limit_s=limit_s)
    values = {
        "task": record.task_id,
        "state": record.state,
        "limit_s": limit_s,
        "followed_s": f"{record.elapsed_s:.1f}",
    }
    if record.progress is None:
        return LinkError(STILL, **values)
    return LinkError(STILL_AT, **values, percent=f"{record.progress:.0%}".removesuffix("%"))


def _settle(waiters: Futures, record: TaskRecord) -> None:
    for future in waiters.pop(record.task_id, ()):
        if not future.done():
            future.set_result(record)
