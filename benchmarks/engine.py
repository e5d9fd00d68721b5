"""Tasks per second through the engine, over Dask's own client doing the same round trips.

The peer submits a function that round-trips an order through the same warm task process, one
by one with as many in flight, under the same embedded cluster: what the engine adds is events,
order, cancel and time-out. All take turns, so that a busy machine is busy for each. Printed
beside them: the same as one `Client.map` (one graph for all, which tasks that arrive one by
one cannot have), bare Dask (no-ops, no process), and the median of a cancel.

    python benchmarks/engine.py [tasks in each of 5 rounds]
"""

from __future__ import annotations

import asyncio
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec

from workbench.core.job import Cancelled, Done, Event, Job, Log
from workbench.engines import house
from workbench.engines.cluster import open_embedded
from workbench.engines.dask import DaskEngine
from workbench.engines.frames import Order, Reader, Returned

ROOT = Path(__file__).parent.parent
SLOTS = 2
IN_FLIGHT = 50
ROUNDS = 5
CANCELS = 15
MODELS = "benchmarks._engine_models"

keys = (f"bench{number}.1" for number in itertools.count())


def round_trip(number: int, packed: bytes) -> int:
    """What the peer's task does: one order through a warm process, nothing else."""
    from distributed import get_worker

    nursery = house.house_of("peer", get_worker()).nursery
    process = nursery.take(None)
    reader = Reader()
    process.order(msgspec.msgpack.decode(packed, type=Order))
    while True:
        for source, data in process.wait(1.0, listen=True):
            if source == "frames" and any(isinstance(f, Returned) for f in reader.feed(data)):
                nursery.keep(process)
                return number


def bare(number: int) -> int:
    """Nothing at all."""
    return number


def packed_order(scratch: str) -> bytes:
    """The order that the peer's tasks hand to their process."""
    order = Order(
        key="peer",
        target=f"{MODELS}:nothing",
        parameters=b"{}",
        inputs={},
        timeout_s=60,
        seed=1,
        scratch=scratch,
    )
    return msgspec.msgpack.encode(order)


async def gated(tasks: int, one: Callable[[int], Awaitable[Any]]) -> float:
    """Seconds for `tasks` calls of `one`, 50 in flight."""
    gate = asyncio.Semaphore(IN_FLIGHT)

    async def flown(number: int) -> None:
        async with gate:
            await one(number)

    return await timed(asyncio.gather(*map(flown, range(tasks))))


async def peer(client: Any, tasks: int, packed: bytes) -> float:
    """Seconds for round trips through Dask's own client, submitted one by one."""
    return await gated(tasks, lambda n: client.submit(round_trip, n, packed, pure=False))


async def mapped(client: Any, tasks: int, packed: bytes) -> float:
    """Seconds for the same round trips as one graph."""
    futures = client.map(round_trip, range(tasks), [packed] * tasks, pure=False)
    return await timed(client.gather(futures))


async def plain(client: Any, tasks: int) -> float:
    """Seconds for `tasks` no-ops through Dask's own client."""
    return await timed(client.gather(client.map(bare, range(tasks), pure=False)))


async def ours(engine: DaskEngine, tasks: int) -> float:
    """Seconds for `tasks` jobs through the engine."""
    return await gated(tasks, lambda _: one(engine))


async def one(engine: DaskEngine) -> None:
    outcome = await engine.run(job("nothing"), lambda _: None)
    assert isinstance(outcome, Done), outcome


async def cancel(engine: DaskEngine) -> float:
    """Seconds from the wish to the process being gone."""
    running = asyncio.Event()

    def hear(event: Event) -> None:
        if isinstance(event, Log):
            running.set()

    order = job("wait")
    waiting = asyncio.ensure_future(engine.run(order, hear))
    await running.wait()
    took = await timed(engine.cancel(order.key))
    assert await waiting == Cancelled()
    return took


def job(function: str) -> Job:
    """A job for one of the benchmark's models."""
    target = f"{MODELS}:{function}"
    return Job(key=next(keys), target=target, parameters={}, inputs={}, timeout_s=60, seed=1)


async def timed(work: Awaitable[Any]) -> float:
    """Seconds that `work` took."""
    began = time.perf_counter()
    await work
    return time.perf_counter() - began


async def main(tasks: int) -> None:
    """Measure in turns, then print."""
    with tempfile.TemporaryDirectory() as scratch:
        cluster = await open_embedded(SLOTS, scratch)
        engine = DaskEngine(slots=SLOTS, scratch=Path(scratch) / "engine")
        await engine.start()
        client, packed = cluster.client, packed_order(scratch)
        await peer(client, 20, packed)
        await ours(engine, 20)  # all processes are warm now
        rounds = [
            (
                await peer(client, tasks, packed),
                await ours(engine, tasks),
                await mapped(client, tasks, packed),
                await plain(client, tasks),
            )
            for _ in range(ROUNDS)
        ]
        alone_s = statistics.median([await timed(one(engine)) for _ in range(50)])
        cancel_s = statistics.median([await cancel(engine) for _ in range(CANCELS)])
        await engine.stop()
        await house.close("peer")
        await cluster.close(2)
    peer_s, ours_s, map_s, bare_s = (statistics.median(c) for c in zip(*rounds, strict=True))
    ratio = statistics.median(theirs / mine for theirs, mine, *_ in rounds)
    to_map = statistics.median(theirs / mine for _, mine, theirs, _ in rounds)
    print(
        f"engine: {ROUNDS} rounds of {tasks} tasks, {SLOTS} slots, {IN_FLIGHT} in flight; medians"
    )
    print(f"  engine              {tasks / ours_s:6.0f} tasks/s")
    print(f"  Dask's client       {tasks / peer_s:6.0f} tasks/s, round-tripping the same process")
    print(f"  ratio               {ratio:6.2f} x (aim: 0.8)")
    print(f"  Dask's client, map  {tasks / map_s:6.0f} tasks/s, as one graph (ratio {to_map:.2f})")
    print(f"  bare Dask, map      {tasks / bare_s:6.0f} tasks/s, no process")
    print(f"  one task alone      {alone_s * 1000:6.1f} ms")
    print(f"  cancel              {cancel_s * 1000:6.1f} ms, process gone")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
