"""Readings of a collector under a clock that stands still until the test moves it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from workbench.collectors.gpu import Gpus
from workbench.core.gpu import Gpu, GpuReading

PATIENCE_S = 60.0
LATER_S = 1000.0
"""By the test's clock: longer than any wait between two looks for what is missing."""


class Clock:
    """The time that the collector sees: it stands still until the test moves it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def read(
    gpus: Gpus, fits: Callable[[GpuReading], object], clock: Clock | None = None
) -> GpuReading:
    """The first reading that fits; with a clock, long after whatever was read before."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if clock:
            clock.now_s += LATER_S
        reading = gpus.read()
        if fits(reading):
            return reading
    raise AssertionError(f"no such reading within {PATIENCE_S:g} s, but {reading}")


def settled(gpus: Gpus) -> GpuReading:
    """A reading, with nothing left behind it that still asks the driver."""
    others = set(threading.enumerate())
    reading = gpus.read()
    for thread in set(threading.enumerate()) - others:
        thread.join(PATIENCE_S)
    return reading


def told(gpu: Gpu) -> str:
    return "" if gpu.note is None else str(gpu.note)
