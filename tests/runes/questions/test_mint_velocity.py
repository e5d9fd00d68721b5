"""How fast is it minted: five cases by hand, and a naive second opinion."""

from __future__ import annotations

from math import log2
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.questions.hand import ASH, OAK, column
from tests.runes.questions.laid import batch, laid, plain
from workbench.errors import InputError
from workbench.runes.answer import Answer
from workbench.runes.batch import Batch
from workbench.runes.questions.mint_velocity import mint_velocity

FIRST, LAST = 840_001, 840_144
"""144 blocks."""


def asked(
    heights: list[int], first: int = FIRST, transactions: int | None = None, **asking: Any
) -> Answer:
    """Of mints of ASH at these heights, in blocks of so many transactions up to LAST."""
    mints = [
        {"height": height, "tx_index": place, "rune_id": ASH, "credited": True}
        for place, height in enumerate(heights)
    ]
    blocks = [
        {"height": height, "transactions": transactions}
        for height in range(first, LAST + 1)
        if transactions is not None
    ]
    tables = laid(mints=mints, blocks=blocks, etchings=[{"rune_id": ASH}])
    return mint_velocity(batch(tables, first, LAST), **asking)


def test_hand_1_three_windows() -> None:
    heights = [FIRST - 1, FIRST, LAST - 6, LAST - 5, LAST - 5, LAST, LAST, LAST]
    answer = asked(heights, FIRST - 5, 10)
    # 3 in the last block, 5 in the last 6, 7 in the last 144
    assert column(answer, "window") == [1, 6, 144]
    assert column(answer, "blocks") == [1, 6, 144]
    assert column(answer, "mints") == [3, 5, 7]
    assert column(answer, "mints_per_block") == [3, 5 / 6, 7 / 144]
    assert column(answer, "transactions") == [10, 60, 1440]
    assert column(answer, "share") == [0.3, 5 / 60, 7 / 1440]
    assert str(answer.sentence) == (
        "7 mints were credited in the last 144 blocks, 0.05 a block; in the last one 3"
    )
    assert answer.explain().missing == ()
    assert answer.facts == {
        "rune": None,
        "mints_per_block_1": 3,
        "mints_per_block_6": 5 / 6,
        "mints_per_block_144": 7 / 144,
        "share_1": 0.3,
        "share_6": 5 / 60,
        "share_144": 7 / 1440,
        "half_life_blocks": None,
    }
    bars = answer.figure["data"][0]
    assert (len(bars["x"]), bars["x"][0], bars["x"][-1]) == (144, FIRST, LAST)
    assert (bars["y"][0], bars["y"][1], bars["y"][-1]) == (1, 0, 3)
    assert (bars["type"], bars["name"]) == ("bar", "mints")
    assert answer.figure["layout"] == {
        "title": {"text": "Mints in each of the last blocks"},
        "xaxis": {"title": {"text": "height"}, "tickformat": "d"},
        "yaxis": {
            "title": {"text": "mints"},
            "tickformat": ",d",
            "dtick": 1,
            "rangemode": "tozero",
        },
    }
    assert answer.more["blocks"]["height"].to_pylist() == list(range(FIRST, LAST + 1))


def test_hand_2_half_as_many_in_the_later_half() -> None:
    halving = [FIRST, FIRST + 71, FIRST + 72, FIRST - 1]
    assert asked(halving, FIRST - 1).facts["half_life_blocks"] == 72  # two before, one after
    quarter = [FIRST] * 4 + [LAST]
    assert asked(quarter).facts["half_life_blocks"] == 36
    assert asked([FIRST] * 8 + [LAST] * 2).facts["half_life_blocks"] == 36
    three = asked([LAST - 3, LAST - 1, LAST - 1, LAST], LAST - 2).facts["half_life_blocks"]
    assert three == pytest.approx(1 / log2(2))  # of three blocks the oldest stands in no half


def test_hand_3_a_pace_that_does_not_fall_has_no_half_life() -> None:
    for heights in ([FIRST, LAST], [FIRST, LAST, LAST], [FIRST]):
        assert asked(heights).facts["half_life_blocks"] is None


