"""Flying jobs in tests: made with a key of their own, their events kept as they come."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

from workbench.core.job import Done, Event, Job, Log, Outcome
from workbench.engines.dask import DaskEngine

_numbers = itertools.count(1)


def job(
    function: str,
    *,
    timeout_s: float = 30,
    inputs: dict[str, Path] | None = None,
    on: dict[str, Any] | None = None,
    **parameters: Any,
) -> Job:
    """A job for one of tests/engines/models.py. `on`: the device, as the node names it."""
    return Job(
        key=f"t{next(_numbers)}.1",
        target=f"tests.engines.models:{function}",
        parameters=parameters,
        inputs={name: str(path) for name, path in (inputs or {}).items()},
        timeout_s=timeout_s,
        seed=7,
        **(on or {}),
    )


class Flown:
    """A job under way, with its events as they come."""

    def __init__(self, engine: DaskEngine, job: Job) -> None:
        self.key = job.key
        self.events: list[Event] = []
        self.news = asyncio.Event()
        self.task = asyncio.ensure_future(engine.run(job, self._hear))

    def _hear(self, event: Event) -> None:
        self.events.append(event)
        self.news.set()

    async def pids(self) -> list[int]:
        """The processes that the model named in its first log line."""
        async with asyncio.timeout(20):
            while not any(isinstance(event, Log) for event in self.events):
                self.news.clear()
                await self.news.wait()
        (first, *_) = (event for event in self.events if isinstance(event, Log))
        return [int(pid) for pid in str(first.values["pids"]).split()]


async def outcome_of(engine: DaskEngine, job: Job) -> tuple[Outcome, list[Event]]:
    flown = Flown(engine, job)
    return await flown.task, flown.events


async def data_of(engine: DaskEngine, job: Job) -> dict[str, Any]:
    outcome, _ = await outcome_of(engine, job)
    assert isinstance(outcome, Done), outcome
    document: dict[str, Any] = json.loads(outcome.document)
    return document
