"""A thing that stands twice in a table is refused with both rows, not counted twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from workbench.errors import InputError
from workbench.runes import holders, load_batch
from workbench.runes.repeats import repeat_faults
from workbench.runes.tables import ARROW

SMALL = Path(__file__).parents[2] / "data" / "samples" / "small.json"
A, B = "0a" * 32, "0b" * 32


def table(name: str, *rows: dict[str, Any]) -> pa.Table:
    loose = pa.schema([field.with_nullable(True) for field in ARROW[name]])
    return pa.Table.from_pylist(list(rows), schema=loose)


def said(name: str, *rows: dict[str, Any]) -> list[str]:
    return [str(fault) for fault in repeat_faults(name, table(name, *rows))]


def test_an_output_that_is_listed_twice_is_named() -> None:
    one, other = ({"rune_id": "9:1", "outpoint": f"{each}:0"} for each in (A, B))
    assert said("balances", one, other, {**one, "rune_id": "9:2"}) == []
    assert said("balances", one, other, one) == [
        f"tables.balances[2] is rune_id 9:1, outpoint {A}:0 again, as in row 0; "
        "allowed: one row for each rune_id, outpoint"
    ]


def test_an_output_is_found_again_in_another_piece_of_a_long_table() -> None:
    rows = [{"rune_id": "9:1", "outpoint": f"{place:064x}:{place % 3}"} for place in range(500)]
    whole = table("balances", *rows, {**rows[7], "rune_id": "9:2"}, rows[123])
    pieces = pa.concat_tables([whole.slice(0, 9), whole.slice(9, 0), whole.slice(9)])
    [fault] = repeat_faults("balances", pieces)
    assert str(fault).startswith("tables.balances[501] is rune_id 9:1, ")
    assert list(repeat_faults("balances", pieces.slice(1, 500))) == []
    assert len(list(repeat_faults("balances", pieces.slice(100, 402)))) == 1
    odd = table(
        "balances", {"rune_id": "9:1", "outpoint": "ab"}, {"rune_id": "9:1", "outpoint": ""}
    )
    assert list(repeat_faults("balances", odd)) == []


def test_a_holder_has_one_row_and_nobody_knows_who_is_whom() -> None:
    mine, nobodys = {"rune_id": "9:1", "script": "51"}, {"rune_id": "9:1"}
    assert said("balances", mine, nobodys, nobodys, {**mine, "script": "52"}) == []
    assert said("balances", nobodys, mine, mine)[0].startswith(
        "tables.balances[2] is rune_id 9:1, script 51 again, as in row 1"
    )


def test_a_transaction_mints_once_in_whatever_order_mints_stand() -> None:
    late, early = (
        {"height": 9, "tx_index": place, "txid": A, "rune_id": "9:1"} for place in (7, 3)
    )
    assert said("mints", late, early) == []
    assert len(said("mints", late, early, late)) == 1
    placeless = {**early, "tx_index": None}
    assert said("mints", late, placeless, {**placeless, "txid": B}) == []
    assert len(said("mints", placeless, late, placeless)) == 1


@pytest.mark.parametrize(
    "name", ["balances", "mints", "etchings", "blocks", "inputs", "allocations"]
)
def test_a_batch_and_an_arrow_table_with_a_row_twice_are_refused(name: str) -> None:
    document = json.loads(SMALL.read_text())
    rows = document["tables"][name]
    rows.append(rows[0])
    with pytest.raises(InputError, match=rf"tables\.{name}\[\d+\] is .* again, as in row 0"):
        load_batch(document)


def test_a_question_of_tables_refuses_what_would_count_twice() -> None:
    twice = pa.table(
        {
            "rune_id": ["1:1"] * 2,
            "outpoint": [f"{A}:0"] * 2,
            "script": ["51"] * 2,
            "amount": ["5"] * 2,
        }
    )
    with pytest.raises(InputError, match="again, as in row 0"):
        holders(twice, rune="1:1")


def test_an_amount_that_is_none_is_named_once() -> None:
    odd = pa.table({"rune_id": ["1:1"], "outpoint": [f"{A}:0"], "amount": ["-1"]})
    with pytest.raises(InputError) as caught:
        holders(odd, rune="1:1")
    assert str(caught.value).count("allowed") == 1


def test_an_output_receives_a_rune_once_where_it_was_honoured_and_may_be_asked_for_twice() -> None:
    rows = [
        {"rune_id": rune, "txid": one, "output": output}
        for rune in ("9:1", "9:2")
        for one in (A, B)
        for output in range(3)
    ]
    whole = table("allocations", *rows, rows[4])
    assert list(repeat_faults("allocations", whole.slice(0, 12), "state")) == []
    assert list(repeat_faults("allocations", whole, "runestone")) == []
    [fault] = repeat_faults("allocations", whole, "state")
    assert str(fault).startswith("tables.allocations[12] is rune_id 9:1, ")


def test_inputs_that_name_no_output_may_be_alike() -> None:
    bare = {"rune_id": "9:1", "txid": A, "height": 9}
    known = {**bare, "outpoint": f"{B}:0"}
    whole = table("inputs", known, {**known, "outpoint": f"{B}:1"}, bare, bare, known)
    assert list(repeat_faults("inputs", whole.slice(0, 4), "state")) == []
    assert len(list(repeat_faults("inputs", whole, "state"))) == 1
