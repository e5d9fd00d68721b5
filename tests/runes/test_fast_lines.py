"""The fast reader of NDJSON takes what the typed one takes, and leaves it every fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workbench import runes
from workbench.errors import InputError
from workbench.runes.batch import Batch
from workbench.runes.fast_lines import fast_tables
from workbench.runes.packing import header_and_lines
from workbench.runes.tables import TABLES

HEADER = {
    "schema": "runes-batch/1", "network": "regtest", "source": {"producer": "a test"},
    "units": "atomic", "completeness": "state", "first_height": 1, "last_height": 9,
}  # fmt: skip
EVENT = {
    "height": 5, "tx_index": 1, "txid": "ab" * 32, "kind": "minted", "rune_id": "4:1",
    "amount": str(2**127 + 1),
}  # fmt: skip
PRICE = {"rune_id": "4:1", "taken_at": "2024-10-19T10:51:00Z", "price": 0.5, "unit": "sat"}
_PLACE = {name: EVENT[name] for name in ("height", "tx_index", "txid", "rune_id")}
ROWS = {
    "edicts": {**_PLACE, "edict_index": 0, "amount": "1"},
    "events": EVENT,
    "allocations": _PLACE,
}


def ndjson(*rows: tuple[str, dict[str, Any]]) -> bytes:
    lines = [HEADER, *({"table": name, "row": row} for name, row in rows)]
    return "\n".join(map(json.dumps, lines)).encode()


def test_mixed_lines_give_each_table_in_its_order() -> None:
    rows = [("events", {**EVENT, "output": place}) for place in range(3)]
    body = ndjson(rows[0], ("prices", PRICE), *rows[1:])
    parts = header_and_lines(body)
    assert parts
    assert set(fast_tables(parts[1]) or {}) == {"events", "prices"}
    batch = runes.load_batch(body)
    assert batch.tables["events"]["output"].to_pylist() == [0, 1, 2]
    assert batch.frame("events")["amount"].tolist() == [2**127 + 1] * 3
    assert batch.frame("prices")["taken_at"].dt.hour.tolist() == [10]


def test_it_reads_the_sample_as_the_typed_reader_does(tmp_path: Path) -> None:
    sample = Path(__file__).parents[2] / "data" / "samples" / "small.json"
    batch = runes.load_batch(sample)
    path = runes.save_batch(batch, tmp_path / "b.ndjson")
    parts = header_and_lines(path.read_bytes())
    assert parts
    assert set(fast_tables(parts[1]) or {}) == {n for n, count in batch.rows().items() if count}
    again: Batch = runes.load_batch(path)
    assert all(again.tables[name].equals(batch.tables[name]) for name in TABLES)


def test_names_of_columns_mean_one_type_in_all_tables() -> None:
    kinds: dict[str, set[str]] = {}
    for columns in TABLES.values():
        for column in columns:
            kinds.setdefault(column.name, set()).add(str(column.kind.arrow))
    assert {name: found for name, found in kinds.items() if len(found) > 1} == {}


@pytest.mark.parametrize(
    ("name", "harm", "sentence"),
    [
        ("events", {"amount": "05"}, r"tables.events\[1\].amount is '05'"),
        ("events", {"amount": 5}, r"tables.events\[1\].amount is 5"),
        ("events", {"amount": str(2**128)}, r"tables.events\[1\].amount is '3402823669209"),
        ("events", {"txid": None}, r"tables.events\[1\].txid"),
        ("events", {"txid": "AB" * 32}, r"tables.events\[1\].txid is 'ABAB"),
        (
            "events",
            {"height": 5.0},
            r"Expected `int`, got `float` - at `\$.tables.events\[1\].height`",
        ),
        ("events", {"height": 10}, r"tables.events\[1\].height is 10; allowed: a height from 1"),
        ("events", {"cats": 1}, r"tables.events\[1\].cats is 1; allowed: absent"),
        ("events", {"price": 1.0}, r"tables.events\[1\].price is 1.0; allowed: absent"),
        (
            "prices",
            {"taken_at": "2024-02-30T00:00:00Z"},
            r"tables.prices\[1\].taken_at is '2024-02",
        ),
        ("prices", {"taken_at": "2024-02-20 00:00:00"}, r"tables.prices\[1\].taken_at is '2024-02"),
        ("cats", {}, "cats"),
    ],
)
def test_a_fault_is_told_as_the_typed_reader_tells_it(
    name: str, harm: dict[str, Any], sentence: str
) -> None:
    good = {"events": EVENT, "prices": PRICE}
    with pytest.raises(InputError, match=sentence):
        runes.load_batch(
            ndjson(("events", EVENT), ("prices", PRICE), (name, {**good.get(name, {}), **harm}))
        )


@pytest.mark.parametrize("counts", [(1, 1, 1), (5, 1, 3), (1, 90, 2), (40, 2, 0), (0, 0, 7)])
def test_tables_one_after_another_are_read_each_whole(counts: tuple[int, int, int]) -> None:
    names = ("edicts", "events", "allocations")
    rows = [
        (name, {**ROWS[name], "output": place})
        for name, count in zip(names, counts, strict=True)
        for place in range(count)
    ]
    batch = runes.load_batch(ndjson(*rows) + b"\n")
    for name, count in zip(names, counts, strict=True):
        assert batch.tables[name]["output"].to_pylist() == [*range(count)]


def test_a_stray_line_within_a_long_run_is_found() -> None:
    rows = [("events", {**EVENT, "output": place}) for place in range(200)]
    for place in (1, 57, 150):
        mixed = [*rows[:place], ("prices", PRICE), *rows[place:]]
        batch = runes.load_batch(ndjson(*mixed))
        assert batch.tables["events"]["output"].to_pylist() == [*range(200)]
        assert batch.tables["prices"].num_rows == 1
