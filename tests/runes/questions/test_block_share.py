"""What share of blocks Runes take: by hand, against a naive count, and of a known block."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.runes.questions.drawn import titles
from tests.runes.questions.hand import txid
from workbench.errors import InputError
from workbench.runes.batch import Batch
from workbench.runes.block import read_block
from workbench.runes.building import Rows
from workbench.runes.questions.block_share import block_share
from workbench.runes.raw import read_raw_block

SUBSIDY = 312_500_000
Block = tuple[int, int, int | None, int, int | None]
Stone = tuple[int, int, int, int | None]


def told(blocks: list[Block], stones: list[Stone] = ()) -> dict[str, pa.Table]:  # type: ignore[assignment]
    """Blocks are (height, transactions, vsize, claimed, fees); stones (height, tx, vsize, fee)."""
    rows = Rows()
    for height, transactions, vsize, claimed, fees in blocks:
        head = (height, txid(height, 0), 1_729_334_000, transactions, 900, 3_600)
        rows.add("blocks", *head, SUBSIDY, SUBSIDY + claimed, fees, vsize)
    for height, index, vsize, fee in stones:
        said = ("runestone", None, False, None, 0, None, 2, vsize, fee)
        rows.add("runestones", height, index, txid(height, index), *said)
    return {name: table for name, table in rows.tables().items() if table.num_rows}


def row_of(answer: Any, height: int) -> dict[str, Any]:
    [row] = [row for row in answer.table.to_pylist() if row["height"] == height]
    return dict(row)


def test_one_block_with_all_three_shares() -> None:
    answer = block_share(told([(900, 4, 1_000, 70, 70)], [(900, 1, 150, 21), (900, 3, 100, 14)]))
    row = row_of(answer, 900)
    assert (row["transactions_share"], row["vsize_share"], row["fees_share"]) == (0.5, 0.25, 0.5)
    assert (row["claimed_sat"], row["difference_sat"]) == (70, 0)
    assert str(answer.sentence) == (
        "Runes messages are 50.0 % of 4 transactions in 1 block, 25.0 % of their vsize and "
        "50.0 % of their fees; the fees are what the coinbase claims"
    )


def test_of_one_block_the_shares_are_bars_and_of_several_they_are_lines() -> None:
    stones: list[Stone] = [(900, 1, 150, 21), (900, 3, 100, 14)]
    one = block_share(told([(900, 4, 1_000, 70, 70)], stones)).figure
    assert titles(one) == ("Share of Runes messages", "share, %", "share")
    [bars] = one["data"]
    assert (bars["x"], bars["y"]) == (["transactions", "vsize", "fees"], [50, 25, 50])
    assert (bars["type"], bars["texttemplate"]) == ("bar", "%{y:.1f} %")
    assert one["layout"]["yaxis"]["range"] == [0, 100]
    two = block_share(told([(900, 4, 1_000, 70, 70), (901, 2, 50, 1, 1)], stones)).figure
    assert {trace["mode"] for trace in two["data"]} == {"lines+markers"}
    assert len({trace["marker"]["symbol"] for trace in two["data"]}) == 3
    assert [axis.get("tickformat", axis.get("rangemode")) for axis in axes(two)] == ["d", "tozero"]


def axes(figure: Any) -> list[dict[str, Any]]:
    return [figure["layout"][name] for name in ("xaxis", "yaxis")]


def test_a_message_of_the_coinbase_counts_as_a_transaction_alone() -> None:
    answer = block_share(told([(900, 2, 200, 9, 9)], [(900, 0, 120, None), (900, 1, 50, 3)]))
    row = row_of(answer, 900)
    assert (row["runestones"], row["runestone_vsize"], row["runestone_fees_sat"]) == (2, 50, 3)
    assert row["fees_share"] == 3 / 9


def test_several_blocks_add_up_parts_and_wholes_and_list_what_differs() -> None:
    blocks = [(901, 4, 300, 60, 50), (900, 1, 0, 0, 0), (902, 5, 700, 40, 40)]
    answer = block_share(told(blocks, [(901, 1, 100, 20), (902, 4, 300, 10)]))
    assert answer.table["height"].to_pylist() == [900, 901, 902]
    assert answer.facts["transactions_share"] == 2 / 10
    assert answer.facts["vsize_share"] == 400 / 1_000
    assert answer.facts["fees_share"] == 30 / 90
    assert (answer.facts["claimed_sat"], answer.facts["fees_differ"]) == (100, 1)
    assert answer.table["difference_sat"].to_pylist() == [0, -10, 0]
    assert row_of(answer, 900)["vsize_share"] is None, "there is nothing to share"
    assert row_of(answer, 900)["runestone_fees_sat"] == 0
    assert str(answer.sentence).endswith(
        "33.3 % of their fees; in 1 of 3 blocks the fees are not what the coinbase claims"
    )


def test_what_is_not_known_is_null_and_counted_never_zero() -> None:
    blocks = [(900, 2, None, 10, None), (901, 2, 100, 10, 10), (902, 2, 100, 30, 30)]
    answer = block_share(told(blocks, [(900, 1, 60, 5), (901, 1, 50, None), (902, 1, 25, 6)]))
    first, second = row_of(answer, 900), row_of(answer, 901)
    assert (first["vsize_share"], first["fees_share"], first["difference_sat"]) == (None,) * 3
    assert (second["vsize_share"], second["fees_share"]) == (0.5, None)
    assert answer.facts["vsize_share"] == 75 / 200
    assert answer.facts["fees_share"] == 6 / 30
    assert (answer.facts["vsize_known"], answer.facts["fees_known"]) == (2, 1)
    assert answer.explain().missing == (
        "the vsize of all transactions, in 1 of 3 blocks",
        "the fees, in 2 of 3 blocks: what the transactions spend",
    )


def test_without_spent_outputs_it_says_that_no_fee_is_known(block_batch: Batch) -> None:
    answer = block_share(block_batch)
    assert str(answer.sentence).endswith("of their vsize; their fees are not known")
    assert answer.facts["fees_share"] is answer.facts["fees_sat"] is None
    assert answer.facts["runestone_fees_sat"] is None
    assert answer.facts["fees_checked"] == 0


def test_messages_outside_of_the_blocks_are_counted_and_blocks_without_any_said() -> None:
    stray = block_share(
        told([(900, 2, 90, 0, 0)], [(900, 1, 9, 0), (905, 1, 9, 0), (905, 2, 9, 0)])
    )
    assert stray.facts["runestones"] == 1
    assert stray.explain().missing == ("the blocks of 2 Runes messages: these do not count",)
    bare = block_share(told([(900, 2, 90, 0, 0)]))
    assert (bare.facts["runestones"], bare.facts["transactions_share"]) == (0, 0.0)
    assert bare.facts["fees_share"] is None
    assert bare.explain().missing == (
        "any Runes message: there was none, or the producer left them out",
    )


def test_without_blocks_it_refuses() -> None:
    lone = told([], [(900, 1, 9, 0)])
    with pytest.raises(InputError, match=r"block_share needs the table blocks, which .* has run"):
        block_share(lone)


def test_the_figure_joins_neighbours_where_there_are_many_blocks() -> None:
    blocks: list[Block] = [(900 + n, 2, 100, 10, 10) for n in range(1_001)]
    figure = block_share(told(blocks, [(900, 1, 50, 5), (902, 1, 25, 10)])).figure
    transactions, vsize, fees = figure["data"]
    assert len(vsize["x"]) == len(vsize["y"]) == 334
    assert (transactions["x"][:2], transactions["x"][-1]) == ([900, 903], 1_899)
    assert (transactions["y"][0], vsize["y"][0], fees["y"][0]) == (100 * (2 / 6), 25.0, 50.0)
    assert len({trace["line"]["dash"] for trace in figure["data"]}) == 3
    few: list[Block] = [(900 + n, 2, 0, 10, 0) for n in range(500)]
    alone = block_share(told(few)).figure["data"][1]
    assert (len(alone["x"]), alone["y"][0]) == (500, None)


@pytest.mark.shared
def test_block_866342_has_its_known_shares_and_fees(shared: Path) -> None:
    folder = shared / "data/runes/blocks"
    spent = (folder / "866342_spent_utxos.json.gz").read_bytes()
    answer = block_share(read_block(read_raw_block(folder / "866342.bin.xz"), spent).batch)
    facts = answer.facts
    assert (facts["transactions"] - 1, facts["fees_sat"]) == (4_863, 5_026_183)
    assert facts["fees_sat"] == facts["claimed_sat"] == 317_526_183 - 312_500_000
    assert str(answer.sentence) == (
        "Runes messages are 81.2 % of 4,864 transactions in 1 block, 52.8 % of their vsize and "
        "52.6 % of their fees; the fees are what the coinbase claims"
    )


def naive(blocks: list[dict[str, Any]], stones: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The same shares, block by block, in plain Python."""
    found = []
    for block in sorted(blocks, key=lambda one: one["height"]):
        here = [one for one in stones if one["height"] == block["height"]]
        paying = [one for one in here if one["tx_index"]]
        fees = [one["fee_sat"] for one in paying]
        paid = None if None in fees else sum(fees)
        whole = block["fees_sat"]
        vsize = sum(one["vsize"] for one in paying)
        found.append(
            (
                block["height"],
                len(here) / block["transactions"],
                vsize / block["vsize"] if block["vsize"] else None,
                paid / whole if whole and paid is not None else None,
            )
        )
    return found


