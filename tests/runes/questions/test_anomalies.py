"""What is out of the ordinary: robust z, cycles and transfers to oneself, by hand and naively."""

from __future__ import annotations

from collections import defaultdict
from statistics import mean, median
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.questions.drawn import titles
from tests.runes.questions.hand import ASH, OAK, txid
from tests.runes.questions.laid import laid
from workbench.errors import InputError
from workbench.runes.batch import Batch, amount_ints
from workbench.runes.building import Rows
from workbench.runes.questions.anomalies import MEASURES, anomalies

Put = tuple[int, int, str, str, int | None]
"""Height, place in the block, rune, whose (nobody known: empty), amount."""


def moves(
    ins: list[Put], outs: list[Put], minted: dict[int, int] | None = None
) -> dict[str, pa.Table]:
    """What transactions spend and make, with an event for each output, and mints by height."""
    rows = Rows()
    for place, (height, index, rune, whose, amount) in enumerate(ins):
        script = whose.encode().hex() if whose else None
        spent = (f"{txid(2, place)}:0", script, None, amount, None)
        rows.add("inputs", height, index, txid(height, index), rune, *spent)
    for place, (height, index, rune, whose, amount) in enumerate(outs):
        script = whose.encode().hex() if whose else None
        here = (height, index, txid(height, index))
        rows.add("allocations", *here, rune, place, script, None, amount, "default")
        rows.add("events", *here, "transferred", rune, amount, place, None)
    for height, count in (minted or {}).items():
        for index in range(count):
            rows.add("events", height, index, txid(height, index), "minted", OAK, 1, 0, None)
    tables = rows.tables()
    return {name: table for name, table in tables.items() if table.num_rows}


def cycles(answer: Any) -> list[tuple[Any, ...]]:
    names = ("a", "b", "sent_height", "sent_tx", "sent", "back_height", "back_tx", "returned")
    return [
        (
            bytes.fromhex(row["a"]).decode(),
            bytes.fromhex(row["b"]).decode(),
            *map(row.get, names[2:]),
        )
        for row in answer.more["cycles"].to_pylist()
    ]


def own(answer: Any) -> dict[str, tuple[Any, ...]]:
    names = ("transfers", "unknown", "gross", "returned", "share")
    assert {"sent", "returned", "gross"} <= set(answer.amounts)  # a page draws them as numbers
    assert answer.frame.columns.tolist() == answer.table.column_names
    rows = answer.more["self_transfers"].to_pylist()
    return {row["rune_id"]: tuple(row[name] for name in names) for row in rows}


def test_a_block_of_many_mints_lies_far_from_the_median() -> None:
    """1, 2, 3, 4 and 40 mints: median 3, deviations 2, 1, 0, 1, 37, so MAD 1; z = 0.6745 * 37."""
    answer = anomalies(moves([], [], {900: 1, 901: 2, 902: 40, 904: 3, 905: 4}))
    [row] = answer.table.to_pylist()
    assert (row["measure"], row["height"], row["rune_id"]) == ("minted", 902, None)
    assert (row["value"], row["median"], row["mad"], row["z"]) == (40, 3, 1, 0.6745 * 37)
    assert (answer.facts["values"], answer.facts["beyond"], answer.facts["cycles"]) == (5, 1, None)
    assert str(answer.sentence) == (
        "1 of 5 values lies beyond a robust z of 3.5; what came back to its sender is not known"
    )
    assert answer.explain().missing == (
        "inputs or allocations: what came back to its sender is not known",
    )
    [trace] = answer.figure["data"]
    assert (trace["name"], trace["x"], trace["y"]) == ("minted", [902], [0.6745 * 37])
    assert [line["y0"] for line in answer.figure["layout"]["shapes"]] == [3.5, -3.5]


def test_values_beyond_the_threshold_only_and_below_the_median_too() -> None:
    counts = {900: 1, 901: 5, 902: 6, 903: 7, 904: 11}  # median 6, MAD 1, z = -+ 0.6745 * 5
    at = anomalies(moves([], [], counts), threshold=0.6745 * 5)
    below = anomalies(moves([], [], counts), threshold=0.6745 * 5 - 0.001)
    assert at.table.num_rows == 0
    assert at.figure["data"] == []
    assert [(row["height"], row["z"] > 0) for row in below.table.to_pylist()] == [
        (900, False),
        (904, True),
    ]


