"""The engine: runs one attempt at a task on Dask, watches it, and ends it when told to.

Dask places and queues; a supervisor in the worker's thread (engines/supervisor.py) ends
what Dask cannot. Everything here happens on the event loop that called `start`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
import uuid
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from distributed import CancelledError, KilledWorker

from workbench.core.job import Begun, Cancelled, Event, Failed, Job, Lost, Outcome, WorkerReport
from workbench.engines import house
from workbench.engines.answering import Write
from workbench.engines.cluster import (
    CONNECT_S,
    Cluster,
    check_address,
    default_slots,
    open_embedded,
    open_remote,
)
from workbench.engines.flight import Flight
from workbench.engines.frames import News, Order, Question, pack
from workbench.engines.reports import Reports
from workbench.engines.supervisor import WINDOW

LOOK_S = 1.0  # how often the cluster is looked at
GONE_S = 10.0  # how long a cancelled task may take to be gone before it counts as lost
EVENTS_S = 5.0  # how long events may lag behind their outcome
CLOSE_S = 1.0  # for each part of the cluster
BEATS = 6  # so many missed, and the worker counts as lost
ANSWER_S = 60.0  # how long a task waits for a language model
LEASE_S = 10.0  # a process is ended so long after its worker froze: before it counts as lost
NO_WORKER = (
    "GPU {gpu} is the hub's own, and tasks run on the Dask cluster: start a worker of it on the "
    "hub's machine"
)
WORKER_STOPPED = "the hub's own Dask worker stopped"
WORKER_GONE = "the Dask worker beside its GPU went away"

log = logging.getLogger(__name__)
T = TypeVar("T")
_batch = msgspec.msgpack.Decoder(list[News])


def _on_loop(
    loop: asyncio.AbstractEventLoop, hear: Callable[[house.Word], None], word: house.Word
) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody hears any more
        loop.call_soon_threadsafe(hear, word)


class DaskEngine:
    """Runs jobs on an embedded Dask, or on the cluster at `address`.

    `slots` counts for the embedded one (default: cores - 1); a cluster has as many as its
    workers have threads. `scratch` is the engine's own folder. `closed` is set when the
    cluster is gone for good: `restart` brings it back.
    """

    def __init__(
        self,
        *,
        address: str | None = None,
        slots: int | None = None,
        scratch: Path,
        heartbeat_s: float = 5.0,
        lease_s: float = LEASE_S,
        connect_s: float = CONNECT_S,
    ) -> None:
        self._address = None if address is None else check_address(address)
        self._wanted_slots = slots or default_slots()
        self._scratch, self._beat_s, self._connect_s = scratch, heartbeat_s, connect_s
        self.lingers_s = 0.0 if address is None else lease_s
        """How long what an earlier life of the hub began may run on, on a worker that is frozen."""
        self._name = ""
        self._cluster: Cluster | None = None
        self._threads: dict[str, int] = {}
        self._reports = Reports("")
        self._flights: dict[str, Flight] = {}
        self._chores: set[asyncio.Task[Any]] = set()
        self.closed = asyncio.Event()
        self.write: Write | None = None
        """What answers the questions of tasks to a language model; None: nothing does."""
        self.answer_s = ANSWER_S

    @property
    def slots(self) -> int:
        """How many jobs run at once, at this moment; 0 while there is no worker."""
        return sum(self._threads.values())

    def pids(self) -> dict[tuple[str, int], str]:
        """The processes at work: (machine, empty for this one; pid) -> the key of the job.

        Those of a cluster elsewhere are as the newest `on_workers` found them.
        """
        if self._address is None:
            return {("", pid): key for pid, key in house.pids(self._name).items()}
        return dict(self._reports.pids)

    async def on_workers(self, function: Callable[[], Any]) -> list[WorkerReport]:
        """What `function` returns in one worker process of each machine of a cluster elsewhere.

        It travels by its name, so that the package is needed there; it gets 2 s. Embedded: none.
        """
        if self._address is None or self._cluster is None:
            return []
        return await self._reports.ask(self._cluster.client, self._threads, function)

    async def start(self) -> None:
        """Open the cluster. Raises LinkError when one elsewhere does not answer."""
        self._name = f"workbench-{uuid.uuid4().hex[:12]}"
        if self._address is None:
            await asyncio.to_thread(self._tidy)
            cluster = await open_embedded(self._wanted_slots, str(self._scratch / "dask"))
        else:
            cluster = await open_remote(self._address, self._connect_s)
        self._cluster, self._reports = cluster, Reports(self._name)
        self.closed.clear()
        if not cluster.embedded:
            cluster.client.subscribe_topic(self._name, self._heard)
        await self._look(cluster)
        self._spawn(self._keep_looking(cluster))

    def _tidy(self) -> None:
        """Remove what a killed hub left in the engine's folder."""
        self._scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
        for stale in (*self._scratch.glob("task-*"), self._scratch / "dask"):
            shutil.rmtree(stale, ignore_errors=True)

    async def stop(self) -> None:
        """End every job (as lost) and every process, then the cluster. Takes at most 5 s."""
        flights = list(self._flights.values())
        for flight in flights:
            flight.decide(Lost("the engine was stopped"))
        cluster, self._cluster, self._threads = self._cluster, None, {}
        if cluster is not None and cluster.embedded:
            await house.close(self._name)
        elif cluster is not None:
            with suppress(Exception):  # a cluster that is gone has ended its processes itself
                async with asyncio.timeout(3.5):
                    await cluster.client.run(house.close, self._name, on_error="ignore")
        for flight in flights:
            flight.doomed.set()
            await flight.over.wait()
        for chore in list(self._chores):
            chore.cancel()
        if cluster is not None:
            await cluster.close(CLOSE_S)

    async def restart(self) -> None:
        """Close what is left of the cluster and open it again. Jobs under way are lost."""
        await self.stop()
        await self.start()

    async def run(self, job: Job, on_event: Callable[[Event], None]) -> Outcome:
        """Run one job to its end. Its events come first, in order; no task fault is raised.

        Cancelling the coroutine cancels the job and returns when its process is gone.
        """
        if job.key in self._flights:
            raise ValueError(f"{job.key} is running already")
        flight = self._flights[job.key] = Flight(job, on_event)
        flying = self._spawn(self._fly(flight))
        try:
            return await asyncio.shield(flying)
        except asyncio.CancelledError:
            await self.cancel(job.key)
            raise

    async def cancel(self, key: str) -> None:
        """End a job, and return when its process is gone. An unknown key is over already."""
        flight = self._flights.get(key)
        if flight is None:
            return
        flight.decide(Cancelled())
        try:
            async with asyncio.timeout(GONE_S):
                if await self._tell_workers(key):
                    await flight.over.wait()
        except (TimeoutError, OSError):
            log.warning("engine.cancel_unconfirmed", extra={"key": key})
        flight.doomed.set()
        await flight.over.wait()

    async def _tell_workers(self, key: str) -> bool:
        """Cancel `key` wherever it runs or may yet start; whether any worker has it now."""
        if self._cluster is None:
            return False
        found = await self._cluster.client.run(house.cancel, self._name, key, on_error="ignore")
        return any(found.values())

    async def _fly(self, flight: Flight) -> Outcome:
        try:
            outcome = await self._outcome(flight)
        finally:
            del self._flights[flight.job.key]
            flight.questions.stop()
            flight.over.set()
        return flight.verdict or flight.questions.signed(outcome)

    async def _outcome(self, flight: Flight) -> Outcome:
        if self._cluster is None:
            return Lost("the engine is not running")
        if self._address is not None and flight.job.gpu is not None and not flight.job.worker:
            return Failed(template=NO_WORKER, values={"gpu": flight.job.gpu})
        if self._cluster.worker is not None:
            landing = self._spawn(self._run_here(flight, self._cluster.worker))
            return await self._landed(flight, landing, landing.cancel)
        client = self._cluster.client
        try:
            files = await self._load(client, flight.job)
        except OSError as error:
            return Lost(f"an input could not be handed over: {error}")
        if flight.verdict is not None:
            return flight.verdict
        future = client.submit(
            house.supervise,
            msgspec.msgpack.encode(self._order(flight)),
            files,
            # One prefix for all: Dask keeps statistics for each prefix it ever saw.
            key=("mesh-task", flight.job.key),
            pure=False,
            workers=[flight.job.worker] if flight.job.worker else None,
        )
        # Never cancelled: Dask gathers the results of several jobs in one task, for all of them.
        landing = self._spawn(self._land(flight, future))
        return await self._landed(flight, landing, future.release)

    async def _landed(
        self, flight: Flight, landing: asyncio.Task[Outcome], let_go: Callable[[], object]
    ) -> Outcome:
        """The outcome, or none where it is decided before that how it will have ended."""
        doomed = asyncio.ensure_future(flight.doomed.wait())
        try:
            await asyncio.wait({landing, doomed}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            doomed.cancel()
            let_go()
        landed = landing.done() and not landing.cancelled()
        return landing.result() if landed else Cancelled()

    async def _run_here(self, flight: Flight, worker: Any) -> Outcome:
        """On a thread of the worker in this process. The node gives no more jobs than there are
        threads, so the scheduler would have nothing to decide: its way takes 7 ms of CPU time."""
        say = partial(_on_loop, asyncio.get_running_loop(), self._hear)
        threads = worker.executors["default"]
        try:
            outcome: Outcome = await asyncio.wrap_future(
                threads.submit(
                    house.supervise_here,
                    *(self._order(flight), worker, say, lambda: flight.verdict is not None),
                )
            )
        except Exception as error:
            return Lost(f"the task could not be run: {type(error).__name__}: {error}"[:1000])
        # Who cancels decides before that how it ends: here the worker stopped by itself.
        return Lost(WORKER_STOPPED) if isinstance(outcome, Cancelled) else outcome

    async def _land(self, flight: Flight, future: Any) -> Outcome:
        """The outcome of a submitted job, once all its events were heard."""
        try:
            batches, outcome = await future
        except KilledWorker:
            return Lost("the Dask worker that ran the task died")
        except CancelledError:
            return Lost("the Dask scheduler went away, or dropped the task")
        except Exception as error:
            return Lost(f"Dask could not run the task: {type(error).__name__}: {error}"[:1000])
        with suppress(TimeoutError):
            async with asyncio.timeout(EVENTS_S):
                while flight.seen < batches:
                    flight.news.clear()
                    await flight.news.wait()
        return outcome  # type: ignore[no-any-return]

    def _order(self, flight: Flight) -> Order:
        job = flight.job
        return Order(
            key=job.key,
            target=job.target,
            parameters=json.dumps(job.parameters).encode(),
            inputs=job.inputs,
            timeout_s=job.timeout_s,
            seed=job.seed,
            rune_limit=job.rune_limit,
            device=job.device,
            gpu=job.gpu,
            vendor=job.vendor,
            house=self._name,
            run=flight.run,
            scratch=str(self._scratch.absolute()) if self._address is None else "",
            beat_s=self._beat_s,
            lease_s=self.lingers_s,
            answer_s=self.answer_s,
        )

    async def _load(self, client: Any, job: Job) -> dict[str, Any] | None:
        """Inputs on their way to a cluster that shares no disk with us; None if embedded.

        As a list: of a dictionary Dask takes the names for its own keys, and every task has a
        `batch`.
        """
        if self._address is None or not job.inputs:
            return None
        bodies = [await asyncio.to_thread(Path(path).read_bytes) for path in job.inputs.values()]
        return dict(zip(job.inputs, await client.scatter(bodies, hash=False), strict=True))

    def _heard(self, event: tuple[float, house.Word]) -> None:
        """One batch of events that came through Dask."""
        word = event[1]
        self._hear({**word, "events": _batch.decode(word["events"])})

    def _hear(self, message: house.Word) -> None:
        flight = self._flights.get(message["key"])
        if flight is None or flight.run != message["run"]:
            return
        flight.heard_at = time.monotonic()
        if flight.worker is None and flight.job.gpu is not None:
            self._pass_on(flight, Begun())
        flight.worker, first = message["worker"], flight.life or message["life"]
        flight.life = message["life"]
        if first != flight.life:
            # Dask ran it again by itself, but the node alone decides about another attempt.
            flight.doom(Lost("the Dask worker that ran the task went away"))
        elif message["batch"]:
            self._deliver(flight, message["batch"], message["events"])

    def _deliver(self, flight: Flight, number: int, events: list[News]) -> None:
        for event in events:
            if isinstance(event, Question):
                flight.questions.begin(self._answer(flight, event), self._spawn)
            else:
                self._pass_on(flight, event)
        flight.seen = number
        flight.news.set()
        if number % (WINDOW // 2) == 0:
            self._to_supervisor(flight, partial(house.grant, self._name, flight.job.key, number))

    def _pass_on(self, flight: Flight, event: Event) -> None:
        try:
            flight.on_event(event)
        except Exception:
            log.exception("engine.on_event_failed", extra={"key": flight.job.key})

    async def _answer(self, flight: Flight, question: Question) -> None:
        reply = pack(await flight.questions.reply(question, flight.job.seed, self.write))
        self._to_supervisor(flight, partial(house.answer, self._name, flight.job.key, reply))

    def _to_supervisor(self, flight: Flight, word: Callable[[], None]) -> None:
        """Have `word` called where a job runs. It may be over: nobody waits for this then."""
        if self._cluster is None or flight.worker is None:
            return
        if self._cluster.embedded:
            word()
        else:
            self._spawn(self._send(self._cluster.client, flight.worker, word))

    async def _send(self, client: Any, worker: str, word: Callable[[], None]) -> None:
        with suppress(OSError):  # who asked gives up by itself
            await client.run(word, workers=[worker], on_error="ignore")

    async def _keep_looking(self, cluster: Cluster) -> None:
        while not self.closed.is_set():
            await asyncio.sleep(LOOK_S)
            if cluster is not self._cluster:
                return
            await self._look(cluster)

    async def _look(self, cluster: Cluster) -> None:
        """Count the slots; notice a cluster that ended and workers that fell silent."""
        try:
            async with asyncio.timeout(2 * LOOK_S):
                self._threads = await cluster.threads()
        except (OSError, TimeoutError):
            self._threads = {}
        else:
            self._lose_bound_elsewhere()
        if cluster.ended:
            self._lose_all("the Dask scheduler is gone")
            self.closed.set()
        silence_s = BEATS * self._beat_s
        for flight in () if cluster.embedded else list(self._flights.values()):
            if flight.worker and time.monotonic() - flight.heard_at > silence_s:
                flight.doom(Lost(f"the Dask worker was silent for {silence_s:.0f} s"))

    def _lose_bound_elsewhere(self) -> None:
        """Dask keeps for ever what waits for one worker that is gone."""
        for flight in list(self._flights.values()):
            bound = flight.job.worker
            if bound and flight.worker is None and bound not in self._threads:
                flight.doom(Lost(WORKER_GONE))

    def _lose_all(self, reason: str) -> None:
        for flight in list(self._flights.values()):
            flight.doom(Lost(reason))

    def _spawn(self, chore: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(chore)
        self._chores.add(task)
        task.add_done_callback(self._chores.discard)
        return task
