"""The GPUs of this machine, whoever made them. To have none is a normal state that says so."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from workbench.collectors import nvml
from workbench.collectors.amd import Amd
from workbench.collectors.numbers import Numbers
from workbench.collectors.nvml import Nvml
from workbench.core.gpu import Gpu, GpuReading

PATIENCE_S = 5.0


class Gpus:
    """Reads every GPU; safe to share between threads.

    What takes long is asked in threads beside, at most each `slow_s` and only while somebody
    reads; so seldom, too, a lost GPU or a missing driver is looked for again.
    """

    def __init__(
        self,
        *,
        slow_s: float = 10.0,
        sysfs: Path = Path("/sys"),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._numbers = Numbers()
        self._nvml = Nvml(slow_s=slow_s, now=now, numbers=self._numbers)
        self._amd = Amd(sysfs, slow_s=slow_s, now=now)
        self._lock = threading.Lock()
        self._is_closed = False

    def read(self) -> GpuReading:
        """One reading; it never raises, and takes as long as the drivers do."""
        with self._lock:
            if self._is_closed:
                return GpuReading()
            found, why = self._nvml.read()
            gpus = (*found, *map(self._numbered, self._amd.read()))
        if not gpus:
            return GpuReading(note=why or nvml.MISSING)
        return GpuReading(gpus=gpus, note=None if why in nvml.ABSENT else why)

    def close(self) -> None:
        """Give the drivers back. What is read afterwards is empty."""
        self._is_closed = True
        if not self._lock.acquire(timeout=PATIENCE_S):
            return  # a driver that hangs is left to the end of the process
        try:
            self._nvml.close()
        finally:
            self._lock.release()

    def _numbered(self, gpu: Gpu) -> Gpu:
        """AMD's count among themselves; here they follow NVIDIA's."""
        id_ = self._numbers.of(f"amd {gpu.gpu_id}", int(gpu.gpu_id))
        return gpu if id_ == gpu.gpu_id else msgspec.structs.replace(gpu, gpu_id=id_)


@functools.cache
def _kept() -> Gpus:
    return Gpus()


def here() -> GpuReading:
    """The GPUs of the machine that this runs on, as a Dask worker is asked for them."""
    return _kept().read()
