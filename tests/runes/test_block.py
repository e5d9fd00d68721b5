"""Raw blocks as batches: known answers of real blocks, and simulated ones against the state."""

from __future__ import annotations

import gzip
import lzma
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from workbench.core.bitcoin import check_block, parse_block
from workbench.core.spent import SpentOutput, spent_document
from workbench.errors import InputError
from workbench.runes.batch import batch_document, load_batch, table_amounts
from workbench.runes.block import BlockReading, read_block
from workbench.runes.raw import MAX_BLOCK_BYTES, raw_block, read_raw_block
from workbench.runes.simulate import Scale, simulate
from workbench.runes.simulation.world import SimulatedBlock
from workbench.runes.state import state_batch

BLOCKS = "data/runes/blocks"
TINY = Scale(runes=12, blocks=14, wallets=15, payments=2)


@cache
def history() -> list[SimulatedBlock]:
    return list(simulate(3, TINY))


def busiest() -> SimulatedBlock:
    return max(history(), key=lambda block: len(block.raw))


def rows(reading: BlockReading, table: str) -> list[dict[str, Any]]:
    return reading.batch.tables[table].to_pylist()


@pytest.mark.shared
def test_block_866342_reconciles_its_fees_and_shares(shared: Path) -> None:
    raw = read_raw_block(shared / BLOCKS / "866342.bin.xz")
    spent = (shared / BLOCKS / "866342_spent_utxos.json.gz").read_bytes()
    reading = read_block(raw, spent)
    totals = reading.totals
    assert reading.batch.id == "b866342_7a55d031"
    assert totals.fees_sat == totals.claimed_sat == 5_026_183
    assert totals.fees_agree is True
    assert (totals.transactions, totals.runestones) == (4_864, 3_949)
    assert round(100 * totals.runestones / totals.transactions, 1) == 81.2
    assert round(100 * totals.runestone_vsize / totals.vsize, 1) == 52.8
    assert round(100 * (totals.runestone_fees_sat or 0) / totals.fees_sat, 1) == 52.6
    assert reading.notes == ()
    (block,) = rows(reading, "blocks")
    assert (block["coinbase_sat"], block["subsidy_sat"]) == (317_526_183, 312_500_000)
    assert load_batch(batch_document(reading.batch)).rows() == reading.batch.rows()


@pytest.mark.shared
def test_block_849250_mints_as_is_known(shared: Path) -> None:
    reading = read_block(read_raw_block(shared / BLOCKS / "849250.bin.xz"))
    mints = rows(reading, "mints")
    receivers = Counter(mint["receiver"] for mint in mints)
    share = [count / len(mints) for _, count in receivers.most_common()]
    assert (reading.totals.runestones, len(mints), len(receivers)) == (4_849, 4_845, 92)
    assert round(100 * sum(share[:10]), 1) == 90.0
    assert round(sum(part * part for part in share), 4) == 0.1236
    assert sum(mint["rune_id"] == "1:0" for mint in mints) == 4_756
    assert all((mint["credited"] is True) == (mint["rune_id"] == "1:0") for mint in mints)


def test_without_spent_outputs_fees_are_none_and_it_says_so() -> None:
    reading = read_block(busiest().raw, network="regtest")
    assert reading.totals.fees_sat is None
    assert reading.totals.fees_agree is None
    assert reading.notes[-1].template.startswith("fees per transaction and commitments are unknown")
    assert {row["fee_sat"] for row in rows(reading, "runestones")} == {None}
    assert {row["commitment"] for row in rows(reading, "etchings")} <= {"unknown"}


def test_spent_outputs_are_taken_as_a_mapping_and_as_a_document() -> None:
    block = busiest()
    mapped = read_block(block.raw, block.spent, network="regtest")
    document = gzip.compress(spent_document(block.spent))
    assert read_block(block.raw, document, network="regtest").totals == mapped.totals
    assert mapped.totals.fees_agree is True


@pytest.mark.parametrize("surplus", [1_000, -1])
def test_fees_that_do_not_agree_are_reported_with_both_numbers(surplus: int) -> None:
    block = busiest()
    outpoint, output = next(iter(block.spent.items()))
    changed = SpentOutput(output.script, output.value + surplus, output.height)
    reading = read_block(block.raw, {**block.spent, outpoint: changed}, network="regtest")
    claimed = reading.totals.claimed_sat
    (note,) = [note for note in reading.notes if "claimed_sat" in note.values]
    assert reading.totals.fees_agree is False
    assert note.values == {"fees_sat": claimed + surplus, "claimed_sat": claimed}
    words = "the miner claimed" if surplus > 0 else "the fees do not agree"
    assert note.template.startswith(words)


def test_a_transaction_that_pays_more_than_it_spends_is_refused() -> None:
    block = busiest()
    outpoint, output = next(iter(block.spent.items()))
    spent = {**block.spent, outpoint: SpentOutput(output.script, 0, output.height)}
    with pytest.raises(InputError, match="these are not the outputs that it spends"):
        read_block(block.raw, spent, network="regtest")


def test_a_spent_output_that_is_missing_is_named() -> None:
    block = busiest()
    outpoint = next(iter(block.spent))
    spent = {name: output for name, output in block.spent.items() if name != outpoint}
    with pytest.raises(InputError, match=f"the spent outputs lack {outpoint}"):
        read_block(block.raw, spent, network="regtest")


