"""A task's result as the page draws it."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest

from workbench.boards.results import SHOWN_ENTRIES, drawn
from workbench.errors import StoreError
from workbench.session.drawing import html, summary

RESULT: dict[str, Any] = {
    "model": "block-import",
    "alias": "b1_ab",
    "elapsedMs": 5,
    "data": {
        "height": 1,
        "cap": 2**128 - 1,
        "notes": [{"template": "{count} edicts were cut", "values": {"count": 2}}],
    },
    "tables": {"mints": {"rows": 900, "columns": ["n"]}, "edicts": {"rows": 0, "columns": ["n"]}},
    "figures": [{"data": [], "layout": {}}],
}


class Answer:
    """What a query gives back."""

    def arrow(self) -> pa.Table:
        return pa.table({"n": [1, 2]})


def test_first_rows_are_asked_for_and_empty_tables_are_not() -> None:
    asked: list[str] = []

    def query(sql: str) -> Answer:
        asked.append(sql)
        return Answer()

    shown = drawn(RESULT, query)
    assert asked == ['SELECT * FROM "b1_ab"."mints" LIMIT 50']
    [table] = shown["tables"]
    assert (table["name"], table["total"], table["rows"]) == ("mints", 900, [[1], [2]])


def test_exact_integers_and_notes_survive() -> None:
    shown = json.loads(json.dumps(drawn(RESULT, lambda _sql: Answer())))
    assert shown["data"] == {"height": 1, "cap": str(2**128 - 1)}
    assert shown["notes"][0]["text"] == "2 edicts were cut"


def test_a_table_that_cannot_be_read_is_said_and_the_rest_is_drawn() -> None:
    def query(_sql: str) -> Answer:
        raise StoreError("the query failed: {reason}", reason="it is gone")

    shown = drawn(RESULT, query)
    assert shown["tables"] == []
    assert shown["notes"][-1]["text"] == "the query failed: it is gone"
    assert shown["figures"] == RESULT["figures"]


def test_the_rows_of_a_foreign_node_stay_there_and_the_page_says_so() -> None:
    told = drawn(RESULT, None)["notes"][-1]["text"]
    assert told == "the rows of table mints stay at the node that ran the task"


def test_a_long_list_is_cut_for_the_page() -> None:
    result = {"data": {"runes": list(range(SHOWN_ENTRIES + 40))}}
    assert drawn(result, None)["data"]["runes"][-1] == "… 40 more"


@pytest.mark.parametrize(
    ("notes", "texts"),
    [
        (["template"], []),
        ([{"template": "{a}", "values": {}, "more": 1}], ["{a}"]),
        ([{"template": "{a:99999999999}", "values": {"a": 1}}], ["{a:99999999999}"]),
        ([{"template": "{a} {a:rune|runes}", "values": {"a": 1}}], ["1 rune"]),
    ],
)
def test_notes_are_whatever_a_model_gave(notes: list[Any], texts: list[str]) -> None:
    result = {**RESULT, "data": {"notes": notes}, "tables": {}}
    shown = drawn(result, None)
    assert [each["text"] for each in shown["notes"]] == texts
    for text in texts:
        assert f"note: {text}" in summary(result)
        assert text in html(result, shown)


def test_the_answer_to_a_question_is_its_sentence_first() -> None:
    said = {"template": "all {count} {count:rune|runes} add up", "values": {"count": "1"}}
    data = {
        "answer": said,
        "facts": {"runes": 1},
        "explanation": {"question": "?", "formulas": ["x = y"], "missing": [said]},
        "amounts": ["premine"],
    }
    result = {"model": "runes-reconcile", "data": data, "elapsedMs": 0}
    told = "all 1 rune add up"
    assert summary(result).splitlines() == [
        *("runes-reconcile, 0.0 s", f"  {told}", "  runes: 1", f"  note: {told}"),
    ]
    drawing = html(result, drawn(result, None))
    assert told.capitalize() in drawing
    assert "{" not in drawing and "x = y" not in drawing
    del data["explanation"]  # a model of somebody's own
    assert summary(result).splitlines()[1:] == [f"  {told}", "  runes: 1"]
