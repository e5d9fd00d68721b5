"""A pytest plugin: says how many shared vectors ran, and lets none be skipped in silence.

With WORKBENCH_SHARED set by hand a skipped test of the shared data is a failure.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Generator

import pytest

VECTORS = {
    "decipher_ord_tests": 334,
    "decipher_real": 90,
    "decipher_fuzz": 800,
    "encipher": 100,
    "varint_encode": 315,
    "varint_decode": 192,
    "rune": 592,
    "rune_parse": 11,
    "minimum_at_height": 206,
    "reserved": 7,
    "spaced_parse": 22,
    "spaced_display": 100,
    "rune_id_parse": 18,
    "rune_id_delta": 60,
    "rune_id_next": 60,
    "pile": 96,
    "etching_supply": 80,
}
"""The groups of `data/runes/vectors/protocol.json` with their number of cases."""

_ran: Counter[str] = Counter()
_selected: set[str] = set()


def ran(group: str, cases: int) -> None:
    """Count `cases` of a group as passed; a test calls it after its last assertion."""
    _ran[group] = cases


def pytest_collection_finish(session: pytest.Session) -> None:
    for item in session.items:
        group = getattr(item, "callspec", None) and item.callspec.params.get("vectors")  # type: ignore[attr-defined]
        if group in VECTORS:
            _selected.add(group)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    by_hand = "WORKBENCH_SHARED" in os.environ and item.get_closest_marker("shared")
    if by_hand and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although WORKBENCH_SHARED is set by hand: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _selected:
        return
    wanted = sum(VECTORS[group] for group in _selected)
    done = sum(_ran.values())
    why = "" if done == wanted else ": see above, or set WORKBENCH_SHARED to the data's folder"
    terminalreporter.write_line(f"shared vectors: {done} ran, {wanted - done} skipped{why}")
