"""Does the supply add up: to the atomic unit, for each rune and each transaction."""

from __future__ import annotations

import dataclasses

import pyarrow as pa
import pytest

from tests.runes.questions.drawn import titles
from tests.runes.questions.hand import ASH, OAK, tables
from tests.runes.questions.rows import table
from workbench.errors import InputError
from workbench.runes.batch import Batch
from workbench.runes.evidence import evidence_of
from workbench.runes.questions.reconcile import SHOWN_BARS, reconcile

BIG = 2**127
THIRD = "840003:1"


def test_a_batch_at_the_state_level_adds_up(small: Batch) -> None:
    answer = reconcile(small)
    assert str(answer.sentence) == "all 29 runes add up to the atomic unit"
    assert answer.facts["transactions"] == 0
    assert answer.frame["difference"].tolist() == [0] * 29


def test_one_missing_atomic_unit_is_found_above_2_127() -> None:
    whole = tables(premine=BIG, balances=[(ASH, "a", BIG - 1)], entries=[(ASH, 0, 0, BIG)])
    answer = reconcile(whole)
    assert answer.frame["difference"].tolist() == [1]
    assert str(answer.sentence) == "1 of 1 rune does not add up"


def test_a_transaction_that_loses_runes_is_named() -> None:
    moved = {
        "inputs": [(900, 1, ASH, "a", 7)],
        "events": [(900, 1, "transferred", ASH, 5), (900, 1, "burned", ASH, 1)],
    }
    whole = tables(premine=7, balances=[(ASH, "b", 7)], entries=[(ASH, 0, 0, 7)], **moved)
    answer = reconcile(whole)
    [row] = answer.more["transactions"].to_pylist()
    assert {"came", "went"} <= set(answer.amounts) & set(row)  # a page draws them as numbers
    assert (row["height"], row["rune_id"], row["came"], row["went"]) == (900, ASH, "7", "6")
    assert str(answer.sentence) == "no rune is off, but 1 of the transactions does not add up"


def test_both_sides_of_a_transaction_are_the_sums_of_all_that_came_and_went() -> None:
    big = 2**64
    moved = {
        "inputs": [(900, 1, ASH, "a", big), (900, 1, ASH, "b", 2 * big + 3), (901, 1, ASH, "a", 5)],
        "events": [
            *((900, 1, "minted", ASH, 4), (900, 1, "transferred", ASH, big + 1)),
            *((900, 1, "burned", ASH, big), (902, 1, "transferred", ASH, 6)),
        ],
    }
    whole = tables(premine=7, balances=[(ASH, "b", 7)], entries=[(ASH, 0, 0, 7)], **moved)
    unplaced = {name: without_places(whole[name]) for name in moved}
    for asked in (whole, {**whole, **unplaced}):
        rows = reconcile(asked).more["transactions"].to_pylist()
        assert [(row["height"], row["came"], row["went"]) for row in rows] == [
            (900, str(3 * big + 7), str(2 * big + 1)),
            (901, "5", "0"),
            (902, "0", "6"),
        ]


def without_places(table: pa.Table) -> pa.Table:
    at = table.column_names.index("tx_index")
    return table.set_column(at, "tx_index", pa.nulls(table.num_rows, pa.int64()))


def test_it_explains_itself() -> None:
    explained = reconcile(three()).explain()
    assert explained.formulas == (
        "difference = premine + mints * amount - burned - sum of balances; it must be 0",
        "per transaction and rune: inputs + minted + premine = outputs + burned",
    )
    assert explained.assumptions == (
        "mints and burned count from the etching on, as the table entries has them",
    )


def three() -> dict[str, pa.Table]:
    """Of 7 of ASH 5 are held and 2 burned; of 7 of OAK a unit is lost; of the third rune no
    etching is at hand."""
    return tables(
        premine=7,
        etched=(ASH, OAK),
        balances=[(ASH, "a", 5), (OAK, "a", 6), (THIRD, "a", 3)],
        entries=[(ASH, 0, 2, 7), (OAK, 0, 0, 7), (THIRD, 0, 0, 3)],
        inputs=[
            *((900, 2, ASH, "a", 4), (900, 2, ASH, "a", 4)),
            (901, 1, OAK, "a", 7),
        ],
        events=[
            *((900, 2, "transferred", ASH, 6), (900, 2, "burned", ASH, 2)),
            *((900, 3, "minted", ASH, 4), (900, 3, "etched", ASH, 1)),
            *((900, 3, "transferred", ASH, 5), (901, 1, "transferred", OAK, 6)),
        ],
    )


