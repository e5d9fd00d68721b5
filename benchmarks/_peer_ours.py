"""This workbench's hub with two slots, as benchmarks/peers.py asks it.

Over its WebSocket, with every acceptance and every result made durable, which no peer does.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks._peer_rows import SLOTS, run
from tests.hub_process import HubProcess
from workbench import Context, model
from workbench.errors import TaskError
from workbench.session.workbench import Workbench, connect

IN_FLIGHT = 200


@model
def nothing() -> int:
    return 0


@model
def talk(context: Context, count: int = 1) -> int:
    for _ in range(count):
        context.log("{at}", at=time.time())
        time.sleep(0.005)
    return count


@model
def large(mb: int = 1) -> Any:
    import numpy
    import pyarrow

    body = numpy.random.default_rng(1).bytes(mb * 1_000_000)
    return pyarrow.table({"bytes": pyarrow.array(numpy.frombuffer(body, dtype=numpy.uint64))})


@model
def forever(number: int = 0) -> int:
    return sum(range(10**14))


class Ours:
    def start(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        data = Path(self.folder.name)
        self.hub = HubProcess(data, WORKBENCH_SLOTS=str(SLOTS), WORKBENCH_LLM_DISCOVER="0")
        self.hub.start()
        self.bench: Workbench = connect(data, start=False)

        self.bench.submit(nothing, use_cache=False).result()

    def noop(self) -> None:
        self.bench.block_on(self._noop())

    async def _noop(self) -> None:
        await self.bench.mesh.result(await self.bench.mesh.send_task("nothing", use_cache=False))

    def many(self, count: int) -> None:
        async def some(numbers: Iterator[int]) -> None:
            for _ in numbers:
                await self._noop()

        async def all_of_them() -> None:
            numbers = iter(range(count))
            await asyncio.gather(*(some(numbers) for _ in range(IN_FLIGHT)))

        self.bench.block_on(all_of_them())

    def lags(self, count: int) -> list[float]:
        heard: list[float] = []
        stop = self.bench.mesh.on("log", lambda line: heard.append(_lag(line)))
        self.bench.submit(talk, count=count, use_cache=False).result()
        stop()
        return heard

    def large(self, mb: int) -> int:
        run = self.bench.submit(large, mb=mb, use_cache=False)
        run.result()
        return int(run.table("value").arrow().nbytes)

    def cancel(self) -> float | None:
        running = [self.bench.submit(forever, number=n, use_cache=False) for n in range(SLOTS)]
        for each in running:
            while each.state != "running":
                time.sleep(0.01)
        time.sleep(0.5)
        began = time.perf_counter()
        running[0].cancel()
        self.noop()
        took = time.perf_counter() - began
        running[1].cancel()
        for each in running:
            try:
                each.result()
            except TaskError:
                continue
        return took

    def stop(self) -> None:
        self.bench.close()
        self.hub.stop()
        self.folder.cleanup()


def _lag(line: dict[str, Any]) -> float:
    return time.time() - float(line["content"])


if __name__ == "__main__":
    run(Ours)
