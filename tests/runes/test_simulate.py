"""The simulator: valid blocks, exact supply, different lives, and the committed samples."""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path

import pytest

from workbench.core.bitcoin import check_block, parse_block, subsidy
from workbench.core.runestone import COMMIT_CONFIRMATIONS
from workbench.core.spent import read_spent
from workbench.errors import InputError
from workbench.runes.batch import Batch, Source, load_batch, table_amounts
from workbench.runes.block import read_block
from workbench.runes.simulate import (
    SEED,
    Scale,
    simulate,
    simulated_batch,
    write_block,
    write_small,
)
from workbench.runes.simulation.plans import CONFIRM_BLOCKS
from workbench.runes.simulation.taproot import leaf_output
from workbench.runes.simulation.world import SimulatedBlock
from workbench.runes.state import state_batch

SAMPLES = Path(__file__).parents[2] / "data/samples"
TINY = Scale(runes=25, blocks=20, wallets=20, payments=2)


@cache
def history() -> list[SimulatedBlock]:
    return list(simulate(11, TINY))


@cache
def batch() -> Batch:
    return simulated_batch(11, TINY, id="tiny")


def test_every_block_passes_the_checks_of_a_real_one() -> None:
    previous = None
    for number, block in enumerate(history()):
        parsed = parse_block(block.raw)
        check_block(parsed)
        assert parsed.height == block.height == history()[0].height + number
        assert previous in (None, parsed.previous)
        previous = parsed.hash
        spent = {put.outpoint for tx in parsed.transactions[1:] for put in tx.inputs}
        assert spent == set(block.spent)
        fees = sum(o.value for o in block.spent.values()) - sum(
            tx.paid_sat for tx in parsed.transactions[1:]
        )
        assert parsed.transactions[0].paid_sat == subsidy(block.height, "regtest") + fees


def test_no_output_is_spent_twice_nor_before_it_exists() -> None:
    spent: set[str] = set()
    made: set[str] = set()
    ours: set[str] = set()
    for block in history():
        for transaction in parse_block(block.raw).transactions[1:]:
            for put in transaction.inputs:
                assert put.outpoint not in spent
                assert put.txid not in ours or put.outpoint in made
                spent.add(put.outpoint)
            ours.add(transaction.txid)
            made |= {f"{transaction.txid}:{n}" for n in range(len(transaction.outputs))}


def test_the_same_seed_gives_the_same_bytes_and_another_does_not() -> None:
    again = list(simulate(11, TINY))
    assert [block.raw for block in again] == [block.raw for block in history()]
    assert [block.spent for block in again] == [block.spent for block in history()]
    assert next(simulate(12, TINY)).raw != history()[0].raw


def test_supply_reconciles_for_every_rune() -> None:
    """Premine + mints * amount - burned - balances = 0, to the atomic unit."""
    tables = batch().tables
    left: dict[str, int] = defaultdict(int)
    etchings = tables["etchings"]
    ids = etchings["rune_id"].to_pylist()
    for rune, premine in zip(ids, table_amounts(etchings, "premine"), strict=True):
        left[rune] += premine or 0
    events = tables["events"]
    rows = zip(
        events["kind"].to_pylist(),
        events["rune_id"].to_pylist(),
        table_amounts(events, "amount"),
        strict=True,
    )
    for kind, rune, amount in rows:
        left[rune] += {"minted": 1, "burned": -1}.get(kind, 0) * (amount or 0)
    balances = tables["balances"]
    held = zip(balances["rune_id"].to_pylist(), table_amounts(balances, "amount"), strict=True)
    for rune, amount in held:
        left[rune] -= amount or 0
    assert set(left.values()) == {0}
    assert any((premine or 0) > 2**127 for premine in table_amounts(etchings, "premine"))


def test_a_history_holds_different_things() -> None:
    tables = batch().tables
    kinds = Counter(tables["events"]["kind"].to_pylist())
    causes = Counter(tables["events"]["cause"].to_pylist())
    assert set(kinds) == {"etched", "minted", "transferred", "burned"}
    assert causes["cenotaph"]
    assert Counter(tables["mints"]["credited"].to_pylist()).keys() == {True, False}
    assert set(tables["allocations"]["cause"].to_pylist()) == {
        "premine",
        "mint",
        "edict",
        "default",
    }
    assert "cenotaph" in tables["runestones"]["kind"].to_pylist()


def test_names_are_committed_to_six_confirmations_before() -> None:
    assert CONFIRM_BLOCKS + 1 == COMMIT_CONFIRMATIONS
    assert set(batch().tables["etchings"]["commitment"].to_pylist()) == {"valid"}


def test_a_leaf_is_the_output_of_bip_341s_own_vector() -> None:
    leaf = leaf_output(
        bytes.fromhex("20d85a959b0290bf19bb89ed43c916be835475d013da4b362117393e25a48229b8ac"),
        0x187791B6F712A8EA41C8ECDD0EE77FAB3E85263B37E1EC18A3651926B3A6CF27,
    )
    assert leaf.output.hex() == (
        "5120147c9c57132f6e7ecddba9800bb0c4449251c92a1e60371ee77557b6620f3ea3"
    )
    assert leaf.control.hex() == (
        "c1187791b6f712a8ea41c8ecdd0ee77fab3e85263b37e1ec18a3651926b3a6cf27"
    )


def test_blocks_out_of_order_make_no_batch() -> None:
    blocks = [(block.raw, block.spent) for block in (history()[1], history()[0])]
    with pytest.raises(InputError, match="allowed: one after another"):
        state_batch(blocks, id="x", source=Source(producer="a test"), network="regtest")


def test_no_block_makes_no_batch() -> None:
    with pytest.raises(InputError, match="a batch needs at least one block"):
        state_batch([], id="x", source=Source(producer="a test"), network="regtest")


def test_the_committed_samples_are_what_the_seed_gives(tmp_path: Path) -> None:
    for path in [*write_small(SEED, tmp_path), *write_block(SEED, tmp_path)]:
        assert _content(path) == _content(SAMPLES / path.name), path.name


def _content(path: Path) -> bytes:
    body = path.read_bytes()
    return gzip.decompress(body) if path.suffix == ".gz" else body


@pytest.mark.parametrize(("name", "runes"), [("small.json", 25), ("large.json.gz", 2_000)])
def test_the_samples_say_that_they_are_simulated(name: str, runes: int) -> None:
    path = SAMPLES / name
    sample = load_batch(path, rune_limit=5_000)
    assert sample.source.producer == f"runes-workbench simulate (simulated, seed {SEED})"
    assert sample.completeness == "state"
    assert len(sample.rune_ids()) >= runes
    assert path.stat().st_size <= 5_000_000


def test_the_sample_block_reconciles_with_its_spent_outputs() -> None:
    raw = (SAMPLES / "block-sim.bin").read_bytes()
    puts = [put for tx in parse_block(raw).transactions[1:] for put in tx.inputs]
    document = (SAMPLES / "block-sim.spent.json.gz").read_bytes()
    spent = read_spent(document, [put.outpoint for put in puts])
    reading = read_block(raw, spent, network="regtest")
    assert reading.totals.fees_agree is True
    assert reading.totals.transactions >= 300
