"""Questions asked of a batch that the hub keeps, and asked as tasks."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from IPython.core.error import UsageError

from workbench import runes
from workbench.boards.runes_desk import RunesDesk
from workbench.errors import InputError
from workbench.runes.batch import batch_document
from workbench.runes.records import RECORDS
from workbench.session import Workbench
from workbench.session.on_runes import register, within

SMALL = Path(__file__).parents[2] / "data" / "samples" / "small.json"


@pytest.fixture(scope="module")
def kept(bench: Workbench) -> str:
    bench.submit("batch-import", SMALL).result(60)
    return "sample_small"


@pytest.fixture(scope="module")
def loaded() -> runes.Batch:
    return runes.load_batch(SMALL)


QUESTIONS: dict[str, dict[str, Any]] = {
    "anomalies": {},
    "block_share": {},
    "burns": {},
    "cohort": {"since": 1_205},
    "concentration": {},
    "fragmentation": {},
    "holders": {},
    "mint_fairness": {},
    "mint_status": {},
    "mint_velocity": {},
    "name_market": {},
    "reconcile": {},
    "similar_names": {},
    "supply": {},
    "volume": {},
    "wasted": {},
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_hub_answers_as_the_batch_does(
    bench: Workbench, kept: str, loaded: runes.Batch, name: str
) -> None:
    question, given = getattr(runes, name), dict(QUESTIONS[name])
    if "rune" in question.model.parameter_names:
        given["rune"] = "RAVEN•GINGER•KERNEL"
    there, here = question(bench.batch(kept), **given), question(loaded, **given)
    assert there.sentence == here.sentence
    assert there.table.equals(here.table)
    assert there.figure == here.figure
    assert there.explain() == here.explain()


def test_every_question_is_an_installed_model(bench: Workbench) -> None:
    there = {model["name"] for model in bench.models()}
    assert {f"runes-{name.replace('_', '-')}" for name in QUESTIONS} <= there


def test_a_question_runs_as_a_task(bench: Workbench, kept: str) -> None:
    rune = runes.reconcile(bench.batch(kept)).frame["name"][0]
    result = bench.submit("runes-reconcile", f"batch:{kept}", rune=rune).result(60)
    here = runes.reconcile(runes.load_batch(SMALL), rune=rune)
    assert result["data"]["answer"]["template"] == here.sentence.template
    rows = bench.query(f"SELECT * FROM {result['alias']}.answer").arrow()
    assert rows.equals(here.table)


def test_a_batch_is_there_as_soon_as_it_is_kept(bench: Workbench, kept: str) -> None:
    document = json.loads(SMALL.read_bytes())
    document["id"] = "kept_just_now"
    bench.query("SELECT 1")  # for a while SQL reads what it copied here
    bench.submit("batch-import", document).result(60)
    assert bench.batch("kept_just_now").evidence().completeness == "state"


def test_a_producers_export_is_kept_as_a_batch(bench: Workbench, tmp_path: Path) -> None:
    path = tmp_path / "holders.csv"
    path.write_text(
        "address,amount\nbc1plzs2lltvv29k603w5m0aqma5e8w0n3pc77dt89l5w9hurmdfgd0swdhspn,5\n"
    )
    told = {"producer": "xverse", "rune": "840000:3", "height": 900_000}
    alias = bench.submit("batch-import", path, **told).result(60)["alias"]
    assert "blocks 900000 to 900000" in repr(bench.batch(alias))
    said = str(runes.holders(bench.batch(alias), rune="840000:3").sentence)
    assert said.startswith("1 holder of 840000:3 is known, with 5 atomic units")


def test_an_unknown_batch_is_refused_with_those_that_there_are(bench: Workbench, kept: str) -> None:
    with pytest.raises(InputError, match=r"alias is 'nothing'; allowed: .*sample_small"):
        bench.batch("nothing")


def test_a_kept_batch_says_what_it_is(bench: Workbench, kept: str) -> None:
    assert repr(bench.batch(kept)) == (
        "<KeptBatch sample_small: regtest, blocks 1200 to 1215, state level>"
    )


def test_an_answer_of_the_hub_says_that_its_state_was_taken_over(
    bench: Workbench, tmp_path: Path
) -> None:
    document = batch_document(runes.load_batch(SMALL))
    document["source"]["trusted"], document["id"] = "ab" * 32, "taken_over"
    path = runes.save_batch(runes.load_batch(document), tmp_path / "taken.json")
    bench.submit("batch-import", path).result(60)
    mark = "state trusted from sha256:" + "ab" * 32
    assert mark in repr(bench.batch("taken_over"))
    assert mark in bench.batch("taken_over")._repr_html_()
    assert RunesDesk(bench).about("taken_over")["trust"][0]["values"] == {"source": mark[19:]}
    assert runes.reconcile(bench.batch("taken_over")).trust == mark
    task = bench.submit("runes-reconcile", "batch:taken_over").result(60)
    source = mark.removeprefix("state trusted from ")
    line = {"template": "state trusted from {source}", "values": {"source": source}}
    assert line in task["data"]["explanation"]["sources"]
    (given,) = [each for each in RECORDS.results() if each.question == "runes-reconcile"][-1:]
    assert (given.of, given.said) == ("hub", "done")
    assert "taken_over" in {each.name for each in RECORDS.inputs()}


class Shell:
    def __init__(self) -> None:
        self.user_ns: dict[str, Any] = {}
        self.magics: dict[str, Any] = {}

    def register_magic_function(self, function: Any, magic_kind: str, magic_name: str) -> None:
        self.magics[f"{magic_kind} {magic_name}"] = function


def test_a_cell_of_sql_names_the_tables_of_its_batch_bare(bench: Workbench, kept: str) -> None:
    shell = Shell()
    register(shell, bench)
    ask = shell.magics["cell runes"]
    count = runes.load_batch(SMALL).rows()["mints"]
    assert ask(kept, "SELECT count(*) AS n FROM mints").rows() == [{"n": count}]
    assert ask(kept, "SELECT count(*) AS n FROM prices").rows() == [{"n": 0}]
    ask(f"{kept} -o found", "with one as (from mints limit 1) select count(*) AS n from one")
    assert shell.user_ns["found"].rows() == [{"n": 1}]
    assert ask("", f"SELECT count(*) AS n FROM {kept}.mints").rows() == [{"n": count}]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("nothing", "alias is 'nothing'"),
        ("a b", "unrecognized arguments: b; it goes %%runes [BATCH] [-o NAME]"),
        ("-o 1x", "1x is no name of a variable"),
        ("'", "the line cannot be read"),
    ],
)
def test_a_line_that_cannot_be_read_says_how_it_goes(
    bench: Workbench, kept: str, line: str, said: str
) -> None:
    shell = Shell()
    register(shell, bench)
    with pytest.raises(UsageError, match=re.escape(said)):
        shell.magics["cell runes"](line, "SELECT 1")


def test_recursive_sql_stays_recursive() -> None:
    sql = "WITH RECURSIVE n(i) AS (SELECT 1) FROM n"
    assert within("b", ["mints"], sql) == (
        'WITH RECURSIVE mints AS (FROM "b"."mints"), n(i) AS (SELECT 1) FROM n'
    )
