"""In how many pieces a rune lies, and how long: five cases by hand, and a plain reckoning."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.questions.hand import ASH, OAK, tables, txid
from tests.runes.questions.history import BLOCKS, FIRST, History, history
from tests.runes.questions.rows import table
from workbench.errors import InputError
from workbench.runes.batch import Batch
from workbench.runes.questions.fragmentation import fragmentation

BIG = 2**127
DAY = 144
Lot = tuple[str | None, int, int | None]


def lying(*lots: Lot, last: int = 2 * DAY, **more: Any) -> dict[str, pa.Table]:
    """Lots are (script, amount, height); of a height of None the batch does not know."""
    rows = [
        {"outpoint": f"{txid(height or 0, n)}:{n}", "script": script, "amount": amount}
        for n, (script, amount, height) in enumerate(lots)
    ]
    made = [
        {"height": height, "txid": txid(height, n), "output": n, "amount": amount}
        for n, (_, amount, height) in enumerate(lots)
        if height is not None
    ]
    end = {"rune_id": OAK, "height": last, "amount": 0}
    return {
        "balances": table("balances", *rows),
        "allocations": table("allocations", *made, end),
        **more,
    }


def test_two_lots_of_two_holders_each_a_day_old() -> None:
    answer = fragmentation(lying(("aa", 3, DAY), ("bb", 3, DAY)), rune=ASH, long_days=1)
    facts = answer.facts
    assert (facts["holders"], facts["lots"], facts["lots_per_holder"]) == (2, 2, 1.0)
    assert (facts["coin_days"], facts["long_share"]) == (6.0, 1.0)
    assert (facts["entropy_bits"], facts["evenness"]) == (1.0, 1.0)
    assert facts["single_lot_share"] == 1.0 and facts["aged_share"] == 1.0
    assert answer.explain().missing == ()
    assert str(answer.sentence) == (
        "840001:1 lies on 2 outputs of 2 holders, 1.0 each; 100.0 % of what has a known age has "
        "not moved for 1 day"
    )


def test_lots_of_several_ages() -> None:
    whole = lying(("aa", 1, 0), ("aa", 2, DAY), ("aa", 5, 2 * DAY), ("bb", 8, DAY + 1))
    answer = fragmentation(whole, rune=ASH, long_days=1)
    rows = [tuple(row.values()) for row in answer.table.to_pylist()]
    assert rows == [
        ("aa", None, 3, "8", "8", "3", pytest.approx(4.0)),
        ("bb", None, 1, "8", "8", "0", pytest.approx(8 * 143 / 144)),
    ]
    assert answer.facts["long_share"] == 3 / 16
    assert answer.facts["single_lot_share"] == 0.5
    assert answer.facts["lots_per_holder"] == 2.0
    assert answer.facts["entropy_bits"] == 1.0


def test_an_output_that_is_told_twice_is_one_lot_since_the_later_time() -> None:
    once = lying(("aa", 6, DAY), ("bb", 2, 0))
    made = once["allocations"]
    again = table("allocations", {"height": 0, "txid": txid(DAY, 0), "output": 0, "amount": 6})
    twice = {**once, "allocations": pa.concat_tables([again, made])}
    first, second = (fragmentation(one, rune=ASH, long_days=1) for one in (once, twice))
    assert second.facts == first.facts and second.facts["lots"] == 2
    assert second.table.equals(first.table)


def test_one_holder_has_no_entropy() -> None:
    facts = fragmentation(lying(("aa", 7, DAY)), rune=ASH).facts
    assert (facts["entropy_bits"], facts["evenness"], facts["long_share"]) == (0.0, None, 0.0)
    assert math.copysign(1, facts["entropy_bits"]) == 1
    facts = fragmentation(lying(("aa", 3, DAY), ("bb", 1, DAY)), rune=ASH).facts
    assert facts["entropy_bits"] == pytest.approx(2 - 0.75 * math.log2(3))
    lots = (("aa", 2, DAY), ("bb", 1, DAY), ("cc", 1, DAY))
    facts = fragmentation(lying(*lots), rune=ASH).facts
    assert facts["entropy_bits"] == 1.5
    assert facts["evenness"] == pytest.approx(1.5 / math.log2(3))


def test_it_explains_itself() -> None:
    explained = fragmentation(lying(("aa", 7, DAY)), rune=ASH, long_days=30).explain()
    assert explained.formulas == (
        "age in days = (last block - block of the output) / 144",
        "coin_days = sum(amount * age), in whole units",
        "long_share = amounts of an age from 30 days on / amounts of known age",
        "entropy_bits = -sum(p * log2(p)) over the holders' shares p; evenness = "
        "entropy_bits / log2(holders)",
        "coin_days_destroyed = sum(amount * age when spent) over the inputs of the batch",
    )
    assert explained.assumptions[1:] == ("a day has 144 blocks",)


def test_an_amount_of_2_to_the_64_lies_there_as_any_other() -> None:
    answer = fragmentation(lying(("aa", 2**64, 0), ("bb", 1, 0), ("cc", 0, 0)), rune=ASH)
    assert answer.table["script"].to_pylist() == ["aa", "bb"]
    assert (answer.facts["lots"], answer.facts["held"]) == (2, 2**64 + 1)
    assert answer.table["amount"].to_pylist() == [str(2**64), "1"]
    beyond = lying(("aa", 2**128 - 1, 0), ("bb", 1, 0))
    with pytest.raises(InputError, match=rf"the sum of balances.amount of {ASH} is {2**128}"):
        fragmentation(beyond, rune=ASH)


def test_amounts_above_2_127_and_their_days_are_exact() -> None:
    etched = tables(divisibility=2)["etchings"]
    whole = lying(("aa", BIG, 0), ("aa", BIG - 1, 2 * DAY), etchings=etched)
    answer = fragmentation(whole, rune=ASH, long_days=2)
    assert answer.frame["amount"].tolist() == [2 * BIG - 1]
    assert answer.frame["long_held"].tolist() == [BIG]
    assert answer.facts["coin_days"] == 2 * BIG / 100
    assert answer.divisibility == 2


def test_what_came_before_the_batch_has_no_age() -> None:
    answer = fragmentation(lying(("aa", 3, None), ("aa", 1, DAY), ("bb", 4, None)), rune=ASH)
    rows = [tuple(row.values())[2:] for row in answer.table.to_pylist()]
    assert rows == [(2, "4", "1", "0", 1.0), (1, "4", "0", "0", None)]
    assert answer.facts["aged_share"] == 0.125
    assert answer.explain().missing == (
        "when 87.5 % of what is held came to its output: before this batch, or it does not say; "
        "it has no coin-days and is in no long-term share",
    )
    unknown = fragmentation(lying(("aa", 3, None)), rune=ASH)
    assert unknown.facts["long_share"] is None and unknown.facts["coin_days"] is None
    assert str(unknown.sentence) == (
        "840001:1 lies on 1 output of 1 holder, 1.0 each; since when is not known"
    )


def test_days_that_were_destroyed_by_spending() -> None:
    spent = {"outpoint": f"{txid(1, 1)}:0", "height": 2 * DAY}
    inputs = table(
        "inputs",
        {**spent, "amount": 10, "created_height": DAY},
        {**spent, "amount": 1, "created_height": 0},
        {**spent, "amount": 5},
        {**spent, "amount": 99, "created_height": 0, "rune_id": OAK},
    )
    assert fragmentation(lying(("aa", 3, 0)), rune=ASH).facts["coin_days_destroyed"] == 0.0
    two = [{**spent, "amount": 2**64, "created_height": DAY} for _ in range(2)]
    much = lying(("aa", 3, DAY), inputs=table("inputs", *two))
    assert fragmentation(much, rune=ASH).facts["coin_days_destroyed"] == 2.0**65
    answer = fragmentation(lying(("aa", 3, DAY), inputs=inputs), rune=ASH)
    assert answer.facts["coin_days_destroyed"] == 12.0
    assert answer.facts["spent_of_unknown_age"] == 1
    assert answer.explain().missing == ("the age of 1 spent output",)


def test_unknown_owners_count_as_one_holder_and_nothing_is_no_lot() -> None:
    whole = lying((None, 1, DAY), (None, 1, DAY), ("aa", 2, DAY), ("aa", 0, DAY))
    answer = fragmentation(whole, rune=ASH)
    assert (answer.facts["holders"], answer.facts["lots"]) == (2, 3)
    assert answer.table["script"].to_pylist() == [None, "aa"]
    alike = fragmentation(lying((None, 1, DAY), ("aa", 2, DAY)), rune=ASH)
    assert alike.table["script"].to_pylist() == ["aa", None]
    assert answer.explain().missing == ("the owners of 2 outputs: they count as one holder",)


def test_the_figure_counts_holders_by_their_lots() -> None:
    counts = {"aa": 1, "ab": 1, "ac": 2, "ad": 4, "ae": 5, "af": 9}
    lots = [(who, 1, DAY) for who, count in counts.items() for _ in range(count)]
    figure = fragmentation(lying(*lots), rune=ASH).figure
    [bars] = figure["data"]
    assert bars["x"][:4] == ["1", "2", "3–4", "5–9"] and bars["x"][-1] == "≥ 1000"
    assert bars["y"] == [2, 1, 1, 2, 0, 0, 0, 0, 0]
    assert figure["layout"]["xaxis"]["type"] == "category"


def test_a_rune_that_nobody_holds() -> None:
    answer = fragmentation(lying(("aa", 1, DAY)), rune=OAK)
    assert str(answer.sentence) == "nobody holds 840002:5 here"
    facts = {name: answer.facts[name] for name in ("lots_per_holder", "coin_days", "entropy_bits")}
    assert set(facts.values()) == {None} and answer.facts["aged_share"] is None
    assert answer.table.schema == fragmentation(lying(("aa", 1, DAY)), rune=ASH).table.schema


def test_a_list_of_holders_and_a_lone_block_are_refused(block_batch: Batch) -> None:
    listed = table("balances", {"address": "one", "amount": 2})
    said = "fragmentation counts outputs, and this set of tables lists holders: 1 balance of "
    with pytest.raises(InputError, match=rf"^{said}{ASH} names no output\. Ask holders or "):
        fragmentation(listed, rune=ASH)
    with pytest.raises(InputError, match=r"fragmentation needs the state, and .* runestone level"):
        fragmentation(block_batch, rune="1:0")
    with pytest.raises(InputError, match="fragmentation needs the table balances"):
        fragmentation({"entries": tables(entries=[(ASH, 0, 0, 1)])["entries"]}, rune=ASH)
    with pytest.raises(InputError, match="long_days"):
        fragmentation(lying(("aa", 1, DAY)), rune=ASH, long_days=0)


def naive(lots: list[dict[str, Any]], last: int) -> dict[str, Any]:
    """By the definitions, lot by lot."""
    held, pieces = Counter[str](), Counter[str]()
    for lot in lots:
        held[lot["script"]] += lot["amount"]
        pieces[lot["script"]] += 1
    shares = [amount / held.total() for amount in held.values()]
    days = sum(lot["amount"] * (last - lot["created_height"]) for lot in lots) / DAY
    return {
        "holders": len(held),
        "lots": len(lots),
        "held": held.total(),
        "single_lot_share": sum(count == 1 for count in pieces.values()) / len(held),
        "coin_days": pytest.approx(days, rel=1e-12),
        "aged_share": 1.0,
        "entropy_bits": pytest.approx(-sum(p * math.log2(p) for p in shares), abs=1e-12),
    }


@settings(max_examples=4)
@given(st.builds(history, st.integers(0, 10**6)).filter(lambda made: made.lots))
def test_it_agrees_with_a_plain_reckoning(made: History) -> None:
    facts = fragmentation(made.tables(), rune=ASH).facts
    wanted = naive(made.lots, FIRST + BLOCKS - 1)
    assert {name: facts[name] for name in wanted} == wanted


def test_it_agrees_with_a_plain_reckoning_of_the_sample(small: Batch) -> None:
    made = {
        f"{row['txid']}:{row['output']}": row["height"]
        for row in small.tables["allocations"].to_pylist()
    }
    lots = [
        {**row, "created_height": made[row["outpoint"]], "amount": row["amount_low"]}
        for row in small.tables["balances"].to_pylist()
        if row["rune_id"] == "1207:2"
    ]
    facts = fragmentation(small, rune="1207:2").facts
    wanted = naive(lots, 1215)
    wanted["coin_days"] = pytest.approx(0.5651388888888889)
    assert {name: facts[name] for name in wanted} == wanted
