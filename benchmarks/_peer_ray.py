"""Ray with two CPUs, as benchmarks/peers.py asks it."""

from __future__ import annotations

import os
import time
from typing import Any

from benchmarks._peer_rows import NEVER_S, SLOTS, endless, run


class Ray:
    def start(self) -> None:
        os.environ.setdefault("RAY_raylet_start_wait_time_s", "80")  # 30 s on a free machine
        import ray
        from ray.util.queue import Queue

        self.ray, self.queue = ray, Queue
        ray.init(num_cpus=SLOTS, include_dashboard=False, log_to_driver=False, logging_level=40)

        @ray.remote
        def nothing(number: int = 0) -> int:
            return number

        @ray.remote
        def talk(queue: Any, count: int) -> None:
            for _ in range(count):
                queue.put(time.time())
                time.sleep(0.005)

        @ray.remote
        def large(mb: int) -> Any:
            import numpy

            return numpy.random.default_rng(1).bytes(mb * 1_000_000)

        self.nothing, self.talk, self.bytes = nothing, talk, large
        self.endless = ray.remote(max_retries=0)(endless)

    def noop(self) -> None:
        self.ray.get(self.nothing.remote())

    def many(self, count: int) -> None:
        self.ray.get([self.nothing.remote(number) for number in range(count)])

    def lags(self, count: int) -> list[float]:
        queue = self.queue(actor_options={"num_cpus": 0})
        asked = self.talk.remote(queue, count)
        heard = []
        for _ in range(count):
            at = queue.get(timeout=20)
            heard.append(time.time() - at)
        self.ray.get(asked)
        return heard

    def large(self, mb: int) -> int:
        return len(self.ray.get(self.bytes.remote(mb)))

    def cancel(self) -> float | None:
        running = [self.endless.remote() for _ in range(SLOTS)]
        time.sleep(1.0)
        began = time.perf_counter()
        self.ray.cancel(running[0], force=True)
        done, _ = self.ray.wait([self.nothing.remote()], timeout=NEVER_S)
        took = time.perf_counter() - began
        self.ray.cancel(running[1], force=True)
        self.noop()
        return took if done else None

    def stop(self) -> None:
        self.ray.shutdown()


if __name__ == "__main__":
    run(Ray)
