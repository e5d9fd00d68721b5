"""How fair is a mint: five cases by hand, a naive second opinion, and a block that is known."""

from __future__ import annotations

from collections import Counter, defaultdict
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.questions.hand import ASH, OAK, column, txid
from tests.runes.questions.laid import batch, laid, plain
from workbench.errors import InputError
from workbench.runes.batch import Batch
from workbench.runes.questions.mint_fairness import mint_fairness

START = 840_001
"""Where ASH was etched."""


def mint(height: int, index: int, whose: str | None = "aa", **more: Any) -> dict[str, Any]:
    """A mint of ASH."""
    more.setdefault("credited", True)
    return {"height": height, "tx_index": index, "rune_id": ASH, "receiver": whose, **more}


def test_hand_1_four_mints_to_two_receivers() -> None:
    mints = [mint(START, 1), mint(START, 2), mint(START + 1, 1), mint(START + 1, 2, "bb")]
    answer = mint_fairness(batch(laid(mints=mints), START, START + 1), top=1)
    assert str(answer.sentence) == (
        "4 mints were credited, to 2 receivers: the top 1 takes 75.0 %, HHI 0.6250"
    )
    assert column(answer, "script") == ["aa", "bb"]
    assert column(answer, "mints") == [3, 1]
    assert column(answer, "share") == [0.75, 0.25]
    assert column(answer, "blocks") == [2, 1]
    assert answer.facts["hhi"] == 0.5625 + 0.0625
    assert answer.facts["effective_receivers"] == 1.6
    assert answer.facts["repeated"] == 1


def test_hand_2_a_chain_of_mints_in_one_block() -> None:
    mints = [mint(START, 1), mint(START, 2), mint(START, 3), mint(START + 1, 1)]
    spent = [
        {"height": START, "tx_index": 2, "outpoint": f"{txid(START, 1)}:1"},
        {"height": START, "tx_index": 3, "outpoint": f"{txid(START, 2)}:1"},
        {"height": START + 1, "tx_index": 1, "outpoint": f"{txid(START, 3)}:1"},
    ]
    inputs = [{**row, "rune_id": ASH, "created_height": START} for row in spent]
    inputs[0]["created_height"] = None  # not stated: the place of its transaction tells
    of = batch(laid(mints=mints, inputs=inputs), START, START + 1)
    assert mint_fairness(of).facts["chained"] == 2  # the third spends an older block's output


def test_hand_2_a_mint_that_spends_two_mints_is_one_in_a_chain() -> None:
    mints = [mint(START, 1), mint(START, 2), mint(START, 3)]
    spends = {"height": START, "tx_index": 3, "rune_id": ASH, "created_height": START}
    inputs = [{**spends, "outpoint": f"{txid(START, index)}:0"} for index in (1, 2)]
    answer = mint_fairness(batch(laid(mints=mints, inputs=inputs), START, START))
    assert answer.facts["chained"] == 1


def test_hand_2_another_rune_in_between_is_no_chain() -> None:
    mints = [mint(START, 1), {**mint(START, 2), "rune_id": OAK}, mint(START, 3)]
    spends = {"height": START, "rune_id": ASH, "created_height": START}
    inputs = [
        {**spends, "tx_index": 2, "outpoint": f"{txid(START, 1)}:0"},
        {**spends, "tx_index": 3, "outpoint": f"{txid(START, 9)}:0"},
    ]
    answer = mint_fairness(batch(laid(mints=mints, inputs=inputs), START, START))
    assert answer.facts["chained"] == 0


def test_hand_3_the_first_two_blocks_hold_three_of_four() -> None:
    mints = [mint(START + place, 5) for place in (3, 4, 4, 5)]
    etchings = [{"rune_id": ASH, "terms": True, "offset_start": 3}]
    tables = laid(mints=mints, etchings=etchings)
    answer = mint_fairness(batch(tables, START, START + 5), rune=ASH, first_blocks=2)
    assert answer.facts["first_share"] == 0.75
    assert answer.facts["first_blocks"] == 2
    assert answer.facts["rune"] == ASH
    assert str(answer.sentence).startswith("A•SH: 4 mints were credited, to 1 receiver: the top 1 ")


