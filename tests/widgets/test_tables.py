"""Tables on the page: exact integers, kinds, and cells that JSON can hold."""

from __future__ import annotations

import datetime as dt
import json

import pyarrow as pa

from workbench.widgets.tables import SHOWN_ROWS, nested, table_view


def test_two_halves_become_one_exact_integer() -> None:
    table = pa.table(
        {
            "rune_id": ["1:2", "3:4", "5:6"],
            "amount_high": pa.array([2**64 - 1, 0, None], pa.uint64()),
            "amount_low": pa.array([2**64 - 1, 7, None], pa.uint64()),
        }
    )
    view = table_view("balances", table)
    assert [column["name"] for column in view["columns"]] == ["rune_id", "amount"]
    assert [row[1] for row in view["rows"]] == [str(2**128 - 1), "7", None]
    assert view["columns"][1]["kind"] == "integer"


def test_amounts_that_come_as_digits_are_integers_and_other_digits_are_text() -> None:
    table = pa.table({"rune_id": ["1"], "held": [str(2**127)], "none": [None]})
    view = table_view("answer", table, amounts=["held", "gone"])
    assert [column["kind"] for column in view["columns"]] == ["text", "integer", "text"]
    assert view["rows"] == [["1", str(2**127), None]]


def test_the_first_rows_are_shown_and_all_are_counted() -> None:
    view = table_view("t", pa.table({"n": list(range(SHOWN_ROWS + 8))}))
    assert len(view["rows"]) == SHOWN_ROWS
    assert view["total"] == SHOWN_ROWS + 8
    assert table_view("t", pa.table({"n": [1]}), total=900)["total"] == 900


def test_a_wide_table_shows_its_first_columns_and_counts_all() -> None:
    table = pa.table({"a_high": [1], "a_low": [2]} | {f"c{n}": [n] for n in range(999)})
    view = table_view("wide", table)
    assert [len(view["columns"]), len(view["rows"][0]), view["columnsTotal"]] == [50, 50, 1000]
    assert view["columns"][-1]["name"] == "c48"


def test_integers_beyond_a_double_become_text_and_the_rest_stays() -> None:
    table = pa.table(
        {
            "n": [2**53 + 1, 5],
            "x": [float("nan"), 0.5],
            "mined_at": [dt.datetime(2024, 10, 21, 3), None],
            "raw": [b"\x01\xff", None],
            "drivers": [["a"], []],
            "ok": [True, None],
        }
    )
    view = table_view("t", table)
    first = [str(2**53 + 1), None, "2024-10-21 03:00:00", "01ff", ["a"], True]
    assert view["rows"] == [first, [5, 0.5, None, None, [], None]]
    kinds = [column["kind"] for column in view["columns"]]
    assert kinds == ["integer", "number", "time", "text", "text", "boolean"]
    json.dumps(view, allow_nan=False)


def test_a_document_keeps_its_integers() -> None:
    assert nested({"cap": 2**128 - 1, "list": [1, 2**60]}) == {
        "cap": str(2**128 - 1),
        "list": [1, str(2**60)],
    }


def test_a_document_that_came_as_text_is_a_document_however_long() -> None:
    centre = {f"feature_{number}": number / 7 for number in range(60)}
    table = pa.table({"centre": [json.dumps(centre)], "name": ["[not a list"]})
    assert table_view("clusters", table)["rows"] == [[centre, "[not a list"]]
