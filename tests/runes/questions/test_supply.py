"""How much is there: five cases by hand, and a naive second opinion."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.questions.hand import ASH, OAK, column
from tests.runes.questions.laid import batch, laid, plain
from workbench.errors import InputError
from workbench.runes.answer import Answer
from workbench.runes.batch import Batch
from workbench.runes.questions.supply import AMOUNTS, supply

BIG = 2**127


def etching(rune: str = ASH, **more: Any) -> dict[str, Any]:
    return {"rune_id": rune, "terms": "amount" in more, **more}


def asked(
    etchings: list[dict[str, Any]], entries: list[dict[str, Any]], rune: str | None = None
) -> Answer:
    return supply(batch(laid(etchings=etchings, entries=entries), 840_000, 840_009), rune=rune)


def entry(mints: int | None, burned: int | None, supply: int | None = None) -> dict[str, Any]:
    return {"rune_id": ASH, "mints": mints, "burned": burned, "supply": supply}


def test_hand_1_premine_mints_and_burns() -> None:
    terms = {"premine": 300, "amount": 10, "cap": 70, "divisibility": 1, "symbol": "¤"}
    answer = asked([etching(**terms)], [entry(30, 50, 600)], "ASH")
    assert str(answer.sentence) == (
        "A•SH: there are 60 ¤ of at most 100 ¤, 55 ¤ circulate; 50.0 % of what there is was "
        "premined"
    )
    assert answer.facts == {
        "rune": ASH,
        "current": 600,
        "maximum": 1000,
        "circulating": 550,
        "premine_of_current": 0.5,
        "premine_of_maximum": 0.3,
    }
    [row] = answer.frame.to_dict("records")
    assert [row[name] for name in AMOUNTS] == [300, 30, 300, 50, 600, 1000, 550, 600]
    assert (row["premine_of_current"], row["premine_of_maximum"]) == (0.5, 0.3)
    assert (row["rune_id"], row["name"]) == (ASH, "A•SH")
    assert answer.explain().missing == ()
    bars = answer.figure["data"][0]
    assert bars["x"] == ["circulates", "burned", "not yet minted"]
    assert bars["y"] == pytest.approx([55, 5, 40])
    assert answer.figure["layout"] == {
        "meta": {"words": "x"},
        "title": {"text": "What there can be of the rune"},
        "xaxis": {"title": {"text": "part"}, "type": "category"},
        "yaxis": {"title": {"text": "share of the maximum, percent"}, "rangemode": "tozero"},
    }
    assert (bars["type"], bars["name"]) == ("bar", "share of the maximum, percent")


def test_hand_2_above_2_127_to_the_unit() -> None:
    terms = {"premine": BIG, "amount": 1, "cap": BIG - 1}
    answer = asked([etching(**terms)], [entry(BIG - 2, 1)], ASH)
    assert answer.facts["current"] == 2**128 - 2
    assert answer.facts["maximum"] == 2**128 - 1
    assert answer.facts["circulating"] == 2**128 - 3
    assert column(answer, "stated") == [None]


def test_hand_3_without_terms_the_premine_is_all() -> None:
    rows = [etching(premine=5), etching(OAK, premine=9, amount=2, terms=False, cap=3)]
    answer = asked(rows, [entry(0, 0), {**entry(4, 0), "rune_id": OAK}])
    assert column(answer, "maximum") == [5, 9]
    assert column(answer, "current") == [5, 9]
    assert answer.facts == {"runes": 2, "whole": 2, "half": 2}
    assert str(answer.sentence) == (
        "of 2 runes 2 were premined to at least a half of all there can be, 2 of them whole"
    )


def test_hand_4_the_rune_of_a_cenotaph_has_nothing() -> None:
    terms = {"premine": 7, "amount": 2, "cap": 3, "cenotaph": True}
    answer = asked([etching(**terms)], [entry(0, 0, 0)], ASH)
    assert (answer.facts["current"], answer.facts["maximum"]) == (0, 0)
    assert answer.facts["premine_of_current"] is None
    assert str(answer.sentence) == (
        "A•SH: there are 0 of at most 0, 0 circulate; – of what there is was premined"
    )
    assert answer.figure["data"][0]["x"] == []


def test_hand_5_what_is_not_known_stays_unknown() -> None:
    entries = [entry(3, None, 77), {**entry(1, 2), "rune_id": OAK}]
    answer = asked([], entries)
    assert column(answer, "current") == [77, None]
    assert column(answer, "circulating") == [None, None]
    assert column(answer, "maximum") == [None, None]
    assert column(answer, "name") == [ASH, OAK]
    assert answer.explain().missing == (
        "premine or terms of 2 runes: how much there can be",
        "premine, terms or mints of 1 rune: how much there is",
        "of 1 rune the current supply is what the source states: it could not be computed",
        "what was burned of 1 rune: how much circulates",
    )
    stated = asked([], entries, ASH)
    assert str(stated.sentence) == (
        f"{ASH}: there are 77 atomic units of at most –, – circulate; – of what there is was "
        "premined"
    )
    assert stated.figure["data"][0]["x"] == []
    assert str(asked([], entries, OAK).sentence) == (
        f"the batch does not say how much of {OAK} there is"
    )


def test_unknown_mints_leave_the_maximum_known_and_no_terms_need_no_mints() -> None:
    terms = {"premine": 1, "amount": 2, "cap": 3}
    rows = [etching(**terms), etching(OAK, premine=4)]
    answer = asked(rows, [entry(None, 0), {**entry(None, 0), "rune_id": OAK}])
    assert column(answer, "rune_id") == [OAK, ASH]  # the larger premine first
    assert column(answer, "current") == [4, None]
    assert column(answer, "maximum") == [4, 7]
    assert answer.explain().missing == ("premine, terms or mints of 1 rune: how much there is",)


def test_a_source_that_states_another_supply_is_told() -> None:
    answer = asked([etching(premine=5)], [entry(0, 1, 6)])
    assert column(answer, "current") == [5]
    assert answer.explain().missing == (
        "for 1 rune the source states another supply than premine + mints * amount",
    )


def test_runes_are_ordered_by_their_premine_and_then_by_place() -> None:
    runes = ["840010:1", "840002:10", "840002:9", "840001:1"]
    rows = [etching(rune, premine=1) for rune in runes[:3]]
    rows.append(etching(runes[3], premine=1, amount=1, cap=2))
    entries = [{"rune_id": rune, "mints": 0, "burned": 0} for rune in (*runes, "840000:1")]
    answer = asked(rows, entries)
    assert column(answer, "rune_id") == [
        *("840002:9", "840002:10", "840010:1", "840001:1", "840000:1")
    ]
    bars = answer.figure["data"][0]
    assert bars["x"][0] == "0–10 %"
    assert bars["x"][-1] == "90–100 %"
    assert bars["y"] == [0, 0, 0, 1, 0, 0, 0, 0, 0, 3]
    assert answer.facts == {"runes": 5, "whole": 3, "half": 3}


def naive(of: Any) -> dict[str, dict[str, Any]]:
    """P + M*A, P + C*A and what is left of burns, rune by rune."""
    told: dict[str, dict[str, Any]] = {}
    for one in plain(of, "entries"):
        rows = [row for row in plain(of, "etchings") if row["rune_id"] == one["rune_id"]]
        if rows:
            [row] = rows
            void = row["cenotaph"] or not row["terms"]
            amount, cap = ((0 if void else row[name] or 0) for name in ("amount", "cap"))
            premine = 0 if row["cenotaph"] else row["premine"]
            current = premine + one["mints"] * amount
            maximum = premine + cap * amount
            told[one["rune_id"]] = {
                "current": current,
                "maximum": maximum,
                "circulating": current - one["burned"],
            }
    return told


def agrees(of: Any) -> None:
    frame = supply(of).frame
    told = {row.rune_id: row._asdict() for row in frame.itertuples()}
    expected = naive(of)
    for rune, amounts in expected.items():
        assert {name: told[rune][name] for name in amounts} == amounts
    assert set(expected) <= set(told)


def test_a_whole_history_agrees_with_the_naive_answer(small: Batch) -> None:
    agrees(small)


amount = st.integers(0, 2**128 - 1)
an_etching = st.fixed_dictionaries(
    {
        "premine": amount,
        "amount": st.none() | amount,
        "cap": st.none() | amount,
        "terms": st.booleans(),
        "cenotaph": st.sampled_from([False, False, True]),
        "mints": amount,
        "burned": amount,
    }
)


@settings(max_examples=6)
@given(st.lists(an_etching, min_size=1, max_size=6))
def test_made_up_runes_agree_with_the_naive_answer(rows: list[dict[str, Any]]) -> None:
    runes = [{**row, "rune_id": f"84000{place}:1"} for place, row in enumerate(rows)]
    agrees(batch(laid(etchings=runes, entries=runes), 840_000, 840_009))


def test_no_runes_are_an_answer_and_no_state_is_none(block_batch: Batch) -> None:
    empty = supply(batch({}, 840_000, 840_000))
    assert str(empty.sentence) == "there are no runes in this batch"
    assert empty.facts == {"runes": 0, "whole": 0, "half": 0}
    assert empty.table.num_rows == 0
    assert empty.table.schema == asked([etching(premine=1)], [entry(0, 0)]).table.schema
    with pytest.raises(InputError, match=r"supply needs the state, and .* runestone level"):
        supply(block_batch)
    with pytest.raises(InputError, match="supply needs the table entries"):
        supply(laid(balances=[{"rune_id": ASH}]))


def test_a_rune_of_which_only_a_balance_speaks_is_not_said_to_be_none() -> None:
    of = batch(laid(balances=[{"rune_id": ASH, "amount": 1}]), 840_000, 840_000)
    answer = supply(of, rune=ASH)
    assert str(answer.sentence) == f"the batch does not say how much of {ASH} there is"
    assert answer.figure["data"][0]["x"] == []
