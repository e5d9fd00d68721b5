"""The state machine against the scenarios that ord's own updater logic computed."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from workbench.core.bitcoin import parse_transaction
from workbench.core.rune import SpacedRune
from workbench.core.spent import SpentOutput
from workbench.runes.ledger import Entry, Ledger

SCENARIOS = "data/runes/vectors/index_scenarios.ndjson.gz"


@pytest.mark.shared
def test_ends_as_ord_ends_in_every_scenario(shared: Path) -> None:
    lines = gzip.decompress((shared / SCENARIOS).read_bytes()).splitlines()
    assert len(lines) == 8
    for scenario in map(json.loads, lines):
        ledger = Ledger(scenario["network"])
        outputs: dict[str, SpentOutput] = {}
        for block in scenario["blocks"]:
            transactions = [parse_transaction(bytes.fromhex(raw)) for raw in block["txs"]]
            for transaction in transactions:
                for place, output in enumerate(transaction.outputs):
                    outputs[f"{transaction.txid}:{place}"] = SpentOutput(
                        output.script, output.value, block["height"]
                    )
            ledger.apply(block["height"], transactions, outputs)
        assert _balances(ledger) == {
            outpoint: dict(held) for outpoint, held in scenario["expected"]["balances"].items()
        }
        entries = {entry["id"]: entry for entry in scenario["expected"]["entries"]}
        assert set(entries) == {str(rune) for rune in ledger.entries}
        for rune, entry in ledger.entries.items():
            assert _entry(entry) == {name: entries[str(rune)][name] for name in _entry(entry)}


def _balances(ledger: Ledger) -> dict[str, dict[str, str]]:
    return {
        outpoint: {str(rune): str(amount) for rune, amount in held.items()}
        for outpoint, held in ledger.balances.items()
    }


def _entry(entry: Entry) -> dict[str, Any]:
    spaced = SpacedRune(entry.number, entry.etching.spacers or 0)
    return {
        "mints": str(entry.mints),
        "burned": str(entry.burned),
        "premine": str(entry.premine),
        "supply": str(entry.supply),
        "spaced_rune": str(spaced),
    }
