"""Who holds a rune after any block, and what became of the holders between two."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes import dumps
from tests.runes.questions.hand import ASH, OAK, tables, txid
from tests.runes.questions.history import BLOCKS, FIRST, History, history
from tests.runes.questions.rows import table
from tests.runes.sources import documents as made
from workbench import runes
from workbench.errors import InputError
from workbench.runes.batch import Batch
from workbench.runes.evidence import evidence_of
from workbench.runes.questions.cohort import KINDS, cohort
from workbench.runes.questions.holders import holders
from workbench.runes.state import index_batch

BIG = 2**127
A, B, C, D = "6161", "6162", "6163", "6164"


def put(height: int, script: str | None, amount: int | None, **more: Any) -> dict[str, Any]:
    """A row of balances, inputs or allocations."""
    outpoint = f"{txid(height, 0)}:{more.get('output', 0)}"
    return {"height": height, "script": script, "amount": amount, "outpoint": outpoint, **more}


def moved() -> dict[str, pa.Table]:
    """a mints 10 in block 900; 901: a pays 4 to b; 902: a's 6 go, 1 burned, 5 to c."""
    return {
        "allocations": table(
            "allocations",
            put(900, A, 10),
            put(901, B, 4),
            put(901, A, 6, output=1),
            put(902, C, 5),
        ),
        "inputs": table("inputs", put(901, A, 10), put(902, A, 6)),
        "events": table(
            "events",
            {"height": 900, "kind": "minted", "amount": 10},
            {"height": 902, "kind": "burned", "amount": 1},
            {"height": 902, "kind": "transferred", "amount": 5},
        ),
        "balances": table("balances", put(901, B, 4), put(902, C, 5)),
        "entries": table("entries", {"supply": 10, "burned": 1}),
    }


def held(answer: Any) -> dict[str, int]:
    """What each script has, in the order of the rows."""
    frame = answer.frame
    return dict(zip(frame["script"], frame["amount"], strict=True))


@pytest.mark.parametrize(
    ("height", "wanted"),
    [(None, {C: 5, B: 4}), (902, {C: 5, B: 4}), (901, {A: 6, B: 4}), (900, {A: 10}), (899, {})],
)
def test_holders_after_each_block(height: int | None, wanted: dict[str, int]) -> None:
    answer = holders(moved(), rune=ASH, height=height)
    assert held(answer) == wanted
    assert list(held(answer)) == list(wanted)
    assert answer.table["lots"].to_pylist() == [1] * len(wanted)
    assert answer.explain().missing == ()
    assert answer.facts["holders"] == len(wanted)


def test_the_sentence_says_the_block_the_amount_and_the_largest_share() -> None:
    answer = holders(moved(), rune=ASH, height=901)
    assert str(answer.sentence) == (
        "after block 901, 2 holders of 840001:1 have 10 atomic units; the largest has 60.0 %"
    )
    assert answer.table["share"].to_pylist() == [0.6, 0.4]
    assert answer.facts == {
        "holders": 2, "whole": True, "held": 10, "nameless": 0, "largest_share": 0.6, "height": 901
    }  # fmt: skip
    etched = {**moved(), "etchings": table("etchings", {"divisibility": 1, "symbol": "¤"})}
    assert "holders of ASH have 0.9 ¤;" in str(holders(etched, rune=ASH).sentence)
    empty = holders(moved(), rune=ASH, height=899)
    assert empty.table.schema == answer.table.schema
    assert str(empty.sentence) == "nobody holds 840001:1 after block 899"
    assert answer.explain().formulas == (
        "balances(h) = balances(end) - what outputs received after h + what inputs carried after "
        "h, for each holder",
        "share = amount / sum of all amounts",
    )
    assert empty.facts["largest_share"] is None


