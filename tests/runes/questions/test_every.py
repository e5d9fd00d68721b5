"""What holds for the answer to every question: its name, whose data it is, a figure for Plotly."""

from __future__ import annotations

from typing import Any

import pandas
import pyarrow as pa
import pytest

from tests.runes.questions.drawn import titles
from tests.runes.questions.laid import batch, laid
from workbench import InputError, runes
from workbench.mesh.models import discover
from workbench.runes.answer import Answer
from workbench.runes.asking import Question
from workbench.runes.batch import Batch
from workbench.runes.evidence import evidence_of
from workbench.runes.models.cypher_figures import words
from workbench.widgets.bundle import catalogue

ONE = {"rune": "HOLLOW•LEGEND•FOSSIL"}
ASKED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "anomalies": (
        {"threshold": 2},
        ("Values out of the ordinary", "height of the block", "robust z", "transferred"),
    ),
    "block_share": (
        {},
        (
            "Share of Runes messages",
            "height of the block",
            "share, %",
            "transactions",
            "vsize",
            "fees",
        ),
    ),
    "burns": ({}, ("Burns by cause", "burns", "cause", "burns")),
    "cohort": (
        {**ONE, "since": 1208},
        (f"What became of the holders of {ONE['rune']}", "holders", "holders"),
    ),
    "concentration": (
        ONE,
        (
            "What the smaller holders have together",
            "share of holders, smallest first",
            "share of what is held",
            "held",
            "all alike",
        ),
    ),
    "fragmentation": (
        ONE,
        (f"Outputs for each holder of {ONE['rune']}", "outputs", "holders", "holders"),
    ),
    "holders": (ONE, (f"The largest holders of {ONE['rune']}", "share of what is held", "share")),
    "mint_fairness": (
        {},
        ("Who receives the mints", "share of the mints, percent", "receiver", "share"),
    ),
    "mint_status": ({}, ("Which runes can be minted", "status", "runes", "runes")),
    "mint_velocity": ({}, ("Mints in each of the last blocks", "height", "mints", "mints")),
    "name_market": (
        {},
        (
            "Names taken and unlocked, by length",
            "letters",
            "names taken",
            "height of the block",
            "taken",
            "all open from",
        ),
    ),
    "reconcile": (
        {},
        ("Where what was made is", "share of what was made, percent", "held", "burned"),
    ),
    "similar_names": (
        {},
        ("Names that look alike", "rune", "names like it", "spacers", "words", "doubled", "near"),
    ),
    "supply": (
        {},
        ("Runes by the share that was premined", "premine, share of the maximum", "runes", "runes"),
    ),
    "volume": (
        {},
        ("Turnover", "turnover, share of what is in use", "turnover, share of what is in use"),
    ),
    "wasted": ({}, ("Fees of messages that were in vain", "fees, sat", "fees")),
}
"""Its parameters, and what its figure is headed with: title, axes, legend."""


@pytest.fixture(scope="module", params=ASKED)
def asked(request: pytest.FixtureRequest, small: Batch) -> tuple[str, Answer]:
    parameters, _ = ASKED[request.param]
    return request.param, getattr(runes, request.param)(small, **parameters)


def test_names_itself(asked: tuple[str, Answer], small: Batch) -> None:
    """And says what was asked, how it came about, and whose data it rests on."""
    name, answer = asked
    told = answer.explain()
    assert (answer.question, told.question) == (name, getattr(runes, name).title)
    assert told.sources == evidence_of(small).sources()
    assert all(told.formulas)
    assert all(told.assumptions)
    assert [heading for heading, _ in told.parts][:2] == ["Formulas", "Assumptions"]


def test_is_drawn(asked: tuple[str, Answer]) -> None:
    """By Plotly; title, axes and legend say what there is to see."""
    name, answer = asked
    assert titles(answer.figure) == ASKED[name][1]


def test_its_frame_holds_integers_as_integers(asked: tuple[str, Answer]) -> None:
    """Also where some are missing: no height is 840000.0."""
    _, answer = asked
    for field in answer.table.schema:
        if pa.types.is_integer(field.type):
            assert pandas.api.types.is_integer_dtype(answer.frame[field.name]), field.name
            assert answer.frame[field.name].isna().sum() == answer.table[field.name].null_count


def test_has_no_word_that_a_page_in_portuguese_lacks(asked: tuple[str, Answer]) -> None:
    """Headings, facts, titles, the bars that are words, and how it came about."""
    _, answer = asked
    told = answer.result("b").data["explanation"]
    lines = [line for name in ("formulas", "assumptions", "missing") for line in told[name]]
    said = {line if isinstance(line, str) else line["template"] for line in lines}
    layout, traces = answer.figure["layout"], answer.figure["data"]
    meta = layout.get("meta", {})
    said |= {*titles(answer.figure)} - {layout["title"]["text"] if "title" in meta else ""}
    said |= {meta["title"]["template"]} if "title" in meta else set()
    named = {str(one) for trace in traces for one in trace.get(meta.get("words"), ())}
    said |= {part for one in named for part in one.split(": ") if part.replace(" ", "").isalpha()}
    columns = {name for one in (answer.table, *answer.more.values()) for name in one.column_names}
    said |= {words(name) for name in columns | set(answer.facts) | set(answer.more)}
    assert said - catalogue("pt-BR").keys() == set()


def test_none_is_left_out() -> None:
    questions = [name for name in runes.__all__ if isinstance(getattr(runes, name), Question)]
    assert questions == [*ASKED]


def test_each_is_a_mesh_task_and_so_is_the_comparison_of_two_sources() -> None:
    asked = {f"runes-{name.replace('_', '-')}" for name in (*ASKED, "compare_sources")}
    assert asked == {name for name in discover() if name.startswith("runes-")}


@pytest.mark.parametrize("name", ["concentration", "fragmentation", "holders", "reconcile"])
def test_more_than_there_can_be_of_a_rune_is_refused(name: str) -> None:
    lots = [
        {"rune_id": "1:1", "outpoint": f"{'ab' * 32}:{n}", "script": f"5{n}", "amount": 2**128 - 1}
        for n in range(3)
    ]
    tables = laid(balances=lots, entries=[{"rune_id": "1:1", "mints": 0, "burned": 0}])
    asked: Question = getattr(runes, name)
    with pytest.raises(InputError) as refused:
        asked(batch(tables, 1, 1), rune="1:1")
    assert str(refused.value).startswith(
        f"the sum of balances.amount of 1:1 is {3 * (2**128 - 1)}; allowed: at most 2^128 - 1: "
    )