def first_share(first: int, last: int, etching: dict[str, Any], **asked: Any) -> Any:
    mints = [mint(START + place, 5) for place in (0, 1, 2, 3)]
    etchings = [{"rune_id": ASH, "terms": True, **etching}]
    of = batch(laid(mints=mints, etchings=etchings), first, last)
    return mint_fairness(of, **{"first_blocks": 1, **asked}).facts["first_share"]


def test_hand_3_the_later_start_counts_and_must_lie_in_the_batch() -> None:
    assert first_share(START, START + 3, {}) == 0.25
    assert first_share(START, START + 3, {"height_start": START + 1, "offset_start": 2}) == 0.25
    later = {"height_start": START + 1, "offset_start": 2}
    assert first_share(START, START + 4, later, first_blocks=2) == 0.5
    assert first_share(START, START + 3, {"height_start": START + 2, "offset_start": 1}) == 0.25
    assert first_share(START, START + 3, {"commitment": "missing"}) is None
    assert first_share(START + 1, START + 3, {}) is None
    assert first_share(START, START + 3, {}, first_blocks=4) is None
    assert first_share(START, START + 3, {"offset_start": 2**64 - 1}) is None


def test_hand_4_minters_paid_twice_as_much_for_a_vbyte() -> None:
    place = {"height": START, "tx_index": 1}
    runestones = [{**place, "mints": ASH, "vsize": 100, "fee_sat": 999}]
    blocks = [{"height": START, "weight": 4 * 500, "fees_sat": 1000}]
    mints = [mint(START, 1, fee_sat=333)]  # the mint's own fee counts before the message's
    answer = mint_fairness(
        batch(laid(mints=mints, runestones=runestones, blocks=blocks), START, START)
    )
    # the mint: 333 sat / 100 vB = 3.33; the rest: 667 sat / 400 vB = 1.6675
    assert answer.facts["sat_per_vbyte"] == 3.33
    assert answer.facts["other_sat_per_vbyte"] == 1.6675
    assert answer.facts["fee_premium"] == pytest.approx(3.33 / 1.6675 - 1)
    assert not any("fees" in line for line in answer.explain().missing)
    mints = [mint(START, 1)]
    answer = mint_fairness(
        batch(laid(mints=mints, runestones=runestones, blocks=blocks), START, START)
    )
    assert answer.facts["sat_per_vbyte"] == 9.99
    assert answer.facts["other_sat_per_vbyte"] == 0.01 / 4


def test_hand_4_fees_and_sizes_of_several_blocks_add_up() -> None:
    """Mints: 100 + 200 + 60 sat / 100 + 150 + 50 vB; the rest: 700 + 440 sat / 750 + 550 vB."""
    places = [(START, 1), (START, 2), (START + 1, 1)]
    paid = [(100, 100), (200, 150), (60, 50)]
    runestones = [
        {"height": height, "tx_index": index, "mints": ASH, "fee_sat": fee, "vsize": vsize}
        for (height, index), (fee, vsize) in zip(places, paid, strict=True)
    ]
    blocks = [{"height": START, "weight": 4_000, "fees_sat": 1_000}]
    blocks.append({"height": START + 1, "weight": 2_400, "fees_sat": 500})
    mints = [mint(*place) for place in places]
    tables = laid(mints=mints, runestones=runestones, blocks=blocks)
    facts = mint_fairness(batch(tables, START, START + 1)).facts
    assert facts["priced"] == 3
    assert (facts["sat_per_vbyte"], facts["other_sat_per_vbyte"]) == (360 / 300, 1_140 / 1_300)
    assert facts["fee_premium"] == pytest.approx(1.2 / (1_140 / 1_300) - 1)