def test_commitments_are_checked_against_the_output_that_they_spend() -> None:
    block = next(one for one in history() if _etchings(one) == {"valid"})
    young = {
        name: SpentOutput(output.script, output.value, block.height - 4)
        for name, output in block.spent.items()
    }
    assert _etchings(block, young) == {"missing"}
    unknown = {name: SpentOutput(o.script, o.value, None) for name, o in block.spent.items()}
    assert _etchings(block, unknown) == {"unknown"}
    plain = {
        name: SpentOutput(b"\x00\x14" + bytes(20), o.value, o.height)
        for name, o in block.spent.items()
    }
    assert _etchings(block, plain) == {"missing"}


def _etchings(block: SimulatedBlock, spent: dict[str, SpentOutput] | None = None) -> set[str]:
    reading = read_block(block.raw, spent or block.spent, network="regtest")
    return {row["commitment"] for row in rows(reading, "etchings")}


def test_premines_are_placed_exactly_as_the_state_machine_places_them() -> None:
    blocks = history()
    batch = state_batch(
        [(block.raw, block.spent) for block in blocks],
        id="whole",
        source=read_block(blocks[0].raw, network="regtest").batch.source,
        network="regtest",
    )
    honoured = batch.tables["allocations"]
    expected = _premines(honoured.to_pylist(), table_amounts(honoured, "amount"))
    found = set()
    for block in blocks:
        lone = read_block(block.raw, block.spent, network="regtest").batch.tables["allocations"]
        found |= _premines(lone.to_pylist(), table_amounts(lone, "amount"))
    assert found == expected
    assert len(expected) > 3


def _premines(rows: list[dict[str, Any]], amounts: list[int | None]) -> set[tuple[Any, ...]]:
    pairs = zip(rows, amounts, strict=True)
    return {
        (row["txid"], row["output"], amount) for row, amount in pairs if row["cause"] == "premine"
    }


def test_mints_without_terms_at_hand_have_no_amount() -> None:
    reading = read_block(busiest().raw, network="regtest")
    events = reading.batch.tables["events"]
    pairs = zip(events["kind"].to_pylist(), table_amounts(events, "amount"), strict=True)
    assert {amount for kind, amount in pairs if kind == "minted"} == {None}
    assert {row["credited"] for row in rows(reading, "mints")} <= {None, False}


def test_progress_counts_transactions_to_the_last() -> None:
    steps: list[tuple[int, int]] = []
    block = busiest()
    read_block(block.raw, network="regtest", progress=lambda *step: steps.append(step))
    total = len(parse_block(block.raw).transactions)
    assert steps[-1] == (total, total)
    assert steps == sorted(steps)


def test_a_truncated_block_says_where_it_ends() -> None:
    raw = busiest().raw[:-9]
    with pytest.raises(InputError) as caught:
        read_block(raw, network="regtest")
    assert str(caught.value) == (
        f"the block is cut short: it ends at byte {len(raw)}, inside a transaction"
    )


def test_an_altered_block_is_refused() -> None:
    raw = bytearray(busiest().raw)
    raw[-30] ^= 1
    with pytest.raises(InputError):
        read_block(bytes(raw), network="regtest")


def test_before_its_first_runes_height_a_network_has_no_messages() -> None:
    reading = read_block(busiest().raw, network="mainnet")
    assert reading.totals.runestones == 0
    assert reading.batch.rows()["blocks"] == 1


def test_a_block_is_read_raw_packed_and_as_hexadecimal(tmp_path: Path) -> None:
    raw = busiest().raw
    text = raw.hex().upper().encode() + b"\n"
    for body in (raw, lzma.compress(raw), gzip.compress(raw), text):
        path = tmp_path / "block"
        path.write_bytes(body)
        assert read_raw_block(path) == raw
    check_block(parse_block(raw))


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress, lambda body: body.hex().encode()])
def test_a_file_that_unpacks_beyond_any_block_is_refused(pack: Any) -> None:
    with pytest.raises(InputError, match="the block is larger than 8 MB"):
        raw_block(pack(bytes(MAX_BLOCK_BYTES + 1)))


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (lzma.compress(b"x" * 999)[:-9], "the packed block is cut short"),
        (gzip.compress(b"x" * 999, mtime=0)[:-9], "the packed block is cut short"),
        (b"\xfd7zXZ\x00 nonsense", "the block cannot be unpacked"),
        (b"ab" * 100 + b"zz", "non-hexadecimal"),
    ],
)
def test_broken_packing_says_so(body: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        raw_block(body)


@pytest.mark.parametrize(
    "body",
    [
        b"a shopping list",
        b'{"schema": "runes-batch/1", "id": "made"}' + b" " * 80,
        gzip.compress(b"x" * 999, mtime=0),
        "não é um bloco, mas um texto em UTF-8 ".encode() * 9,
        b"\xff" * 200,
    ],
)
def test_what_is_no_block_is_told_what_to_give(body: bytes) -> None:
    with pytest.raises(InputError, match=r"this is no Bitcoin block.*give a raw block"):
        raw_block(body)
