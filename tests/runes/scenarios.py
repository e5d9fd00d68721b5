"""The scenarios that ord's own updater logic computed, read from the shared data."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

from workbench.runes import Index

FILE = "data/runes/vectors/index_scenarios.ndjson.gz"
Scenario = dict[str, Any]


@cache
def scenarios(shared: Path) -> list[Scenario]:
    """All of them: `network`, `blocks` and what is `expected`."""
    lines = gzip.decompress((shared / FILE).read_bytes()).splitlines()
    found: list[Scenario] = [json.loads(line) for line in lines]
    assert len(found) == 8
    return found


def apply(index: Index, block: dict[str, Any]) -> list[dict[str, Any]]:
    """One block of a scenario; it comes without the outputs that it spends."""
    raw = [bytes.fromhex(one) for one in block["txs"]]
    return index.apply(block["height"], block["time"], raw)


def is_as_expected(index: Index, scenario: Scenario) -> bool:
    """Whether the index ends as ord ends."""
    found = {"events": index.events, "entries": index.entries(), "balances": index.balances()}
    return found == scenario["expected"]
