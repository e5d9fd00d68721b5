"""Each machine of a cluster is asked once, whatever its workers are called and if one is mute."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from workbench.engines import house
from workbench.engines.reports import Reports

NORTH = ("north", "boot-1")
A, B, C = "tls://10.0.0.1:1", "tls://10.0.0.1:2", "tls://10.0.0.2:1"


class ScriptedClient:
    """Dask's client as `run` shows it: each worker is somewhere, has processes, or is silent."""

    def __init__(self, workers: dict[str, tuple[house.Place, dict[int, str]]]) -> None:
        self.workers = workers
        self.silent: set[str] = set()
        self.asked: list[str] = []

    async def run(self, ask: Any, workers: list[str], on_error: str) -> dict[str, Any]:
        (address,), (_, function) = workers, ask.args
        if function is not None:
            self.asked.append(address)
        if address in self.silent:
            await asyncio.Event().wait()
        place, pids = self.workers[address]
        return {address: (place, pids, function() if function is not None else None)}


async def ask(client: ScriptedClient, reports: Reports) -> list[tuple[str, str, Any]]:
    client.asked.clear()
    found = await reports.ask(client, list(client.workers), os.getpid)
    return [(each.address, each.host, each.value) for each in found]


async def test_one_worker_of_each_machine_is_asked_and_tells_the_processes_of_all() -> None:
    client = ScriptedClient(
        {C: (house.here(), {7: "c.1"}), B: (NORTH, {7: "b.1"}), A: (NORTH, {8: "a.1"})}
    )
    reports = Reports("engine")
    assert await ask(client, reports) == [(A, "north", os.getpid()), (C, "", os.getpid())]
    assert client.asked == [A, C]
    assert reports.pids == {("north", 7): "b.1", ("north", 8): "a.1", ("", 7): "c.1"}


async def test_a_machine_with_two_addresses_is_one_once_it_is_known() -> None:
    client = ScriptedClient({A: (NORTH, {}), C: (NORTH, {})})
    reports = Reports("engine")
    for asked in ([A, C], [A]):
        assert await ask(client, reports) == [(A, "north", os.getpid())]
        assert client.asked == asked


async def test_a_silent_worker_is_left_out_and_another_of_its_machine_speaks_next_time() -> None:
    client = ScriptedClient({A: (NORTH, {}), B: (NORTH, {9: "b.1"}), C: (house.here(), {})})
    client.silent = {A}
    reports = Reports("engine", limit_s=0.05)
    assert await ask(client, reports) == [(C, "", os.getpid())]
    assert await ask(client, reports) == [(B, "north", os.getpid()), (C, "", os.getpid())]
    assert reports.pids == {("north", 9): "b.1"}