def test_a_receiver_has_its_script_and_its_address_as_far_as_they_are_known() -> None:
    mints = [mint(START, 1, "bb", address="bc1p"), mint(START, 2, "aa")]
    mints += [mint(START, 3, None, address="bc1q"), mint(START, 4, None, address="bc1q")]
    table = mint_fairness(batch(laid(mints=mints), START, START)).table
    assert table.select(["script", "address", "mints"]).to_pylist() == [
        {"script": None, "address": "bc1q", "mints": 2},
        {"script": "aa", "address": None, "mints": 1},
        {"script": "bb", "address": "bc1p", "mints": 1},
    ]


def paid(runestone: dict[str, Any], block: dict[str, Any]) -> dict[str, Any]:
    tables = laid(
        mints=[mint(START, 1)],
        runestones=[{"height": START, "tx_index": 1, **runestone}],
        blocks=[{"height": START, **block}],
    )
    answer = mint_fairness(batch(tables, START, START))
    return {**answer.facts, "missing": answer.explain().missing}


def test_hand_4_without_fees_there_is_no_premium() -> None:
    told = paid({"vsize": 100}, {"weight": 2000, "fees_sat": 1000})
    assert (told["priced"], told["fee_premium"], told["sat_per_vbyte"]) == (0, None, None)
    assert told["other_sat_per_vbyte"] is None
    assert "fees or sizes of 1 mint, or of the rest of its block" in told["missing"]
    told = paid({"vsize": 100, "fee_sat": 5}, {"weight": 2000, "fees_sat": None})
    assert (told["priced"], told["fee_premium"]) == (0, None)
    told = paid({"vsize": 100, "fee_sat": 5}, {"weight": 400, "fees_sat": 5})
    assert (told["sat_per_vbyte"], told["other_sat_per_vbyte"]) == (0.05, None)
    assert told["fee_premium"] is None
    told = paid({"vsize": 100, "fee_sat": 5}, {"weight": 401, "fees_sat": 5})
    assert (told["other_sat_per_vbyte"], told["fee_premium"]) == (0, None)


def test_hand_4_a_block_with_a_mint_that_no_message_prices_is_left_out() -> None:
    tables = laid(
        mints=[mint(START, 1), mint(START, 2), mint(START + 1, 1)],
        runestones=[
            {"height": height, "tx_index": 1, "vsize": 100, "fee_sat": 50}
            for height in (START, START + 1)
        ],
        blocks=[
            {"height": height, "weight": 2_000, "fees_sat": 1_000} for height in (START, START + 1)
        ],
    )
    answer = mint_fairness(batch(tables, START, START + 1))
    assert answer.facts["priced"] == 1
    assert "fees or sizes of 2 mints, or of the rest of their blocks" in answer.explain().missing


def test_hand_5_what_was_not_credited_counts_only_where_nobody_knows() -> None:
    mints = [
        mint(START, 1),
        mint(START, 2, credited=False),
        mint(START, 3, credited=None),
        mint(START, 4, None),
        mint(START, 5, None, address="bc1q"),
    ]
    answer = mint_fairness(batch(laid(mints=mints), START, START))
    told = answer.facts
    assert (told["mints"], told["receivers"], told["without_receiver"]) == (3, 2, 1)
    assert told["undecided"] == 1
    assert answer.explain().missing == (
        "chains over outputs without runes: chained mints are at least these",
        "the opening of the mint and a block after its first ones: no first share",
        "fees or sizes of 3 mints, or of the rest of their blocks",
        "the receiver of 1 mint: burned, or not known; it is in no share",
        "whether 1 mint was credited: it is left out",
    )
    other = [{**mint(START, n, credited=None), "rune_id": OAK} for n in (8, 9)]
    of = batch(laid(mints=mints + other, etchings=[{"rune_id": ASH}]), START, START)
    assert mint_fairness(of, rune=ASH).facts["undecided"] == 1
    answer = mint_fairness(batch(laid(mints=mints), START, START, "runestone"))
    assert (answer.facts["mints"], answer.facts["undecided"]) == (5, 0)
    assert answer.explain().missing[:2] == (
        "whether a mint was credited: they are counted as asked for",
        "the spent outputs that carry runes: chained mints are not told",
    )
    assert str(answer.sentence) == (
        "5 mints were asked for, to 2 receivers: the top 2 take 100.0 %, HHI 0.6250"
    )


