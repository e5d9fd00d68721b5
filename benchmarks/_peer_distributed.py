"""Dask's own client over two worker processes, as benchmarks/peers.py asks it."""

from __future__ import annotations

import time
from typing import Any

from benchmarks._peer_rows import NEVER_S, SLOTS, endless, run, until


def nothing(number: int = 0) -> int:
    return number


def talk(count: int) -> None:
    from distributed import get_worker

    for _ in range(count):
        get_worker().log_event("lag", time.time())
        time.sleep(0.005)


def large(mb: int) -> Any:
    import numpy

    return numpy.random.default_rng(1).bytes(mb * 1_000_000)


class Distributed:
    def start(self) -> None:
        from distributed import Client, LocalCluster

        self.cluster = LocalCluster(
            n_workers=SLOTS, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        )
        self.client = Client(self.cluster)

    def noop(self) -> None:
        self.client.submit(nothing, pure=False).result()

    def many(self, count: int) -> None:
        self.client.gather(self.client.map(nothing, range(count), pure=False))

    def lags(self, count: int) -> list[float]:
        heard: list[float] = []
        self.client.subscribe_topic("lag", lambda event: heard.append(time.time() - event[1]))
        self.client.submit(talk, count, pure=False).result()
        until(lambda: len(heard) >= count, 2)
        self.client.unsubscribe_topic("lag")
        return heard

    def large(self, mb: int) -> int:
        return len(self.client.submit(large, mb, pure=False).result())

    def cancel(self) -> float | None:
        running = [self.client.submit(endless, pure=False) for _ in range(SLOTS)]
        time.sleep(0.5)
        began = time.perf_counter()
        running[0].cancel()
        free = self.client.submit(nothing, pure=False)
        ended = until(free.done, NEVER_S)
        took = time.perf_counter() - began
        free.cancel()
        running[1].cancel()
        self.client.restart(wait_for_workers=False)  # it kills them, 4 s after it asked
        return took if ended else None

    def stop(self) -> None:
        self.client.close()
        self.cluster.close()


if __name__ == "__main__":
    run(Distributed)
