"""Can it be minted: cases by hand, and the protocol's own entry as a second opinion."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.questions.drawn import titles
from tests.runes.questions.hand import ASH, OAK, column
from tests.runes.questions.laid import batch, laid, plain
from workbench.core.rune import MAX_U64, RuneId
from workbench.core.runestone import Etching, Terms
from workbench.errors import InputError
from workbench.runes.answer import Answer
from workbench.runes.batch import Batch
from workbench.runes.entry import Entry
from workbench.runes.questions.mint_status import mint_status

FIRST, LAST = 840_001, 840_144
"""144 blocks."""


def asked(
    mints: int | None,
    terms: dict[str, Any] | None,
    fresh: tuple[int, ...] = (),
    rune: str | None = ASH,
    **more: Any,
) -> Answer:
    """ASH with these terms, and its mints at these heights."""
    etching = {"rune_id": ASH, "terms": terms is not None, **(terms or {}), **more}
    rows = [
        {"height": height, "tx_index": place, "rune_id": ASH, "credited": True}
        for place, height in enumerate(fresh, start=2)
    ]
    entries = [{"rune_id": ASH, "mints": mints, "burned": 0}]
    tables = laid(etchings=[etching], entries=entries, mints=rows)
    return mint_status(batch(tables, FIRST, LAST), rune=rune)


def test_hand_1_open_and_full_in_two_days() -> None:
    fresh = (FIRST - 1, FIRST, LAST, LAST, *range(FIRST + 1, FIRST + 70))
    answer = asked(100, {"amount": 1, "cap": 244}, fresh)
    # 72 of the mints lie in the last 144 blocks: half a mint a block, and 144 are left
    assert answer.facts == {
        "rune": ASH,
        "height": LAST + 1,
        "status": "open",
        "mints": 100,
        "cap": 244,
        "remaining": 144,
        "progress": 100 / 244,
        "mints_per_block": 0.5,
        "eta_blocks": 288,
        "outlook": "fills",
    }
    assert str(answer.sentence) == (
        "A•SH can be minted at height 840145: 100 of 244 are made (41.0 %); at 0.50 a block the "
        "rest takes 288 blocks"
    )
    [row] = answer.frame.to_dict("records")
    assert [row[name] for name in ("rune_id", "name", "status")] == [ASH, "A•SH", "open"]
    assert [row[name] for name in ("mints", "cap", "remaining")] == [100, 244, 144]
    told = ("progress", "mints_per_block", "eta_blocks", "outlook")
    assert [row[name] for name in told] == [100 / 244, 0.5, 288, "fills"]
    assert answer.explain().missing == ()
    bars = answer.figure["data"][0]
    percent = "share of the cap, percent"
    assert titles(answer.figure) == ("What part of the cap is minted", "mints", percent, percent)
    assert bars["x"] == ["minted", "left"]
    assert bars["y"] == pytest.approx([100 * 100 / 244, 100 * 144 / 244])


def test_hand_2_it_closes_before_all_are_minted() -> None:
    terms = {"amount": 1, "cap": 110, "height_end": LAST + 1 + 20}
    answer = asked(100, terms, tuple(range(FIRST, FIRST + 72)))
    # ten are left, at half a mint a block: exactly the twenty blocks that are left
    assert (answer.facts["eta_blocks"], answer.facts["outlook"]) == (20, "fills")
    later = asked(100, {**terms, "height_end": LAST + 20}, tuple(range(FIRST, FIRST + 72)))
    assert later.facts["outlook"] == "closes"
    assert str(later.sentence) == (
        "A•SH can be minted at height 840145: 100 of 110 are made (90.9 %); at 0.50 a block it "
        "closes at height 840164 before all are"
    )
    assert column(later, "closes_at") == [LAST + 20]


def test_hand_3_nobody_mints_it() -> None:
    answer = asked(0, {"amount": 1, "cap": 2**128 - 1})
    assert str(answer.sentence) == (
        "A•SH can be minted at height 840145: 0 of "
        "340,282,366,920,938,463,463,374,607,431,768,211,455 are made (0.0 %), and no pace says "
        "when the rest will be"
    )
    assert (answer.facts["mints_per_block"], answer.facts["eta_blocks"]) == (0, None)
    ends = asked(0, {"amount": 1, "cap": 5, "height_end": LAST + 9})
    assert (ends.facts["eta_blocks"], ends.facts["outlook"]) == (None, "closes")
    assert "at 0.00 a block it closes at height 840153" in str(ends.sentence)


@pytest.mark.parametrize(
    ("mints", "terms", "more", "sentence"),
    [
        (
            5,
            {"amount": 1, "cap": 5},
            {},
            "A•SH cannot be minted any more: all 5 mints are made",
        ),
        (
            0,
            {"amount": 1, "cap": 5, "height_start": LAST + 2},
            {},
            "A•SH cannot be minted yet: its mint opens at height 840146",
        ),
        (
            4,
            {"amount": 1, "cap": 5, "offset_end": 144},
            {},
            "A•SH cannot be minted any more: its mint closed at height 840145, with 4 of 5 made",
        ),
        (0, {"amount": 1}, {}, "A•SH can never be minted: its terms name no cap"),
        (0, None, {}, "A•SH can never be minted: it was etched without terms"),
        (
            0,
            {"amount": 1, "cap": 9},
            {"cenotaph": True},
            "A•SH can never be minted: a cenotaph etched it",
        ),
        (None, {"amount": 1, "cap": 9}, {}, "the batch does not say whether A•SH can be minted"),
        (
            None,
            {"amount": 1, "cap": 9, "height_end": 7},
            {},
            "A•SH cannot be minted any more: its mint closed at height 7, with – of 9 made",
        ),
    ],
    ids=["capped", "early", "ended", "no-cap", "no-terms", "cenotaph", "unknown", "over"],
)
def test_hand_4_why_it_is_not_open(
    mints: int | None, terms: dict[str, Any] | None, more: dict[str, Any], sentence: str
) -> None:
    answer = asked(mints, terms, (LAST,), **more)
    assert str(answer.sentence) == sentence
    assert (answer.facts["eta_blocks"], answer.facts["outlook"]) == (None, None)


def test_hand_5_many_runes_the_open_ones_first() -> None:
    terms = {"amount": 1, "cap": 10, "terms": True}
    etchings = [
        {"rune_id": "840001:1", **terms},
        {"rune_id": "840001:2", "terms": False},
        {"rune_id": "840001:3", **terms, "height_start": LAST + 2},
        {"rune_id": "840001:4", **terms, "height_start": LAST + 1},
        {"rune_id": "840001:10", **terms},
    ]
    made = {"840001:1": 1, "840001:2": 0, "840001:3": 0, "840001:4": 9, "840001:10": 1}
    entries = [{"rune_id": rune, "mints": mints, "burned": 0} for rune, mints in made.items()]
    entries.append({"rune_id": "840000:1", "mints": 1, "burned": 0})
    mint = {"height": LAST, "tx_index": 1, "rune_id": "840001:4"}
    answer = mint_status(batch(laid(etchings=etchings, entries=entries, mints=[mint]), 0, LAST))
    assert column(answer, "rune_id") == [
        *("840001:4", "840001:1", "840001:10", "840001:3", "840000:1", "840001:2")
    ]
    assert str(answer.sentence) == "3 of 6 runes can be minted at height 840145"
    assert answer.facts == {
        "runes": 6,
        "unknown": 1,
        "height": LAST + 1,
        "open": 3,
        "not-started": 1,
        "capped": 0,
        "ended": 0,
        "no-cap": 0,
        "no-terms": 1,
        "cenotaph": 0,
    }
    assert answer.table["mints_per_block"].to_pylist() == [None, 0, 0, 0, 0, 0]
    assert answer.table["opens_at"].to_pylist()[3] == LAST + 2
    assert answer.explain().missing == (
        "terms or mints of 1 rune: whether it can be minted",
        "whether recent mints of 1 rune were credited: it has no pace",
    )
    bars = answer.figure["data"][0]
    assert bars["x"] == ["open", "not-started", "unknown", "no-terms"]
    assert bars["y"] == [3, 1, 1, 1]
    assert (bars["type"], bars["name"]) == ("bar", "runes")
    assert answer.figure["layout"] == {
        "meta": {"words": "x"},
        "title": {"text": "Which runes can be minted"},
        "xaxis": {"title": {"text": "status"}, "type": "category"},
        "yaxis": {"title": {"text": "runes"}, "rangemode": "tozero"},
    }
    assert answer.figure["layout"]["yaxis"]["title"]["text"] == "runes"


def opinion(row: dict[str, Any], mints: int) -> Entry:
    """The rune as the index keeps it."""
    terms = Terms(
        amount=row["amount"],
        cap=row["cap"],
        height=(row["height_start"], row["height_end"]),
        offset=(row["offset_start"], row["offset_end"]),
    )
    told = Etching(rune=0, terms=terms if row["terms"] and not row["cenotaph"] else None)
    void = row["cenotaph"]
    return Entry(id=RuneId.parse(row["rune_id"]), number=0, txid="", etching=told, void=void,
                 mints=mints)  # fmt: skip


def agrees(of: Batch) -> None:
    """Open is what the index would credit; the pace is a count of rows."""
    made = {row["rune_id"]: row["mints"] for row in plain(of, "entries")}
    told = {row["rune_id"]: row for row in mint_status(of).table.to_pylist()}
    window = min(144, of.last_height - of.first_height + 1)
    for row in plain(of, "etchings"):
        rune = row["rune_id"]
        open_ = opinion(row, made[rune]).mintable(of.last_height + 1) is not None
        assert (told[rune]["status"] == "open") == open_, told[rune]
        fresh = sum(
            mint["rune_id"] == rune and mint["credited"] and mint["height"] > of.last_height - 144
            for mint in plain(of, "mints")
        )
        assert told[rune]["mints_per_block"] == fresh / window
        if open_ and fresh:
            left = (row["cap"] - made[rune]) * window
            assert told[rune]["eta_blocks"] == left / fresh


def test_a_whole_history_agrees_with_the_index(small: Batch) -> None:
    agrees(small)


bound = st.none() | st.integers(LAST - 1, LAST + 3) | st.just(MAX_U64)
offset = st.none() | st.integers(142, 146) | st.just(MAX_U64)
a_rune = st.fixed_dictionaries(
    {
        "amount": st.none() | st.just(1),
        "cap": st.sampled_from([None, 0, 1, 2**127, 2**128 - 1]),
        "terms": st.sampled_from([True, True, True, False]),
        "cenotaph": st.sampled_from([False, False, False, True]),
        "height_start": bound,
        "height_end": bound,
        "offset_start": offset,
        "offset_end": offset,
        "mints": st.sampled_from([0, 1, 2**127 - 1, 2**127]),
    }
)


@settings(max_examples=5)
@given(st.lists(a_rune, min_size=10, max_size=30))
def test_made_up_runes_agree_with_the_index(rows: list[dict[str, Any]]) -> None:
    runes = [{**row, "rune_id": f"{FIRST}:{place}"} for place, row in enumerate(rows)]
    agrees(batch(laid(etchings=runes, entries=runes), FIRST, LAST))


def test_what_the_batch_does_not_say_is_told() -> None:
    entries = [{"rune_id": ASH, "mints": 1, "burned": 0}]
    few = batch(laid(entries=entries), LAST - 9, LAST)
    answer = mint_status(few)
    assert answer.explain().missing == (
        "terms or mints of 1 rune: whether it can be minted",
        "134 of the last 144 blocks: the pace is that of the others",
    )
    [row] = answer.table.to_pylist()
    assert (row["status"], row["remaining"], row["progress"]) == (None, None, None)
    height = laid(blocks=[{"height": LAST}], entries=entries)
    answer = mint_status(height)
    assert answer.explain().missing[1:] == ("the table mints: no pace, and no time until the cap",)
    assert answer.table["mints_per_block"].to_pylist() == [None]
    covers = frozenset(("entries", "mints"))
    still = mint_status(batch(laid(entries=entries), FIRST, LAST, covers=covers))
    assert still.table["mints_per_block"].to_pylist() == [0]
    mints = [{"height": LAST, "tx_index": 1 + n, "rune_id": ASH} for n in range(2)]
    half = [
        {**row, "credited": credited} for row, credited in zip(mints, (True, None), strict=True)
    ]
    unsure = mint_status(batch(laid(entries=entries, mints=half), FIRST, LAST))
    assert unsure.table["mints_per_block"].to_pylist() == [None]
    alone = batch(laid(balances=[{"rune_id": OAK, "amount": 1}]), FIRST, LAST)
    answer = mint_status(alone, rune=OAK)
    assert str(answer.sentence) == f"the batch does not say whether {OAK} can be minted"
    assert answer.figure["data"][0]["x"] == []


def test_without_the_state_or_a_height_it_refuses(block_batch: Batch) -> None:
    with pytest.raises(InputError, match=r"mint_status needs the state, and .* runestone level"):
        mint_status(block_batch)
    with pytest.raises(InputError, match="mint_status needs the table entries"):
        mint_status(laid(balances=[{"rune_id": ASH}]))
    with pytest.raises(
        InputError,
        match="mint_status needs to know the last block, and this set of tables does not state it",
    ):
        mint_status(laid(entries=[{"rune_id": ASH}]))


def test_no_runes_are_an_answer() -> None:
    empty = mint_status(batch({}, FIRST, LAST))
    assert str(empty.sentence) == "there are no runes in this batch"
    assert (empty.facts["runes"], empty.figure["data"][0]["x"]) == (0, [])