def test_what_is_furthest_out_comes_first() -> None:
    counts = {900: 4, 901: 5, 902: 6, 903: 7, 904: 8, 905: 30, 906: 20}
    answer = anomalies(moves([], [], counts), threshold=3)
    assert [row["height"] for row in answer.table.to_pylist()] == [905, 906]


def test_what_moved_in_a_block_is_the_sum_of_all_its_transfers() -> None:
    amounts = {900: (1, 1), 901: (1, 2), 902: (2, 2), 903: (2, 3), 904: (40, 40)}
    outs: list[Put] = [
        (height, at, ASH, "a", amount)
        for height, pair in amounts.items()
        for at, amount in enumerate(pair)
    ]
    rows = anomalies(moves([], outs, {}), rune=ASH).table.to_pylist()
    assert [(row["measure"], row["height"], row["value"]) for row in rows] == [("moved", 904, 80)]


def test_it_explains_itself() -> None:
    explained = anomalies(moves([], [], {900: 1, 901: 2}), within=1_000).explain()
    assert explained.formulas == (
        "z = 0.6745 * (x - median) / MAD, with MAD = median of |x - median|; where that is 0, "
        "z = (x - median) / (1.253314 * mean of |x - median|)",
        "x = events of one kind in a block, or of a rune; of one rune also the sum moved",
        "cycle: A, the only sender, to B, and B, the only sender, to A of the same rune, at most "
        "1,000 blocks later; the last sending before, the first way back after",
        "share that went back = sum of min(in, out) by transaction and script / sum of out, over "
        "transactions that spend the rune; of several runes the mean of their shares",
    )


def test_where_most_values_are_the_same_the_mean_deviation_scales() -> None:
    """1, 1, 1, 1, 6: median 1, MAD 0, mean deviation 1; z = 5 / 1.253314. All the same: no z."""
    answer = anomalies(moves([], [], {900: 1, 901: 1, 902: 1, 903: 1, 904: 6}))
    [row] = answer.table.to_pylist()
    assert (row["height"], row["mad"], row["z"]) == (904, 0, 5 / 1.253314)
    flat = anomalies(moves([], [], {900: 2, 901: 2}), threshold=0.001)
    assert flat.table.num_rows == 0
    assert flat.explain().missing[0] == "a z of minted: all values are the same"


def test_runes_that_come_straight_back_are_a_cycle() -> None:
    ins: list[Put] = [(900, 1, ASH, "a", 9), (900, 5, ASH, "b", 7), (950, 1, ASH, "a", 8)]
    outs: list[Put] = [(900, 1, ASH, "b", 7), (900, 1, ASH, "a", 2)]
    outs += [(900, 5, ASH, "a", 6), (900, 5, ASH, "c", 1), (950, 1, ASH, "b", 8)]
    tables = moves(ins, outs)
    both = [("a", "b", 900, 1, "7", 900, 5, "6"), ("b", "a", 900, 5, "6", 950, 1, "8")]
    assert cycles(anomalies(tables, within=50)) == both
    assert cycles(anomalies(tables, within=49)) == both[:1]
    assert cycles(anomalies(tables, within=0)) == both[:1]
    assert str(anomalies(tables, rune=ASH).sentence) == (
        "0 of 4 values lie beyond a robust z of 3.5; 2 times runes went from A to B and back "
        "within 144 blocks, and 8.3 % of what moved went back to its sender"
    )
    assert own(anomalies(tables)) == {ASH: (3, 0, "24", "2", 2 / 24)}


def test_of_several_sendings_before_one_way_back_the_last_counts() -> None:
    ins: list[Put] = [(900 + n, 1, ASH, "a", 1) for n in range(3)]
    ins += [(910, 1, ASH, "b", 3), (911, 1, ASH, "b", 3)]
    outs: list[Put] = [(900 + n, 1, ASH, "b", 1) for n in range(3)]
    outs += [(910, 1, ASH, "a", 2), (910, 1, ASH, "a", 1), (911, 1, ASH, "a", 3)]
    assert cycles(anomalies(moves(ins, outs))) == [("a", "b", 902, 1, "1", 910, 1, "3")]


