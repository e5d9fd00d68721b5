"""Each mechanism of the hub is needed: without it the storm's own judge finds what is broken."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.core.test_task import always_new, any_attempt, not_written, nothing_missed
from tests.faults.invariants import told
from tests.faults.small import SmallStorm
from tests.mesh.doubles import MemoryJournal

pytestmark = pytest.mark.faults
SHORT_S = 1.0
"""What does not come within it is taken for broken; that it is, its sentence must say."""


class Unread(MemoryJournal):
    """A journal of which no open task is taken up at the start."""

    async def read(self, query: str, **params: Any) -> list[dict[str, Any]]:
        return [] if query == "tasks_open" else await super().read(query, **params)


async def test_with_every_mechanism_every_promise_is_kept(tmp_path: Path) -> None:
    broken = await SmallStorm(tmp_path).run()
    assert not broken, told(broken)


@pytest.mark.parametrize(
    ("off", "finding"),
    [
        ({"replay": nothing_missed}, "cut: client one heard [1, 3, 5, 6] of [1, 3, 4, 5, 6]"),
        ({"journal": not_written}, "killed: forgotten: it was accepted and is not in the journal"),
        ({"rows_in": Unread}, "killed: one was told that nobody knows it"),
        ({"dedupe": always_new}, "twice: two attempts ran at once"),
        ({"fence": any_attempt}, "late: attempt 2 says what no single run said"),
        ({"attempts": math.inf}, "doomed: more than 3 attempts were made"),
    ],
    ids=["replay", "journal", "reconcile", "dedupe", "fence", "attempts"],
)
async def test_without_one_mechanism_a_broken_promise_is_found(
    off: dict[str, Any], finding: str, tmp_path: Path
) -> None:
    broken = await SmallStorm(tmp_path, wait_s=SHORT_S, **off).run()
    assert any(each.startswith(finding) for each in broken), told(broken)
