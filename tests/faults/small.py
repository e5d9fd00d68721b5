"""A storm in one process and in a few steps: each step needs one mechanism of the hub.

A real node behind real sockets with real clients; the journal and the engine are in memory, so
that what comes late comes late each time. It is judged like any other storm.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

from tests.faults.ear import Ear
from tests.faults.invariants import Evidence, Mark, violations
from tests.faults.road import Road, until
from tests.faults.storm import replay
from tests.mesh.doubles import MODELS, Attempt, MemoryFetch, MemoryJournal, done
from workbench.core.job import Cancelled, Event, Job, Lost, Outcome
from workbench.core.task import TaskBook
from workbench.gate import Gate
from workbench.listener import Listener, listen
from workbench.mesh.limits import Limits
from workbench.mesh.node import Node

TOKEN = "secret"  # a test's own
MOST = 6
"""Attempts that a worker loses before it stays alive."""


class MarkingEngine:
    """Attempts that a test ends; it marks what runs, as the models of a large storm do."""

    slots = 8

    def __init__(self, marks: list[Mark]) -> None:
        self.marks = marks
        self.flights: dict[str, Attempt] = {}
        self.runs: dict[str, str] = {}

    async def run(self, job: Job, on_event: Callable[[Event], None]) -> Outcome:
        task, run = job.key.rpartition(".")[0], f"run{len(self.marks)}"
        attempt = Attempt(job, on_event, asyncio.get_running_loop().create_future())
        if any(key.rpartition(".")[0] == task for key in self.flights):
            self._mark("overlap", task, run)
        self.flights[job.key], self.runs[job.key] = attempt, run
        self._mark("start", task, run)
        try:
            outcome = await attempt.outcome
        finally:
            self.flights.pop(job.key, None)
        return outcome

    async def cancel(self, key: str) -> None:
        if key in self.flights:
            self.flights[key].end(Cancelled())

    def say(self, attempt: Attempt, unit: int) -> None:
        """One line of a run's log."""
        attempt.log("run {run} unit {unit}", run=self.runs[attempt.job.key], unit=unit)

    def finish(self, attempt: Attempt) -> None:
        run = self.runs[attempt.job.key]
        self._mark("end", attempt.job.key.rpartition(".")[0], run)
        attempt.end(done({"run": run}))

    def _mark(self, what: str, task: str, run: str) -> None:
        self.marks.append(Mark(what, task, run, 0))


class SmallHub:
    """A node behind a port, that can be killed: what its journal has is all that is left."""

    def __init__(self, folder: Path, rows_in: type[MemoryJournal], mechanisms: Any) -> None:
        self._folder, self._rows_in, self._mechanisms = folder, rows_in, mechanisms
        self.journal = rows_in()
        self.marks: list[Mark] = []
        self.port: int | None = None
        self.listener: Listener | None = None

    async def start(self) -> None:
        self.engine = MarkingEngine(self.marks)
        self.node = Node(
            journal=self.journal,
            engine=self.engine,
            fetch=MemoryFetch(),
            models=MODELS,
            folder=self._folder,
            limits=Limits(drain_s=0.0, stop_s=0.1),
            book=TaskBook(**self._mechanisms),
            now=asyncio.get_running_loop().time,
        )
        await self.node.start()
        gate = Gate({TOKEN: "admin"}, (), ())
        self.listener = await listen(self.node.serve, path="/mesh", gate=gate)
        self.port = self.listener.port

    async def stop(self) -> None:
        assert self.listener is not None
        self.port = None
        await self.node.stop()
        await self.listener.close()

    async def kill(self) -> None:
        """And start it again from what is durable."""
        await self.stop()
        self.journal = self._rows_in(self.journal.durable)
        await self.start()


