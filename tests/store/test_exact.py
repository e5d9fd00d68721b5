"""Amounts that leave SQL as text: exact on both sides of 2^127, null where there is none."""

from __future__ import annotations

import duckdb
import pytest

from workbench.store.exact import exact

EDGES = (0, 1, 2**64 - 1, 2**64, 2**127 - 1, 2**127, 2**127 + 1, 2**128 - 1)


@pytest.mark.parametrize("amount", [*EDGES, None])
def test_an_amount_becomes_its_decimal_text(amount: int | None) -> None:
    value = "NULL" if amount is None else f"'{amount}'"
    relation = duckdb.connect().sql(f"SELECT {value}::UHUGEINT AS amount")
    said = None if amount is None else str(amount)
    assert exact(relation).to_arrow_table().to_pylist() == [{"amount": said}]


def test_amounts_in_a_list_become_texts_too() -> None:
    relation = duckdb.connect().sql("SELECT [1, 2]::UHUGEINT[] AS amounts, 7 AS other")
    assert exact(relation).to_arrow_table().to_pylist() == [{"amounts": ["1", "2"], "other": 7}]
