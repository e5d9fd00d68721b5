"""ipyparallel with two engines, as benchmarks/peers.py asks it."""

from __future__ import annotations

import time
from typing import Any

from benchmarks._peer_rows import SLOTS, endless, run


def nothing(number: int = 0) -> int:
    return number


def talk(count: int) -> None:
    import time  # it travels by value

    from ipyparallel.engine.datapub import publish_data

    for number in range(count):
        publish_data({"number": number, "at": time.time()})
        time.sleep(0.005)


def large(mb: int) -> Any:
    import numpy

    return numpy.random.default_rng(1).bytes(mb * 1_000_000)


class IPyParallel:
    def start(self) -> None:
        import ipyparallel

        self.cluster = ipyparallel.Cluster(n=SLOTS, log_level=40)
        self.client = self.cluster.start_and_connect_sync()
        self.client.wait_for_engines(SLOTS)
        self.view = self.client.load_balanced_view()

    def noop(self) -> None:
        self.view.apply_sync(nothing)

    def many(self, count: int) -> None:
        for each in [self.view.apply_async(nothing, number) for number in range(count)]:
            each.get()

    def lags(self, count: int) -> list[float]:
        """It keeps the last value alone: of those that were seen."""
        asked = self.view.apply_async(talk, count)
        heard: dict[int, float] = {}
        while not asked.ready():
            data = asked.data
            if data and data["number"] not in heard:
                heard[data["number"]] = time.time() - data["at"]
            asked.wait(0.001)
        asked.get()
        return list(heard.values())

    def large(self, mb: int) -> int:
        return len(self.view.apply_sync(large, mb))

    def cancel(self) -> float | None:
        """It ends no call: the way out is to start the engines again."""
        for _ in range(SLOTS):
            self.view.apply_async(endless)
        time.sleep(0.5)
        began = time.perf_counter()
        self.cluster.restart_engines_sync()
        self.client.wait_for_engines(SLOTS)
        self.view = self.client.load_balanced_view()
        self.noop()
        return time.perf_counter() - began

    def stop(self) -> None:
        self.cluster.stop_cluster_sync()


if __name__ == "__main__":
    run(IPyParallel)
