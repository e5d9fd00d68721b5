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


def ran(group: str, cases: int) -> None:
    """Count `cases` of a group as passed; a test calls it after its last assertion."""
    _ran[group] = cases


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    by_hand = "WORKBENCH_SHARED" in os.environ and item.get_closest_marker("shared")
    if by_hand and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped although WORKBENCH_SHARED is set by hand: {report.longrepr}"
    group = getattr(item, "callspec", None) and item.callspec.params.get("vectors")  # type: ignore[attr-defined]
    if group in VECTORS and (report.when == "call" or report.skipped):
        # What a report holds reaches the process that sums up, whichever ran the test.
        report.user_properties.append(("vectors", [group, _ran[group]]))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [report for several in terminalreporter.stats.values() for report in several]
    told = [each for report in reports for each in getattr(report, "user_properties", ())]
    ran_of = {group: cases for name, (group, cases) in told if name == "vectors"}
    if not ran_of:
        return
    wanted, done = sum(VECTORS[group] for group in ran_of), sum(ran_of.values())
    why = "" if done == wanted else ": see above, or set WORKBENCH_SHARED to the data's folder"
    terminalreporter.write_line(f"shared vectors: {done} ran, {wanted - done} skipped{why}")