def test_hand_4_a_short_batch_says_so() -> None:
    answer = asked([LAST, LAST - 1, LAST - 1], LAST - 2)
    assert column(answer, "blocks") == [1, 3, 3]
    assert column(answer, "mints_per_block") == [1, 1, 1]
    assert answer.table["share"].to_pylist() == [None] * 3
    assert answer.table["transactions"].to_pylist() == [None] * 3
    assert answer.explain().missing == (
        "141 of the last 144 blocks: longer windows are those that the batch has",
        "how many transactions 3 of the blocks have: no share where they are among them",
    )
    only_last = laid(
        mints=[{"height": LAST, "tx_index": 1, "rune_id": ASH, "credited": True}],
        blocks=[{"height": LAST, "transactions": 2}],
    )
    single = batch(only_last, LAST, LAST)
    assert str(mint_velocity(single).sentence) == "1 mint was credited in the last block"
    empty = mint_velocity(batch(laid(mints=[]), LAST, LAST))
    assert str(empty.sentence) == "there are no mints in the last block"
    shares = mint_velocity(batch(only_last, LAST - 1, LAST)).table["share"].to_pylist()
    assert shares == [0.5, None, None]


def test_hand_5_what_was_not_credited_counts_only_where_nobody_knows() -> None:
    credited = (True, False, None)
    mints = [
        {"height": LAST, "tx_index": place, "rune_id": ASH, "credited": one}
        for place, one in enumerate(credited)
    ]
    mints.append({"height": LAST, "tx_index": 9, "rune_id": OAK, "credited": True})
    tables = laid(mints=mints)
    answer = mint_velocity(batch(tables, LAST, LAST), rune=ASH)
    assert column(answer, "mints") == [1, 1, 1]
    assert answer.explain().missing[-1] == "whether 1 mint was credited: it is left out"
    assert str(answer.sentence) == (f"{ASH}: 1 mint was credited in the last block")
    answer = mint_velocity(batch(tables, LAST, LAST, "runestone"))
    assert column(answer, "mints") == [4, 4, 4]
    assert answer.explain().missing == (
        "whether a mint was credited: they are counted as asked for",
        "143 of the last 144 blocks: longer windows are those that the batch has",
        "how many transactions 1 of the blocks has: no share where it is among them",
    )
    assert str(answer.sentence) == ("4 mints were asked for in the last block")


def naive(of: Batch, rune: str | None, window: int) -> dict[str, Any]:
    """The same in plain Python, row by row."""
    heights = range(max(of.first_height, of.last_height - window + 1), of.last_height + 1)
    mints = [
        row
        for row in plain(of, "mints")
        if row["height"] in heights and row["credited"] and rune in (None, row["rune_id"])
    ]
    sizes = {row["height"]: row["transactions"] for row in plain(of, "blocks")}
    whole = all(height in sizes for height in heights)
    transactions = sum(sizes[height] for height in heights) if whole else None
    return {
        "window": window,
        "blocks": len(heights),
        "mints": len(mints),
        "mints_per_block": len(mints) / len(heights),
        "transactions": transactions,
        "share": len(mints) / transactions if transactions else None,
    }


def agrees(of: Batch, rune: str | None) -> None:
    rows = mint_velocity(of, rune=rune).table.to_pylist()
    assert rows == [naive(of, rune, window) for window in (1, 6, 144)]


def test_a_whole_history_agrees_with_the_naive_answer(small: Batch) -> None:
    agrees(small, None)
    agrees(small, "1209:13")


a_mint = st.fixed_dictionaries(
    {
        "height": st.integers(LAST - 8, LAST),
        "rune_id": st.sampled_from([ASH, OAK]),
        "credited": st.sampled_from([True, False, None]),
    }
)


@settings(max_examples=6)
@given(st.lists(a_mint, max_size=20), st.lists(st.integers(0, 3), max_size=9))
def test_made_up_mints_agree_with_the_naive_answer(
    mints: list[dict[str, Any]], sizes: list[int]
) -> None:
    rows = [{**row, "tx_index": place} for place, row in enumerate(mints)]
    blocks = [{"height": LAST - place, "transactions": size} for place, size in enumerate(sizes)]
    tables = laid(mints=rows, blocks=blocks, etchings=[{"rune_id": ASH}])
    agrees(batch(tables, LAST - 8, LAST), ASH)


def test_nothing_minted_is_an_answer() -> None:
    assert str(asked([]).sentence) == "there are no mints in the last 144 blocks"
    assert str(asked([], rune=ASH).sentence) == (
        "there are no mints of A•SH in the last 144 blocks"
    )
    empty = mint_velocity(laid(mints=[]))
    assert empty.table["mints_per_block"].to_pylist() == [None] * 3
    assert empty.facts["share_1"] is None


def test_a_batch_that_does_not_speak_of_mints_is_refused() -> None:
    with pytest.raises(InputError, match="mint_velocity needs the table mints, which this set"):
        mint_velocity(laid(entries=[{"rune_id": ASH}]))


@pytest.mark.shared
def test_block_849250_is_almost_all_mints(block_849250: Batch) -> None:
    answer = mint_velocity(block_849250)
    assert answer.facts["mints_per_block_1"] == 4_845
    assert answer.table["transactions"].to_pylist()[0] > 4_849
