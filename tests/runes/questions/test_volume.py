"""How much moved: five cases by hand, real transfers, and against a plain reckoning."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.runes.questions.drawn import titles
from tests.runes.questions.hand import ASH, OAK, txid
from tests.runes.questions.history import History, history
from tests.runes.questions.rows import table
from workbench.errors import InputError
from workbench.runes.batch import Batch
from workbench.runes.questions.volume import AMOUNTS, volume

BIG = 2**127
Leg = tuple[int, int, str | None, int | None]


def legs(
    inputs: list[Leg], outputs: list[Leg], events: list[tuple[int, int, str, int]] = (), **more: Any
) -> dict[str, pa.Table]:
    """Inputs and outputs are (height, tx, script, amount), events (height, tx, kind, amount)."""

    def row(height: int, index: int, **rest: Any) -> dict[str, Any]:
        place = {"height": height, "tx_index": index, "txid": txid(height, index)}
        return {**place, "outpoint": f"{txid(1, 1)}:0", **rest}

    return {
        "inputs": table("inputs", *(row(h, n, script=s, amount=a) for h, n, s, a in inputs)),
        "allocations": table(
            "allocations", *(row(h, n, script=s, amount=a) for h, n, s, a in outputs)
        ),
        "events": table("events", *(row(h, n, kind=k, amount=a) for h, n, k, a in events)),
        **more,
    }


def supply(amount: int, burned: int = 0) -> pa.Table:
    return table("entries", {"supply": amount, "burned": burned})


def only(answer: Any) -> dict[str, Any]:
    [row] = answer.frame.to_dict("records")
    return dict(row)


def volumes(answer: Any) -> tuple[int, ...]:
    row = only(answer)
    return tuple(row[name] for name in ("gross", "net", "sent", "issued", "burned"))


PAID = legs(
    [(900, 1, "aa", 10)], [(900, 1, "bb", 4), (900, 1, "aa", 6)], entries=supply(25, burned=5)
)


def test_what_comes_back_as_change_is_not_net() -> None:
    answer = volume(PAID, rune=ASH)
    assert volumes(answer) == (10, 4, 4, 0, 0)
    row = only(answer)
    assert (row["transactions"], row["active_scripts"], row["turnover"]) == (1, 2, 0.2)
    assert str(answer.sentence) == (
        "1 transaction put 10 atomic units of 840001:1 on outputs; 4 atomic units of it reached "
        "another script, 0 atomic units were issued, and the turnover is 20.0 %"
    )
    assert answer.explain().missing == ()
    etched = {**PAID, "etchings": table("etchings", {"divisibility": 1, "symbol": "¤"})}
    said = str(volume(etched, rune=ASH).sentence)
    assert said.startswith("1 transaction put 1 ¤ of ASH on outputs; 0.4 ¤ of it reached")
    figure = volume(etched, rune=ASH).figure
    assert figure["data"][0]["y"] == [1.0, 0.4, 0.4, 0.0, 0.0]
    assert figure["layout"]["meta"]["words"] == "x"


def test_it_explains_itself() -> None:
    explained = volume(PAID, rune=ASH).explain()
    assert explained.formulas == (
        "gross = sum of what outputs received",
        "net = sum over transactions and scripts of max(0, out - in)",
        "sent = sum over transactions and scripts of max(0, in - out); "
        "net - sent = issued - burned",
        "turnover = sent / (supply - burned at the end of the batch)",
        "unbalanced = transactions with inputs + issued <> outputs + burned",
    )
    assert explained.assumptions == (
        "change returns to the script that paid; change to a new script of the same owner counts "
        "as net",
    )


def test_two_outputs_alike_are_two() -> None:
    answer = volume(legs([(900, 1, "aa", 10)], [(900, 1, s, 5) for s in ("bb", "cc")]), rune=ASH)
    assert (volumes(answer), only(answer)["unbalanced"]) == ((10, 10, 10, 0, 0), 0)


def test_an_amount_that_is_not_known_is_taken_for_nothing() -> None:
    went = legs([(900, 1, "aa", 4)], [(900, 1, "aa", None)])
    assert volumes(volume(went, rune=ASH)) == (0, 0, 4, 0, 0)
    both = legs([(900, 1, None, 1)] * 2, [(901, 1, None, None)] * 2, [(902, 1, "minted", None)])
    assert volume(both, rune=ASH).explain().missing[1:3] == (
        "the amounts of 3 rows: they are not in any volume",
        "the owners of 4 rows: in one transaction they count as one",
    )


_HIGH = st.sampled_from((1, 2**64 - 1, 2**64, 2**64 + 1, 2**65, 2**127))
_SIDE = st.lists(st.tuples(st.sampled_from(("aa", "bb")), _HIGH), max_size=4)


@settings(max_examples=8)
@given(_SIDE, _SIDE)
@example([("aa", 2**64)] * 2, [("aa", 2**65 + 1)])
@example([("aa", 2**64 - 1)] * 2, [("aa", 2**64)])
@example([("aa", 3)], [("aa", 2**64)])
def test_of_each_script_the_less_of_both_sides_stays(
    came: list[tuple[str, int]], went: list[tuple[str, int]]
) -> None:
    sides: tuple[Counter[str], ...] = (Counter(), Counter())
    for side, legs_of in zip(sides, (came, went), strict=True):
        for who, amount in legs_of:
            side[who] += amount
    moved = legs(*([(900, 1, *one) for one in each] for each in (came, went)))
    if not went:
        return
    kept = sum((sides[0] & sides[1]).values())
    row = only(volume(moved, rune=ASH))
    totals = [side.total() for side in sides]
    assert (row["gross"], row["net"], row["sent"]) == (
        totals[1],
        totals[1] - kept,
        totals[0] - kept,
    )
    assert row["unbalanced"] == (totals[0] != totals[1])


def test_moving_to_oneself_is_gross_only() -> None:
    moved = legs([(900, 1, "aa", 4), (900, 1, "aa", 6)], [(900, 1, "aa", 10)])
    answer = volume(moved, rune=ASH)
    assert volumes(answer) == (10, 0, 0, 0, 0)
    assert only(answer)["active_scripts"] == 1
    assert str(answer.sentence).endswith("another script, and 0 atomic units were issued")
    assert answer.explain().missing == ("what is in use of some runes: they have no turnover",)


def test_a_mint_is_issued_and_net_but_nobody_sent_it() -> None:
    minted = legs(
        [],
        [(900, 1, "aa", 10)],
        [(900, 1, "minted", 10), (900, 1, "transferred", 10), (901, 1, "etched", 0)],
        balances=table("balances", {"script": "aa", "amount": 10}),
    )
    answer = volume(minted, rune=ASH)
    assert volumes(answer) == (10, 10, 0, 10, 0)
    assert (only(answer)["transactions"], only(answer)["turnover"]) == (1, 0.0)


def test_a_burn_is_sent_and_reaches_nobody() -> None:
    burned = legs([(900, 1, "aa", 10)], [(900, 1, "cc", 9)], [(900, 1, "burned", 1)])
    answer = volume(burned, rune=ASH)
    assert volumes(answer) == (9, 9, 10, 0, 1)
    assert only(answer)["unbalanced"] == 0


def test_a_dropped_input_is_counted_and_said() -> None:
    dropped = legs([(900, 1, "aa", 6)], [(900, 1, "bb", 10), (900, 2, "aa", 1)], entries=supply(20))
    answer = volume(dropped, rune=ASH)
    assert volumes(answer) == (11, 11, 6, 0, 0)
    assert only(answer)["unbalanced"] == 2
    assert answer.explain().missing == (
        "inputs or outputs of 2 transactions: net and sent are off by what they lack",
    )


def test_volumes_may_exceed_what_there_is_and_stay_exact() -> None:
    moved = legs(
        [(900, 1, "aa", 2 * BIG - 1), (901, 1, "bb", 2 * BIG - 1)],
        [(900, 1, "bb", 2 * BIG - 1), (901, 1, "aa", BIG), (901, 1, "bb", BIG - 1)],
        entries=supply(2 * BIG - 1),
    )
    answer = volume(moved, rune=ASH)
    assert volumes(answer) == (4 * BIG - 2, 3 * BIG - 1, 3 * BIG - 1, 0, 0)
    assert only(answer)["turnover"] == pytest.approx(1.5)
    assert only(answer)["unbalanced"] == 0


def test_what_is_issued_and_burned_in_several_events_adds_up_above_2_64() -> None:
    """Of 2^64 the lower half is 0."""
    events = [(900 + n, 1, kind, 2**64) for n in range(2) for kind in ("minted", "burned")]
    answer = volume(legs([], [(902, 1, "aa", 1)], events), rune=ASH)
    assert volumes(answer) == (1, 1, 0, 2**65, 2**65)
    assert (only(answer)["transactions"], only(answer)["unbalanced"]) == (3, 1)
    blocks = volume(legs([], [(902, 1, "aa", 1)], events), rune=ASH, per="block").table
    assert blocks["burned"].to_pylist() == [str(2**64), str(2**64), "0"]


def test_runes_without_a_turnover_come_by_their_transactions_and_then_by_id() -> None:
    runes = ["840003:1", "840002:5", "840002:5", "840001:1"]
    outs = [
        {"rune_id": rune, "height": 900, "tx_index": n, "amount": 1} for n, rune in enumerate(runes)
    ]
    answer = volume({"allocations": table("allocations", *outs)})
    assert answer.table["rune_id"].to_pylist() == ["840002:5", "840001:1", "840003:1"]
    blocks = volume({"allocations": table("allocations", *outs)}, per="block")
    assert blocks.table["rune_id"].to_pylist() == ["840001:1", "840002:5", "840003:1"]
    assert blocks.figure["data"][0]["y"] == [4]


def test_one_atomic_unit_that_is_missing_above_2_64_makes_a_transaction_unbalanced() -> None:
    for lost in (1, 2**64):
        moved = legs([(900, 1, "aa", BIG)], [(900, 1, "bb", BIG - lost)])
        assert only(volume(moved, rune=ASH))["unbalanced"] == 1


def test_per_block_and_per_day() -> None:
    moved = legs(
        [(900, 1, "aa", 10), (901, 1, "bb", 3), (902, 1, "bb", 1)],
        [(900, 1, "bb", 10), (901, 1, "cc", 3), (902, 1, "cc", 1)],
        blocks=table(
            "blocks",
            *({"height": h, "mined_at": t} for h, t in ((900, 0), (901, 86_399), (902, 86_400))),
        ),
        entries=supply(10),
    )
    blocks = volume(moved, rune=ASH, per="block")
    rows = [(r["block"], r["day"], r["net"]) for r in blocks.table.to_pylist()]
    assert rows == [(900, None, "10"), (901, None, "3"), (902, None, "1")]
    days = volume(moved, rune=ASH, per="day")
    rows = [(r["block"], r["day"], r["net"], r["active_scripts"]) for r in days.table.to_pylist()]
    assert rows == [(None, "1970-01-01", "13", 3), (None, "1970-01-02", "1", 2)]
    assert days.facts["net"] == 14 and "turnover" not in days.facts
    [bars] = days.figure["data"]
    assert (bars["x"], bars["y"]) == (["1970-01-01", "1970-01-02"], [2, 1])
    assert titles(days.figure) == ("Transactions per day", "transactions", "transactions")
    unplaced = {**moved, "blocks": table("blocks", {"height": 900, "mined_at": 0})}
    rows = volume(unplaced, rune=ASH, per="day").table.to_pylist()
    assert [(row["day"], row["transactions"]) for row in rows] == [("1970-01-01", 1), (None, 2)]
    assert str(days.sentence).startswith("3 transactions put 14 atomic units of 840001:1")
    with pytest.raises(InputError, match="volume per day needs the table blocks"):
        volume(PAID, rune=ASH, per="day")


def test_every_rune_has_a_row_the_most_turned_over_first() -> None:
    oak = [
        {"rune_id": OAK, "height": 900, "tx_index": 2, "script": s, "amount": 5} for s in ("aa",)
    ]
    both = {
        **PAID,
        "allocations": pa.concat_tables([PAID["allocations"], table("allocations", *oak)]),
        "events": table("events", {**oak[0], "kind": "minted"}, {**oak[0], "kind": "transferred"}),
        "etchings": table("etchings", {"spaced_name": "A•SH", "name": "ASH"}),
    }
    answer = volume(both)
    assert answer.table["rune_id"].to_pylist() == [ASH, OAK]
    assert answer.table["turnover"].to_pylist() == [0.2, None]
    assert answer.table["name"].to_pylist() == ["A•SH", None]
    assert str(answer.sentence) == "2 runes moved or were issued, 2 times in all"
    assert answer.facts == {"transactions": 2, "unbalanced": 0, "runes": 2}
    [bars] = answer.figure["data"]
    assert (bars["x"], bars["y"]) == (["A•SH"], [0.2])
    one = volume(both, rune="A•SH").figure
    assert one["data"][0]["y"] == [10, 4, 4, 0, 0]
    assert one["data"][0]["x"] == [*AMOUNTS]
    assert titles(one) == ("Volume of A•SH", "whole units", "whole units")
    assert volume(both, rune=OAK).figure["layout"]["yaxis"]["title"]["text"] == "atomic units"
    void = table("etchings", {"spaced_name": "A•SH", "name": "ASH", "commitment": "missing"})
    assert volume({**both, "etchings": void}).table["name"].to_pylist() == [None, None]
    many = [f"{840_000 + n}:1" for n in range(25)]
    outs = [{"rune_id": rune, "height": 900_000, "script": "aa", "amount": 1} for rune in many]
    whole = {"allocations": table("allocations", *outs), "balances": table("balances", *(
        {"rune_id": rune, "amount": 1} for rune in many))}  # fmt: skip
    assert len(volume(whole).figure["data"][0]["x"]) == 20


def test_what_is_not_known_is_counted() -> None:
    unknown = legs([], [(900, 1, None, 4), (900, 1, "aa", None)], [(900, 1, "minted", 4)])
    answer = volume({**unknown, "entries": supply(4)}, rune=ASH)
    assert volumes(answer) == (4, 4, 0, 4, 0)
    assert answer.explain().missing == (
        "the amounts of 1 row: it is not in any volume",
        "the owner of 1 row: in one transaction they count as one",
    )


def test_a_rune_of_which_nothing_moved() -> None:
    answer = volume(
        {**PAID, "balances": table("balances", {"rune_id": OAK, "amount": 1})}, rune=OAK
    )
    assert str(answer.sentence) == "nothing of 840002:5 moved"
    assert answer.table.num_rows == 0
    assert answer.facts == {"transactions": 0, "unbalanced": 0, "runes": 0}
    assert answer.figure["data"][0]["y"] == []
    assert answer.table.schema == volume(PAID, rune=ASH).table.schema


def test_a_batch_that_knows_only_what_was_asked_for_is_refused(block_batch: Batch) -> None:
    with pytest.raises(InputError, match=r"volume needs the state, and .* runestone level"):
        volume(block_batch)
    with pytest.raises(InputError, match="needs the table allocations"):
        volume({"entries": supply(1)})


def naive(moves: list[Any]) -> dict[str, int]:
    """By the definitions, from inputs and outputs by script."""
    sums: Counter[str] = Counter(transactions=len(moves))
    for _, came, went, minted, burned in moves:
        sums["gross"] += went.total()
        sums["net"] += (went - came).total()
        sums["sent"] += (came - went).total()
        sums["issued"] += minted
        sums["burned"] += burned
    return {name: sums[name] for name in ("transactions", *VOLUMES)}


VOLUMES = ("gross", "net", "sent", "issued", "burned")


@settings(max_examples=4)
@given(st.builds(history, st.integers(0, 10**6)).filter(lambda made: made.rows))
def test_it_agrees_with_a_plain_reckoning(made: History) -> None:
    moves = [move for move in made.moves if any(map(bool, move[1:]))]
    answer = volume(made.tables(), rune=ASH)
    assert {name: answer.facts[name] for name in naive(moves)} == naive(moves)
    assert answer.facts["unbalanced"] == 0
    active = {who for _, came, went, *_ in moves for who in (*came, *went)}
    assert answer.facts["active_scripts"] == len(active)


def test_it_agrees_with_a_plain_reckoning_of_the_sample(small: Batch) -> None:
    moves: dict[tuple[str, int, int], tuple[Any, ...]] = {}
    for name, side in (("inputs", 0), ("allocations", 1), ("events", 2)):
        for row in small.tables[name].to_pylist():
            amount = (row["amount_high"] << 64) + row["amount_low"]
            if row.get("kind") == "transferred" or not amount:
                continue
            place = (row["rune_id"], row["height"], row["tx_index"])
            sides = moves.setdefault(place, (Counter(), Counter(), Counter()))
            sides[side][row.get("script") or row["kind"]] += amount
    rows = volume(small).frame.set_index("rune_id")
    assert set(rows.index) == {rune for rune, *_ in moves}
    for rune in rows.index:
        mine = [
            (0, came, went, other["minted"] + other["etched"], other["burned"])
            for (whose, *_), (came, went, other) in moves.items()
            if whose == rune
        ]
        wanted = naive(mine)
        assert {name: rows.loc[rune, name] for name in wanted} == wanted
        assert rows.loc[rune, "unbalanced"] == 0


def dog_legs(shared: Path, is_counted: Any) -> dict[str, pa.Table]:
    path = shared / "data" / "runes" / "dog" / "dog_transactions_backup.json"
    sides: dict[str, list[dict[str, Any]]] = {"inputs": [], "allocations": []}
    for index, moved in enumerate(json.loads(path.read_text())["transactions"]):
        place = {"rune_id": "840000:3", "height": moved["block_height"], "tx_index": index}
        for name, whose in (("inputs", "senders"), ("allocations", "receivers")):
            sides[name] += [
                {**place, "outpoint": f"{txid(1, 1)}:0", "address": one["address"]}
                | {"txid": moved["txid"], "amount": one["amount"]}
                for one in moved[whose]
                if is_counted(one)
            ]
    return {name: table(name, *rows) for name, rows in sides.items()}


def test_the_thousand_transfers_of_dog(shared: Path) -> None:
    """By their amounts 4 of 1,000 do not reconcile. Its tracer marked what carries DOG on 202
    only: who counts the marked ones alone finds 202 that do (3 of the others are no transfers)."""
    answer = volume(dog_legs(shared, lambda one: True), rune="840000:3")
    assert answer.facts["transactions"] == 1000 and answer.facts["unbalanced"] == 4
    assert "4 transactions" in answer.explain().missing[0]
    assert answer.facts["net"] - answer.facts["sent"] == 292_963_675_233
    marked = volume(dog_legs(shared, lambda one: one.get("has_dog")), rune="840000:3")
    assert marked.facts["transactions"] - marked.facts["unbalanced"] == 202