def test_a_list_that_names_no_block_is_said_without_one() -> None:
    listed = {
        "balances": table("balances", {"script": A, "amount": 3 * 2**64}, {"amount": 2**64}),
        "entries": table("entries", {"supply": 2**66, "burned": 0}),
    }
    answer = holders(listed, rune=ASH)
    assert answer.table["share"].to_pylist() == [0.75, 0.25]
    assert str(answer.sentence).startswith("1 holder of 840001:1 has 73,786,976,294,838,206,464 ")
    assert str(answer.sentence).endswith(" atomic units; the largest has 75.0 %")
    nobody = holders({"balances": table("balances", {"script": A, "amount": 0})}, rune=ASH)
    assert str(nobody.sentence) == "nobody holds 840001:1 here"
    nameless = {"balances": table("balances", {"amount": 1})}
    with pytest.raises(InputError, match=r"^holders needs to know whose the balances of"):
        holders(nameless, rune=ASH)
    beyond = [{"script": script, "amount": 2**128 - 1} for script in (A, B)]
    with pytest.raises(InputError, match=rf"the sum of balances.amount of {ASH} is"):
        holders({"balances": table("balances", *beyond)}, rune=ASH)


def test_amounts_above_2_127_are_exact_and_read_in_the_runes_own_unit() -> None:
    whole = tables(divisibility=2, balances=[(ASH, "a", BIG), (ASH, "b", BIG - 1)])
    answer = holders(whole, rune="IEAAABB")
    assert list(held(answer).values()) == [BIG, BIG - 1]
    assert answer.divisibility == 2
    assert "known, with 3,402,823,669,209,384,634,633,746,074,317,682,114.55; " in str(
        answer.sentence
    )


def test_a_lone_table_of_balances_says_who_holds_and_what_it_does_not_know() -> None:
    lone = table(
        "balances",
        {"script": A, "address": "one", "amount": 2},
        {"script": A, "amount": 1},
        {"address": "two", "amount": 1},
        {"amount": 4},
        {"rune_id": OAK, "script": A, "amount": 9},
    )
    answer = holders(lone, rune=ASH)
    rows = [tuple(row.values()) for row in answer.table.to_pylist()]
    assert rows == [
        (None, None, "4", None, 0.5),
        (A, "one", "3", None, 0.375),
        (None, "two", "1", None, 0.125),
    ]
    assert str(answer.sentence) == (
        "2 holders of 840001:1 are known, with 8 atomic units; the largest has 50.0 % of that, and "
        "whether they are all is not known"
    )
    assert answer.facts["whole"] is False
    assert answer.explain().missing == (
        "the owner of 4 atomic units: a row without a name",
        "the supply: whether every holder is here is not known",
    )
    [bars] = answer.figure["data"]
    assert bars["x"] == ["1. ?", "2. one", "3. two"]
    assert bars["y"] == [0.5, 0.375, 0.125]
    with pytest.raises(InputError, match="do not say of which blocks"):
        holders(lone, rune=ASH, height=5)


def test_of_equal_amounts_the_names_decide_and_what_has_none_comes_last() -> None:
    rows = [{"amount": 1}, {"script": C, "amount": 1}, {"script": A, "amount": 1}]
    answer = holders(table("balances", *rows), rune=ASH)
    assert answer.table["script"].to_pylist() == [A, C, None]


def test_the_figure_shows_twenty_and_shortens_long_names() -> None:
    whole = tables(balances=[(ASH, f"holder-{n:02}", 100 - n) for n in range(21)])
    answer = holders(whole, rune=ASH)
    [bars] = answer.figure["data"]
    assert len(bars["x"]) == len(bars["y"]) == 20
    assert bars["x"][0] == "1. …" + b"der-00".hex()
    twelve = holders(table("balances", {"address": "x" * 12, "amount": 1}), rune=ASH)
    assert twelve.figure["data"][0]["x"] == ["1. " + "x" * 12]
    assert twelve.figure["layout"]["yaxis"]["title"]["text"] == "share of what is held"


def test_holders_that_do_not_make_up_the_supply_are_said() -> None:
    short = {**moved(), "entries": table("entries", {"supply": 12, "burned": 1})}
    assert holders(short, rune=ASH).explain().missing == (
        "holders: they have 9 of 11 atomic units in use",
    )
    assert holders(short, rune=ASH, height=901).explain().missing == ()
    unsaid = {**moved(), "entries": table("entries", {"supply": 12})}
    assert "whether every holder is here" in holders(unsaid, rune=ASH).explain().missing[0]


