"""What the workers of a cluster elsewhere say of their machines, and whose processes are whose."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from distributed.comm.addressing import get_address_host

from workbench.core.job import WorkerReport
from workbench.engines import house
from workbench.engines.house import Place, Report

LIMIT_S = 2.0

log = logging.getLogger(__name__)

Ask = Callable[[], Any]


class Reports:
    """The newest reports of one cluster's workers. `name` is the engine's on each of them."""

    def __init__(self, name: str, limit_s: float = LIMIT_S) -> None:
        self._name, self._limit_s = name, limit_s
        self._places: dict[str, Place] = {}
        self.pids: dict[tuple[str, int], str] = {}
        """(machine, empty for this one; pid) -> the key of the job that runs there."""

    async def ask(self, client: Any, workers: Iterable[str], function: Ask) -> list[WorkerReport]:
        """Run `function` in one worker of each machine. Who does not answer in time is left out."""
        asked = sorted(workers)
        chosen = self._one_for_each_machine(asked)
        answers = await asyncio.gather(
            *(self._report(client, each, function if each in chosen else None) for each in asked)
        )
        found = {each: answer for each, answer in zip(asked, answers, strict=True) if answer}
        self._places = {address: place for address, (place, _, _) in found.items()}
        reports = [
            _of(address, found)
            for address in chosen
            if address in found and address in self._one_for_each_machine(found)
        ]
        self.pids = {(each.host, pid): key for each in reports for pid, key in each.pids.items()}
        return reports

    def _one_for_each_machine(self, workers: Iterable[str]) -> list[str]:
        """As far as machines are known: by what their workers said, else by their addresses."""
        machines: dict[Any, str] = {}
        for address in workers:
            machines.setdefault(self._places.get(address, get_address_host(address)), address)
        return list(machines.values())

    async def _report(self, client: Any, address: str, function: Ask | None) -> Report | None:
        try:
            async with asyncio.timeout(self._limit_s):
                report = partial(house.report, self._name, function)
                answers = await client.run(report, workers=[address], on_error="return")
        except (OSError, TimeoutError):
            return None
        answer = answers.get(address)
        if isinstance(answer, Exception):
            log.warning("engine.report_failed worker=%s reason=%s", address, answer)
            return None
        return answer  # type: ignore[no-any-return]


def _of(address: str, found: dict[str, Report]) -> WorkerReport:
    """One machine's report, with the processes of all its workers."""
    place, _, value = found[address]
    pids: dict[int, str] = {}
    for there, more, _ in found.values():
        pids |= more if there == place else {}
    host = "" if place == house.here() else place[0]
    return WorkerReport(address=address, host=host, value=value, pids=pids)
