"""Raw blocks in a node's files: out of order, scrambled, with stale ones and a torn end."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Sequence
from functools import cache
from itertools import cycle
from pathlib import Path

import pytest

from tests.core.blocks import block, small_block
from workbench import runes
from workbench.core.bitcoin import opening_height, parse_block
from workbench.core.spent import spent_document
from workbench.errors import InputError
from workbench.runes.simulate import Scale, simulate
from workbench.runes.simulation.world import SimulatedBlock

MAGIC = bytes.fromhex("fabfb5da")
KEY = bytes.fromhex("0123456789abcdef")


@cache
def history() -> tuple[SimulatedBlock, ...]:
    return tuple(simulate(3, Scale(runes=4, blocks=12, wallets=6, payments=2)))


def node_file(path: Path, raws: Sequence[bytes], key: bytes = KEY, tail: bytes = b"") -> Path:
    """The blocks as a node of 28.0 or later writes them."""
    plain = b"".join(MAGIC + len(raw).to_bytes(4, "little") + raw for raw in raws)
    if any(key):
        path.with_name("xor.dat").write_bytes(key)
    path.write_bytes(bytes(a ^ b for a, b in zip(plain, cycle(key), strict=False)) + tail)
    return path


def refusal(source: object, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        runes.open_blocks(source, **options)  # type: ignore[arg-type]
    return str(caught.value)


@pytest.mark.parametrize("key", [KEY, bytes(8)], ids=["scrambled", "plain"])
def test_blocks_out_of_order_in_two_files_come_in_the_chains_order(
    key: bytes, tmp_path: Path
) -> None:
    raws = [one.raw for one in history()]
    mixed = [raws[place] for place in (2, 0, 1, 5, 3, 4, 11, 9, 10, 8, 6, 7)]
    node_file(tmp_path / "blk00000.dat", mixed[:5], key, tail=bytes(4_000))
    node_file(tmp_path / "blk00001.dat", mixed[5:], key)
    (tmp_path / "rev00000.dat").write_bytes(b"undo")
    chain = runes.open_blocks(tmp_path, network="regtest")
    assert [each.raw for each in chain] == raws
    assert [each.height for each in chain] == [one.height for one in history()]
    assert (len(chain), chain.stale) == (12, ())


def test_an_index_takes_the_chain_as_it_comes(tmp_path: Path) -> None:
    node_file(tmp_path / "blk00000.dat", [one.raw for one in reversed(history())])
    index, direct = runes.Index("regtest"), runes.Index("regtest")
    for each in runes.open_blocks(tmp_path, network="regtest"):
        index.apply_block(each.raw)
    for one in history():
        direct.apply_block(one.raw, one.spent)
    assert index.state_hash() == direct.state_hash()


def test_a_stale_block_is_left_out_and_said(tmp_path: Path) -> None:
    first = small_block()
    below = bytes.fromhex(parse_block(first).hash)[::-1]
    left, right = block(height=151, below=below), block(height=151, below=below, paid=7)
    last = block(height=152, below=bytes.fromhex(parse_block(right).hash)[::-1])
    node_file(tmp_path / "blk00000.dat", [left, last, first, right])
    chain = runes.open_blocks(tmp_path, network="regtest")
    assert [each.raw for each in chain] == [first, right, last]
    assert chain.stale == (parse_block(left).hash,)
    assert (chain.first_height, chain.last_height) == (150, 152)


def test_a_block_that_the_node_is_still_writing_is_left_out(tmp_path: Path) -> None:
    raws = [one.raw for one in history()[:3]]
    path = node_file(tmp_path / "blk00000.dat", raws)
    path.write_bytes(path.read_bytes()[:-10])
    assert [each.raw for each in runes.open_blocks(path, network="regtest")] == raws[:2]


def test_a_part_of_the_chain_is_taken_by_height(tmp_path: Path) -> None:
    node_file(tmp_path / "blk00000.dat", [one.raw for one in history()])
    chain = runes.open_blocks(tmp_path, network="regtest")
    first = chain.first_height
    part = chain.part(first + 2, first + 3)
    assert [each.raw for each in part] == [one.raw for one in history()[2:4]]
    assert len(chain.part(last=first)) == 1
    with pytest.raises(InputError) as caught:
        chain.part(first + 12)
    held = f"the files hold {first} to {first + 11}"
    assert str(caught.value) == f"there is no block from {first + 12} to {first + 11}: {held}"


def test_what_is_no_file_of_blocks_is_refused(tmp_path: Path) -> None:
    path = node_file(tmp_path / "blk00000.dat", [small_block()])
    said = refusal(path, network="mainnet")
    assert said.startswith("blk00000.dat byte 0: no block of mainnet begins there: it is of anot")
    (tmp_path / "xor.dat").write_bytes(bytes(8))
    assert "byte 0: no block of regtest begins there" in refusal(path, network="regtest")
    (tmp_path / "xor.dat").write_bytes(b"short")
    assert refusal(path, network="regtest") == "xor.dat is '5 bytes'; allowed: 8 bytes"
    (tmp_path / "xor.dat").unlink()
    path.write_bytes(bytes(1_000))
    said = refusal(path, network="regtest")
    assert said == "the files hold no block: give blk*.dat or raw blocks"
    assert refusal(tmp_path / "none").endswith("none is not there: give an existing file")


@pytest.mark.parametrize("key", [KEY, bytes(8)], ids=["key", "none"])
@pytest.mark.parametrize("put_on", [True, False])
def test_the_space_that_a_node_reserves_is_the_end(
    tmp_path: Path, key: bytes, put_on: bool
) -> None:
    """Zeros, with the key of the other bytes put on or without."""
    raws = [one.raw for one in history()[:2]]
    used = sum(8 + len(raw) for raw in raws)
    turned = bytes(key[place % 8] for place in range(used, used + 500))
    node_file(tmp_path / "blk00000.dat", raws, key, tail=turned if put_on else bytes(500))
    assert len(runes.open_blocks(tmp_path, network="regtest")) == 2


def test_a_block_altered_after_the_scan_is_refused(tmp_path: Path) -> None:
    path = node_file(tmp_path / "blk00000.dat", [one.raw for one in history()[:2]], bytes(8))
    chain = runes.open_blocks(path, network="regtest")
    body = bytearray(path.read_bytes())
    body[20] ^= 1
    path.write_bytes(body)
    with pytest.raises(InputError, match=r"^blk00000\.dat changed while it was read$"):
        list(chain)


def test_blocks_from_the_start_are_read_at_the_state_level(tmp_path: Path) -> None:
    """Regtest reads runes from block 0 on: a chain that begins later says so itself."""
    node_file(tmp_path / "blk00000.dat", [one.raw for one in history()])
    chain = runes.open_blocks(tmp_path, network="regtest")
    told: list[tuple[int, int]] = []
    state = runes.blocks_batch(chain, from_start=True, progress=lambda *each: told.append(each))
    assert (state.completeness, state.rows()["blocks"]) == ("state", 12)
    assert state.rows()["balances"] > 0
    assert state.tables["blocks"]["fees_sat"].null_count == 12  # nobody said what is spent
    assert told == [(done, 12) for done in range(1, 13)]
    asked = runes.read(tmp_path, network="regtest")
    assert (asked.completeness, asked.rows()["balances"]) == ("runestone", 0)
    assert asked.rows()["runestones"] == state.rows()["runestones"]


def test_the_spent_outputs_beside_a_block_give_its_fees(tmp_path: Path) -> None:
    for one in history():
        (tmp_path / f"{one.height}_0123abcd.bin").write_bytes(one.raw)
        spent = spent_document(one.spent)
        if one.height % 2:
            (tmp_path / f"{one.height}_0123abcd.spent.json").write_bytes(spent)
        else:
            (tmp_path / f"{one.height}_0123abcd.spent.json.gz").write_bytes(gzip.compress(spent))
    chain = runes.open_blocks(tmp_path, network="regtest")
    state = runes.blocks_batch(chain, from_start=True)
    assert state.tables["blocks"]["fees_sat"].null_count == 0


def test_spent_outputs_of_another_name_are_told_where_they_belong(tmp_path: Path) -> None:
    block, spent = tmp_path / "7.bin", tmp_path / "7_utxos.json.gz"
    block.write_bytes(small_block())
    spent.write_bytes(gzip.compress(b"[]"))
    with pytest.raises(InputError, match=r"7_utxos.json.gz is JSON and no block: .* beside it"):
        runes.read([block, spent])


@pytest.mark.parametrize("form", ["raw", "xz", "gzip", "hex"])
def test_a_lone_block_is_read_however_a_file_holds_it(form: str, tmp_path: Path) -> None:
    raw = small_block()
    forms = {
        "raw": raw,
        "xz": lzma.compress(raw),
        "gzip": gzip.compress(raw),
        "hex": raw.hex().encode() + b"\n",
    }
    path = tmp_path / "block"
    path.write_bytes(forms[form])
    batch = runes.read(path, network="regtest")
    assert (batch.completeness, batch.first_height) == ("runestone", 150)
    assert batch.rows()["mints"] == 1


def test_a_block_that_does_not_prove_itself_stops_the_reading(tmp_path: Path) -> None:
    raw = bytearray(small_block())
    raw[-7] ^= 1
    path = node_file(tmp_path / "blk00000.dat", [bytes(raw)])
    with pytest.raises(InputError, match="do not give its Merkle root"):
        runes.read(path, network="regtest")


def test_the_opening_of_a_block_states_its_height() -> None:
    for one in history():
        assert opening_height(one.raw[:400]) == one.height
    assert opening_height(small_block()[:90]) is None


@pytest.mark.shared
def test_the_real_blocks_are_read_from_their_packed_files(shared: Path) -> None:
    folder = shared / "data" / "runes" / "blocks"
    batch = runes.read(folder / "849250.bin.xz")
    assert (batch.first_height, batch.rows()["runestones"]) == (849_250, 4_849)


def test_the_network_is_told_by_the_files(tmp_path: Path) -> None:
    node = node_file(tmp_path / "blk00000.dat", [one.raw for one in history()[:2]], bytes(8))
    assert runes.open_blocks(node).network == "regtest"
    lone = tmp_path / "lone.bin"
    lone.write_bytes(history()[0].raw)
    assert runes.read(lone).network == "regtest"
    said = refusal(lone, network="mainnet")
    assert said.startswith("lone.bin is a block of regtest, by the work that its header asks for")


def test_a_batch_of_another_network_is_refused() -> None:
    batch = Path(__file__).parents[2] / "data" / "samples" / "small.json"
    assert runes.read(batch).network == "regtest"
    with pytest.raises(InputError, match="network is 'mainnet'; allowed: regtest, that of"):
        runes.read(batch, network="mainnet")


def test_what_is_no_block_is_named(tmp_path: Path) -> None:
    for name in ("1.bin", "2.bin"):
        (tmp_path / name).write_bytes(history()[0].raw if name == "1.bin" else b"no block at all")
    assert refusal(tmp_path).startswith("2.bin: this is no Bitcoin block")


def test_a_missing_block_is_named_and_nothing_below_it_is_lost(tmp_path: Path) -> None:
    for place, each in enumerate(history()):
        if place != 5:
            (tmp_path / f"{place:02}.bin").write_bytes(each.raw)
    first = runes.open_blocks(tmp_path / "00.bin").first_height
    gap = f"block {first + 5} is missing, or is not the one that block {first + 6} follows"
    assert refusal(tmp_path).startswith(gap)


def test_lone_blocks_with_a_gap_between_them_are_not_read_in_part(tmp_path: Path) -> None:
    for place in (0, 4):
        (tmp_path / f"{place:02}.bin").write_bytes(history()[place].raw)
    first = runes.open_blocks(tmp_path / "00.bin").first_height
    assert refusal(tmp_path) == (
        f"block {first + 1} is missing, or does not follow block {first}: the files hold those up "
        f"to {first} and {first + 4} to {first + 4}"
    )


def test_a_block_cut_short_is_named(tmp_path: Path) -> None:
    for place, each in enumerate(history()[:3]):
        (tmp_path / f"{place}.bin").write_bytes(each.raw[: -7 if place == 1 else None])
    with pytest.raises(InputError, match=r"^1\.bin: "):
        runes.read(tmp_path)
