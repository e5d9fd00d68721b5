"""What was burned, and why: five cases by hand, and a naive second opinion."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.questions.hand import ASH, OAK, column
from tests.runes.questions.laid import batch, laid, plain
from tests.runes.sources.documents import opi, opi_csv
from workbench import runes
from workbench.errors import InputError
from workbench.runes.answer import Answer
from workbench.runes.batch import Batch
from workbench.runes.questions.burns import burns

FIRST, LAST = 840_001, 840_009
BIG = 2**127
NAMED = [{"rune_id": ASH, "divisibility": 1, "symbol": "¤"}]


def burn(index: int, cause: str | None, amount: int | None, rune: str = ASH) -> dict[str, Any]:
    place = {"height": FIRST, "tx_index": index}
    return {**place, "kind": "burned", "rune_id": rune, "amount": amount, "cause": cause}


def cenotaph(index: int, flaw: str | None, fee: int | None = None) -> dict[str, Any]:
    place = {"height": FIRST, "tx_index": index}
    return {**place, "kind": "cenotaph", "flaw": flaw, "fee_sat": fee}


def asked(
    events: list[dict[str, Any]],
    runestones: list[dict[str, Any]] | None = None,
    burned: dict[str, int | None] | None = None,
    rune: str | None = None,
) -> Answer:
    """`burned` is what the entries of the runes say."""
    entries = [{"rune_id": one, "burned": amount} for one, amount in (burned or {}).items()]
    tables = laid(events=events, runestones=runestones or [], entries=entries, etchings=NAMED)
    return burns(batch(tables, FIRST, LAST), rune=rune)


def test_hand_1_one_rune_by_three_causes() -> None:
    events = [burn(1, "op-return", 50), burn(2, "op-return", 25), burn(3, "no-output", 20)]
    events += [burn(4, "cenotaph", 5), {**burn(5, None, 99), "kind": "transferred"}]
    answer = asked(events, [cenotaph(4, "varint")], {ASH: 100}, ASH)
    assert str(answer.sentence) == (
        "A•SH: 10 ¤ burned in 4 events: 1 by cenotaphs, 2 sent to OP_RETURN, 1 without an output "
        "to go to"
    )
    assert column(answer, "cause") == ["op-return", "cenotaph", "no-output"]
    assert column(answer, "flaw")[1] == "varint"
    assert column(answer, "amount") == [75, 5, 20]
    assert column(answer, "events") == [2, 1, 1]
    assert column(answer, "share") == [0.75, 0.05, 0.2]
    assert column(answer, "name") == ["A•SH"] * 3
    assert answer.facts == {
        "rune": ASH,
        "burned": 100,
        "events": 4,
        "cenotaphs": 1,
        "op_returns": 2,
        "no_outputs": 1,
        "unknown_causes": 0,
    }
    assert answer.explain().missing == ()


def test_hand_2_sums_beyond_2_128_are_exact() -> None:
    answer = asked([burn(1, "op-return", BIG), burn(2, "op-return", BIG), burn(3, None, 2**64 - 1)])
    assert column(answer, "amount") == [2**128, 2**64 - 1]
    assert column(answer, "share") == pytest.approx([1, 2**-64])


def test_hand_3_each_flaw_stands_for_itself() -> None:
    events = [burn(1, "cenotaph", 1), burn(2, "cenotaph", 2), burn(2, "cenotaph", 4, OAK)]
    events += [burn(3, "cenotaph", 8), burn(9, "cenotaph", 16), burn(5, "op-return", 3)]
    stones = [cenotaph(1, "opcode", 10), cenotaph(2, "varint", 7), cenotaph(3, "varint")]
    stones += [cenotaph(4, "varint", 5), cenotaph(5, "edict-output")]
    stones[-1]["kind"] = "runestone"  # what is sent to OP_RETURN has no flaw, whatever a row says
    answer = asked(events, stones)
    assert str(answer.sentence) == (
        "2 runes were burned in 6 events: 5 by cenotaphs, 1 sent to OP_RETURN, 0 without an "
        "output to go to"
    )
    told = zip(
        *(answer.table[name].to_pylist() for name in ("rune_id", "cause", "flaw", "amount")),
        strict=True,
    )
    assert list(told) == [
        (ASH, "cenotaph", "varint", "10"),
        (ASH, "cenotaph", None, "16"),
        (ASH, "cenotaph", "opcode", "1"),
        (ASH, "op-return", None, "3"),
        (OAK, "cenotaph", "varint", "4"),
    ]
    assert column(answer, "name") == ["A•SH"] * 4 + [OAK]
    assert answer.more["causes"].to_pylist() == [
        {"cause": "cenotaph", "flaw": "varint", "events": 3, "runes": 2},
        {"cause": "cenotaph", "flaw": None, "events": 1, "runes": 1},
        {"cause": "cenotaph", "flaw": "opcode", "events": 1, "runes": 1},
        {"cause": "op-return", "flaw": None, "events": 1, "runes": 1},
    ]
    assert answer.more["cenotaphs"].to_pylist() == [
        {"flaw": "varint", "cenotaphs": 3, "burning": 2, "fee_sat": 12, "without_fee": 1},
        {"flaw": "opcode", "cenotaphs": 1, "burning": 1, "fee_sat": 10, "without_fee": 0},
    ]
    assert answer.explain().missing == ("the flaw of the cenotaph in 1 burn",)
    bars = answer.figure["data"][0]
    assert bars["y"] == ["cenotaph: varint", "cenotaph", "cenotaph: opcode", "op-return"]
    assert bars["x"] == [3, 1, 1, 1]
    assert answer.facts["runes"] == 2
    oak = asked(events, stones, {ASH: 99, OAK: 4}, OAK)
    assert (column(oak, "rune_id"), oak.explain().missing) == ([OAK], ())
    assert oak.figure["data"][0]["orientation"] == "h"
    assert oak.figure["data"][0]["texttemplate"] == "%{x:,}"
    of_oak = oak.more["cenotaphs"].to_pylist()
    assert [(row["flaw"], row["cenotaphs"], row["fee_sat"]) for row in of_oak] == [("varint", 1, 7)]


def test_hand_4_what_is_not_known_is_counted_and_is_not_0() -> None:
    events = [burn(1, None, None), burn(2, None, 6), burn(3, "op-return", None)]
    answer = asked(events, rune=ASH)
    assert column(answer, "amount") == [6, None]
    assert column(answer, "unknown") == [1, 1]
    assert answer.table["share"].to_pylist() == [1, None]
    assert answer.explain().missing == (
        "the amount of 2 burns: the sums are without them",
        "the cause of 2 burns",
    )
    assert answer.facts["burned"] == 6
    assert column(answer, "cause") == ["unknown", "op-return"]
    assert str(answer.sentence) == (
        "A•SH: 0.6 ¤ burned in 3 events: 0 by cenotaphs, 1 sent to OP_RETURN, 0 without an output "
        "to go to, 2 by a cause that is not told"
    )
    assert str(asked(events).sentence).endswith(" go to, 2 by a cause that is not told")
    assert answer.more["causes"].to_pylist()[0] == {
        "cause": "unknown", "flaw": None, "events": 2, "runes": 1,
    }  # fmt: skip
    assert answer.figure["data"][0]["y"] == ["unknown", "op-return"]
    nothing = asked([burn(3, "op-return", None)], rune=ASH)
    assert nothing.facts["burned"] is None
    assert str(nothing.sentence).startswith("A•SH: – burned in 1 event: 0 by cenotaphs, 1 sent")
    assert nothing.table["share"].to_pylist() == [None]
    zero = asked([burn(3, "op-return", 0)], rune=ASH)
    assert (zero.facts["burned"], zero.table["share"].to_pylist()) == (0, [None])


def test_hand_5_the_entries_tell_more_or_less_than_the_events() -> None:
    events = [burn(1, "op-return", 5), burn(2, "op-return", 5, OAK)]
    more = asked(events, burned={ASH: 6, OAK: 5, "840003:1": 1, "840003:2": None})
    assert more.explain().missing == (
        "2 runes have burned more, by the table entries, than the events of these blocks tell",
    )
    less = asked(events, burned={ASH: 4, OAK: 5, "840003:1": 0})
    assert less.explain().missing == (
        "1 rune has burned less, by the table entries, than the events tell: one is wrong",
    )


def test_the_burns_of_opi_have_a_row_though_it_tells_no_cause() -> None:
    answer = burns(runes.read(opi_csv(opi(4, 8, None))), rune="840000:3")
    assert (column(answer, "cause"), column(answer, "amount")) == (["unknown"], [8])
    counts = ("cenotaphs", "op_returns", "no_outputs", "unknown_causes")
    assert answer.facts["events"] == sum(answer.facts[name] for name in counts) == 1


def naive(of: Batch, rune: str | None) -> dict[tuple[Any, ...], tuple[int, int, int]]:
    """Events, sum and unknown amounts by rune, cause and flaw, in plain Python."""
    flaws = {(row["height"], row["tx_index"]): row["flaw"] for row in plain(of, "runestones")}
    told: dict[tuple[Any, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in plain(of, "events"):
        if row["kind"] == "burned" and rune in (None, row["rune_id"]):
            by_cenotaph = row["cause"] == "cenotaph"
            flaw = flaws.get((row["height"], row["tx_index"])) if by_cenotaph else None
            found = told[row["rune_id"], row["cause"] or "unknown", flaw]
            found[0] += 1
            found[1] += row["amount"] or 0
            found[2] += row["amount"] is None
    return {key: (found[0], found[1], found[2]) for key, found in told.items()}


def agrees(of: Batch, rune: str | None) -> None:
    rows = burns(of, rune=rune).table.to_pylist()
    told = {
        (row["rune_id"], row["cause"], row["flaw"]): (
            row["events"],
            int(row["amount"] or 0),
            row["unknown"],
        )
        for row in rows
    }
    assert told == naive(of, rune)
    assert len(told) == len(rows)


def test_a_whole_history_agrees_with_the_naive_answer_and_with_its_entries(small: Batch) -> None:
    agrees(small, None)
    answer = burns(small)
    assert answer.explain().missing == ()
    sums: dict[str, int] = defaultdict(int)
    for rune, amount in zip(column(answer, "rune_id"), column(answer, "amount"), strict=True):
        sums[rune] += amount
    entered = {row["rune_id"]: row["burned"] for row in plain(small, "entries") if row["burned"]}
    assert sums == entered


an_event = st.fixed_dictionaries(
    {
        "height": st.integers(FIRST, FIRST + 1),
        "tx_index": st.integers(1, 4),
        "kind": st.sampled_from(["burned", "burned", "burned", "minted"]),
        "rune_id": st.sampled_from([ASH, OAK]),
        "cause": st.sampled_from(["cenotaph", "cenotaph", "op-return", "no-output", None]),
        "amount": st.none() | st.integers(0, 2**128 - 1) | st.integers(0, 9),
    }
)
a_flaw = st.sampled_from(["varint", "opcode", None])


@settings(max_examples=6)
@given(st.lists(an_event, max_size=24), st.dictionaries(st.integers(1, 4), a_flaw))
def test_made_up_burns_agree_with_the_naive_answer(
    events: list[dict[str, Any]], flaws: dict[int, str | None]
) -> None:
    stones = [cenotaph(place, flaw) for place, flaw in flaws.items()]
    tables = laid(events=events, runestones=stones, etchings=[{"rune_id": ASH}])
    agrees(batch(tables, FIRST, LAST), None)


def test_nothing_burned_is_an_answer() -> None:
    assert str(asked([]).sentence) == "nothing was burned in these blocks"
    none = asked([], rune=ASH)
    assert str(none.sentence) == "nothing of A•SH was burned in these blocks"
    assert none.facts["burned"] == 0
    assert none.figure["data"][0]["x"] == []
    some = asked([burn(1, "cenotaph", 1)], [cenotaph(1, "opcode")], rune=ASH)
    assert none.table.schema == some.table.schema
    assert none.more["causes"].schema == some.more["causes"].schema
    assert none.figure["layout"] == {
        "meta": {"words": "y"},
        "title": {"text": "Burns by cause"},
        "xaxis": {"title": {"text": "burns"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "cause"}, "type": "category", "autorange": "reversed"},
    }


def test_without_the_state_or_events_it_refuses(block_batch: Batch) -> None:
    with pytest.raises(InputError, match=r"burns needs the state, and .* runestone level"):
        burns(block_batch)
    with pytest.raises(InputError, match="burns needs the table events, which this set of"):
        burns(laid(entries=[{"rune_id": ASH}]))
