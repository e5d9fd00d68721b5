"""Durable rows a second through `Store.append`, over what one writer alone can commit.

The limit, measured in the same run: one appender, 1,000 rows a commit, nothing else to do.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from workbench.store import Store

SECONDS = 3.0
NOW = datetime(2026, 11, 20, tzinfo=UTC).replace(tzinfo=None)
ROW: tuple[Any, ...] = ("task-1", 1, 1, "running", '{"type":"log","content":"x"}', NOW)


def alone(folder: Path, rows: int) -> float:
    """Rows a second of a bare appender with `rows` a commit."""
    connection = duckdb.connect(str(folder / f"alone-{rows}.duckdb"))
    connection.execute(
        "CREATE TABLE e (a VARCHAR, b BIGINT, c INTEGER, d VARCHAR, e VARCHAR, f TIMESTAMP)"
    )
    appender = connection.appender("e")
    block, count, began = [ROW] * rows, 0, time.perf_counter()
    while time.perf_counter() - began < SECONDS:
        connection.execute("BEGIN")
        appender.append_rows(block)
        appender.flush()
        connection.execute("COMMIT")
        count += rows
    took = time.perf_counter() - began
    connection.close()
    return count / took


async def in_flight(store: Store, width: int) -> tuple[float, float, float]:
    """Rows a second, p50 and p99 in ms, with `width` callers that each wait for their row."""
    waits: list[float] = []
    end = time.perf_counter() + SECONDS

    async def caller() -> None:
        while (began := time.perf_counter()) < end:
            await store.append({"task_events": [ROW]})
            waits.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(width)))
    cuts = statistics.quantiles(waits, n=100)
    return len(waits) / (time.perf_counter() - began), cuts[49], cuts[98]


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        one, thousand = alone(Path(folder), 1), alone(Path(folder), 1000)
        print(f"bare appender, 1 row a commit      {one:10,.0f} rows/s")
        print(f"bare appender, 1,000 rows a commit {thousand:10,.0f} rows/s")
        async with await Store.open(Path(folder) / "data") as store:
            for width in (1, 50, 1000):
                rate, p50, p99 = await in_flight(store, width)
                limit = one if width == 1 else thousand
                print(
                    f"Store.append, {width:5,} in flight      {rate:10,.0f} rows/s  "
                    f"p50 {p50:.1f} ms  p99 {p99:.1f} ms  ratio {rate / limit:.2f}"
                )


if __name__ == "__main__":
    asyncio.run(main())