def test_a_dropped_input_is_noticed_before_anything_is_counted_back() -> None:
    dropped = {**moved(), "inputs": table("inputs", put(901, A, 10))}
    assert held(holders(dropped, rune=ASH)) == {C: 5, B: 4}
    with pytest.raises(InputError, match=r"cannot count back to block 901: .*differs by 6 atomic"):
        holders(dropped, rune=ASH, height=901)
    for span in ({"since": 901}, {"since": 902, "until": 901}):
        with pytest.raises(InputError, match="cohort cannot count back to block 901"):
            cohort(dropped, rune=ASH, **span)
    unknown = {**moved(), "allocations": table("allocations", put(902, C, None))}
    with pytest.raises(InputError, match="1 amounts are not known"):
        holders(unknown, rune=ASH, height=901)
    with pytest.raises(InputError, match="needs the table events"):
        holders({**moved(), "events": table("events")}, rune=ASH, height=901)
    with pytest.raises(InputError, match="needs the table allocations"):
        holders({**moved(), "allocations": table("allocations")}, rune=ASH, height=901)


def test_a_holder_with_less_than_nothing_is_refused() -> None:
    contradictory = {**moved(), "balances": table("balances", put(901, B, 4), put(902, B, 5))}
    with pytest.raises(
        InputError,
        match=r"finds 1 holders of 840001:1 with an impossible amount.*: "
        "the tables of this set of tables contradict",
    ):
        holders(contradictory, rune=ASH, height=901)
    with pytest.raises(InputError, match=r"cohort finds 1 holders .* after block 901"):
        cohort(contradictory, rune=ASH, since=901)
    in_between = {
        **moved(),
        "allocations": table(
            "allocations", put(900, A, 10), put(901, B, 4), put(901, A, 6), put(902, D, 5)
        ),
        "inputs": table("inputs", put(901, A, 5), put(901, D, 5), put(902, A, 6)),
        "balances": table("balances", put(901, B, 4), put(902, B, 5)),
    }
    with pytest.raises(
        InputError,
        match=r"cohort finds 1 holders of 840001:1 with .* after block 901: .* this set of tables",
    ):
        cohort(in_between, rune=ASH, since=900, until=901)
    beyond = tables(balances=[(ASH, "a", 2**128 - 1), (ASH, "a", 1)])
    with pytest.raises(InputError, match="an impossible amount"):
        holders(beyond, rune=ASH)


@pytest.mark.parametrize("height", [898, 903])
def test_a_block_outside_the_batch_is_refused(height: int) -> None:
    with pytest.raises(InputError, match=rf"height is {height}; allowed: a block from 899 to 902"):
        holders(moved(), rune=ASH, height=height)
    with pytest.raises(InputError, match=rf"since is {height}; allowed"):
        cohort(moved(), rune=ASH, since=height)
    with pytest.raises(InputError, match=rf"until is {height}; allowed"):
        cohort(moved(), rune=ASH, since=900, until=height)


def test_a_batch_that_knows_only_what_was_asked_for_is_refused(block_batch: Batch) -> None:
    with pytest.raises(InputError, match=r"holders needs the state, and .* runestone level"):
        holders(block_batch, rune="1:0")
    with pytest.raises(InputError, match=r"cohort needs the state, and .* runestone level"):
        cohort(block_batch, rune="1:0", since=1)
    entries = {"entries": table("entries", {"supply": 1})}
    with pytest.raises(InputError, match="holders needs the table balances"):
        holders(entries, rune=ASH)
    with pytest.raises(InputError, match="cohort needs the table balances"):
        cohort(entries, rune=ASH, since=1)


