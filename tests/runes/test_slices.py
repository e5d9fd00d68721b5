"""The rows of one rune cut out of tables in memory: answers are those of the whole tables."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from workbench import runes
from workbench.runes.answer import Answer
from workbench.runes.asking import Question
from workbench.runes.batch import Batch
from workbench.runes.evidence import Evidence, evidence_of

SAMPLE = Path(__file__).parents[2] / "data" / "samples" / "small.json"


def of_one_rune() -> Iterator[str]:
    """Every question that can be asked of one rune."""
    for name in runes.__all__:
        asks = getattr(runes, name)
        if isinstance(asks, Question) and "rune" in inspect.signature(asks).parameters:
            yield name


def told(answer: Answer) -> Any:
    tables = [answer.table, *answer.more.values()]
    said = (str(answer.sentence), dict(answer.facts), answer.explanation, dict(answer.figure))
    return said, [table.to_pydict() for table in tables]


def assert_as_of_whole_tables(asked: Batch, name: str, rune: str) -> None:
    """What a question says of the rows of a rune is what it says of the whole tables."""
    asks: Any = getattr(runes, name)
    more = {"since": asked.first_height} if name == "cohort" else {}
    cut = evidence_of(asked)
    whole = dataclasses.replace(cut, local=None)
    assert told(asks(cut, rune=rune, **more)) == told(asks(whole, rune=rune, **more))


def in_odd_pieces(table: pa.Table) -> pa.Table:
    """The same rows; each column is in other pieces."""
    pieces = [
        pa.chunked_array(
            [column.slice(0, place).combine_chunks(), column.slice(place).combine_chunks()],
            column.type,
        )
        for place, column in enumerate(table.columns)
    ]
    return pa.table(dict(zip(table.column_names, pieces, strict=True)))


@pytest.mark.parametrize("name", [*of_one_rune()])
def test_an_answer_of_one_rune_is_that_of_the_whole_tables_however_these_lie(name: str) -> None:
    batch = runes.load_batch(SAMPLE)
    odd = {name: in_odd_pieces(table) for name, table in batch.tables.items()}
    asked = dataclasses.replace(batch, tables=odd)
    for rune in sorted(batch.rune_ids())[:2]:
        assert_as_of_whole_tables(asked, name, rune)


def test_transactions_without_a_place_keep_the_number_that_they_have_among_all() -> None:
    batch = runes.load_batch(SAMPLE)
    unplaced = dict(batch.tables)
    for name in ("events", "allocations", "inputs", "mints"):
        nothing = pa.nulls(batch.tables[name].num_rows, pa.int64())
        place = batch.tables[name].column_names.index("tx_index")
        unplaced[name] = batch.tables[name].set_column(place, "tx_index", nothing)
    asked = dataclasses.replace(batch, tables=unplaced)
    for name in ("volume", "anomalies", "reconcile"):
        assert_as_of_whole_tables(asked, name, min(batch.rune_ids()))


def test_only_the_rows_of_the_rune_and_the_columns_that_are_named_are_read() -> None:
    batch = runes.load_batch(SAMPLE)
    events = batch.tables["events"]
    rune = events["rune_id"][0].as_py()
    one: Evidence = evidence_of(batch).of(rune, "events")
    rows = events.filter(pc.equal(events["rune_id"], rune))
    assert 0 < rows.num_rows <= events.num_rows / 2
    assert one.rows("SELECT rune_id, height, kind FROM {events}").equals(
        rows.select(["rune_id", "height", "kind"]).combine_chunks()
    )
    assert one.rows("SELECT * FROM {events} ORDER BY height").column_names == ["height"]
    assert one.rows("SELECT count(*) AS n FROM {allocations}")["n"][0].as_py() > 0
    nobody = evidence_of(batch).of("1:1", "events", "prices")
    assert nobody.one("SELECT count(*) AS n FROM {events}")["n"] == 0
    assert list(nobody.tables) == list(evidence_of(batch).tables)


def test_of_a_table_only_the_columns_are_read_that_are_said_to_be_enough() -> None:
    batch = runes.load_batch(SAMPLE)
    events = batch.tables["events"]
    rune = events["rune_id"][0].as_py()
    one = evidence_of(batch).of(rune, events=("height",))
    named = "SELECT * FROM {events} WHERE rune_id = $rune AND height > 0 AND 'kind' <> rune_id"
    found = one.rows(named, rune=rune)
    assert found.column_names == ["height", "rune_id"]
    assert set(found["rune_id"].to_pylist()) == {rune}
    assert found.num_rows == pc.sum(pc.equal(events["rune_id"], rune)).as_py()
