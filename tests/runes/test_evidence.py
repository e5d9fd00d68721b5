"""What a question can read: a rune by what people call it, and what tables alone tell."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from tests.runes.questions.hand import ASH, OAK
from tests.runes.questions.laid import batch, laid
from workbench.errors import InputError
from workbench.runes.batch import Source
from workbench.runes.evidence import Evidence, Rune, evidence_of
from workbench.runes.recognising import recognised, taken

DOG = {"rune_id": ASH, "name": "DOGGOTO", "spaced_name": "DOG•GO•TO", "divisibility": 5}


def etched(*rows: dict[str, Any], **more: Any) -> Evidence:
    return evidence_of(batch(laid(etchings=rows, **more), 840_000, 840_009))


@pytest.mark.parametrize("wanted", [ASH, "DOGGOTO", " dog•go•to ", "dog.go.to", "DOGG•OTO"])
def test_a_rune_is_found_by_its_id_and_by_its_name_however_it_is_spaced(wanted: str) -> None:
    found = etched({**DOG, "symbol": "D"}).rune(wanted)
    assert found == Rune(ASH, "DOG•GO•TO", 5, "D")


def test_of_one_name_the_honoured_etching_counts_then_the_earlier_one() -> None:
    void = {**DOG, "rune_id": "840000:1", "commitment": "missing"}
    later = {**DOG, "rune_id": OAK}
    assert etched(void, later, DOG).rune("DOGGOTO").id == ASH


def test_a_rune_without_an_etching_is_known_by_its_id() -> None:
    held = {"balances": [{"rune_id": OAK, "amount": 1}]}
    asked = [{"height": 840_001, "tx_index": 1, "mints": "840003:1"}]
    of = etched(DOG, **held, runestones=asked, blocks=[{"height": 840_001}])
    assert of.rune(OAK) == Rune(OAK, OAK, None, None)
    assert of.rune("840003:1").name == "840003:1"
    assert of.rune_ids() == {ASH, OAK, "840003:1"}


def test_an_unknown_rune_is_refused_with_those_that_are_near() -> None:
    of = etched(DOG, {"rune_id": OAK, "name": "HOLLOW", "spaced_name": "HOL•LOW"})
    with pytest.raises(InputError) as refused:
        of.rune("doggoto.s")
    assert str(refused.value) == (
        "rune is 'doggoto.s'; allowed: the id (840000:3) or the name of one of the 2 runes here; "
        "did you mean DOG•GO•TO?"
    )
    with pytest.raises(InputError, match=r"did you mean HOL•LOW, DOG•GO•TO\?$"):
        etched(DOG, {"rune_id": OAK, "name": "HOGGOTO", "spaced_name": "HOL•LOW"}).rune("HOGGOT")
    with pytest.raises(InputError, match=r"one of the 2 runes here$"):
        of.rune("840009:9")


def test_divisibilities_are_those_of_honoured_etchings() -> None:
    void = {"rune_id": OAK, "divisibility": 3, "commitment": "missing"}
    assert etched(DOG, void).divisibilities([ASH, OAK, None, "1:0"]) == {ASH: 5}
    assert etched(DOG).divisibilities([OAK]) == {}


def test_it_says_whose_data_it_is() -> None:
    own = batch(laid(etchings=[DOG]), 840_000, 840_009)
    assert evidence_of(own).sources() == (
        "laid: mainnet, blocks 840000 to 840009, state level; by hand",
    )
    source = Source(producer="x", trusted="ab" * 32)
    taken_over = evidence_of(dataclasses.replace(own, source=source))
    assert taken_over.sources()[1:] == (source.trust,)
    lone = evidence_of(laid(entries=[{"rune_id": ASH}]))
    assert lone.sources() == (
        "this set of tables: network not stated, blocks not stated, state level; not stated",
    )
    told = evidence_of(laid(etchings=[DOG], runestones=[{"height": 7}], blocks=[{"height": 3}]))
    assert (told.first_height, told.last_height) == (3, 7)
    assert told.span == "blocks 3 to 7"


def moved(amount: int | None) -> list[dict[str, Any]]:
    return [{"height": 900, "tx_index": 1, "kind": "burned", "rune_id": ASH, "amount": amount}]


def test_tables_alone_are_a_state_where_only_a_state_knows_what_they_say() -> None:
    for name in ("inputs", "balances", "entries"):
        assert evidence_of(laid(**{name: [{"rune_id": ASH, "height": 900}]})).is_state
    assert evidence_of(laid(events=moved(1))).is_state
    assert not evidence_of(laid(events=moved(None))).is_state
    assert evidence_of(laid(etchings=[DOG])).completeness == "runestone"
    assert evidence_of(laid(events=moved(1))["events"]).rows("SELECT 1 FROM {events}").num_rows == 1
    sent = [{"height": 900, "tx_index": 1, "rune_id": ASH, "amount": None}]
    assert not evidence_of(laid(events=moved(1), allocations=sent)).is_state


def test_no_rows_mean_that_there_was_nothing_where_the_level_or_the_source_speaks_of_it() -> None:
    of = etched(DOG)
    assert [of.holds(name) for name in ("etchings", "mints", "inputs")] == [True, True, True]
    asked = evidence_of(batch(laid(etchings=[DOG]), 1, 2, "runestone"))
    assert [asked.holds(name) for name in ("mints", "inputs")] == [True, False]
    some = evidence_of(batch(laid(etchings=[DOG]), 1, 2, covers=frozenset(("mints",))))
    assert [some.holds(name) for name in ("etchings", "mints", "inputs")] == [True, True, False]
    some.needs("burns", "mints", state=False)
    with pytest.raises(InputError) as refused:
        some.needs("burns", "mints", "inputs")
    assert str(refused.value) == (
        "burns needs the table inputs, which laid does not have; it has etchings"
    )
    with pytest.raises(InputError, match="it has no rows at all"):
        evidence_of(batch({}, 1, 2)).needs_rows("burns", "events")
    assert evidence_of(batch({}, 1, 2)).rune_ids() == set()
    none = evidence_of(batch(laid(etchings=[DOG]), 1, 2, covers=None))
    assert [none.holds(name) for name in ("etchings", "mints", "inputs")] == [True, False, False]
    tables = laid(etchings=[DOG], blocks=[{"height": 1}])
    read = evidence_of(batch(tables, 1, 2, covers=None))
    assert [read.holds(name) for name in ("etchings", "mints", "inputs")] == [True, True, True]
    assert evidence_of(laid(mints=[])).holds("mints")
    assert not evidence_of(laid(mints=[])).holds("events")


def test_a_level_that_does_not_know_is_refused_with_the_way_out() -> None:
    asked = evidence_of(batch(laid(etchings=[DOG]), 1, 2, "runestone"))
    with pytest.raises(InputError) as refused:
        asked.needs("burns")
    assert str(refused.value) == (
        "burns needs the state, and laid is at the runestone level: it knows what messages asked "
        "for, not what was honoured. In a notebook, apply the blocks from the first Runes block "
        "on with runes.Index, or read a producer's state, and keep the batch"
    )


def test_a_table_that_is_not_there_is_read_as_one_without_rows() -> None:
    found = etched(DOG).rows("SELECT * FROM {mints}")
    assert (found.num_rows, "receiver" in found.column_names) == (0, True)
    assert etched(DOG).one("SELECT count(*) AS n FROM {etchings}") == {"n": 1}


def test_what_is_no_batch_is_refused() -> None:
    for odd in (5, {"etchings": 5}):
        with pytest.raises(InputError, match=r"^batch is '(int|dict)'; allowed: a Batch"):
            evidence_of(odd)  # type: ignore[arg-type]
    of = etched(DOG)
    assert evidence_of(of) is of

    class Kept:
        def evidence(self) -> Evidence:
            return of

    assert evidence_of(Kept()) is of


def test_a_lone_table_is_taken_for_the_one_whose_columns_it_has() -> None:
    columns = {"height": [1], "tx_index": [1], "txid": ["00" * 32], "rune_id": ["1:0"]}
    assert recognised(pa.table({**columns, "kind": ["minted"], "amount": ["1"]})) == "events"
    assert recognised(pa.table({"rune_id": ["1:0"], "mints": [1], "supply": [1]})) == "entries"
    halves = {"amount_high": pa.array([0], pa.uint64()), "amount_low": pa.array([1], pa.uint64())}
    assert recognised(pa.table({"rune_id": ["1:0"], **halves})) == "balances"
    with pytest.raises(InputError, match=r"^columns is \['x'\]; allowed: the columns of one table"):
        recognised(pa.table({"x": [1]}))


@pytest.mark.parametrize(
    "amounts",
    [
        pa.array([str(2**64 + 3), None]),
        pa.array([str(2**64 + 3), None], pa.large_string()),
        pa.array([Decimal(2**64 + 3), None]),
    ],
    ids=["text", "large text", "decimal"],
)
def test_amounts_may_come_as_text_integers_or_decimals(amounts: pa.Array) -> None:
    columns = {"rune_id": ["1:0", "1:1"], "mints": [0, 0], "burned": [0, 0], "supply": amounts}
    table = taken("entries", pa.table(columns))
    assert table["supply_high"].to_pylist() == [1, None]
    assert table["supply_low"].to_pylist() == [3, None]
    whole = taken("balances", pa.table({"rune_id": ["1:0"], "amount": [7], "more": ["x"]}))
    assert whole["amount_low"].to_pylist() == [7]
    assert whole.column_names[0] == "rune_id" and "more" not in whole.column_names
    assert whole["script"].to_pylist() == [None]


@pytest.mark.parametrize(
    ("amount", "reason"),
    [
        (pa.array([1.0]), "1.0"),
        (pa.array(["1.5"]), "'1.5'"),
        (pa.array(["01"]), "'01'"),
        (pa.array([Decimal("1.5")]), "Decimal('1.5')"),
    ],
    ids=["float", "fraction", "zero first", "decimal"],
)
def test_an_amount_that_is_not_exact_is_refused_by_its_place(amount: pa.Array, reason: str) -> None:
    with pytest.raises(InputError) as refused:
        taken("balances", pa.table({"rune_id": ["1:0"], "amount": amount}))
    assert str(refused.value).startswith(f"tables.balances[0].amount is {reason}; allowed: ")


def test_a_table_that_lacks_a_column_or_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"tables.balances is \['rune_id'\]; allowed: a column am"):
        taken("balances", pa.table({"rune_id": ["1:0"]}))
    with pytest.raises(InputError, match=r"^tables is 'coins'; allowed: blocks, "):
        taken("coins", pa.table({"rune_id": ["1:0"]}))