class SmallStorm:
    """The steps, one after the other. A step whose word does not come within `wait_s` is left."""

    client: ClassVar[dict[str, Any]] = {"reconnect_delay": 0.02}

    def __init__(
        self,
        folder: Path,
        *,
        rows_in: type[MemoryJournal] = MemoryJournal,
        wait_s: float = 30.0,
        **mechanisms: Any,
    ) -> None:
        self._hub = SmallHub(folder, rows_in, mechanisms)
        self._wait_s = wait_s
        self._names: list[str] = []

    async def run(self) -> list[str]:
        """Every broken promise."""
        await self._hub.start()
        try:
            async with self._ear("one") as one, self._ear("two") as two:
                for step in self._steps():
                    with contextlib.suppress(TimeoutError):
                        await step(one, two)
                return violations(await self._evidence(one, two))
        finally:
            await self._hub.stop()

    def _steps(self) -> list[Callable[[Ear, Ear], Awaitable[None]]]:
        return [self._cut, self._twice, self._late, self._doomed, self._killed]

    @contextlib.asynccontextmanager
    async def _ear(self, name: str) -> AsyncIterator[Ear]:
        async with (
            Road(lambda: self._hub.port, random.Random(0)) as road,
            Ear(name, road, TOKEN, **self.client) as ear,
        ):
            yield ear

    async def _cut(self, one: Ear, two: Ear) -> None:
        """A link breaks, and something is said before it stands again."""
        attempt = await self._begin(one, "cut")
        self._hub.engine.say(attempt, 1)
        await self._so(lambda: len(one.heard["cut"]) == 2)
        one.road.freeze()
        one.road.drop()
        self._hub.engine.say(attempt, 2)
        await self._so(lambda: not one.client.connected)
        one.road.thaw()
        await self._so(lambda: one.client.connected)
        await self._end(attempt, 3, one)

    async def _twice(self, one: Ear, two: Ear) -> None:
        """Two clients send the same task."""
        attempt = await self._begin(one, "twice")
        await two.send(_task("twice"))
        await self._so(lambda: two.heard["twice"])
        await self._settled()
        await self._end(attempt, 1, one, two)

    async def _late(self, one: Ear, two: Ear) -> None:
        """A worker that was given up speaks once more."""
        first = await self._begin(one, "late")
        self._hub.engine.say(first, 1)
        first.end(Lost("its worker fell silent"))
        second = await self._attempt("late", 2)
        self._hub.engine.say(second, 1)
        self._hub.engine.say(first, 2)
        await self._end(second, 2, one)

    async def _doomed(self, one: Ear, two: Ear) -> None:
        """Every worker that takes it dies, at least the first few."""
        attempt = await self._begin(one, "doomed")
        for number in range(2, MOST + 2):
            attempt.end(Lost("its process died"))
            await self._so(lambda number=number: one.ended("doomed") or self._runs(number))
            if one.ended("doomed"):
                return
            attempt = await self._attempt("doomed", number)
        await self._end(attempt, 1, one)

    async def _killed(self, one: Ear, two: Ear) -> None:
        """The hub is killed while something runs."""
        attempt = await self._begin(one, "killed")
        self._hub.engine.say(attempt, 1)
        await self._so(lambda: len(one.heard["killed"]) == 2)
        await self._hub.kill()
        await self._end(await self._attempt("killed", 2), 1, one)

    # What the steps are made of

    async def _begin(self, ear: Ear, name: str) -> Attempt:
        self._names.append(name)
        await ear.send(_task(name))
        await self._so(lambda: ear.heard[name])
        return await self._attempt(name, 1)

    async def _attempt(self, name: str, number: int) -> Attempt:
        flights, key = self._hub.engine.flights, f"{name}.{number}"
        await self._so(lambda: key in flights)
        return flights[key]

    def _runs(self, number: int) -> bool:
        return f"doomed.{number}" in self._hub.engine.flights

    async def _end(self, attempt: Attempt, unit: int, *ears: Ear) -> None:
        self._hub.engine.say(attempt, unit)
        self._hub.engine.finish(attempt)
        name = attempt.job.key.rpartition(".")[0]
        await self._so(lambda: all(ear.ended(name) for ear in ears))

    async def _so(self, true: Callable[[], Any]) -> None:
        if not await until(true, self._wait_s):
            raise TimeoutError

    async def _settled(self) -> None:
        """Many turns of the loop: whatever is going to be begun has begun."""
        for _ in range(200):
            await asyncio.sleep(0)

    async def _evidence(self, one: Ear, two: Ear) -> Evidence:
        url = f"ws://127.0.0.1:{self._hub.port}/mesh?token={TOKEN}"
        rows = self._hub.journal.durable
        return Evidence(
            accepted=set(self._names),
            heard={ear.name: dict(ear.heard) for ear in (one, two)},
            complaints=one.complaints + two.complaints,
            replay=await replay(url, self._names, self._wait_s),
            stored=[
                *((row["task_id"], 1, "accepted") for row in rows["tasks"]),
                *((row["task_id"], row["seq"], row["kind"]) for row in rows["task_events"]),
                *((row["task_id"], row["seq"], "log") for row in rows["task_logs"]),
            ],
            marks=self._hub.marks,
        )


def _task(name: str) -> dict[str, Any]:
    task = {"task_id": name, "model": "steady", "input_data": {"of": name}, "use_cache": False}
    return {**task, "parameters": {"units": 3}}
