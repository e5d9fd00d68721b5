"""The engine's part inside a Dask worker: the task that Dask sees, and what stands around it.

The functions here are the engine's whole vocabulary on a worker: `supervise` is submitted
as a task, `supervise_here` given to the threads of a worker in the hub's own process; `cancel`,
`grant`, `answer` and `close` are run on the workers beside it.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from dask.system import CPU_COUNT
from distributed import get_worker
from distributed.core import Status

from workbench.core.job import Cancelled, Done, Outcome
from workbench.engines.frames import News, Order
from workbench.engines.nursery import Nursery
from workbench.engines.supervisor import Supervision

WORKING = (Status.running, Status.paused, Status.closing_gracefully)
REMEMBERED = 1000  # cancelled keys that never ran here

Place = tuple[str, str]
"""The name of a machine, and what tells it from another of that name, where it is known."""
Report = tuple[Place, dict[int, str], Any]


class House:
    """One engine's processes and supervisions inside one Dask worker's process."""

    def __init__(self, threads: int) -> None:
        self.nursery = Nursery(threads)
        self._lock = threading.Lock()
        self._running: dict[str, Supervision] = {}
        self._cancelled: OrderedDict[str, None] = OrderedDict()

    @contextmanager
    def running(self, key: str, supervision: Supervision) -> Iterator[None]:
        """`key` can be cancelled from here on; one cancelled before starts cancelled."""
        with self._lock:
            self._running[key] = supervision
            if key in self._cancelled:
                supervision.cancel()
        try:
            yield
        finally:
            with self._lock:
                del self._running[key]

    def cancel(self, key: str) -> bool:
        """Whether `key` ran here. If not, it is refused should it still come."""
        with self._lock:
            running = self._running.get(key)
            self._cancelled[key] = None
            while len(self._cancelled) > REMEMBERED:
                self._cancelled.popitem(last=False)
        if running is not None:
            running.cancel()
        return running is not None

    def grant(self, key: str, batch: int) -> None:
        with self._lock:
            running = self._running.get(key)
        if running is not None:
            running.grant(batch)

    def answer(self, key: str, reply: bytes) -> None:
        with self._lock:
            running = self._running.get(key)
        if running is not None:
            running.answer(reply)

    def pids(self) -> dict[int, str]:
        """Each process at work, and the key of the job that it runs."""
        with self._lock:
            running = list(self._running.items())
        return {pid: key for key, each in running if (pid := each.pid) is not None}

    def close(self, limit_s: float) -> None:
        """Cancel what runs, wait for it, end every process."""
        with self._lock:
            everything = list(self._running.values())
        for running in everything:
            running.cancel()
        deadline = time.monotonic() + limit_s
        while self._running and time.monotonic() < deadline:
            time.sleep(0.005)
        self.nursery.close()


Word = dict[str, Any]
"""Of which job (`key`, `run`), by whom (`worker`, `life`), and what it says: `batch`, `events`."""

_houses: dict[str, House] = {}
_door = threading.Lock()


def house_of(name: str, worker: Any) -> House:
    """This process's part of the engine `name`; made when first asked for.

    Each task process gets its share of the cores, whatever Dask's nanny allows.
    """
    with _door:
        if name not in _houses:
            _houses[name] = House(max(1, CPU_COUNT // max(1, worker.state.nthreads)))
        return _houses[name]


def cancel(name: str, key: str, dask_worker: Any) -> bool:
    """Run on each worker by the engine: whether `key` runs here, and is now being ended."""
    return house_of(name, dask_worker).cancel(key)


def grant(name: str, key: str, batch: int) -> None:
    """Run on the task's worker by the engine: it has dealt with the events up to `batch`."""
    house = _houses.get(name)
    if house is not None:
        house.grant(key, batch)


def answer(name: str, key: str, reply: bytes) -> None:
    """Run on the task's worker by the engine: the frame that answers what the task asked."""
    house = _houses.get(name)
    if house is not None:
        house.answer(key, reply)


