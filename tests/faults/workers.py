"""Two Dask workers on a cluster elsewhere; one that died is started again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engines.elsewhere import Elsewhere, started
from tests.hub_process import test_environment

WORKERS = 2


class Crew:
    """The workers' processes, and the settings of a hub that is to use them."""

    def __init__(self, cluster: Elsewhere) -> None:
        self._cluster = cluster
        self._workers: list[subprocess.Popen[bytes]] = [cluster.worker() for _ in range(WORKERS)]

    @property
    def settings(self) -> dict[str, str]:
        return {"WORKBENCH_DASK_ADDRESS": self._cluster.address}

    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    def mend(self) -> None:
        """Start again those that are gone."""
        self._workers = [
            worker if worker.poll() is None else self._cluster.worker() for worker in self._workers
        ]


@contextmanager
def crew(folder: Path, marks: Path) -> Iterator[Crew]:
    """A cluster as the how-to page has it, whose workers know the test models."""
    settings = {"FAULT_MARKS": str(marks), "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "30s"}
    with started(**test_environment(), **settings) as start:
        yield Crew(Elsewhere(start, folder))