def naive(of: Any, rune: str | None, state: bool, top: int) -> dict[str, Any]:
    """The same in plain Python, row by row."""
    mints = [
        row
        for row in plain(of, "mints")
        if (rune in (None, row["rune_id"])) and (row["credited"] is True or not state)
    ]
    held: Counter[str] = Counter()
    in_block: dict[tuple[str, int], int] = defaultdict(int)
    for row in mints:
        whose = row["address"] if row["receiver"] is None else row["receiver"]
        if whose is not None:
            held[whose] += 1
            in_block[whose, row["height"]] += 1
    total = sum(held.values())
    chained = 0
    for row in mints:
        chained += any(
            put["txid"] == row["txid"]
            and put["height"] == row["height"] == before["height"]
            and put["outpoint"].split(":")[0] == before["txid"]
            and before["rune_id"] == row["rune_id"]
            for put in plain(of, "inputs")
            for before in mints
        )
    largest = sorted(held.values(), reverse=True)[:top]
    return {
        "mints": len(mints),
        "receivers": len(held),
        "without_receiver": len(mints) - total,
        "repeated": sum(count - 1 for count in in_block.values()),
        "chained": chained,
        "hhi": float(sum(Fraction(n, total) ** 2 for n in held.values())) if held else None,
        "top_share": sum(largest) / total if held else None,
    }


def agrees(of: Any, rune: str | None, top: int) -> None:
    told = mint_fairness(of, rune=rune, top=top).facts
    expected = naive(of, rune, True, top)
    assert {name: told[name] for name in expected} == pytest.approx(expected)


def test_a_whole_history_agrees_with_the_naive_answer(small: Batch) -> None:
    agrees(small, None, 10)
    agrees(small, "1209:13", 3)


def test_each_rune_stands_for_itself(small: Batch) -> None:
    rows = mint_fairness(small).more["runes"].to_pylist()
    assert rows == sorted(rows, key=lambda row: (-row["mints"], row["rune_id"]))
    assert mint_fairness(small, rune="1209:13").more == {}
    for row in rows[:5]:
        expected = naive(small, row["rune_id"], True, 1)
        received = expected["mints"] - expected["without_receiver"]
        assert (row["mints"], row["receivers"]) == (received, expected["receivers"])
        assert row["hhi"] == pytest.approx(expected["hhi"])
        assert row["largest_share"] == pytest.approx(expected["top_share"])
        assert "•" in row["name"]


def test_a_rune_whose_etching_is_not_here_stands_under_its_id() -> None:
    mints = [mint(START, 1), {**mint(START, 2), "rune_id": OAK}, {**mint(START, 3), "rune_id": OAK}]
    answer = mint_fairness(batch(laid(mints=mints, etchings=[{"rune_id": ASH}]), START, START))
    rows = answer.more["runes"].select(["rune_id", "name", "mints"]).to_pylist()
    assert rows == [
        {"rune_id": OAK, "name": OAK, "mints": 2},
        {"rune_id": ASH, "name": "A•SH", "mints": 1},
    ]
    assert answer.facts["rune"] is None


a_mint = st.fixed_dictionaries(
    {
        "height": st.integers(START, START + 2),
        "receiver": st.sampled_from([None, "aa", "bb", "cc"]),
        "address": st.sampled_from([None, "bc1q", "bc1p"]),
        "rune_id": st.sampled_from([ASH, OAK]),
        "credited": st.sampled_from([True, True, True, False, None]),
        "spends": st.none() | st.tuples(st.integers(START, START + 2), st.integers(1, 6)),
    }
)


