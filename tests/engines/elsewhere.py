"""A Dask cluster in processes of its own, on loopback: a scheduler, and workers when asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engines.waiting import until

ROOT = Path(__file__).parents[2]


@contextmanager
def started(**environment: str) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts Dask's own commands, and ends them all whatever happens."""
    environment = {**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"} | environment
    processes: list[subprocess.Popen[bytes]] = []

    def start(command: str, *arguments: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{command}", *arguments],
            env=environment,
            cwd=ROOT,
            stderr=subprocess.DEVNULL,
        )
        processes.append(process)
        return process

    try:
        yield start
    finally:
        for process in processes:
            process.kill()
            process.wait(10)


class Elsewhere:
    """A scheduler on loopback, and workers of two threads when asked for."""

    def __init__(self, start: Callable[..., subprocess.Popen[bytes]], folder: Path) -> None:
        self._start, self._folder = start, folder
        self._file = folder / "scheduler.json"
        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
              "--scheduler-file", str(self._file))  # fmt: skip
        until(lambda: self._address() is not None, limit_s=30)

    def _address(self) -> str | None:
        try:
            return str(json.loads(self._file.read_text())["address"])
        except (OSError, ValueError):  # not there, or not written to its end
            return None

    @property
    def address(self) -> str:
        return self._address() or ""

    def worker(self) -> subprocess.Popen[bytes]:
        return self._start("worker", self.address, "--nthreads", "2", "--no-nanny",
                           "--no-dashboard", "--local-directory", str(self._folder))  # fmt: skip
