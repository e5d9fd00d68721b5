"""`rune-classifier` sorts runes as their makers meant them, and names the rule that fired."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.metrics import f1_score

from tests.runes import intents
from tests.runes.intents import Made
from tests.runes.test_cypher import Bench
from tests.speaking import speaking
from workbench.core.figure_words import in_language
from workbench.core.sentence import spoken
from workbench.errors import InputError
from workbench.runes.models import classify_figures as figures
from workbench.runes.models.classify import rune_classifier
from workbench.runes.models.classify_rules import (
    CATEGORIES,
    NAMES,
    Bound,
    Condition,
    CustomCategory,
    active,
    judge,
)
from workbench.runes.models.classify_trends import trend
from workbench.runes.tables import TABLES
from workbench.session.drawing import html

HELD_OUT = 90_731
"""A seed on which no bound of a rule was ever looked at."""


def rules_table() -> str:
    """The categories as the reference page shows them."""
    lines = ["| category | depth | what it is | its rule: the least of | and of 1 - the score of |"]
    lines.append("|---|---|---|---|---|")
    for rule in CATEGORIES:
        asked = "; ".join(
            f"`{one.fact}` from {one.none:,} to {one.full:,}" + (" (log)" if one.log else "")
            for one in rule.conditions
        )
        cells = f"`{rule.name}`", rule.depth, rule.says, asked, ", ".join(rule.unless) or "-"
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def test_the_reference_page_publishes_every_rule() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "models.md"
    assert rules_table() in page.read_text()


def bench(folder: Path, document: dict[str, Any]) -> Bench:
    path = folder / "batch.json"
    path.write_text(json.dumps(document))
    made = Bench(path)
    made.rune_limit = 5000
    return made


@pytest.fixture(scope="module")
def held_out(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, dict[str, str]]:
    document, labels = intents.made(HELD_OUT, 12, intents.DETAILED)
    return bench(tmp_path_factory.mktemp("held-out"), document), labels


@pytest.fixture(scope="module")
def answer(held_out: tuple[Bench, dict[str, str]]) -> Any:
    return rune_classifier(held_out[0], classificationDepth="detailed")


def test_made_runes_get_the_category_that_their_maker_meant(
    held_out: tuple[Bench, dict[str, str]], answer: Any
) -> None:
    meant = [held_out[1][rune["runeId"]] for rune in answer.data["runes"]]
    found = [rune["category"] or "none" for rune in answer.data["runes"]]
    assert f1_score(meant, found, average="macro", labels=sorted(set(meant))) >= 0.9


def test_every_rune_names_the_rule_that_fired_and_what_it_asked(answer: Any) -> None:
    for rune in answer.data["runes"]:
        if rune["category"] is not None:
            assert rune["evidence"]["rule"] == rune["category"] and rune["score"] >= 0.75
            degrees = [each["degree"] for each in rune["evidence"]["conditions"]]
            assert rune["score"] == pytest.approx(min(degrees))


def scored(depth: Any = "detailed", **facts: float) -> dict[str, float]:
    return dict(judge(facts, active(depth)).scores)


def test_a_fair_mint_by_hand() -> None:
    """A premine of 6 % lies 4/5 of the way from 10 % (none) to 5 % (full), and 1/5 of the way
    from 5 % (none) to 10 % (full) of a part premine."""
    scores = scored(mintable=1, premine_share=0.06, mints=3, max_supply=10**9, divisibility=2)
    assert scores["fair-mint"] == pytest.approx(0.8)
    assert scores["part-premined"] == pytest.approx(0.2)
    assert scores["bot-minted"] == 0


def test_a_farm_by_hand() -> None:
    """14 mints lie at 9/15 between 5 and 20; a fair mint stands back for what is left: 6/15."""
    scores = scored(mintable=1, premine_share=0, mints=14, effective_receivers=2, divisibility=2)
    assert scores["bot-minted"] == pytest.approx(0.6)
    assert scores["fair-mint"] == pytest.approx(0.4)


def test_a_collection_by_hand() -> None:
    """31,623 pieces lie half-way between 100,000 and 10,000 in the logarithm."""
    scores = scored(
        max_supply=31_623, supply_units=31_623, divisibility=0, mintable=0, premine=31_623
    )
    assert scores["collectible"] == pytest.approx(0.5, abs=1e-4)
    assert scores["premine-only"] == pytest.approx(0.5, abs=1e-4)


def test_dormant_closed_and_sold_out_by_hand() -> None:
    common = {"mintable": 1.0, "premine_share": 0.0, "divisibility": 2.0, "max_supply": 1e9}
    assert scored(**common, blocks_since=9, activity=3)["dormant"] == pytest.approx(2 / 3)
    assert scored(**common, mint_progress=0.98)["minted-out"] == pytest.approx(0.6)
    over = scored(**common, mint_progress=0.5, blocks_past_end=0, activity=50)
    assert over["closed"] == 1 and over["fair-mint"] == 0


def test_a_whale_and_a_stillborn_by_hand() -> None:
    whale = scored(mintable=1, premine_share=0, divisibility=2, holders=4, top_share=0.9)
    assert whale["whale-held"] == pytest.approx(2 / 3)
    assert scored(max_supply=0, mintable=0, premine=0)["stillborn"] == 1


def test_nothing_is_concluded_from_what_is_not_known() -> None:
    assert set(scored().values()) == {0.0}


def test_a_condition_is_straight_between_its_bounds_and_flat_beyond() -> None:
    rising = Condition("mints", 10, 20)
    assert [rising.degree(value) for value in (0, 10, 15, 20, 99, None)] == [0, 0, 0.5, 1, 1, 0]
    assert Condition("cap", 10, 1000, log=True).degree(100) == pytest.approx(0.5)
    assert Condition("mints", 20, 10).degree(float("nan")) == 0


def test_a_lower_depth_has_fewer_categories_and_every_rule_stands_back_for_earlier_ones() -> None:
    assert [len(active(depth)) for depth in ("basic", "standard", "detailed")] == [5, 10, 13]
    for place, rule in enumerate(CATEGORIES):
        assert set(rule.unless) <= {each.name for each in CATEGORIES[:place]}


def test_a_higher_threshold_leaves_more_without_a_category(
    held_out: tuple[Bench, dict[str, str]],
) -> None:
    counts = [
        rune_classifier(held_out[0], confidenceThreshold=one, includeTrends=False).data[
            "unclassified"
        ]
        for one in (0, 0.75, 1)
    ]
    assert counts == sorted(counts) and counts[0] == 0 < counts[2]


def test_categories_of_ones_own_go_first(held_out: tuple[Bench, dict[str, str]]) -> None:
    own = [
        {
            "name": "tiny-farm",
            "conditions": [
                {"feature": "effective_receivers", "atMost": 3},
                {"feature": "mints", "atLeast": 40},
            ],
        }
    ]
    given = rune_classifier.validate({"customCategories": own})["customCategories"]
    data = rune_classifier(held_out[0], customCategories=given).data
    first = [rune for rune in data["runes"] if rune["category"] == "tiny-farm"]
    assert 0 < len(first) == data["categories"][0]["size"]
    for rune in first:
        assert held_out[1][rune["runeId"]] == "bot-minted" and rune["score"] == 1


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            [{"name": "a b", "conditions": [{"feature": "mints", "atLeast": 1}]}],
            "parameters.customCategories",
        ),
        ([{"name": "a", "conditions": []}], "parameters.customCategories"),
        ([{"name": "a", "conditions": [{"feature": "mints"}]}], "atLeast, atMost or both"),
        (
            [{"name": "a", "conditions": [{"feature": "x", "atLeast": 1}]}],
            "is 'x'; allowed: activity, ",
        ),
        (
            [{"name": "dormant", "conditions": [{"feature": "mints", "atLeast": 1}]}],
            "a name that no category of the table has",
        ),
        ([{"name": "a", "conditions": [{"feature": "mints", "atLeast": 1}]}] * 21, "length <= 20"),
    ],
    ids=["name", "empty", "no-bound", "feature", "taken", "many"],
)
def test_a_faulty_category_of_ones_own_is_refused_before_it_runs(
    given: list[Any], said: str
) -> None:
    with pytest.raises(InputError) as refused:
        rune_classifier.validate({"customCategories": given})
    assert said in str(refused.value)


def test_a_name_given_twice_is_refused(held_out: tuple[Bench, dict[str, str]]) -> None:
    twice = [CustomCategory("mine", [Bound("mints", atLeast=1)])] * 2
    with pytest.raises(InputError) as refused:
        rune_classifier(held_out[0], customCategories=twice)
    assert str(refused.value) == (
        "parameters.customCategories is 'mine'; allowed: each name only once"
    )


def test_scores_and_matrix_say_the_same(
    held_out: tuple[Bench, dict[str, str]], answer: Any
) -> None:
    scores, matrix = (
        rune_classifier(held_out[0], classificationDepth="detailed", outputFormat=form).data
        for form in ("scores", "matrix")
    )
    columns = matrix["matrix"]["columns"]
    for rune, row in zip(scores["runes"], matrix["matrix"]["values"], strict=True):
        assert list(rune["scores"].values()) == row and list(rune["scores"]) == columns
        assert rune["score"] == max(row)
    plain = [(rune["category"], rune["score"]) for rune in answer.data["runes"]]
    assert plain == [(rune["category"], rune["score"]) for rune in scores["runes"]]


def test_a_trend_rises_falls_or_cannot_be_told() -> None:
    assert trend(range(10))["direction"] == "rising"
    assert trend(range(10, 0, -1)) == {
        "direction": "falling",
        "tau": -1.0,
        "p": trend(range(10))["p"],
    }
    assert trend([3, 1, 4, 1, 5, 9, 2, 6, 5, 3])["direction"] == "steady"
    assert trend([5] * 9)["direction"] == "steady"
    assert trend([0] * 9)["direction"] == trend([1, 2, 3])["direction"] == "unknown"


def test_categories_are_drawn_in_portuguese_and_stay_english_as_data(answer: Any) -> None:
    before = json.dumps([answer.data, answer.figures])
    assert {"stillborn", "fair-mint"} <= {*answer.figures[0]["data"][0]["y"]}
    with speaking("pt-BR"):
        sizes, trends = (in_language(each, spoken()) for each in answer.figures)
        bars = {*sizes["data"][0]["y"]}
        lines = {line["name"] for line in trends["data"]}
    assert {"natimorta", "cunhagem justa"} <= bars
    assert not (bars | lines) & NAMES
    assert json.dumps([answer.data, answer.figures]) == before


def test_a_category_in_a_table_is_drawn_in_portuguese_but_not_what_a_function_returned(
    answer: Any,
) -> None:
    rows = answer.tables["categories"].select(["category", "trend"]).to_pylist()
    view = {
        "name": "categories",
        "columns": [{"name": "category"}, {"name": "trend"}],
        "rows": [list(row.values()) for row in rows],
        "total": len(rows),
        "columnsTotal": 2,
    }
    shown = {"notes": [], "tables": [view]}
    with speaking("pt-BR"):
        ours = html({"model": "rune-classifier", "data": answer.data}, shown)
        own = html({"model": "mine", "data": {}}, shown)
    assert ">natimorta<" in ours and ">stillborn<" not in ours
    assert ">stillborn<" in own and ">natimorta<" not in own


def test_the_answer_is_plain_json_and_the_same_again(
    held_out: tuple[Bench, dict[str, str]], answer: Any
) -> None:
    again = rune_classifier(held_out[0], classificationDepth="detailed")
    assert again.data == answer.data and again.figures == answer.figures
    json.dumps([answer.data, answer.figures], allow_nan=False)
    assert all(again.tables[name].equals(table) for name, table in answer.tables.items())
    assert answer.tables["trends"].num_rows == 24 * len(CATEGORIES)
    busy = pd.DataFrame({f"kind {n}": [1, 2] for n in range(len(CATEGORIES) + 20)})
    lines = [tuple(trace["line"].values()) for trace in figures.trends(busy)["data"]]
    assert len({colour for colour, _ in lines[: len(CATEGORIES)]}) == len(CATEGORIES)
    assert len(set(lines)) == len(lines)  # with as many of one's own as are taken


def test_runes_that_were_etched_elsewhere_are_counted_and_still_judged_by_their_mints(
    tmp_path: Path,
) -> None:
    made = Made(1)
    rune = made.etch("elsewhere", latest=1, amount=5, cap=5)
    for _ in range(60):
        made.mint(rune, 10_000)
    made.rows["etchings"].clear()
    data = rune_classifier(bench(tmp_path, made.document())).data
    assert data["runes"][0]["category"] == "bot-minted"
    assert data["notes"][0]["values"] == {"count": 1, "total": 1}


def test_a_batch_without_runes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        rune_classifier(bench(tmp_path, Made(1).document()))
    assert str(refused.value) == "the batch holds no runes; allowed: at least 1"


def test_a_dump_that_tells_of_no_events_makes_no_rune_dormant(tmp_path: Path) -> None:
    made = Made(1)
    made.etch("quiet", latest=1, amount=5, cap=5_000_000)
    document = made.document()
    document["tables"] = {"etchings": document["tables"]["etchings"]}
    quiet = rune_classifier(bench(tmp_path, {**document, "covers": list(TABLES)})).data
    dump = {**document, "covers": ["etchings", "entries", "balances"]}
    unknown = rune_classifier(bench(tmp_path, dump)).data
    assert quiet["runes"][0]["category"] == "dormant"
    assert unknown["runes"][0]["category"] != "dormant"