def test_what_is_off_comes_first_then_what_is_not_known() -> None:
    answer = reconcile(three())
    assert answer.table["rune_id"].to_pylist() == [OAK, THIRD, ASH]
    assert answer.table["adds_up"].to_pylist() == [False, None, True]
    assert answer.facts == {"runes": 3, "wrong": 1, "unknown": 1, "transactions": 1}
    assert str(answer.sentence) == "1 of 3 runes does not add up, nor does 1 transaction"
    assert answer.explain().missing == ()
    assert str(reconcile(three(), rune=ASH).sentence) == "IEAAABB adds up to the atomic unit"
    assert str(reconcile(three(), rune=THIRD).sentence) == (
        "whether 840003:1 adds up the batch does not hold enough to tell"
    )
    assert reconcile(three(), rune=OAK).facts["transactions"] == 1
    everywhere = dataclasses.replace(evidence_of(three()), local=None)
    assert reconcile(everywhere, rune=ASH).facts["transactions"] == 0
    assert reconcile(everywhere, rune=OAK).facts["transactions"] == 1
    assert reconcile(three(), rune=THIRD).table.schema == answer.table.schema


def test_the_figure_says_where_what_was_made_is() -> None:
    figure = reconcile(three()).figure
    assert titles(figure) == (
        *("Where what was made is", "share of what was made, percent"),
        *("held", "burned"),
    )
    assert (figure["layout"]["barmode"], figure["layout"]["yaxis"]) == (
        "stack",
        {"type": "category", "autorange": "reversed"},
    )
    held, burned = figure["data"]
    assert held["y"] == burned["y"] == ["IEAAACF ≠", "IEAAABB"]
    assert (held["x"], burned["x"]) == ([600 / 7, 500 / 7], [0, 200 / 7])
    assert (held["orientation"], burned["orientation"]) == ("h", "h")


def test_without_both_sides_transactions_are_not_reconciled() -> None:
    for name in ("inputs", "events"):
        answer = reconcile({key: table for key, table in three().items() if key != name})
        assert (answer.facts["transactions"], answer.more) == (None, {})
        assert answer.explain().missing == ("the inputs of transactions: they were not reconciled",)


def test_a_rune_whose_etching_is_not_at_hand_is_not_called_right_or_wrong() -> None:
    whole = tables(premine=7, balances=[(ASH, "a", 7), (OAK, "b", 3)], entries=[(ASH, 0, 0, 7)])
    frame = reconcile(whole).frame.set_index("rune_id")
    assert bool(frame.loc[ASH, "adds_up"])
    assert frame.loc[OAK, "adds_up"] is None


def test_transactions_whose_place_no_source_tells_are_told_apart_by_their_id() -> None:
    moved = {
        "inputs": [(900, 1, ASH, "a", 7), (900, 2, ASH, "a", 5)],
        "events": [(900, 1, "transferred", ASH, 5), (900, 2, "transferred", ASH, 7)],
    }
    whole = tables(premine=7, entries=[(ASH, 0, 0, 7)], **moved)
    whole |= {name: without_places(whole[name]) for name in moved}
    rows = reconcile(whole).more["transactions"].to_pylist()
    assert [(row["came"], row["went"]) for row in rows] == [("7", "5"), ("5", "7")]


def test_terms_that_a_source_does_not_state_are_not_taken_for_none() -> None:
    whole = tables(premine=7, entries=[(ASH, 1, 0, 8)], balances=[(ASH, "a", 8)])
    unsaid = pa.nulls(1, pa.bool_())
    at = whole["etchings"].column_names.index("terms")
    whole["etchings"] = whole["etchings"].set_column(at, "terms", unsaid)
    assert reconcile(whole).frame["adds_up"].tolist() == [None]