def test_several_senders_other_runes_and_unknown_scripts_make_no_cycle() -> None:
    ins: list[Put] = [(900, 1, ASH, "a", 1), (900, 1, ASH, "c", 1), (901, 1, ASH, "b", 2)]
    ins += [
        (902, 1, OAK, "a", 1),
        (903, 1, ASH, "b", 1),
        (904, 1, ASH, "", 1),
        (905, 1, ASH, "b", 1),
    ]
    outs: list[Put] = [(900, 1, ASH, "b", 2), (902, 1, OAK, "b", 1)]
    outs += [(901, 1, ASH, "a", 1), (901, 1, ASH, "c", 1)]
    outs += [(903, 1, ASH, "", 1), (904, 1, ASH, "b", 1), (905, 1, ASH, "a", None)]
    answer = anomalies(moves(ins, outs))
    assert cycles(answer) == []
    assert answer.facts["unfollowed"] == 2
    assert own(answer)[ASH] == (5, 3, "4", "0", 0.0)
    assert answer.explain().missing[-2:] == (
        "the sender of 2 transfers: several, or none known",
        "whose 3 transfers were: they count for no share",
    )


def test_what_went_back_is_exact_above_2_128_in_all() -> None:
    big = 2**127 + 1
    ins: list[Put] = [(900 + n, 1, ASH, "a", big) for n in range(4)]
    outs: list[Put] = [(900 + n, 1, ASH, "a", big - n) for n in range(4)]
    outs += [(900 + n, 1, ASH, "b", n) for n in range(4)]
    answer = anomalies(moves(ins, outs), rune=ASH)
    assert own(answer)[ASH][2:4] == (str(4 * big), str(4 * big - 6))
    assert answer.facts["self_share"] == (4 * big - 6) / (4 * big)
    assert answer.facts["runes_moved"] == 1


def test_what_goes_back_to_each_of_several_senders_adds_up_and_the_unknown_is_in_no_sum() -> None:
    ins: list[Put] = [(900, 1, ASH, "a", 5), (900, 1, ASH, "b", 4), (901, 1, OAK, "", 1)]
    outs: list[Put] = [(900, 1, ASH, "a", 3), (900, 1, ASH, "b", 4), (900, 1, ASH, "c", 2)]
    outs += [(901, 1, OAK, "a", 1)]
    assert own(anomalies(moves(ins, outs))) == {
        ASH: (1, 0, "9", "7", 7 / 9),
        OAK: (1, 1, "0", "0", None),
    }


def test_halves_that_carry_are_compared_as_whole_amounts() -> None:
    """Two inputs of 2^63 are more than an output of 2^64 - 1, less than one of 2^64 + 1."""
    ins: list[Put] = [(900, 1, ASH, "a", 2**63), (900, 1, ASH, "a", 2**63)]
    for out, back in ((2**64 - 1, 2**64 - 1), (2**64 + 1, 2**64), (2**65, 2**64)):
        assert own(anomalies(moves(ins, [(900, 1, ASH, "a", out)])))[ASH][3] == str(back)


def test_one_rune_has_a_series_of_what_moved_and_its_events_alone() -> None:
    outs: list[Put] = [(900 + n, 1, ASH, "b", n + 1) for n in range(4)] + [
        (904, 1, ASH, "b", 2**127)
    ]
    outs += [(905, 1, ASH, "b", 0), (906, 1, ASH, "b", None), (905, 2, OAK, "b", 10**9)]
    answer = anomalies(moves([(900, 1, ASH, "a", 1)], outs, {900: 5}), rune=ASH)
    [row] = answer.table.to_pylist()
    assert (row["measure"], row["height"], row["value"]) == ("moved", 904, 2.0**127)
    assert (row["median"], row["mad"]) == (3, 1)
    assert answer.facts["values"] == 5 + 7


