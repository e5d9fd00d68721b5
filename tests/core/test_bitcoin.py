"""Raw blocks: read to the byte, held against their proof of work, refused where they lie."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.core.blocks import GENESIS, MINT, P2TR, block, dsha, mined, small_block, transaction
from workbench.core import spent as spent_module
from workbench.core.bitcoin import (
    COIN,
    Block,
    SpentOutput,
    address_of,
    check_block,
    difficulty,
    merkle_root,
    parse_block,
    parse_transaction,
    subsidy,
    target,
)
from workbench.core.rune import Network
from workbench.core.runestone import Runestone, decipher
from workbench.core.spent import read_spent, spent_document
from workbench.errors import InputError

RAW = small_block()
SMALL = parse_block(RAW)
OUTPOINTS = [f"{'01' * 32}:0", f"{'03' * 32}:1"]


def test_the_first_block_of_all_is_read() -> None:
    genesis = parse_block(GENESIS)
    check_block(genesis)
    assert genesis.hash == "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"
    assert genesis.merkle_root == genesis.transactions[0].txid
    assert genesis.transactions[0].txid.startswith("4a5e1e4baab89f3a32518a88c31bc87f618f7667")
    assert (genesis.time, genesis.bits, genesis.nonce) == (1_231_006_505, 0x1D00FFFF, 2_083_236_893)
    assert (genesis.size, genesis.weight, genesis.height) == (285, 1140, None)
    assert b"Chancellor on brink" in genesis.transactions[0].inputs[0].script


def test_a_block_is_read_to_the_byte() -> None:
    check_block(SMALL)
    coinbase, mint, plain = SMALL.transactions
    assert SMALL.height == 150
    assert [tx.is_coinbase for tx in SMALL.transactions] == [True, False, False]
    assert b"".join(tx.raw for tx in SMALL.transactions) == RAW[81:]
    assert [put.outpoint for tx in SMALL.transactions[1:] for put in tx.inputs] == OUTPOINTS
    assert mint.inputs[0].witness == (b"\2" * 64,)
    assert plain.inputs[0].witness == ()
    assert mint.scripts == [P2TR, MINT]
    assert isinstance(decipher(mint.scripts), Runestone)
    assert coinbase.paid_sat == 50 * COIN


def test_a_txid_leaves_the_witnesses_out() -> None:
    mint = SMALL.transactions[1]
    puts = [(b"\1" * 32, 0, b"", [b"\2" * 64])]
    bare = transaction(puts, [(546, P2TR), (0, MINT)], witness=False)
    assert mint.txid == dsha(bare)[::-1].hex()
    assert mint.weight == 4 * len(bare) + (mint.size - len(bare))
    assert mint.vsize == -(-mint.weight // 4)
    assert parse_transaction(mint.raw) == mint
    assert SMALL.weight == 4 * 81 + sum(tx.weight for tx in SMALL.transactions)


@pytest.mark.parametrize("height", [1, 16, 17, 127, 128, 150, 32_768, 840_000, 8_388_608])
def test_a_height_is_read_from_the_coinbase(height: int) -> None:
    assert parse_block(block(height=height)).height == height


@pytest.mark.parametrize("size", range(len(RAW)))
def test_a_block_cut_anywhere_is_refused_with_the_byte(size: int) -> None:
    with pytest.raises(InputError) as caught:
        parse_block(RAW[:size])
    part = "its header" if size <= 80 else "a transaction"
    assert str(caught.value) == f"the block is cut short: it ends at byte {size}, inside {part}"


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda raw: raw + b"\0", f"byte {len(RAW)} is wrong: bytes after the last"),
        (lambda raw: raw[:80] + b"\0", "byte 80 is wrong: a block without trans"),
        (lambda raw: raw[:80] + b"\xfd\x03\0" + raw[81:], "byte 80 .*: a length in a longer form"),
        (lambda raw: raw[:80] + b"\xff" * 9 + raw[81:], "byte 80 .*: a length beyond the end"),
        (lambda raw: raw[:86] + b"\2" + raw[87:], "byte 85 .*: a transaction without inputs"),
    ],
)
def test_odd_bytes_are_refused_with_their_place(
    harm: Callable[[bytes], bytes], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        parse_block(harm(RAW))


def test_a_witness_flag_without_a_witness_is_refused() -> None:
    bare = transaction([(b"\1" * 32, 0, b"", [])], [(1, b"")], witness=False)
    flagged = bare[:4] + b"\0\1" + bare[4:-4] + b"\0" + bare[-4:]
    with pytest.raises(InputError, match="the witness flag but no witness"):
        parse_transaction(flagged)
    with pytest.raises(InputError, match="bytes after the end of the transaction"):
        parse_transaction(bare + b"\0")
    with pytest.raises(InputError, match=r"the transaction is cut short: it ends at byte \d+"):
        parse_transaction(bare[:-1])


@given(st.integers(0, len(RAW) - 1), st.integers(0, 255))
def test_a_block_with_one_wrong_byte_never_passes(place: int, value: int) -> None:
    harmed = RAW[:place] + bytes([value]) + RAW[place + 1 :]
    try:
        changed = parse_block(harmed)
        check_block(changed)
    except InputError:
        return
    header_only = harmed[80:] == RAW[80:]  # a header may pass for another block of its own
    assert harmed == RAW or (header_only and changed.hash != SMALL.hash)


@given(st.binary(max_size=300))
@example(b"\xff" * 300)
def test_no_bytes_raise_anything_but_an_input_error(data: bytes) -> None:
    for raw in (data, RAW[:80] + data):
        try:
            parse_block(raw)
        except InputError as error:
            assert str(error)


def test_a_block_above_its_target_has_no_proof_of_work() -> None:
    head, tail = RAW[:72] + (0x1D00FFFF).to_bytes(4, "little"), RAW[80:]
    with pytest.raises(InputError, match="does not meet its own target"):
        check_block(parse_block(head + bytes(4) + tail))


@pytest.mark.parametrize("bits", [0, 0x1D800001, 0x04923456, 0xFF00FFFF, 0x21000001, 0x01003456])
def test_a_target_that_is_none_lets_no_block_pass(bits: int) -> None:
    assert target(bits) == 0


def test_a_target_is_read_from_its_compact_form() -> None:
    assert target(0x1D00FFFF) == 0xFFFF << 208
    assert target(0x05009234) == 0x92340000
    assert target(0x02123456) == 0x1234
    assert difficulty(0x1D00FFFF) == 1
    assert difficulty(0x1B0404CB) == pytest.approx(16307.420938523983)


def remade(raw: bytes, root: bytes) -> Block:
    """The block with another Merkle root, mined again."""
    return parse_block(mined(raw[:36] + root + raw[68:76], SMALL.bits) + raw[80:])


def test_a_repeated_transaction_is_noticed_though_the_root_is_the_same() -> None:
    three = SMALL.transactions
    txids = [bytes.fromhex(tx.txid)[::-1] for tx in three]
    root, repeated = merkle_root(txids)
    assert not repeated
    assert merkle_root([*txids, txids[-1]]) == (root, True)
    doubled = RAW[:80] + b"\4" + RAW[81:] + three[-1].raw
    with pytest.raises(InputError, match="one is missing, repeated or altered"):
        check_block(parse_block(doubled))


def test_an_altered_witness_is_noticed() -> None:
    at = RAW.index(b"\2" * 64)
    changed = parse_block(RAW[:at] + b"\3" + RAW[at + 1 :])
    assert changed.merkle_root == SMALL.merkle_root
    with pytest.raises(InputError, match="are not the ones that its coinbase commits to"):
        check_block(changed)


def test_a_block_whose_first_transaction_is_no_coinbase_is_refused() -> None:
    raw = RAW[:80] + b"\1" + SMALL.transactions[2].raw
    with pytest.raises(InputError, match="has 0 coinbases; allowed: one, and first"):
        check_block(remade(raw, bytes.fromhex(SMALL.transactions[2].txid)[::-1]))


@pytest.mark.parametrize(
    ("height", "network", "sat"),
    [
        (0, "mainnet", 50 * COIN),
        (209_999, "mainnet", 50 * COIN),
        (210_000, "mainnet", 25 * COIN),
        (840_000, "mainnet", 312_500_000),
        (866_342, "mainnet", 312_500_000),
        (64 * 210_000, "mainnet", 0),
        (10**9, "mainnet", 0),
        (150, "regtest", 25 * COIN),
    ],
)
def test_the_subsidy_halves(height: int, network: Network, sat: int) -> None:
    assert subsidy(height, network) == sat


@pytest.mark.parametrize(
    ("script", "network", "address"),
    [
        # BIP 173 and BIP 350, test vectors
        (
            "0014751e76e8199196d454941c45d1b3a323f1433bd6",
            "mainnet",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        ),
        (
            "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262",
            "testnet3",
            "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
        ),
        (
            "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433",
            "signet",
            "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
        ),
        (
            "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
            "mainnet",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
        ),
        ("5210751e76e8199196d454941c45d1b3a323", "mainnet", "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs"),
        ("6002751e", "mainnet", "bc1sw50qgdz25j"),
        ("51024e73", "mainnet", "bc1pfeessrawgf"),
        # the genesis coinbase's key hash, as the first address of all
        (
            "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac",
            "mainnet",
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        ),
        # a pay-to-script-hash (BIP 13)
        (
            "a914748284390f9e263a4b766a75d0633c50426eb87587",
            "mainnet",
            "3CK4fEwbMP7heJarmU4eqA3sMbVJyEnU3V",
        ),
        ("6a5d0414011401", "mainnet", None),
        ("", "mainnet", None),
        ("0002751e", "mainnet", None),
        ("51", "mainnet", None),
        ("5129" + "00" * 41, "mainnet", None),
        ("21" + "02" * 33 + "ac", "mainnet", None),
    ],
)
def test_an_address_is_the_one_that_wallets_show(
    script: str, network: Network, address: str | None
) -> None:
    assert address_of(bytes.fromhex(script), network) == address


LISTED = [
    {"txout": {"value": 1546, "script_pubkey": P2TR.hex()}, "creation_height": 100},
    {"txout": {"value": 2**62, "script_pubkey": ""}, "is_coinbase": False, "creation_height": 9},
]
WANTED = [SpentOutput(P2TR, 1546, 100), SpentOutput(b"", 2**62, 9)]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_spent_outputs_are_read_in_input_order(pack: Callable[[bytes], bytes]) -> None:
    document = pack(json.dumps(LISTED).encode())
    assert list(read_spent(document, OUTPOINTS).items()) == list(
        zip(OUTPOINTS, WANTED, strict=True)
    )


def test_spent_outputs_are_read_by_outpoint_in_any_order() -> None:
    made = dict(zip(OUTPOINTS, [WANTED[0], SpentOutput(b"\x51", 7)], strict=True))
    assert read_spent(spent_document(dict(reversed(made.items()))), OUTPOINTS) == made


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (b"[]", "the spent outputs are 0; the block has 2 inputs"),
        (b"{}", f"the spent outputs lack {OUTPOINTS[0]} and 1 more"),
        (b"5", "the spent outputs are 5; allowed: a list or an object"),
        (b"[", "the spent outputs are not valid JSON: Input data was truncated"),
        (b"\x1f\x8b\x08junk", "the spent outputs are no valid gzip: "),
        (
            gzip.compress(b"[]", mtime=0)[:-4],
            "the spent outputs are cut short or unpack to more than",
        ),
    ],
)
def test_a_malformed_document_is_refused(document: bytes, sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        read_spent(document, OUTPOINTS)
    assert str(caught.value).startswith(sentence)


@pytest.mark.parametrize(
    "entry",
    [
        5,
        None,
        {},
        {"script": "zz", "value": 1},
        {"script": "5 1", "value": 1},
        {"script": "51", "value": -1},
        {"script": "51", "value": True},
        {"script": "51", "value": 1, "height": "9"},
        {"txout": 5},
    ],
)
def test_a_malformed_entry_is_named(entry: object) -> None:
    document = json.dumps({OUTPOINTS[0]: entry, OUTPOINTS[1]: entry}).encode()
    with pytest.raises(InputError, match=f"the spent output {OUTPOINTS[0]} is .*; allowed: script"):
        read_spent(document, OUTPOINTS)


def test_a_bomb_is_unpacked_only_to_the_bound() -> None:
    bomb = gzip.compress(b" " * (spent_module.MAX_BYTES + 1), compresslevel=1)
    with pytest.raises(InputError, match="unpack to more than 268435456 bytes"):
        read_spent(bomb, OUTPOINTS)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("height", "transactions", "runestones"), [(849_250, 5_131, 4_849), (866_342, 4_864, 3_949)]
)
def test_a_real_block_is_read_and_holds(
    height: int, transactions: int, runestones: int, shared: Path
) -> None:
    packed = (shared / "data" / "runes" / "blocks" / f"{height}.bin.xz").read_bytes()
    real = parse_block(lzma.decompress(packed))
    check_block(real)
    assert (real.height, len(real.transactions)) == (height, transactions)
    assert sum(decipher(tx.scripts) is not None for tx in real.transactions) == runestones
    assert difficulty(real.bits) > 8e13


@pytest.mark.shared
def test_the_fees_of_the_real_block_reconcile(shared: Path) -> None:
    folder = shared / "data" / "runes" / "blocks"
    real = parse_block(lzma.decompress((folder / "866342.bin.xz").read_bytes()))
    puts = [put for tx in real.transactions[1:] for put in tx.inputs]
    document = (folder / "866342_spent_utxos.json.gz").read_bytes()
    spent = read_spent(document, [put.outpoint for put in puts])
    assert len(spent) == 7_972
    received = sum(output.value for output in spent.values())
    fees = received - sum(tx.paid_sat for tx in real.transactions[1:])
    assert fees == 5_026_183 == real.transactions[0].paid_sat - subsidy(866_342)
