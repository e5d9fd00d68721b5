"""A state taken over from a dump: marked wherever it goes, and exact where the dump is."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.runes.dumps import TAKEN, computed, dump_of, history, opi_of, write_blocks
from tests.runes.test_snapshot import resealed
from workbench import runes
from workbench.errors import InputError
from workbench.runes.evidence import evidence_of
from workbench.runes.history import trust_sentence


@cache
def dumped() -> runes.Batch:
    return runes.read(list(dump_of(computed())), network="regtest", height=TAKEN)


@pytest.fixture
def trusted() -> runes.Index:
    return runes.trusted_index(dumped(), TAKEN)


@pytest.fixture
def near(trusted: runes.Index) -> runes.Index:
    """It knows the outputs of the blocks below it, to which later etchings committed."""
    for block in history():
        if block.height <= TAKEN:
            trusted.remember(block.raw)
    return trusted


def test_a_snapshot_is_a_source_too_and_keeps_its_mark(
    trusted: runes.Index, tmp_path: Path
) -> None:
    path = tmp_path / "taken.snapshot"
    path.write_bytes(trusted.snapshot())
    for source in (path, path.read_bytes()):
        batch = runes.read(source)
        assert (batch.network, batch.last_height) == ("regtest", TAKEN)
        assert trust_sentence(str(trusted.trusted)) in repr(runes.reconcile(batch))
    with pytest.raises(InputError, match="network is 'mainnet'; allowed: regtest"):
        runes.read(path, network="mainnet")


def refused(change: Callable[[dict[str, Any], dict[str, Any]], None]) -> str:
    entries, balances = dump_of(computed())
    change(entries["runes"], balances["runes"])
    batch = runes.read([entries, balances], network="regtest", height=TAKEN)
    with pytest.raises(InputError) as caught:
        runes.trusted_index(batch, TAKEN)
    return str(caught.value)


def test_a_state_taken_over_is_the_computed_one_but_for_its_mark(trusted: runes.Index) -> None:
    assert not list(runes.state_differences(trusted, computed()))
    assert (trusted.first_height, trusted.height) == (TAKEN, TAKEN)
    assert trusted.trusted == dumped().source.sha256
    assert f"state trusted from sha256:{trusted.trusted}" in repr(trusted)
    assert trusted.state_hash() != computed().state_hash()
    assert {entry["timestamp"] for entry in trusted.entries()} == {None}


def test_the_tables_of_opi_give_the_same_state(tmp_path: Path) -> None:
    paths = []
    for name, text in zip(("entries.csv", "held.csv"), opi_of(computed()), strict=True):
        paths.append(tmp_path / name)
        paths[-1].write_text(text)
    batch = runes.read(paths, network="regtest", height=TAKEN)
    assert batch.source.producer == "opi"
    index = runes.trusted_index(batch, TAKEN)
    assert not list(runes.state_differences(index, computed()))


def test_a_faulty_table_of_opi_is_refused_by_its_place() -> None:
    held = {"outpoint": f"{'a' * 64}:0", "rune_ids": "{1:0,2:1}", "balances": "{5}", "spent": "f"}
    with pytest.raises(InputError, match="allowed: 2 amounts, one a rune"):
        runes.read([held], height=5)
    with pytest.raises(InputError, match=r"rune_ids\[0\] is 'x'; allowed: rune id"):
        runes.read([{**held, "rune_ids": "{x}"}], height=5)


def test_going_on_from_it_gives_the_computed_state_and_keeps_the_mark(
    trusted: runes.Index,
) -> None:
    rest = [block for block in history() if block.height > TAKEN]
    for block in rest:
        trusted.apply_block(block.raw, block.spent)
    whole = computed(history()[-1].height)
    assert not list(runes.state_differences(trusted, whole))
    assert trusted.state_hash() != whole.state_hash()
    again = runes.Index.restore(trusted.snapshot())
    assert (again.trusted, again.snapshot()) == (trusted.trusted, trusted.snapshot())
    again.rewind(TAKEN)
    assert again.snapshot() == runes.trusted_index(dumped(), TAKEN).snapshot()
    with pytest.raises(InputError, match=f"allowed: {TAKEN} to {TAKEN}"):
        again.rewind(TAKEN - 1)


def test_a_reader_that_does_not_know_the_mark_refuses_the_snapshot(trusted: runes.Index) -> None:
    assert trusted.snapshot().startswith(b"runes-index/1 trusted\n")
    assert computed().snapshot().startswith(b"runes-index/1\n")


def test_the_mark_cannot_be_exchanged_in_a_snapshot(trusted: runes.Index) -> None:
    head = b"runes-index/1 trusted\n"
    plain = b"runes-index/1\n"

    def other(body: list[Any]) -> None:
        body[10] = "0" * 64

    body = trusted.snapshot()[len(head) :]
    sealed = head + resealed(plain + body, other)[len(plain) :]
    with pytest.raises(InputError, match="not that of what it was taken over from"):
        runes.Index.restore(sealed)
    without = resealed(plain + body, lambda body: body.pop())
    with pytest.raises(InputError, match="a rune without a time"):
        runes.Index.restore(without)


def test_a_batch_built_on_it_and_every_answer_say_so(near: runes.Index, tmp_path: Path) -> None:
    chain = runes.open_blocks(write_blocks(tmp_path / "blocks"), network="regtest")
    batch = runes.blocks_batch(chain.part(TAKEN + 1), onto=near)
    mark = trust_sentence(str(near.trusted))
    assert mark in repr(batch)
    assert mark in batch._repr_html_()
    kept = runes.load_batch(runes.save_batch(batch, tmp_path / "batch.json"))
    assert kept.source.trusted == near.trusted
    assert evidence_of(kept).trust == mark
    answer = runes.reconcile(kept)
    assert "all 4 runes add up" in repr(answer)
    assert repr(answer).endswith(mark)
    assert answer.explain().sources.count(mark) == 1
    assert answer._repr_html_().partition("<details")[0].count(mark) == 1  # before any click
    source = mark.removeprefix("state trusted from ")
    line = {"template": "state trusted from {source}", "values": {"source": source}}
    assert line in answer.result("b").data["explanation"]["sources"]
    assert answer.result("b").data["notes"] == [line]  # which every page shows unfolded
    assert near.height == TAKEN  # the index is left as it was


def test_an_answer_on_a_computed_state_bears_no_mark(tmp_path: Path) -> None:
    chain = runes.open_blocks(write_blocks(tmp_path / "blocks"), network="regtest")
    batch = runes.blocks_batch(chain.part(TAKEN + 1), onto=computed())
    assert batch.source.trusted is None
    assert "trusted" not in repr(runes.reconcile(batch))


def test_the_batch_holds_what_the_whole_history_holds(near: runes.Index, tmp_path: Path) -> None:
    chain = runes.open_blocks(write_blocks(tmp_path / "blocks"), network="regtest")
    part = runes.blocks_batch(chain.part(TAKEN + 1), onto=near)
    whole = runes.blocks_batch(chain, from_start=True)

    def held(batch: runes.Batch) -> set[tuple[Any, ...]]:
        names = ["rune_id", "outpoint", "amount_high", "amount_low"]
        return {tuple(row.values()) for row in batch.tables["balances"].select(names).to_pylist()}

    assert held(part) == held(whole) != set()
    assert part.tables["entries"].sort_by("rune_id") == whole.tables["entries"].sort_by("rune_id")
    late = [row for row in whole.tables["events"].to_pylist() if row["height"] > TAKEN]
    assert part.tables["events"].to_pylist() == late != []


def test_blocks_that_do_not_follow_it_are_refused(trusted: runes.Index, tmp_path: Path) -> None:
    chain = runes.open_blocks(write_blocks(tmp_path / "blocks"), network="regtest")
    with pytest.raises(InputError, match="allowed: one after another"):
        runes.blocks_batch(chain.part(TAKEN + 2), onto=trusted)


def test_what_lies_before_it_is_remembered_for_commitments(trusted: runes.Index) -> None:
    """Without the outputs that the blocks spend, only those of remembered blocks are known."""
    late = runes.Index.restore(trusted.snapshot())
    for block in history():
        if block.height <= TAKEN:
            trusted.remember(block.raw)
        else:
            trusted.apply_block(block.raw)
            late.apply_block(block.raw)
    assert late.doubts and late.completeness == "runestone"
    assert trusted.doubts == []
    assert not list(runes.state_differences(trusted, computed(history()[-1].height)))
    with pytest.raises(InputError, match="only an index that just took over a state"):
        trusted.remember(history()[0].raw)


def test_only_blocks_at_or_below_it_are_remembered(trusted: runes.Index) -> None:
    with pytest.raises(InputError, match="allowed: integer from 1109 to 1208"):
        trusted.remember(history()[-1].raw)
    with pytest.raises(InputError, match="only an index that just took over a state"):
        computed().remember(history()[-1].raw)


def test_the_next_block_must_follow_the_one_that_was_remembered(trusted: runes.Index) -> None:
    at = next(block for block in history() if block.height == TAKEN)
    trusted.remember(at.raw)
    assert trusted.block_hash == runes.parse_block(at.raw).hash


def _name(runes: dict[str, Any]) -> str:
    return next(iter(runes))


def test_a_dump_whose_supply_does_not_add_up_is_refused() -> None:
    def more(entries: dict[str, Any], balances: dict[str, Any]) -> None:
        next(iter(balances[_name(balances)].values()))["amount"] += 1

    assert refused(more).startswith("the dump contradicts itself: the supply of 12")


def test_a_dump_that_lacks_a_rune_that_it_holds_is_refused() -> None:
    entries, balances = dump_of(computed())
    batch = runes.read([entries, balances], network="regtest", height=TAKEN)
    gone = batch.tables["entries"].slice(1)
    lacking = runes.Batch(**{**vars(batch), "tables": {**batch.tables, "entries": gone}})
    with pytest.raises(InputError, match="of which it has no entry"):
        runes.trusted_index(lacking, TAKEN)


def test_a_dump_of_holders_is_refused() -> None:
    rows = dumped().tables["balances"]
    at = rows.column_names.index("outpoint")
    nobody = rows.set_column(
        at, rows.schema.field(at), pa.nulls(rows.num_rows, rows.schema.field(at).type)
    )
    batch = runes.Batch(**{**vars(dumped()), "tables": {**dumped().tables, "balances": nobody}})
    with pytest.raises(InputError, match="not on which output"):
        runes.trusted_index(batch, TAKEN)


def test_a_dump_that_leaves_something_out_is_refused_by_its_name() -> None:
    rows = dumped().tables["entries"]
    for half in ("burned_high", "burned_low"):
        at = rows.column_names.index(half)
        rows = rows.set_column(
            at, rows.schema.field(at), pa.nulls(rows.num_rows, rows.schema.field(at).type)
        )
    batch = runes.Batch(**{**vars(dumped()), "tables": {**dumped().tables, "entries": rows}})
    with pytest.raises(InputError, match="does not say the burned of rune 12"):
        runes.trusted_index(batch, TAKEN)


def test_a_mainnet_dump_without_its_first_rune_is_refused() -> None:
    batch = runes.Batch(**{**vars(dumped()), "network": "mainnet"})
    with pytest.raises(InputError, match="lacks rune 1:0"):
        runes.trusted_index(batch, TAKEN)


def test_a_height_below_what_the_dump_speaks_of_is_refused() -> None:
    with pytest.raises(InputError, match="height is 7; allowed: integer from 1208"):
        runes.trusted_index(dumped(), 7)


def test_a_difference_is_named_with_both_values(trusted: runes.Index) -> None:
    whole = computed(history()[-1].height)
    found = list(runes.state_differences(trusted, whole))
    assert found[0].what.startswith("rune 12")
    missing = [each for each in found if each.what.startswith("rune") and each.ours is None]
    assert [each.theirs for each in missing] == ["there"]
    outputs = [each for each in found if each.what.startswith("output")]
    assert outputs and all(each.ours != each.theirs for each in outputs)
