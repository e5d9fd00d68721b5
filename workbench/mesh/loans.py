"""GPU memory for attempts: asked for, held while the attempt lives, given back once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from workbench.core.ledger_nouns import Claim, Lease
from workbench.core.sentence import Sentence
from workbench.core.task_nouns import Event, LendRefused, LendWaits, Lent, Task
from workbench.errors import WorkbenchError

NO_LENDER = (
    "{name} needs {need_mb} MB of a GPU's memory, and this node lends none: "
    "run it on a hub with a GPU"
)
BROKEN = "no GPU memory could be lent: {reason}"
DEVICE = "cuda:0"
"""PyTorch calls an AMD GPU so, too; the process sees only the one that was lent."""

log = logging.getLogger("workbench.mesh")


class Lender(Protocol):
    """Lends GPU memory. Cancelling `acquire` leaves nothing borrowed."""

    async def acquire(self, claim: Claim, waiting: Callable[[Sentence], None]) -> Lease: ...
    def release(self, claim_id: str) -> None: ...
    def touch(self, claim_id: str) -> None: ...


class NoLender:
    """A node that has no GPU to lend: every asker is refused."""

    async def acquire(self, claim: Claim, waiting: Callable[[Sentence], None]) -> Lease:
        raise WorkbenchError(NO_LENDER, name=claim.name, need_mb=claim.memory_mb)

    def release(self, claim_id: str) -> None:
        """Nothing was lent."""

    def touch(self, claim_id: str) -> None:
        """Nothing was lent."""


class Loans:
    """What the attempts of one node asked for and got. Each answer is told to the book."""

    def __init__(
        self,
        tell: Callable[[Event], None],
        lender: Lender | None,
        needs: Callable[[str, str], bool],
    ) -> None:
        """`needs` says whether a version of a model waits for its GPU; one that does not gets
        what is free at once, or none."""
        self._tell, self._lender, self._needs = tell, lender or NoLender(), needs
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._held: dict[str, Lease] = {}
        self._chores: set[asyncio.Task[None]] = set()

    def borrow(self, task: Task, attempt: int) -> None:
        """Begin to ask; Lent or LendRefused follows, LendWaits as often as the reason changes."""
        chore = asyncio.create_task(self._ask(task, attempt))
        self._asking[key_of(task.task_id, attempt)] = chore
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)

    def give_back(self, task_id: str, attempt: int) -> None:
        """Ask no more, or hand back what was lent; nothing where there is neither."""
        key = key_of(task_id, attempt)
        asking = self._asking.pop(key, None)
        if asking is not None:
            asking.cancel()
        elif self._held.pop(key, None) is not None:
            self._lender.release(key)

    def of(self, task_id: str, attempt: int) -> Lease | None:
        """What the attempt holds."""
        return self._held.get(key_of(task_id, attempt))

    def touch(self) -> None:
        """An attempt that holds a GPU uses it, however quiet it is."""
        for key in self._held:
            self._lender.touch(key)

    async def close(self) -> None:
        """Ask no more and give everything back, telling nobody."""
        chores = list(self._chores)
        for chore in chores:
            chore.cancel()
        if chores:
            await asyncio.wait(chores)
        held, self._held = self._held, {}
        for key in held:
            self._lender.release(key)

    async def _ask(self, task: Task, attempt: int) -> None:
        task_id, key = task.task_id, key_of(task.task_id, attempt)
        needs = self._needs(task.model, task.model_version)
        without = Lent(task_id, attempt, None)
        try:
            lease = await self._acquire(task, attempt, key, waits=needs)
        except WorkbenchError as error:
            refused = LendRefused(task_id, attempt, error.template, error.values)
            event: Event = refused if needs else without
        except Exception as error:
            log.exception("mesh.lending_failed task=%s", task_id)
            values = {"reason": f"{type(error).__name__}: {error}"}
            event = LendRefused(task_id, attempt, BROKEN, values) if needs else without
        else:
            self._held[key] = lease
            event = Lent(task_id, attempt, lease.gpu_id)
        self._asking.pop(key, None)
        self._tell(event)

    async def _acquire(self, task: Task, attempt: int, key: str, *, waits: bool) -> Lease:
        name, need_mb = f"{task.model} ({task.task_id})", task.gpu_memory_mb or 0
        claim = Claim(claim_id=key, kind="task", name=name, memory_mb=need_mb, waits=waits)

        def waiting(reason: Sentence) -> None:
            if key in self._asking:
                self._tell(LendWaits(task.task_id, attempt, reason.template, reason.values))

        return await self._lender.acquire(claim, waiting)


def key_of(task_id: str, attempt: int) -> str:
    """The key of an attempt's job, and the id of its claim."""
    return f"{task_id}.{attempt}"


def placed(lease: Lease | None) -> dict[str, Any]:
    """The fields of a Job that say where it runs. A GPU without a UUID is named by its number."""
    if lease is None:
        return {}
    gpu = lease.uuid or lease.gpu_id.rpartition("/")[2]
    return {"device": DEVICE, "gpu": gpu, "vendor": lease.vendor, "worker": lease.worker}