def test_a_batch_that_knows_only_what_was_asked_for_is_refused(block_batch: Batch) -> None:
    with pytest.raises(InputError, match=r"needs the state, and .* runestone level"):
        reconcile(block_batch)
    with pytest.raises(InputError, match="reconcile needs the table entries"):
        reconcile(tables(balances=[(ASH, "a", 1)]))


def test_amounts_that_no_rune_can_have_are_refused_where_they_are_summed() -> None:
    held = [(ASH, "a", 2**128 - 1), (ASH, "b", 1)]
    whole = tables(premine=7, balances=held, entries=[(ASH, 0, 0, 7)])
    with pytest.raises(InputError) as refused:
        reconcile(whole)
    assert str(refused.value).startswith(
        f"the sum of balances.amount of {ASH} is {2**128}; allowed: at most 2^128 - 1: no rune can"
    )


def test_what_is_there_twice_is_told_though_it_comes_to_more_than_there_can_be() -> None:
    most = 2**128 - 1
    event = (900, 1, "transferred", ASH, most)
    whole = tables(
        premine=7, entries=[(ASH, 0, 0, 7)], inputs=[(900, 1, ASH, "a", most)], events=[event] * 2
    )
    [row] = reconcile(whole).more["transactions"].to_pylist()
    assert (row["came"], row["went"]) == (str(most), str(2 * most))


def test_a_rune_without_an_etching_is_known_by_its_id_alone() -> None:
    whole = tables(etched=(), balances=[(OAK, "b", 3)], entries=[(OAK, 0, 0, 3)])
    assert reconcile(whole, rune=OAK).facts["runes"] == 1
    with pytest.raises(InputError, match=f"rune is '{ASH}'"):
        reconcile(whole, rune=ASH)


def test_legs_that_balance_in_sum_are_no_fault() -> None:
    moved = {
        "inputs": [(900, 1, ASH, "a", 3), (900, 1, ASH, "b", 2**64 + 4)],
        "events": [(900, 1, "transferred", ASH, 2**64), (900, 1, "transferred", ASH, 7)],
    }
    whole = tables(premine=7, balances=[(ASH, "b", 7)], entries=[(ASH, 0, 0, 7)], **moved)
    assert reconcile(whole).facts["transactions"] == 0


def test_a_cenotaph_and_terms_without_an_amount_make_nothing() -> None:
    """And an etching whose commitment is missing is none, nor is its premine."""
    told = {"name": "AB", "spaced_name": "A•B", "divisibility": 0, "spacers": 0}
    etchings = table(
        "etchings",
        {**told, "rune_id": ASH, "premine": 7, "cenotaph": True, "terms": True},
        {**told, "rune_id": OAK, "premine": 5, "terms": True, "tx_index": 2},
        {**told, "rune_id": THIRD, "premine": 9, "commitment": "missing", "tx_index": 3},
    )
    entries = table(
        "entries",
        {"rune_id": ASH, "mints": 0, "burned": 0, "supply": 0},
        {"rune_id": OAK, "mints": 3, "burned": 0, "supply": 5},
    )
    balances = table("balances", {"rune_id": OAK, "script": "51", "amount": 5})
    answer = reconcile({"etchings": etchings, "entries": entries, "balances": balances})
    assert str(answer.sentence) == "all 2 runes add up to the atomic unit"
    of = answer.frame.set_index("rune_id")
    assert of.loc[[ASH, OAK], "premine"].tolist() == [0, 5]
    assert of["minted"].tolist() == [0, 0]


def test_of_many_runes_the_first_are_drawn() -> None:
    ids = [f"840000:{n}" for n in range(SHOWN_BARS + 1)]
    told = {"divisibility": 0, "spacers": 0, "premine": 4, "terms": True, "amount": 2}
    etchings = table("etchings", *({**told, "rune_id": each} for each in ids))
    entries = table(
        "entries", *({"rune_id": each, "mints": 1, "burned": 3, "supply": 6} for each in ids)
    )
    balances = table("balances", *({"rune_id": each, "script": "51", "amount": 3} for each in ids))
    answer = reconcile({"etchings": etchings, "entries": entries, "balances": balances})
    held, burned = answer.figure["data"]
    assert (len(held["y"]), set(held["x"]), set(burned["x"])) == (SHOWN_BARS, {50}, {50})
