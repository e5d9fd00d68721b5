"""1 million rows as Arrow through `Store.query`, over the same query in process (aim 2x).

Neither side's clock counts the opening of a DuckDB instance: in process it is open already,
and the store's worker opens the next one after each answer, for which the rounds leave time.

And what a query does to the writer: p99 of a durable append while 10,000 events a second
are written, before and during queries.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from workbench.store import QueryEnd, Store

ROWS = 1_000_000
SQL = "SELECT * FROM bench.events"
ROUNDS = 5
NOW = datetime(2026, 11, 20)
EVENTS_PER_S = 10_000


async def fill(store: Store) -> None:
    events = pa.table(
        {
            "height": pa.array(range(ROWS), pa.int64()),
            "fee": pa.array([n * 0.5 for n in range(ROWS)]),
            "txid": pa.array([f"{n:016x}" for n in range(ROWS)]),
            "amount_low": pa.array(range(ROWS), pa.uint64()),
        }
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, events.schema) as stream:
        stream.write_table(events)
    await store.write_side_file("batches", "bench", {"events": bytes(sink.getvalue())}, b"{}")


def in_process(path: Path) -> float:
    connection = duckdb.connect()
    connection.execute(f"ATTACH '{path}' AS bench (READ_ONLY)")
    began = time.perf_counter()
    answer = connection.sql(SQL).to_arrow_reader(16_000).read_all()
    took = time.perf_counter() - began
    assert answer.num_rows == ROWS
    connection.close()
    return took


async def through_the_store(store: Store) -> tuple[float, int]:
    await asyncio.sleep(0.1)
    began = time.perf_counter()
    chunks = [frame async for frame in store.query(SQL) if isinstance(frame, bytes)]
    answer = pa.ipc.open_stream(b"".join(chunks)).read_all()
    took = time.perf_counter() - began
    assert answer.num_rows == ROWS
    return took, answer.nbytes


async def write(store: Store, waits: list[float], stop: asyncio.Event) -> None:
    """10,000 events a second in appends of 20, each wait noted in ms."""

    async def one(first: int) -> None:
        began = time.perf_counter()
        rows = [("bench", first + n, 1, "running", "{}", NOW) for n in range(20)]
        await store.append({"task_events": rows})
        waits.append((time.perf_counter() - began) * 1000)

    began, sent, going = time.perf_counter(), 0, set()
    while not stop.is_set():
        while sent < (time.perf_counter() - began) * EVENTS_PER_S:
            going.add(task := asyncio.ensure_future(one(sent)))
            task.add_done_callback(going.discard)
            sent += 20
        await asyncio.sleep(0.002)
    await asyncio.gather(*going)


async def while_writing(store: Store, *, queries: bool) -> tuple[float, float, float]:
    """p50 and p99 of an append in ms, and events a second."""
    waits: list[float] = []
    stop = asyncio.Event()
    writing = asyncio.ensure_future(write(store, waits, stop))
    began = time.perf_counter()
    while time.perf_counter() - began < 4:
        if queries:
            async for frame in store.query("SELECT count(*) AS n FROM task_events", fresh=True):
                assert isinstance(frame, bytes | QueryEnd) or frame.as_of
        else:
            await asyncio.sleep(0.1)
    stop.set()
    await writing
    cuts = statistics.quantiles(waits, n=100)
    return cuts[49], cuts[98], len(waits) * 20 / (time.perf_counter() - began)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with await Store.open(Path(folder)) as store:
            await fill(store)
            bare = statistics.median(
                [in_process(Path(folder) / "batches/bench.duckdb") for _ in range(ROUNDS)]
            )
            rounds = [await through_the_store(store) for _ in range(ROUNDS + 1)][1:]
            took, size = statistics.median(took for took, _ in rounds), rounds[0][1]
            print(f"1,000,000 rows, {size / 1e6:.0f} MB")
            print(f"in process      {bare * 1000:7.0f} ms")
            print(f"Store.query     {took * 1000:7.0f} ms   ratio {took / bare:.2f} (aim 2.00)")
            for words, queries in (("before", False), ("during", True)):
                p50, p99, rate = await while_writing(store, queries=queries)
                print(
                    f"append {words} queries: p50 {p50:.1f} ms  p99 {p99:.1f} ms "
                    f"at {rate:,.0f} events/s"
                )


if __name__ == "__main__":
    asyncio.run(main())
