"""The index as a user meets it: what is honoured, what is in doubt, and what is refused."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.core.blocks import GENESIS
from tests.runes.small_chain import (
    BURN,
    NAME,
    PAY,
    TIME,
    apply,
    coin,
    committing,
    etching,
    naming,
    output,
    send,
    types,
)
from workbench.core.rune import (
    RESERVED,
    UNLOCK_INTERVAL,
    Network,
    RuneId,
    rune_name,
    rune_number,
    unlock_height,
)
from workbench.core.runestone import MAGIC, Edict, Etching, Runestone, Terms
from workbench.core.spent import SpentOutput, spent_document
from workbench.errors import InputError
from workbench.runes import Index
from workbench.runes.simulation import chain
from workbench.runes.simulation.chain import Lock
from workbench.runes.simulation.taproot import leaf_output

GOODS = RuneId(1, 0)
CENOTAPH = MAGIC + b"\x02\x7e\x00"
"""A message with an even tag that nobody knows."""


def committed(number: int, at: int, etched: int, *, annex: bool = False) -> Index:
    """An index in which a name was committed to at one height and etched at another."""
    index, lock = Index("regtest"), naming(number, annex)
    made = committing(lock)
    apply(index, at, made)
    for height in range(at + 1, etched):
        apply(index, height)
    apply(index, etched, etching(number, output(made, 0, lock), premine=5))
    return index


def names(index: Index) -> list[str]:
    return [entry["spaced_rune"] for entry in index.entries()]


def test_a_commitment_counts_from_its_sixth_confirmation_on() -> None:
    assert names(committed(NAME, 1_000, 1_004)) == []
    assert names(committed(NAME, 1_000, 1_005)) == [rune_name(NAME)]


def test_an_annex_hides_no_commitment() -> None:
    assert names(committed(NAME, 1_000, 1_005, annex=True)) == [rune_name(NAME)]


def test_the_name_a_is_committed_to_by_an_empty_push() -> None:
    last = 12 * UNLOCK_INTERVAL
    assert names(committed(0, last, last + 5)) == ["A"]


def test_a_name_is_free_from_its_unlock_height_on() -> None:
    number = rune_number("ABCDEFGHIJKL")
    height = unlock_height(number, "regtest")
    assert height
    assert names(committed(number, height - 6, height - 1)) == []
    assert names(committed(number, height - 5, height)) == ["ABCDEFGHIJKL"]


def test_mainnet_unlocks_names_from_its_own_height_on() -> None:
    number = rune_number("ABCDEFGHIJKL")
    put = coin(naming(number), height=839_000)
    for height, honoured in ((840_000, False), (unlock_height(number) or 0, True)):
        index = Index("mainnet")
        made = etching(number, put)
        assert bool(apply(index, height, made, spent={put.outpoint: put.spent})) is honoured


def test_a_transaction_that_comes_twice_is_taken_back_to_the_first() -> None:
    index, rune = etched(Terms(amount=3, cap=2))
    mint = send(Runestone(mint=rune))
    apply(index, 101, mint)
    before = index.snapshot()
    apply(index, 102, mint)
    index.rewind(101)
    assert index.snapshot() == before


def test_a_reserved_name_cannot_be_asked_for() -> None:
    assert names(committed(RESERVED, 1_000, 1_005)) == []
    assert names(committed(RESERVED - 1, 1_000, 1_005)) == ["ZZZZZZZZZZZZZZZZZZZZZZZZZZ"]


def test_who_asks_for_no_name_gets_a_reserved_one() -> None:
    index = Index("regtest")
    apply(index, 7, etching(None))
    assert names(index) == [rune_name(RESERVED + (7 << 32 | 1))]


def test_a_name_is_given_once() -> None:
    index, lock = Index("regtest"), naming(NAME)
    first, second = committing(lock), committing(lock)
    apply(index, 1, first, second)
    for height in range(2, 6):
        apply(index, height)
    both = [etching(NAME, output(made, 0, lock), premine=5) for made in (first, second)]
    assert types(apply(index, 6, *both)) == ["etch", "transfer"]


def test_an_ignored_etching_leaves_the_rest_in_force() -> None:
    index = Index("mainnet")
    stone = Runestone(mint=GOODS, pointer=1, etching=None)
    apply(index, 840_000, send(stone))
    lone = etching(NAME, premine=5)
    assert apply(index, 840_001, lone) == []
    assert names(index) == ["UNCOMMON•GOODS"]


def test_rune_1_0_is_built_into_mainnet_only() -> None:
    mint = send(Runestone(mint=GOODS))
    for network in ("testnet3", "testnet4", "signet", "regtest"):
        index = Index(network)
        assert index.entries() == []
        assert apply(index, 2_600_000, mint) == []
    index = Index("mainnet")
    told = apply(index, 840_000, mint)
    assert told == [
        {"type": "mint", "amount": "1", **(place := _place(840_000, mint.txid))},
        {"type": "transfer", "amount": "1", "vout": 1, **place},
    ]
    assert index.balances() == {f"{mint.txid}:1": [["1:0", "1"]]}


def _place(height: int, txid: str) -> dict[str, object]:
    return {"block": height, "tx": 1, "txid": txid, "rune_id": "1:0"}


def test_1_0_can_be_minted_from_840000_to_1049999() -> None:
    for height, opened in ((839_999, False), (840_000, True), (1_049_999, True)):
        index = Index("mainnet")
        assert bool(apply(index, height, send(Runestone(mint=GOODS)))) is opened
    assert index.entries()[0]["mintable_next_block"] is None
    assert apply(index, 1_050_000, send(Runestone(mint=GOODS))) == []


def etched(terms: Terms, **fields: object) -> tuple[Index, RuneId]:
    """An index with one rune of these terms, etched at height 100."""
    index = Index("regtest")
    apply(index, 100, etching(None, terms=terms, **fields))
    return index, RuneId(100, 1)


@pytest.mark.parametrize(
    ("terms", "opened"),
    [
        (Terms(amount=3, cap=9), range(101, 109)),
        (Terms(amount=3, cap=9, height=(103, 106)), range(103, 106)),
        (Terms(amount=3, cap=9, offset=(3, 6)), range(103, 106)),
        (Terms(amount=3, cap=9, height=(103, 108), offset=(2, 6)), range(103, 106)),
        (Terms(amount=3, cap=9, height=(102, 106), offset=(3, 8)), range(103, 106)),
        (Terms(amount=3, cap=9, offset=(2**64 - 1, None)), range(0)),
        (Terms(amount=3), range(0)),
        (Terms(amount=3, cap=2), range(101, 103)),
    ],
)
def test_a_mint_is_open_between_the_later_start_and_the_earlier_end(
    terms: Terms, opened: range
) -> None:
    index, rune = etched(terms)
    for height in range(101, 109):
        told = index.entries()[0]["mintable_next_block"]
        assert told == ("3" if height in opened else None)
        assert bool(apply(index, height, send(Runestone(mint=rune)))) is (height in opened)


def test_without_an_amount_a_mint_gives_nothing_but_counts() -> None:
    index, rune = etched(Terms(cap=1))
    assert types(apply(index, 101, send(Runestone(mint=rune)))) == ["mint"]
    assert index.entries()[0]["mints"] == "1"
    assert index.balances() == {}
    assert apply(index, 102, send(Runestone(mint=rune))) == []


def test_a_cenotaphs_mint_counts_and_burns() -> None:
    index, rune = etched(Terms(amount=3, cap=1))
    message = MAGIC + b"\x06\x14\x64\x14\x01\x7e\x00"
    assert types(apply(index, 101, send(message))) == ["mint", "burn"]
    entry = index.entries()[0]
    assert (entry["mints"], entry["supply"], entry["burned"]) == ("1", "3", "3")
    assert rune == RuneId(100, 1)


def test_a_cenotaphs_etching_makes_a_rune_without_supply() -> None:
    index, lock = Index("regtest"), naming(NAME)
    made = committing(lock)
    apply(index, 1, made)
    for height in range(2, 6):
        apply(index, height)
    put = output(made, 0, lock)
    stone = etching(NAME, put, premine=5, symbol="x", turbo=True, terms=Terms(amount=1, cap=1))
    script = bytearray(stone.outputs[0].script)
    script[2] += 2
    told = apply(index, 6, send(bytes(script) + b"\x7e\x00", [put]))
    assert types(told) == ["etch"]
    entry = index.entries()[0]
    assert (entry["supply"], entry["terms"], entry["symbol"], entry["turbo"]) == (
        "0",
        None,
        None,
        False,
    )


def test_a_transaction_cannot_mint_what_it_etches() -> None:
    index = Index("regtest")
    stone = Runestone(etching=Etching(terms=Terms(amount=3, cap=1), premine=1), mint=RuneId(100, 1))
    assert types(apply(index, 100, send(stone))) == ["etch", "transfer"]
    assert index.entries()[0]["mints"] == "0"


def test_runes_move_on_and_burn_by_each_cause_as_one_event() -> None:
    index = Index("regtest")
    made = etching(None, premine=10)
    apply(index, 5, made)
    rune = RuneId(5, 1)
    edicts = (Edict(rune, 4, 2), Edict(rune, 1, 0))
    told = apply(
        index, 6, send(Runestone(edicts=edicts, pointer=3), [output(made, 1)], [BURN, PAY, PAY])
    )
    assert [(event["type"], event["amount"], event.get("vout")) for event in told] == [
        ("transfer", "4", 2),
        ("transfer", "5", 3),
        ("burn", "1", None),
    ]


def test_two_causes_of_burning_in_one_transaction_are_one_sum() -> None:
    index = Index("regtest")
    made = etching(None, premine=10)
    apply(index, 5, made)
    edict = Edict(RuneId(5, 1), 4, 0)  # what is left has no output to go to
    told = apply(index, 6, send(Runestone(edicts=(edict,)), [output(made, 1)], [BURN]))
    assert [(event["type"], event["amount"]) for event in told] == [("burn", "10")]


def test_without_a_message_the_runes_go_to_the_first_output() -> None:
    index = Index("regtest")
    made = etching(None, premine=10)
    moved = send(None, [output(made, 1)], [BURN, PAY])
    told = apply(index, 5, made, moved)
    assert types(told) == ["etch", "transfer", "transfer"]
    assert index.balances() == {f"{moved.txid}:1": [["5:1", "10"]]}


def test_an_entry_says_all_that_was_etched() -> None:
    index = Index("regtest")
    terms = Terms(amount=2**100, cap=3, height=(7, None), offset=(None, 9))
    made = etching(
        None, divisibility=2, premine=2**127, spacers=5, symbol="🐕", terms=terms, turbo=True
    )
    apply(index, 5, made)
    assert index.entries() == [
        {
            "id": "5:1",
            "number": 0,
            "spaced_rune": "A•AA•AAAAAAAAAAAAAAAACRNLJHPH",
            "symbol": "🐕",
            "divisibility": 2,
            "etching": made.txid,
            "block": 5,
            "timestamp": TIME + 5,
            "turbo": True,
            "premine": str(2**127),
            "mints": "0",
            "burned": "0",
            "supply": str(2**127),
            "mintable_next_block": None,
            "terms": {
                "amount": str(2**100),
                "cap": "3",
                "height": [7, None],
                "offset": [None, 9],
            },
        }
    ]


def unseen(number: int = NAME) -> tuple[Index, chain.Coin]:
    """An index, and a commitment from before its first block."""
    index, lock = Index("regtest"), naming(number)
    return index, coin(lock, height=1)


def test_a_commitment_to_an_unknown_output_is_a_doubt_and_not_honoured() -> None:
    index, put = unseen()
    apply(index, 10)
    made = etching(NAME, put, premine=5)
    assert apply(index, 11, made) == []
    assert index.doubts == [{"rune_id": "11:1", "txid": made.txid, "name": rune_name(NAME)}]
    assert index.completeness == "runestone"
    assert index.state_hash(10)
    with pytest.raises(InputError) as caught:
        index.state_hash()
    assert str(caught.value) == (
        f"the state at block 11 is not known: the etching of {rune_name(NAME)} in {made.txid} "
        "spends an output that was not given; rewind() below block 11, and apply it again "
        "with `spent`"
    )


def test_a_doubt_is_settled_by_applying_the_block_with_its_spent_outputs() -> None:
    index, put = unseen()
    apply(index, 10)
    made = etching(NAME, put, premine=5)
    apply(index, 11, made)
    index.rewind(10)
    assert index.doubts == []
    assert types(apply(index, 11, made, spent={put.outpoint: put.spent})) == ["etch", "transfer"]
    assert index.completeness == "state"
    assert len(index.state_hash()) == 64


def test_who_asks_for_a_name_in_doubt_is_in_doubt_too() -> None:
    index, put = unseen()
    apply(index, 10, etching(NAME, put))
    other = coin(naming(NAME))
    assert apply(index, 11, etching(NAME, other), spent={other.outpoint: other.spent}) == []
    assert [doubt["rune_id"] for doubt in index.doubts] == ["10:1"]


def test_a_block_that_holds_a_transaction_twice_is_refused_and_changes_nothing() -> None:
    index = Index("regtest")
    made = etching(None)
    with pytest.raises(
        InputError, match=rf"transaction 2 of block 9 is '{made.txid}, as transaction 0'"
    ):
        index.apply(9, TIME, [made.raw, etching(None).raw, made.raw])
    assert (index.height, index.entries()) == (None, [])


def test_without_the_push_of_its_name_an_etching_is_refused_without_doubt() -> None:
    index, put = unseen(NAME + 1)
    assert apply(index, 10, etching(NAME, put), etching(NAME)) == []
    assert index.doubts == []


def test_an_output_that_was_seen_to_be_no_taproot_one_proves_nothing() -> None:
    index, lock = Index("regtest"), naming(NAME)
    wallet = chain.wallet_lock(1)
    made, both = committing(wallet), send(None, scripts=[lock.script, wallet.script])
    apply(index, 1, made, both)
    for height in range(2, 6):
        apply(index, height)
    false = [Lock(wallet.script, lock.witness)] * 2
    etchings = [
        etching(NAME, output(one, place, each))
        for one, place, each in zip((made, both), (0, 1), false, strict=True)
    ]
    assert apply(index, 6, *etchings) == []
    assert index.doubts == []


def test_a_spent_output_that_is_no_taproot_one_or_too_young_proves_nothing() -> None:
    leaf = leaf_output(b"\x51").output
    for script, height in ((b"\x00\x20" + bytes(32), 1), (leaf, 7), (leaf, 12)):
        index, put = unseen()
        spent = {put.outpoint: SpentOutput(script, 9_000, height)}
        assert apply(index, 11, etching(NAME, put), spent=spent) == []
        assert index.doubts == []


def test_a_spent_output_of_unknown_height_is_a_doubt() -> None:
    index, put = unseen()
    spent = {put.outpoint: SpentOutput(put.lock.script, 9_000)}
    assert apply(index, 11, etching(NAME, put), spent=spent) == []
    assert len(index.doubts) == 1


def test_outputs_are_remembered_for_the_window() -> None:
    for distance, honoured in ((8, True), (9, False)):
        index, lock = Index("regtest", window=8), naming(NAME)
        made = committing(lock)
        apply(index, 100, made)
        for height in range(101, 100 + distance):
            apply(index, height)
        apply(index, 100 + distance, etching(NAME, output(made, 0, lock)))
        assert (len(index.entries()), len(index.doubts)) == (honoured, not honoured)


def test_the_state_hash_is_the_one_that_the_page_defines() -> None:
    index = Index("mainnet")
    apply(index, 839_999, send(Runestone(mint=GOODS)))
    start = sha256(b"runes-state/1 mainnet\n").digest()
    assert index.state_hash() == start.hex()
    mint = send(Runestone(mint=GOODS, edicts=(Edict(GOODS, 1, 0),)))
    terms = Terms(amount=7, cap=2, height=(840_001, None), offset=(None, 5))
    etched = etching(None, premine=9, symbol="$", spacers=1, divisibility=3, terms=terms)
    text = (
        f"block 840000 {TIME + 840_000}\n"
        f"tx 1 {mint.txid}\n"
        "mint 1:0 1\n"
        "burn 1:0 1\n"
        f"tx 2 {etched.txid}\n"
        "etch 840000:2 AAAAAAAAAAAAAAAAZOMJMODBYFI 1 3 3 36 9 7 2 840001 - - 5\n"
        "put 840000:2 9 1\n"
    )
    apply(index, 840_000, mint, etched, send(None))
    first = sha256(start + text.encode()).digest()
    assert index.state_hash() == first.hex()
    apply(index, 840_001)
    empty = f"block 840001 {TIME + 840_001}\n"
    assert index.state_hash(840_001) == sha256(first + empty.encode()).hexdigest()
    assert index.state_hash(840_000) == first.hex()


def test_a_block_out_of_order_is_refused_and_changes_nothing() -> None:
    index = Index("regtest")
    apply(index, 10)
    before = index.snapshot()
    for height in (9, 10, 12):
        with pytest.raises(InputError) as caught:
            apply(index, height)
        assert str(caught.value) == (
            f"block {height} does not follow block 10: apply block 11, "
            "or rewind() to take blocks back"
        )
    assert index.snapshot() == before


@pytest.mark.parametrize("wrong", [None, 5, b"raw", "raw"])
def test_what_are_no_transactions_is_refused(wrong: Any) -> None:
    with pytest.raises(InputError, match=r"transactions is .*; allowed: the raw bytes of each"):
        Index("regtest").apply(1, 0, wrong)


def test_a_block_that_fails_in_the_midst_changes_nothing() -> None:
    index, put = Index("regtest", window=1), coin(naming(NAME))
    for height in range(3, 5):
        apply(index, height)
    made = etching(None, premine=10)
    apply(index, 5, made, etching(None, terms=Terms(amount=1, cap=9)))
    before = index.snapshot()
    moved = send(Runestone(mint=RuneId(5, 2)), [output(made, 1)])
    spent = {put.outpoint: "no output"}
    with pytest.raises(InputError) as caught:
        apply(index, 6, moved, etching(None), etching(NAME, put), spent=spent)  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"spent['{put.outpoint}'] is 'no output'; allowed: a SpentOutput, as read_spent gives them"
    )
    assert index.snapshot() == before
    apply(index, 6, moved)


def test_a_transaction_that_cannot_be_read_is_named() -> None:
    index = Index("regtest")
    good = send(None).raw
    with pytest.raises(InputError) as caught:
        index.apply(5, 0, [good, good[:-1]])
    assert str(caught.value) == (
        f"transaction 1 of block 5 cannot be read: "
        f"the transaction is cut short: it ends at byte {len(good) - 1}"
    )
    with pytest.raises(
        InputError, match="transaction 0 of block 5 is 'ab'; allowed: its raw bytes"
    ):
        index.apply(5, 0, ["ab"])  # type: ignore[list-item]
    assert index.height is None


def test_numbers_are_held_to_their_range() -> None:
    index = Index("regtest")
    for height in (-1, 2**64, True, "5", None, 5.0):
        for refusing in (lambda: index.apply(height, 0, []), lambda: index.rewind(height)):  # noqa: B023
            with pytest.raises(InputError) as caught:
                refusing()
            assert str(caught.value) == (
                f"height is {height!r}; allowed: integer from 0 to 18446744073709551615"
            )
    for time in (-1, 2**32):
        with pytest.raises(InputError) as caught:
            index.apply(1, time, [])
        assert str(caught.value) == f"time is {time}; allowed: integer from 0 to 4294967295"
    for window in (0, 10_001):
        with pytest.raises(InputError) as caught:
            Index("regtest", window=window)
        assert str(caught.value) == f"window is {window}; allowed: integer from 1 to 10000"
    with pytest.raises(InputError) as caught:
        Index("bitcoin")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "network is 'bitcoin'; allowed: mainnet, testnet3, testnet4, signet, regtest"
    )
    assert Index("regtest", window=10_000).window == 10_000
    index.apply(0, 0, [])
    index.apply(1, 2**32 - 1, [])
    assert index.height == 1


def test_transactions_may_come_parsed_and_as_any_bytes() -> None:
    made = send(Runestone(mint=GOODS))
    told = [
        Index("mainnet").apply(840_000, 0, [form])
        for form in (made, made.raw, bytearray(made.raw), memoryview(made.raw))
    ]
    assert told[0]
    assert all(one == told[0] for one in told)


def test_blocks_are_taken_back_as_far_as_the_window_reaches() -> None:
    index = Index("regtest", window=3)
    for height in range(10, 15):
        apply(index, height, etching(None))
    with pytest.raises(InputError) as caught:
        index.rewind(10)
    assert str(caught.value) == (
        "block 10 cannot be gone back to; allowed: 11 to 14: "
        "restore an older snapshot, or build the index anew"
    )
    with pytest.raises(InputError, match="block 15 cannot be gone back to; allowed: 11 to 14"):
        index.rewind(15)
    assert [event["block"] for event in index.events] == [12, 13, 14]
    index.rewind(14)
    index.rewind(11)
    assert (index.height, len(index.entries()), index.events) == (11, 2, [])


def test_the_first_block_can_be_taken_back_too() -> None:
    index = Index("mainnet")
    empty = index.snapshot()
    apply(index, 840_000, send(Runestone(mint=GOODS)))
    index.rewind(839_999)
    assert (index.height, index.first_height, index.snapshot()) == (None, None, empty)
    apply(index, 900_000)
    for height in (899_999, 900_001):
        with pytest.raises(InputError) as caught:
            index.state_hash(height)
        assert str(caught.value) == f"height is {height}; allowed: integer from 900000 to 900000"


def test_before_its_first_block_an_index_has_no_state_hash() -> None:
    with pytest.raises(InputError) as caught:
        Index("regtest").state_hash()
    assert str(caught.value) == "the index has no state hash before its first block: apply one"
    with pytest.raises(InputError) as caught:
        Index("regtest").rewind(3)
    assert str(caught.value) == "the index holds no block to take back: apply one"


def mined(index: Index, previous: str, height: int, *made: chain.Transaction) -> tuple[str, bytes]:
    first = chain.coinbase(height, 0, PAY, b"test", made)
    return chain.block(previous, TIME, [first, *made])


def test_whole_blocks_must_follow_each_other() -> None:
    index = Index("regtest")
    made = etching(None, premine=5)
    first, raw = mined(index, "00" * 32, 200, made)
    assert types(index.apply_block(raw)) == ["etch", "transfer"]
    assert index.block_hash == first
    assert index.entries()[0]["timestamp"] == TIME
    other, stray = mined(index, "11" * 32, 201)
    with pytest.raises(InputError) as caught:
        index.apply_block(stray)
    assert str(caught.value) == (
        f"block {other} at height 201 follows {'11' * 32}, the index ends with {first}: "
        "rewind() to the last block that both chains have"
    )
    second, raw = mined(index, first, 201)
    index.apply_block(raw)
    index.rewind(200)
    assert (index.block_hash, index.height) == (first, 200)
    index.apply_block(raw)
    assert index.block_hash == second
    apply(index, 202)
    assert index.block_hash is None
    index.rewind(201)
    assert index.block_hash == second


def test_a_block_without_proof_of_work_is_refused() -> None:
    index = Index("regtest")
    _, raw = mined(index, "00" * 32, 200)
    with pytest.raises(InputError):
        index.apply_block(raw[:-1] + b"\1")
    assert index.height is None


@pytest.mark.parametrize("network", ["mainnet", "testnet3", "testnet4", "signet"])
def test_a_block_that_its_network_is_too_hard_for_is_refused(network: Network) -> None:
    index = Index(network)
    _, raw = mined(index, "00" * 32, 900_000)
    with pytest.raises(InputError, match=f"bits 207fffff, which {network} cannot have; allowed: 1"):
        index.apply_block(raw)
    assert index.height is None


def test_a_mainnet_block_is_none_of_regtest() -> None:
    with pytest.raises(InputError, match="which regtest cannot have; allowed: 207fffff"):
        Index("regtest").apply_block(GENESIS)


def test_a_block_applied_twice_is_told_so() -> None:
    index = Index("regtest")
    first, raw = mined(index, "00" * 32, 200)
    index.apply_block(raw)
    index.apply_block(mined(index, first, 201)[1])
    with pytest.raises(
        InputError, match="at height 200 is applied already: give the one after 201"
    ):
        index.apply_block(raw)


@pytest.mark.parametrize("given", ["00ff", Path("block.raw"), None])
def test_what_is_no_block_is_refused_by_name(given: Any) -> None:
    with pytest.raises(InputError, match=r"^raw is "):
        Index("regtest").apply_block(given)


@pytest.mark.parametrize("given", ["abc", [], Path("spent.json")])
def test_what_is_no_source_of_spent_outputs_is_refused_by_name(given: Any) -> None:
    index = Index("regtest")
    _, raw = mined(index, "00" * 32, 200)
    with pytest.raises(InputError, match=r"^spent is "):
        index.apply_block(raw, given)
    with pytest.raises(InputError, match=r"^spent is "):
        index.apply(200, TIME, [], given)
    assert index.height is None


def test_a_block_that_does_not_state_its_height_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        Index("mainnet").apply_block(GENESIS)
    assert str(caught.value) == (
        "block 000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f "
        "does not state its height: give its transactions to apply()"
    )


def test_the_document_of_spent_outputs_is_taken_too() -> None:
    index, put = unseen()
    _, raw = mined(index, "00" * 32, 200, etching(NAME, put))
    assert types(index.apply_block(raw, spent_document({put.outpoint: put.spent}))) == ["etch"]


def test_an_index_draws_itself() -> None:
    index = Index("regtest")
    assert repr(index) == "Index(network: regtest, blocks: none, runes: 0, outputs held: 0)"
    apply(index, 1_005, etching(None, premine=1))
    assert repr(index) == (
        "Index(network: regtest, blocks: 1005 to 1005, runes: 1, outputs held: 1, "
        f"state hash: {index.state_hash()})"
    )
    assert index._repr_html_() == (
        "<table><caption>Runes index</caption>"
        "<tr><th scope='row'>network</th><td>regtest</td></tr>"
        "<tr><th scope='row'>blocks</th><td>1005 to 1005</td></tr>"
        "<tr><th scope='row'>runes</th><td>1</td></tr>"
        "<tr><th scope='row'>outputs held</th><td>1</td></tr>"
        f"<tr><th scope='row'>state hash</th><td>{index.state_hash()}</td></tr></table>"
    )
    put = coin(naming(NAME))
    apply(index, 1_006, etching(NAME, put))
    assert repr(index).endswith("outputs held: 1, doubts: 1)")
