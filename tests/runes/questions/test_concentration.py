"""How much of a rune lies with how few: five cases by hand, and against a plain reckoning."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.questions.drawn import titles
from tests.runes.questions.hand import ASH, OAK, tables
from tests.runes.questions.rows import table
from workbench.errors import InputError
from workbench.runes.batch import Batch
from workbench.runes.evidence import evidence_of
from workbench.runes.questions.concentration import concentration

BIG = 2**127


def held(*amounts: int, rune: str = ASH) -> dict[str, pa.Table]:
    """A batch in which every amount lies with a holder of its own: a, b, c..."""
    return tables(balances=[(rune, chr(97 + n), one) for n, one in enumerate(amounts)])


def measures(answer: Any, *names: str) -> tuple[Any, ...]:
    [row] = answer.frame.to_dict("records")
    return tuple(row[name] for name in names)


def test_four_alike() -> None:
    answer = concentration(held(25, 25, 25, 25), rune=ASH, top=1)
    names = ("top_share", "hhi", "effective_holders", "gini", "nakamoto", "held")
    assert measures(answer, *names) == (0.25, 0.25, 4.0, 0.0, 3, 100)
    assert str(answer.sentence) == (
        "of 4 known holders of IEAAABB, who may not be all, the largest 1 has 25.0 %; "
        "their Gini is 0.000, and 3 together have more than half"
    )


def test_one_holder_has_it_all() -> None:
    answer = concentration(held(7), rune=ASH)
    names = ("top_share", "hhi", "effective_holders", "gini", "nakamoto", "holders")
    assert measures(answer, *names) == (1.0, 1.0, 1.0, 0.0, 1, 1)
    assert str(answer.sentence).startswith("of 1 known holder of IEAAABB, who may not be")


def test_one_two_three_four() -> None:
    answer = concentration(held(3, 1, 4, 2), rune=ASH, top=2)
    assert measures(answer, "top_share", "nakamoto") == (0.7, 2)
    assert measures(answer, "hhi", "gini") == pytest.approx((0.3, 0.25), rel=1e-12)
    assert answer.facts["effective_holders"] == pytest.approx(10 / 3, rel=1e-12)
    assert answer.explain().formulas == (
        "x_1 <= ... <= x_n are the balances of n holders, X their sum",
        "top_share = sum of the largest 2 / X",
        "hhi = sum((x_i / X)^2); effective_holders = 1 / hhi",
        "gini = 2 * sum(i * x_i) / (n * X) - (n + 1) / n",
        "nakamoto = the fewest holders with more than X / 2 together",
        "coverage = X / (supply - burned)",
    )
    assert answer.explain().assumptions == (
        "a holder is a script, or an address where the script is not known; who has several "
        "counts several times",
    )


def test_without_its_exchange_a_rune_looks_otherwise() -> None:
    answer = concentration(held(50, 30, 20), rune=ASH, top=1, exchanges=["61"])
    both = answer.frame.to_dict("records")
    assert [row["without_exchanges"] for row in both] == [False, True]
    assert [row["top_share"] for row in both] == [0.5, 0.6]
    assert [row["nakamoto"] for row in both] == [2, 1]
    assert [row["held"] for row in both] == [100, 50]
    assert both[1]["hhi"] == pytest.approx(0.52, rel=1e-12)
    assert answer.facts["hhi"] == both[0]["hhi"] and answer.facts["top_share"] == 0.5
    assert answer.facts["without_exchanges"]["top_share"] == 0.6
    assert not any("exchanges" in line for line in answer.explain().missing)
    elsewhere = concentration(held(50, 30, 20), rune=ASH, exchanges=["61", "bc1qa", "bc1qb"])
    assert elsewhere.explain().missing[0] == (
        "2 of the exchanges hold nothing here under the address or script given"
    )
    assert str(answer.sentence) == (
        "of 3 known holders of IEAAABB, who may not be all, the largest 1 has 50.0 %, without "
        "exchanges 60.0 %; their Gini is 0.200, and 2 together have more than half"
    )


def test_one_atomic_unit_decides_above_2_127() -> None:
    more = concentration(held(BIG, BIG - 2, 1), rune=ASH, top=1)
    assert measures(more, "nakamoto", "held", "top_share") == (1, 2 * BIG - 1, BIG / (2 * BIG - 1))
    half = concentration(held(BIG - 1, BIG - 2, 1), rune=ASH, top=1)
    assert measures(half, "nakamoto") == (2,)


def test_a_holder_is_its_script_else_its_address_and_zero_holds_nothing() -> None:
    balances = table(
        "balances",
        {"script": "61", "address": "one", "amount": 1},
        {"script": "61", "amount": 2},
        {"address": "two", "amount": 3},
        {"address": "three", "amount": 0},
        {"amount": 9},
    )
    answer = concentration(balances, rune=ASH)
    assert measures(answer, "holders", "held", "nakamoto") == (2, 6, 2)
    assert answer.explain().missing == (
        "the owner of 1 balance: it is left out",
        "the supply of 1 rune: whether every holder is here is not known",
    )
    for label in ("one", "61"):
        without = concentration(balances, rune=ASH, exchanges=[label]).frame.iloc[1]
        assert (without["holders"], without["held"]) == (1, 3)
    assert concentration(balances, rune=ASH, exchanges=["two"]).frame["held"].tolist() == [6, 3]


def test_what_is_held_is_set_against_the_supply_in_use() -> None:
    whole = tables(balances=[(ASH, "a", 30), (OAK, "a", 2)], entries=[(ASH, 0, 40, 100)])
    answer = concentration(whole)
    assert answer.frame.set_index("rune_id")["coverage"][ASH] == 0.5
    assert answer.explain().missing == (
        "holders of 1 rune: its balances are not the supply in use",
        "the supply of 1 rune: whether every holder is here is not known",
    )
    full = tables(balances=[(ASH, "a", 60)], entries=[(ASH, 0, 40, 100)])
    assert concentration(full).explain().missing == ()
    unsaid = tables(balances=[(ASH, "a", 60)], entries=[(ASH, 0, None, 100)])  # type: ignore[list-item]
    assert "the supply of 1 rune" in concentration(unsaid).explain().missing[0]
    whose = {"rune_id": ASH, "amount": 1, "script": None, "address": None}
    with pytest.raises(InputError, match=r"^concentration needs to know whose the balances of"):
        concentration(table("balances", whose), rune=ASH)


def test_of_one_rune_what_is_missing_is_its_own() -> None:
    nameless = {"script": None, "address": None, "amount": 1}
    rows = [{"rune_id": ASH, "script": "61", "address": "bc1a", "amount": 3}]
    rows += [{"rune_id": OAK, "script": "62", "address": "bc1b", "amount": 3}]
    held = table("balances", *rows, *({"rune_id": OAK, **nameless} for _ in range(3)))
    whole = dataclasses.replace(evidence_of({"balances": held}), local=None)
    said = concentration(whole, rune=ASH, exchanges=["bc1a", "62", "bc1b", "62"]).explain().missing
    assert said == (
        "2 of the exchanges hold nothing here under the address or script given",
        "the supply of 1 rune: whether every holder is here is not known",
    )
    assert (
        "the owners of 3 balances: they are left out"
        in concentration(whole, exchanges=["bc1a", "62"]).explain().missing
    )
    both = {"etchings": tables(etched=(ASH, OAK))["etchings"], "balances": held}
    known = dataclasses.replace(evidence_of(both), local=None)
    assert concentration(known, rune=ASH).table["name"].to_pylist() == ["IEAAABB"]


def test_every_rune_has_a_row_the_most_concentrated_first() -> None:
    whole = tables(
        balances=[(OAK, "a", 1), (OAK, "b", 1), (ASH, "a", 3), (ASH, "b", 1)],
        etched=(ASH, OAK),
    )
    answer = concentration(whole, top=1, exchanges=["62"])
    rows = [(row["rune_id"], row["without_exchanges"]) for row in answer.table.to_pylist()]
    assert rows == [(ASH, False), (OAK, False), (ASH, True), (OAK, True)]
    assert answer.facts == {"runes": 2, "single": 1}
    assert str(answer.sentence) == (
        "2 runes are held here; of 1 of them a single holder has more than half"
    )
    [bars] = answer.figure["data"]
    assert (bars["x"], bars["y"]) == (["IEAAABB", "IEAAACF"], [0.75, 0.5])
    headed = ("Share of the largest 1 holder", "share of what is held", "share")
    assert titles(answer.figure) == headed
    assert answer.figure["layout"]["yaxis"]["range"] == [0, 1]


def test_of_one_rune_the_figure_is_its_lorenz_curve() -> None:
    for unit in (1, 2**64):
        amounts = (amount * unit for amount in (3, 1, 4, 2))
        curve, even = concentration(held(*amounts), rune=ASH).figure["data"]
        assert curve["x"] == [0, 0.25, 0.5, 0.75, 1]
        assert curve["y"] == pytest.approx([0, 0.1, 0.3, 0.6, 1])
    assert (even["x"], even["y"], even["line"]) == ([0, 1], [0, 1], {"dash": "dot"})
    many = tables(balances=[(ASH, f"h{n}", 1) for n in range(250)])
    curve = concentration(many, rune=ASH).figure["data"][0]
    assert len(curve["x"]) == 126 and curve["x"][-1] == 1.0 and curve["x"] == curve["y"]


def test_a_rune_that_nobody_holds() -> None:
    whole = tables(balances=[(OAK, "a", 1)])
    answer = concentration(whole, rune=ASH, exchanges=["61"])
    assert str(answer.sentence) == "nobody holds IEAAABB here"
    assert answer.table.num_rows == 0 and answer.facts == {"holders": 0}
    assert answer.table.schema == concentration(whole, rune=OAK).table.schema
    nothing = concentration(table("balances", {"amount": 0, "script": "61"}))
    assert str(nothing.sentence) == "nobody holds a rune here"


def test_a_batch_that_knows_only_what_was_asked_for_is_refused(block_batch: Batch) -> None:
    with pytest.raises(InputError, match=r"concentration needs the state, and .* runestone level"):
        concentration(block_batch)
    with pytest.raises(InputError, match="needs the table balances"):
        concentration(tables(entries=[(ASH, 0, 0, 0)]))


@pytest.mark.parametrize("top", [0, 100_001])
def test_a_top_of_none_or_too_many_is_refused(top: int) -> None:
    with pytest.raises(InputError, match="top"):
        concentration(held(1), top=top)


def naive(amounts: list[int], top: int) -> dict[str, Any]:
    """The same in plain Python, by the definitions."""
    rising = sorted(one for one in amounts if one)
    count, total = len(rising), sum(rising)
    gini = Fraction(2 * sum(i * x for i, x in enumerate(rising, 1)), count * total)
    together = nakamoto = 0
    while 2 * together <= total:
        nakamoto += 1
        together += rising[-nakamoto]
    hhi = sum(Fraction(x, total) ** 2 for x in rising)
    return {
        "holders": count,
        "held": total,
        "top_share": float(Fraction(sum(rising[-top:]), total)),
        "hhi": pytest.approx(float(hhi), rel=1e-12),
        "effective_holders": pytest.approx(float(1 / hhi), rel=1e-12),
        "gini": pytest.approx(float(gini - Fraction(count + 1, count)), rel=1e-9, abs=1e-15),
        "nakamoto": nakamoto,
    }


AMOUNTS = st.one_of(st.integers(0, 20), st.integers(2**63, 2**65), st.integers(2**100, 2**124))


PILES = st.lists(AMOUNTS, min_size=1, max_size=12).filter(any)


@settings(max_examples=5)
@given(st.lists(PILES, min_size=10, max_size=30), st.integers(1, 13))
def test_it_agrees_with_a_plain_reckoning(piles: list[list[int]], top: int) -> None:
    balances = [
        (f"840000:{rune}", f"h{holder}", amount)
        for rune, pile in enumerate(piles)
        for holder, amount in enumerate(pile)
    ]
    rows = concentration(tables(balances=balances), top=top).frame.to_dict("records")
    assert len(rows) == len(piles)
    for row in rows:
        wanted = naive(piles[int(row["rune_id"].partition(":")[2])], top)
        assert {name: row[name] for name in wanted} == wanted


def test_it_agrees_with_a_plain_reckoning_of_the_sample(small: Batch) -> None:
    piles: dict[str, Counter[str]] = {}
    for row in small.tables["balances"].to_pylist():
        amount = (row["amount_high"] << 64) + row["amount_low"]
        piles.setdefault(row["rune_id"], Counter())[row["script"]] += amount
    rows = concentration(small, top=3).frame.to_dict("records")
    assert {row["rune_id"] for row in rows} == set(piles)
    for row in rows:
        wanted = naive(list(piles[row["rune_id"]].values()), 3)
        assert {name: row[name] for name in wanted} == wanted
        assert row["coverage"] == 1


def test_the_largest_holders_of_dog(shared: Path) -> None:
    """The 20 largest of 86,037: of the supply the first ten have what its producer says."""
    path = shared / "data" / "runes" / "dog" / "dog_top_holders_2026-10-01.json"
    known = json.loads(path.read_text())
    balances = table(
        "balances",
        *(
            {"rune_id": "840000:3", "address": row["address"], "amount": int(row["amount"])}
            for row in known["holders"]
        ),
    )
    entries = table(
        "entries", {"rune_id": "840000:3", "burned": 0, "supply": int(known["premine"])}
    )
    answer = concentration({"balances": balances, "entries": entries}, rune="840000:3")
    [row] = answer.frame.to_dict("records")
    assert row["holders"] == 20 and row["nakamoto"] == 3
    assert row["coverage"] == pytest.approx(0.332297, abs=1e-6)
    assert row["top_share"] * row["coverage"] == pytest.approx(0.297382, abs=1e-6)
    assert answer.explain().missing == (
        "holders of 1 rune: its balances are not the supply in use",
    )
    july = json.loads((path.parent / "dog_daily_metrics_2026-06_07.json").read_text())["daily"][-1]
    assert row["top_share"] * row["coverage"] * 100 == pytest.approx(
        july["top10_supply_pct"], abs=1
    )
