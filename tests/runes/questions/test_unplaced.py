"""Sources that name transactions and not their places in the block, such as OPI's events."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.runes.questions.hand import txid
from tests.runes.questions.rows import table
from workbench.runes.questions.anomalies import anomalies
from workbench.runes.questions.compare_sources import compare_sources
from workbench.runes.questions.volume import volume
from workbench.runes.simulate import Scale, simulated_batch

OAK = "840000:3"
TOLD = ("mints", "allocations", "events", "inputs")
Tables = dict[str, pa.Table]


@pytest.fixture(scope="module")
def placed() -> Tables:
    batch = simulated_batch(5, Scale(runes=8, blocks=40, wallets=6, payments=2), id="sim")
    return {name: batch.tables[name] for name in (*TOLD, "etchings", "entries", "balances")}


@pytest.fixture(scope="module")
def unplaced(placed: Tables) -> Tables:
    return {name: _without(one) if name in TOLD else one for name, one in placed.items()}


def _without(rows: pa.Table) -> pa.Table:
    place = rows.schema.get_field_index("tx_index")
    return rows.set_column(place, "tx_index", pa.nulls(rows.num_rows, pa.int64()))


def two_transfers_of_one_block(first: int, second: int) -> Tables:
    """100 of ash's to ash and birch, `first` in all; 50 of birch's to ash, `second`."""

    def row(number: int, script: str, amount: int) -> dict[str, object]:
        of = {"height": 840_010, "tx_index": None, "txid": txid(840_010, number), "rune_id": OAK}
        return {**of, "script": script, "amount": amount, "outpoint": f"{txid(1, number)}:0"}

    put = [row(1, "5101", first - 10), row(1, "5102", 10), row(2, "5101", second)]
    numbered = ({**one, "output": number} for number, one in enumerate(put))
    return {
        "inputs": table("inputs", row(1, "5101", 100), row(2, "5102", 50)),
        "allocations": table("allocations", *numbered),
        "events": table("events", *({**one, "kind": "transferred"} for one in put)),
    }


def test_two_transactions_of_one_block_are_two() -> None:
    facts = volume(two_transfers_of_one_block(100, 50)).facts
    assert (facts["transactions"], facts["net"], facts["sent"]) == (2, 60, 60)
    assert volume(two_transfers_of_one_block(105, 45)).facts["unbalanced"] == 2


def test_what_went_back_is_by_transaction() -> None:
    facts = anomalies(two_transfers_of_one_block(100, 50), rune=OAK)
    assert facts.facts["self_share"] == 90 / 150
    assert any("the order of transactions" in str(one) for one in facts.explain().missing)


@pytest.mark.parametrize("per", ["batch", "block"])
def test_volume_is_the_same_without_places(placed: Tables, unplaced: Tables, per: str) -> None:
    assert volume(unplaced, per=per).table.equals(volume(placed, per=per).table)


def test_what_went_back_is_the_same_without_places(placed: Tables, unplaced: Tables) -> None:
    with_places, without = anomalies(placed), anomalies(unplaced)
    same = "self_transfers"
    assert without.more[same].equals(with_places.more[same])


def test_a_cycle_is_shown_by_its_blocks_alone() -> None:
    def row(height: int, script: str) -> dict[str, object]:
        of = {"height": height, "tx_index": None, "txid": txid(height, 1), "rune_id": OAK}
        return {**of, "script": script, "amount": 7, "outpoint": f"{txid(1, height)}:0"}

    put = [row(840_010, "5102"), row(840_011, "5101")]
    tables = {
        "inputs": table("inputs", row(840_010, "5101"), row(840_011, "5102")),
        "allocations": table("allocations", *({**one, "output": 0} for one in put)),
        "events": table("events", *({**one, "kind": "transferred"} for one in put)),
    }
    (cycle,) = anomalies(tables, rune=OAK).more["cycles"].to_pylist()
    assert (cycle["sent_height"], cycle["back_height"]) == (840_010, 840_011)
    assert cycle["sent_tx"] is cycle["back_tx"] is None


def test_a_source_without_places_agrees_with_one_that_has_them(
    placed: Tables, unplaced: Tables
) -> None:
    assert compare_sources(placed, unplaced).facts["differences"] == 0


def test_amounts_exchanged_between_transactions_of_one_block_differ() -> None:
    a, b = two_transfers_of_one_block(100, 50), two_transfers_of_one_block(100, 50)
    amounts = b["events"]["amount_low"].to_pylist()
    place = b["events"].schema.get_field_index("amount_low")
    exchanged = [amounts[2], amounts[1], amounts[0]]
    column = pa.array(exchanged, pa.uint64())
    b["events"] = b["events"].set_column(place, "amount_low", column)
    assert compare_sources(a, a).facts["differences"] == 0
    assert compare_sources(a, b).facts["differences"] > 0
