"""The line of Python that asks in a notebook what was asked on a page."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from workbench.boards.asked_line import asked_line

SCHEMA = {
    "properties": {
        "rune": {"default": None},
        "top": {"default": 10},
        "names": {},
        "other": {"format": "data-url"},
    }
}


@pytest.mark.parametrize(
    ("model", "given", "line"),
    [
        (
            "runes-mint-fairness",
            {"rune": "UNCOMMON•GOODS", "top": 10},
            'from workbench import connect, runes; runes.mint_fairness(connect().batch("b1"), '
            'rune="UNCOMMON•GOODS")',
        ),
        (
            "runes-reconcile",
            {"rune": None},
            'from workbench import connect, runes; runes.reconcile(connect().batch("b1"))',
        ),
        (
            "runes-name-market",
            {"names": ['A"B', "C"], "top": 9},
            'from workbench import connect, runes; runes.name_market(connect().batch("b1"), '
            "names=['A\"B', 'C'], top=9)",
        ),
        (
            "runes-compare-sources",
            {"rune": "1205:3", "other": "batch:b2"},
            'from workbench import connect, runes; runes.compare_sources(connect().batch("b1"), '
            'connect().batch("b2"), rune="1205:3")',
        ),
        (
            "cypher-v1",
            {"includeHistorical": False},
            'import workbench; workbench.submit("cypher-v1", "batch:b1", includeHistorical=False)',
        ),
    ],
)
def test_what_stands_there_by_default_is_left_out(
    model: str, given: dict[str, Any], line: str
) -> None:
    assert asked_line(model, "b1", given, SCHEMA) == line
    ast.parse(line)


def test_text_of_a_page_stays_one_text_of_the_line() -> None:
    hostile = 'x"); import os; os.remove("y\\'
    tree = ast.parse(asked_line("runes-reconcile", "b1", {"rune": hostile}, SCHEMA))
    [call] = [node.value for node in tree.body if isinstance(node, ast.Expr)]
    assert isinstance(call, ast.Call)
    assert ast.literal_eval(call.keywords[0].value) == hostile