def shares(answer: Any) -> list[tuple[Any, ...]]:
    names = ("height", "transactions_share", "vsize_share", "fees_share")
    return [tuple(row[name] for name in names) for row in answer.table.to_pylist()]


def test_the_sample_agrees_with_a_naive_count(small: Batch) -> None:
    plain = {name: small.tables[name].to_pylist() for name in ("blocks", "runestones")}
    answer = block_share(small)
    assert shares(answer) == naive(plain["blocks"], plain["runestones"])
    assert (answer.facts["fees_differ"], answer.facts["fees_checked"]) == (0, 16)


_MAYBE = st.none() | st.integers(0, 10**9)


@settings(max_examples=12)
@given(
    st.lists(
        st.tuples(st.integers(1, 9), _MAYBE, st.integers(0, 99), _MAYBE), min_size=1, max_size=4
    ),
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 10**6), _MAYBE),
        max_size=6,
        unique_by=lambda one: one[:2],
    ),
)
def test_any_blocks_agree_with_a_naive_count(blocks: list[Any], stones: list[Any]) -> None:
    numbered = [(height, *block) for height, block in enumerate(blocks)]
    given_ = told(numbered, [stone for stone in stones if stone[0] < len(blocks)])
    plain = {name: table.to_pylist() for name, table in given_.items()}
    assert shares(block_share(given_)) == naive(plain["blocks"], plain.get("runestones", []))