def test_runes_are_compared_with_each_other() -> None:
    outs: list[Put] = [(900, n, f"8000:{n}", "b", 1) for n in range(1, 5) for _ in range(n)]
    outs += [(900, 9, "8000:9", "b", 1)] * 40
    answer = anomalies(moves([], outs), over="runes")
    [row] = answer.table.to_pylist()
    assert (row["rune_id"], row["height"], row["value"]) == ("8000:9", None, 40)
    assert answer.figure["data"][0]["x"] == ["8000:9"]
    assert answer.figure["layout"]["xaxis"]["title"]["text"] == "rune"
    with pytest.raises(InputError, match="over is 'runes'; allowed: blocks, where one rune"):
        anomalies(moves([], outs), over="runes", rune="8000:9")


def counted(counts: list[int], *kinds: str) -> dict[str, pa.Table]:
    """So many events of each kind in the blocks from 900 on, each of 2^64 + 1."""
    places = [(900 + n, index) for n, count in enumerate(counts) for index in range(count)]
    events = [
        {"height": height, "tx_index": index, "kind": kind, "rune_id": ASH, "amount": 2**64 + 1}
        for kind in kinds
        for height, index in places
    ]
    return laid(events=events)


def test_each_measure_has_a_sign_of_its_own_between_two_lines() -> None:
    """1, 1, 1, 1, 6 of each kind, and so times what one event moves."""
    answer = anomalies(counted([1, 1, 1, 1, 6], *MEASURES[:-1]), rune=ASH)
    assert titles(answer.figure) == (
        *("Values out of the ordinary", "height of the block", "robust z"),
        *MEASURES,
    )
    assert len({trace["marker"]["symbol"] for trace in answer.figure["data"]}) == 5
    assert {(trace["mode"], *trace["x"]) for trace in answer.figure["data"]} == {("markers", 904)}
    lines = [
        [line[key] for key in ("type", "xref", "x0", "x1", "y0", "y1")]
        for line in answer.figure["layout"]["shapes"]
    ]
    assert lines == [["line", "paper", 0, 1, 3.5, 3.5], ["line", "paper", 0, 1, -3.5, -3.5]]
    [moved] = [row for row in answer.table.to_pylist() if row["measure"] == "moved"]
    assert moved["value"] == 6 * (2.0**64)
    flat = anomalies(counted([2, 2], "minted", "burned"))
    assert flat.explain().missing[:2] == tuple(
        f"a z of {measure}: all values are the same" for measure in ("burned", "minted")
    )


def test_only_the_furthest_thousand_are_drawn() -> None:
    answer = anomalies(counted([1, 2] * 501, "minted"), threshold=0.5)
    assert answer.table.num_rows == 1_002
    assert len(answer.figure["data"][0]["x"]) == 1_000


def test_of_several_runes_the_mean_of_their_shares_and_of_one_its_own() -> None:
    """Of ASH 4 of 12 went back, of OAK 5 of 7; its second transfer has two senders."""
    ins: list[Put] = [(900, 1, ASH, "a", 8), (902, 1, ASH, "b", 4), (900, 2, OAK, "a", 5)]
    ins += [(901, 1, OAK, "c", 1), (901, 1, OAK, "d", 1)]
    outs: list[Put] = [(900, 1, ASH, "a", 4), (900, 1, ASH, "b", 4), (902, 1, ASH, "a", 4)]
    outs += [(900, 2, OAK, "a", 5), (901, 1, OAK, "e", 2), (903, 1, "840003:1", "f", 1)]
    tables = moves(ins, outs)
    names = ("cycles", "unfollowed", "runes_moved", "self_share")
    told = {rune: anomalies(tables, rune=rune).facts for rune in (None, ASH, OAK, "840003:1")}
    assert [[facts[name] for name in names] for facts in told.values()] == [
        [1, 1, 2, pytest.approx((4 / 12 + 5 / 7) / 2)],
        [1, 0, 1, 4 / 12],
        [0, 1, 1, 5 / 7],
        [0, 0, 0, None],
    ]
    assert list(own(anomalies(tables))) == [OAK, ASH], "the largest share first"
    alone = anomalies(tables, rune="840003:1").more["self_transfers"]
    assert alone.schema == anomalies(tables).more["self_transfers"].schema
    without = anomalies(counted([1], "minted")).facts
    assert [without[name] for name in (*names, "unknown")] == [None] * 5