def test_one_left_one_entered_one_stayed() -> None:
    answer = cohort(moved(), rune=ASH, since=901)
    rows = [tuple(row.values()) for row in answer.table.to_pylist()]
    assert rows == [
        (A, None, "6", "0", "-6", "left"),
        (C, None, "0", "5", "5", "entered"),
        (B, None, "4", "4", "0", "stayed"),
    ]
    assert str(answer.sentence) == (
        "from block 901 to block 902, of the holders of 840001:1 1 entered, 1 left, 0 grew, "
        "0 shrank and 1 stayed"
    )
    assert answer.facts == {
        "since": 901, "until": 902, "entered": 1, "left": 1, "grew": 0, "shrank": 0, "stayed": 1
    }  # fmt: skip
    [bars] = answer.figure["data"]
    assert (bars["x"], bars["y"]) == (list(KINDS), [1, 1, 0, 0, 1])
    assert answer.figure["layout"]["yaxis"]["title"]["text"] == "holders"
    assert answer.figure["layout"]["meta"]["words"] == "x"
    assert answer.frame["change"].tolist() == [-6, 5, 0]


def test_an_address_alone_is_followed_and_amounts_are_in_the_runes_unit() -> None:
    whole = {
        **moved(),
        "etchings": table("etchings", {"divisibility": 2}),
        "allocations": table(
            "allocations",
            put(900, A, 10),
            put(901, B, 4),
            put(901, A, 6, output=1),
            put(902, None, 5, address="bc1qc"),
        ),
        "balances": table("balances", put(901, B, 4), put(902, None, 5, address="bc1qc")),
    }
    answer = cohort(whole, rune=ASH, since=901)
    assert answer.table["address"].to_pylist() == [None, "bc1qc", None]
    assert answer.facts["entered"] == 1
    assert answer.explain().missing == ()
    assert answer.divisibility == 2


def test_who_shrank_and_who_grew() -> None:
    answer = cohort(moved(), rune=ASH, since=900, until=901)
    rows = [tuple(row.values())[2:] for row in answer.table.to_pylist()]
    assert rows == [("10", "6", "-4", "shrank"), ("0", "4", "4", "entered")]
    same = cohort(moved(), rune=ASH, since=901, until=901)
    assert same.table["kind"].to_pylist() == ["stayed", "stayed"]
    with pytest.raises(InputError, match="until is 900; allowed: a block from 901 on"):
        cohort(moved(), rune=ASH, since=901, until=900)


def test_holders_without_a_name_cannot_be_followed() -> None:
    nameless = {
        **moved(),
        "balances": table("balances", put(901, B, 4), put(902, None, 5)),
        "allocations": table(
            "allocations", put(900, A, 10), put(901, B, 4), put(901, A, 6), put(902, None, 5)
        ),
    }
    answer = cohort(nameless, rune=ASH, since=901)
    assert answer.table["kind"].to_pylist() == ["left", "stayed"]
    assert answer.explain().missing == ("the owners of some balances: they are left out",)
    assert cohort(moved(), rune=ASH, since=901).explain().missing == ()


def test_a_lone_table_cannot_be_compared_with_an_earlier_block() -> None:
    with pytest.raises(InputError, match="since is 1; allowed: none"):
        cohort(table("balances", {"script": A, "amount": 1}), rune=ASH, since=1)


@settings(max_examples=3)
@given(st.builds(history, st.integers(0, 10**6)).filter(lambda made: made.lots))
def test_counting_back_finds_what_counting_forwards_found(made: History) -> None:
    last, whole = FIRST + BLOCKS - 1, evidence_of(made.tables())
    for height in (FIRST, FIRST + 3, last):
        found = holders(whole, rune=ASH, height=height)
        assert held(found) == +made.held[height]
    earlier, later = made.held[FIRST + 2], made.held[last]
    rows = cohort(whole, rune=ASH, since=FIRST + 2).frame.to_dict("records")
    assert {row["script"]: (row["before"], row["after"], row["kind"]) for row in rows} == {
        who: (earlier[who], later[who], naive_kind(earlier[who], later[who]))
        for who in +(earlier + later)
    }


