"""A pytest plugin that runs the collected tests once for each mutant, in a fork of its own.

Collected is once, and the quick tests that noticed much come first: a mutant costs what the tests
up to the first one that notices it cost. A fork that uses too much time counts as noticed, for it
hangs.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import time
from pathlib import Path

import hypothesis
import msgspec
import pytest
from _pytest.runner import runtestprotocol

from tests.mutants.sql import Constants

CPU_LIMIT_S = 20
WALL_LIMIT_S = 120
QUESTIONS = "workbench.runes.questions."
Running = dict[int, tuple[str, list[pytest.Item]]]
"""A mutant and its tests in their order, by process."""

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
    """Runs every mutant of the file MUTANTS names, and writes which lived and which hung."""
    told = Path(os.environ["MUTANTS"])
    costs = _costs(session.items)
    kills = dict.fromkeys(costs, 0)
    mutants: list[str] = msgspec.json.decode(told.read_bytes())
    running: Running = {}
    alive: list[str] = []
    late: list[str] = []
    gc.collect()
    gc.freeze()
    for mutant in mutants:
        order = sorted(session.items, key=lambda item: costs[item] / (1 + kills[item]))
        running[_forked(mutant, order)] = mutant, order
        while len(running) >= (os.cpu_count() or 1):
            _waited(running, alive, late, kills)
    while running:
        _waited(running, alive, late, kills)
    told.write_bytes(msgspec.json.encode((sorted(alive), sorted(late))))
    return True


def _costs(items: list[pytest.Item]) -> dict[pytest.Item, float]:
    """The time that each test takes; all of them must pass."""
    took: dict[pytest.Item, float] = {}
    for item in items:
        start = time.process_time()
        if _fails(item):
            pytest.exit(f"{item.nodeid} fails without a mutant", returncode=1)
        took[item] = time.process_time() - start
    return took


def _fails(item: pytest.Item) -> bool:
    return any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


def _forked(mutant: str, items: list[pytest.Item]) -> int:
    """A process that ends with the number of the test that notices the mutant, 0 for none."""
    pid = os.fork()
    if pid:
        return pid
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(WALL_LIMIT_S)
        os.environ["MUTANT_UNDER_TEST"] = mutant
        _put(mutant)
        os._exit(next((place for place, item in enumerate(items, 1) if _fails(item)), 0))
    finally:
        os._exit(255)


def _put(mutant: str) -> None:
    """What is made of SQL when a module is imported is made anew with the fault in it."""
    faulty = mutant.rpartition(".")[0]
    if ".sql_" in mutant:
        Constants(_path(faulty)).put(mutant)
    if not faulty.startswith(QUESTIONS):
        for name in [name for name in sys.modules if name.startswith(QUESTIONS)]:
            Constants(_path(name)).put()


def _path(module: str) -> Path:
    return Path(*module.split(".")).with_suffix(".py")


def _waited(
    running: Running, alive: list[str], late: list[str], kills: dict[pytest.Item, int]
) -> None:
    pid, status = os.wait()
    mutant, order = running.pop(pid)
    place = os.waitstatus_to_exitcode(status)
    if place == 0:
        alive.append(mutant)
    elif place < 0:
        late.append(mutant)
    elif place <= len(order):
        kills[order[place - 1]] += 1