def test_messages_alone_and_tables_without_events_are_refused(block_batch: Batch) -> None:
    with pytest.raises(InputError, match=r"anomalies needs the state, and .* runestone level"):
        anomalies(block_batch)
    with pytest.raises(InputError, match="anomalies needs the table events"):
        anomalies({"inputs": moves([(900, 1, ASH, "a", 1)], [])["inputs"]})


def naive_z(values: dict[int, int]) -> dict[int, float]:
    middle = median(values.values())
    away = [abs(value - middle) for value in values.values()]
    mad, spread = median(away), mean(away)
    scale = mad / 0.6745 or 1.253314 * spread
    return {at: (value - middle) / scale for at, value in values.items() if scale}


@settings(max_examples=6)
@given(st.dictionaries(st.integers(900, 960), st.integers(1, 12), min_size=1, max_size=9))
def test_any_series_agrees_with_a_naive_z(counts: dict[int, int]) -> None:
    rows = anomalies(moves([], [], counts), threshold=1).table.to_pylist()
    wanted = {at: z for at, z in naive_z(counts).items() if abs(z) > 1}
    assert {row["height"]: row["z"] for row in rows} == pytest.approx(wanted)


def naive_moves(ins: list[Put], outs: list[Put], within: int) -> tuple[list[Any], dict[str, Any]]:
    """Cycles and what went back, transaction by transaction."""
    sides: dict[Any, tuple[dict[str, int], dict[str, int]]] = {}
    for side, puts in enumerate((ins, outs)):
        for height, index, rune, whose, amount in puts:
            at = sides.setdefault((height, index, rune), (defaultdict(int), defaultdict(int)))
            at[side][whose] += amount or 0
    sent, back = [], defaultdict(lambda: [0, 0])
    for (height, index, rune), (came, went) in sorted(sides.items()):
        if came:
            back[rune][0] += sum(went.values())
            back[rune][1] += sum(min(came[who], went[who]) for who in set(came) & set(went))
        if len(came) == 1:
            [sender] = came
            sent += [((height, index), rune, sender, to, went[to]) for to in went if to != sender]
    found = []
    for at, rune, one, two, amount in sent:
        later = [s for s in sent if s[0] > at and s[1:4] == (rune, two, one)]
        again = [s for s in sent if s[0] > at and s[1:4] == (rune, one, two)]
        back_at = later[0][0] if later else at
        if later and back_at[0] - at[0] <= within and not any(s[0] < back_at for s in again):
            found.append((rune, one, two, *at, str(amount), *back_at, str(later[0][4])))
    return sorted(found), {rune: (str(gross), str(own_)) for rune, (gross, own_) in back.items()}


_PUT = st.tuples(
    st.integers(900, 904), st.integers(1, 2), st.sampled_from((ASH, OAK)), st.sampled_from("abc"),
    st.integers(1, 9) | st.just(2**125),
)  # fmt: skip


@settings(max_examples=10)
@given(st.lists(_PUT, min_size=1, max_size=12), st.lists(_PUT, min_size=1, max_size=12))
def test_any_moves_agree_with_a_naive_walk(ins: list[Put], outs: list[Put]) -> None:
    answer = anomalies(moves(ins, outs), within=3)
    wanted, back = naive_moves(ins, outs, 3)
    runes = [row["rune_id"] for row in answer.more["cycles"].to_pylist()]
    assert sorted(zip(runes, cycles(answer), strict=True)) == [(one[0], one[1:]) for one in wanted]
    assert {rune: row[2:4] for rune, row in own(answer).items()} == back


def test_the_sample_agrees_with_a_naive_walk(small: Batch) -> None:
    puts: list[list[Put]] = []
    for name in ("inputs", "allocations"):
        table = small.tables[name]
        amounts = amount_ints(table["amount_high"], table["amount_low"])
        plain = zip(table.to_pylist(), amounts, strict=True)
        puts.append([(r["height"], r["tx_index"], r["rune_id"], r["script"], a) for r, a in plain])
    answer = anomalies(small)
    wanted, back = naive_moves(puts[0], puts[1], 144)
    assert answer.facts["cycles"] == len(wanted)
    assert {rune: row[2:4] for rune, row in own(answer).items()} == back
