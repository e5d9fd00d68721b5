"""Texts of Arrow tables: an odd one is named, in columns of which hardly a text repeats too."""

from __future__ import annotations

import pyarrow as pa
import pytest

from workbench.runes.faults import table_faults
from workbench.runes.tables import ARROW

GOOD = {
    "rune_id": "840000:3",
    "txid": "0a" * 32,
    "outpoint": "0a" * 32 + ":4294967295",
    "script": "0014" + "f9" * 20,
    "height": 840_000,
    "amount_high": 0,
    "amount_low": 1,
}


def inputs(**odd: str | None) -> pa.Table:
    """Three good rows; the second with what is odd."""
    rows = [{**GOOD}, {**GOOD, **odd}, {**GOOD}]
    loose = pa.schema([field.with_nullable(True) for field in ARROW["inputs"]])
    return pa.Table.from_pylist(rows, schema=loose)


@pytest.mark.parametrize("script", ["", "00", "f9" * 5_000, None])
def test_a_script_is_any_even_number_of_hexadecimal_digits(script: str | None) -> None:
    assert list(table_faults({"inputs": inputs(script=script)})) == []


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("txid", "0a" * 31),
        ("txid", "0a" * 33),
        ("txid", ""),
        ("txid", "0A" * 32),
        ("txid", "0g" * 32),
        ("txid", "0a" * 31 + "a\n"),
        ("txid", "0a" * 31 + "é"),
        ("txid", "0a" * 15 + "0xy0" + "0a" * 15),
        ("script", "001"),
        ("script", "00 0"),
        ("script", "AB"),
        ("script", "00\n0"),
        ("script", "00é"),
        ("outpoint", "0a" * 32),
        ("outpoint", "0a" * 32 + ":4294967296"),
        ("outpoint", "0a" * 32 + ":0\n"),
    ],
)
def test_one_odd_text_is_named(column: str, text: str) -> None:
    found = list(table_faults({"inputs": inputs(**{column: text})}))
    assert [fault.field for fault in found] == [f"tables.inputs[1].{column}"]


def test_a_slice_counts_as_what_it_shows() -> None:
    table = inputs(txid="0a" * 31)
    assert list(table_faults({"inputs": table.slice(2)})) == []
    assert len(list(table_faults({"inputs": table.slice(1)}))) == 1
