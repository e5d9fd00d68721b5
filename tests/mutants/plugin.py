"""A pytest plugin that runs the collected tests once for each mutant, in a fork of its own.

Collected is once, and the quick tests come first: a mutant costs what the first test that
notices it costs. A fork that uses too much CPU time counts as noticed, for it hangs.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import hypothesis
import msgspec
import pytest
from _pytest.runner import runtestprotocol

CPU_LIMIT_S = 20

# A failure need not be small, only found.
hypothesis.settings.register_profile(
    "mutants",
    derandomize=True,
    deadline=None,
    database=None,
    max_examples=40,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
)


def pytest_runtestloop(session: pytest.Session) -> bool:
    """Runs every mutant of the file MUTANTS names, and writes which ones lived."""
    told = Path(os.environ["MUTANTS"])
    items = _quick_first(session.items)
    mutants: list[str] = msgspec.json.decode(told.read_bytes())
    running: dict[int, str] = {}
    alive: list[str] = []
    for mutant in mutants:
        running[_forked(mutant, items)] = mutant
        while len(running) >= (os.cpu_count() or 1):
            _waited(running, alive)
    while running:
        _waited(running, alive)
    told.write_bytes(msgspec.json.encode(sorted(alive)))
    return True


def _quick_first(items: list[pytest.Item]) -> list[pytest.Item]:
    """The tests by the time that they take; all of them must pass."""
    took: dict[pytest.Item, float] = {}
    for item in items:
        start = time.process_time()
        if _fails(item):
            pytest.exit(f"{item.nodeid} fails without a mutant", returncode=1)
        took[item] = time.process_time() - start
    return sorted(items, key=took.__getitem__)


def _fails(item: pytest.Item) -> bool:
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


def _forked(mutant: str, items: list[pytest.Item]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
        os.environ["MUTANT_UNDER_TEST"] = mutant
        os._exit(any(map(_fails, items)))
    finally:
        os._exit(1)


def _waited(running: dict[int, str], alive: list[str]) -> None:
    pid, status = os.wait()
    mutant = running.pop(pid)
    if status == 0:
        alive.append(mutant)
