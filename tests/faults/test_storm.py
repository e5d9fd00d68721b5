"""Storms over real hubs: four seeds that never change, and one of chance that is printed.

The long form, `make faults`: 1,000 tasks, or as many as FAULT_TASKS says. FAULT_SEED runs
one seed alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults.invariants import told
from tests.faults.mischief import Pace
from tests.faults.shim import Shim, compiler
from tests.faults.storm import Storm, figures
from tests.faults.workers import crew

TASKS = int(os.environ.get("FAULT_TASKS", "0"))
SHORT_TASKS, SHORT_FAULTS = 24, 5
TASKS_A_FAULT = 40
SEEDS = (1, 2, 3, 4)
ON_A_CLUSTER = 4
"""This seed, and every fourth other one, has its tasks run by Dask workers elsewhere."""
LONG = Pace(long_stop_s=20.0, long_freeze_s=70.0)
"""Longer than either side of a link waits for the other."""

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300 + 3 * TASKS)]


def seeds() -> list[int | None]:
    """None for one of chance: each process that collects the tests has to name the same ones."""
    if "FAULT_SEED" in os.environ:
        return [int(os.environ["FAULT_SEED"])]
    return [*SEEDS, None]


def many(count: int, kinds: list[str], chance: random.Random) -> list[str]:
    """Every kind as often as every other, in an order of chance."""
    plan: list[str] = []
    while len(plan) < count:
        plan += chance.sample(kinds, len(kinds))
    return plan[:count]


def few(seed: int, kinds: list[str], chance: random.Random) -> list[str]:
    """The fixed seeds together have every kind once, but for the drain, which is no accident."""
    kinds = [kind for kind in kinds if "drain" not in kind]
    if seed == ON_A_CLUSTER:
        return [*(kind for kind in kinds if "Dask" in kind), "kill -9 of the hub", "black hole"]
    if seed in SEEDS:
        return kinds[seed - 1 :: len(SEEDS) - 1]
    return chance.sample(kinds, SHORT_FAULTS)


@pytest.fixture(scope="module")
def storms() -> Iterator[list[Storm]]:
    """Those that were over; their figures are printed together."""
    over: list[Storm] = []
    yield over
    print("\n" + figures(over))


@pytest.mark.parametrize("seed", seeds(), ids=lambda seed: str(seed or "chance"))
def test_whatever_fails_every_promise_is_kept(
    seed: int | None, tmp_path: Path, storms: list[Storm]
) -> None:
    seed = seed or time.time_ns() % 100_000
    print(f"FAULT_SEED={seed}")
    if compiler() is None:
        pytest.skip("no C compiler here: a clock cannot jump, and no disk be full")
    tasks = TASKS // len(seeds()) or SHORT_TASKS
    with contextlib.ExitStack() as stack:
        marks = tmp_path / "marks"
        marks.mkdir()
        on_a_cluster = seed % len(SEEDS) == ON_A_CLUSTER % len(SEEDS)
        storm = Storm(
            seed,
            tasks,
            tmp_path,
            plan=partial(many, tasks // TASKS_A_FAULT) if TASKS else partial(few, seed),
            pace=LONG if TASKS else Pace(),
            shim=Shim(tmp_path, tmp_path / "data"),
            workers=stack.enter_context(crew(tmp_path, marks)) if on_a_cluster else None,
        )
        storms.append(storm)
        broken = asyncio.run(storm.run())
    assert not broken, told(broken)