def naive_kind(before: int, after: int) -> str:
    if not before or not after:
        return "left" if before else "entered"
    return {-1: "shrank", 0: "stayed", 1: "grew"}[(after > before) - (after < before)]


def test_counting_back_finds_what_the_sample_went_through(small: Batch) -> None:
    rune, forwards = "1207:2", Counter[str]()
    for name, sign in (("allocations", 1), ("inputs", -1)):
        for row in small.tables[name].to_pylist():
            if row["rune_id"] == rune and row["height"] <= 1210:
                forwards[row["script"]] += sign * ((row["amount_high"] << 64) + row["amount_low"])
    assert held(holders(small, rune=rune, height=1210)) == +forwards


def test_who_came_and_went_in_between_is_not_seen() -> None:
    answer = cohort(moved(), rune=ASH, since=899)
    rows = [(row["script"], row["kind"]) for row in answer.table.to_pylist()]
    assert rows == [(C, "entered"), (B, "entered")]
    first = cohort(moved(), rune=ASH, since=899, until=900)
    assert first.frame["change"].tolist() == [10]


def test_a_list_of_holders_says_how_its_block_can_be_told() -> None:
    kept = runes.read([made.XVERSE_HOLDERS], rune="840000:3")
    for ask in (
        lambda: runes.holders(kept, rune="840000:3", height=900_000),
        lambda: runes.cohort(kept, rune="840000:3", since=900_000),
    ):
        with pytest.raises(InputError, match=r"900000; .* runes\.read\(\.\.\., height=BLOCK\)"):
            ask()
    dated = runes.read([made.XVERSE_HOLDERS], rune="840000:3", height=900_000)
    assert runes.holders(dated, rune="840000:3", height=900_000).facts["holders"] == 1


@pytest.mark.parametrize("ask", [runes.holders, runes.concentration])
def test_balances_that_name_nobody_are_refused_with_what_to_export(ask: Any) -> None:
    kept = runes.read([made.UNISAT_BALANCES])
    with pytest.raises(InputError, match="export the rune's holders with their addresses"):
        ask(kept, rune="840000:3")


def test_an_address_beside_a_list_is_whose_its_balances_are() -> None:
    kept = runes.read([{**made.UNISAT_BALANCES, "address": made.ADDRESS}])
    assert runes.holders(kept, rune="840000:3").frame["address"].tolist() == [made.ADDRESS]
    with pytest.raises(InputError, match="address is 5"):
        runes.read([{**made.UNISAT_BALANCES, "address": 5}])


def test_a_list_of_holders_that_says_no_block_is_of_none() -> None:
    kept = runes.read([made.XVERSE_HOLDERS], rune="840000:3")
    answer = runes.holders(kept, rune="840000:3")
    assert answer.facts["height"] is None
    assert "block 840000" not in str(answer.sentence)
    assert "blocks not stated" in answer.explain().sources[0]
    assert ": mainnet, blocks not stated, state level; 1 balances, 1 entries>" in repr(kept)
    assert ">not stated<" in kept._repr_html_() and "840000 to" not in kept._repr_html_()
    assert answer.explain().missing[-1] == (
        "the block: say it where the list is read, runes.read(..., height=)"
    )
    dated = runes.read([made.XVERSE_HOLDERS], rune="840000:3", height=900_000)
    answer = runes.holders(dated, rune="840000:3")
    assert answer.facts["height"] == 900_000
    assert "blocks 900000 to 900000, state level" in repr(dated)
    assert not any("the block" in line for line in answer.explain().missing)
    assert "blocks not stated" not in answer.explain().sources[0]


@pytest.mark.parametrize("ask", [runes.holders, runes.concentration])
def test_the_state_of_an_index_names_no_owner_and_says_what_does(ask: Any) -> None:
    index = dumps.computed(dumps.history()[-1].height)
    rune = next(entry["id"] for entry in index.entries() if int(entry["mints"]))
    with pytest.raises(InputError, match=r"index names outputs alone: .* runes\.read\(blocks\)"):
        ask(index_batch(index), rune=rune)