@settings(max_examples=6)
@given(st.lists(a_mint, min_size=4, max_size=16), st.sampled_from([None, ASH]), st.integers(1, 3))
def test_made_up_mints_agree_with_the_naive_answer(
    mints: list[dict[str, Any]], rune: str | None, top: int
) -> None:
    rows = [{**row, "tx_index": place} for place, row in enumerate(mints)]
    inputs = [
        {**row, "outpoint": f"{txid(*row['spends'])}:1", "created_height": row["spends"][0]}
        for row in rows
        if row["spends"]
    ]
    tables = laid(mints=rows, inputs=inputs, etchings=[{"rune_id": ASH, "terms": True}])
    agrees(batch(tables, START, START + 2), rune, top)


@pytest.mark.shared
def test_block_849250_is_as_is_known(block_849250: Batch) -> None:
    answer = mint_fairness(block_849250)
    assert str(answer.sentence) == (
        "4,845 mints were asked for, to 92 receivers: the top 10 take 90.0 %, HHI 0.1236"
    )
    assert answer.facts["chained"] is None
    assert str(mint_fairness(block_849250, rune="1:0").sentence).startswith(
        "1:0: 4,756 mints were asked for, to 60 receivers"
    )


def test_nothing_minted_is_an_answer() -> None:
    empty = mint_fairness(batch({}, START, START))
    assert str(empty.sentence) == "there are no mints in these blocks"
    assert (empty.facts["hhi"], empty.facts["top_share"]) == (None, None)
    assert (empty.facts["effective_receivers"], empty.facts["repeated"]) == (None, 0)
    assert empty.figure["data"][0]["x"] == []
    assert mint_fairness(laid(mints=[])).facts["first_share"] is None
    etched = batch(laid(etchings=[{"rune_id": ASH}]), START, START)
    assert str(mint_fairness(etched, rune=ASH).sentence) == (
        "there are no mints of A•SH in these blocks"
    )
    lost = mint_fairness(batch(laid(mints=[mint(START, 1, None)]), START, START))
    assert str(lost.sentence) == "there is 1 mint, and of none is a receiver known"


def test_a_table_alone_is_enough_and_another_one_is_not() -> None:
    answer = mint_fairness(laid(mints=[mint(START, 1)])["mints"])
    assert answer.facts["mints"] == 1
    with pytest.raises(InputError, match="mint_fairness needs the table mints, which this set"):
        mint_fairness(laid(entries=[{"rune_id": ASH}]))


def test_the_figure_shows_the_largest_and_all_others_together() -> None:
    mints = [mint(START, 1, "ab" * 10), *(mint(START, 2 + n, "cc") for n in range(2))]
    mints.append(mint(START, 9, None, address="bc1q"))
    bars = mint_fairness(batch(laid(mints=mints), START, START), top=2).figure["data"][0]
    assert (bars["orientation"], bars["texttemplate"]) == ("h", "%{x:.1f} %")
    assert bars["y"] == ["cc", "abababab…abababab", "all others"]
    assert bars["x"] == pytest.approx([50, 25, 25])
    whole = mint_fairness(batch(laid(mints=mints), START, START)).figure
    names = ("a" * 17, "a" * 18)
    long = laid(mints=[mint(START, n, None, address=name) for n, name in enumerate(names)])
    shown = mint_fairness(batch(long, START, START)).figure["data"][0]["y"]
    assert shown == ["a" * 17, f"{'a' * 8}…{'a' * 8}"]
    assert whole["data"][0]["y"] == ["cc", "abababab…abababab", "bc1q"]
    assert whole["layout"] == {
        "meta": {"words": "y"},
        "title": {"text": "Who receives the mints"},
        "xaxis": {"title": {"text": "share of the mints, percent"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "receiver"}, "type": "category", "autorange": "reversed"},
    }
    assert whole["layout"]["xaxis"]["title"]["text"] == "share of the mints, percent"


@pytest.mark.parametrize("asked", [{"top": 0}, {"top": 1001}, {"first_blocks": 0}, {"x": 1}])
def test_a_faulty_parameter_is_refused(asked: dict[str, Any], small: Batch) -> None:
    with pytest.raises(InputError):
        mint_fairness(small, **asked)