def pids(name: str) -> dict[int, str]:
    """Each process at work for the engine `name` in this process's houses, and its job's key."""
    house = _houses.get(name)
    return {} if house is None else house.pids()


async def report(name: str, function: Callable[[], Any] | None) -> Report:
    """Run on a worker by the engine: where it is, its processes, and what `function` returned."""
    value = None if function is None else await asyncio.to_thread(function)
    return here(), pids(name), value


def here() -> Place:
    """Which machine this process is on, as far as other processes can tell."""
    boot = Path("/proc/sys/kernel/random/boot_id")
    return socket.gethostname(), boot.read_text().strip() if boot.exists() else ""


async def close(name: str, limit_s: float = 3.0) -> None:
    """Run on each worker by the engine: end everything of it in this process."""
    with _door:
        house = _houses.pop(name, None)
    if house is not None:
        await asyncio.to_thread(house.close, limit_s)


def supervise(packed: bytes, files: dict[str, bytes] | None = None) -> tuple[int, Outcome]:
    """The task as Dask sees it: how many batches of events were sent, and the outcome.

    `files` are inputs that travelled here because this worker shares no disk with the hub.
    """
    worker = get_worker()
    order = msgspec.msgpack.decode(packed, type=Order)
    key = worker.get_current_task()

    def say(word: Word) -> None:
        worker.log_event(order.house, {**word, "events": msgspec.msgpack.encode(word["events"])})

    def wanted() -> bool:
        """False once Dask has let go of the task, or the worker of its scheduler."""
        task = worker.state.tasks.get(key)
        return task is not None and task.state == "executing" and worker.status in WORKING

    sent, outcome = _supervised(order, worker, files or {}, say, wanted)
    if isinstance(outcome, Done):  # a view does not travel
        tables = {name: bytes(table) for name, table in outcome.tables.items()}
        outcome = msgspec.structs.replace(outcome, tables=tables)
    return sent, outcome


def supervise_here(
    order: Order, worker: Any, say: Callable[[Word], None], decided: Callable[[], bool]
) -> Outcome:
    """The same for an engine in this very process, on one of its worker's threads. `say` hears
    every word before the outcome; what is `decided` before its turn is not begun."""

    def wanted() -> bool:
        return not decided() and worker.status in WORKING

    return _supervised(order, worker, {}, say, wanted)[1] if wanted() else Cancelled()


def _supervised(
    order: Order,
    worker: Any,
    files: dict[str, bytes],
    say: Callable[[Word], None],
    wanted: Callable[[], bool],
) -> tuple[int, Outcome]:
    house = house_of(order.house, worker)
    speaker = {
        "key": order.key,
        "run": order.run,
        "worker": worker.address,
        "life": uuid.uuid4().hex,
    }

    def post(number: int, events: list[News]) -> None:
        """Batch 0 says that a worker took the task, or still has it."""
        say({**speaker, "batch": number, "events": events})

    with job_folder(order.scratch or worker.local_directory) as folder:
        order = msgspec.structs.replace(
            order, scratch=str(folder), inputs=settle(order.inputs, files, folder)
        )
        supervision = Supervision(order, house.nursery, post, wanted)
        post(0, [])
        with house.running(order.key, supervision):
            outcome = supervision.run()
    return supervision.sent, outcome


@contextmanager
def job_folder(scratch: str) -> Iterator[Path]:
    """A folder of the task's own, gone with it."""
    Path(scratch).mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="task-", dir=scratch))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def settle(inputs: dict[str, str], files: dict[str, bytes], folder: Path) -> dict[str, str]:
    """Write the inputs that travelled into `folder`; the others stay where they are."""
    settled = dict(inputs)
    for number, (name, body) in enumerate(files.items()):
        target = folder / "inputs" / str(number) / Path(inputs[name]).name
        target.parent.mkdir(parents=True)
        target.write_bytes(body)
        settled[name] = str(target)
    return settled
