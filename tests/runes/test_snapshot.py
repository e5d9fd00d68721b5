"""A snapshot is the index: whatever is damaged, foreign or untrue is refused by a sentence."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from tests.runes.small_chain import (
    NAME,
    PAY,
    apply,
    coin,
    etching,
    naming,
    output,
    send,
)
from workbench.core.rune import RuneId
from workbench.core.runestone import Edict, Runestone, Terms
from workbench.errors import InputError
from workbench.runes import Index
from workbench.runes.simulation import chain

HEAD = b"runes-index/1\n"
NETWORK, WINDOW, FIRST, TIP, HASHES, ENTRIES, BALANCES, DOUBTS, STEPS, SEEN = range(10)


def rich() -> Index:
    """An index in which everything is there that a snapshot can hold."""
    index = Index("mainnet", window=2)
    terms = Terms(amount=2**100, cap=4, height=(840_000, None), offset=(None, 2**40))
    first = etching(None, premine=2**127, symbol="🐕", divisibility=38, spacers=3, terms=terms)
    etchings = [etching(None, turbo=True), etching(None, terms=Terms())]
    apply(index, 840_000, first, *etchings)
    rune = RuneId(840_000, 1)
    mint = send(Runestone(mint=rune, edicts=(Edict(rune, 0, 3),)), [output(first, 1)], [PAY, PAY])
    apply(index, 840_001, mint, send(Runestone(mint=RuneId(1, 0))))
    burn = send(Runestone(edicts=(Edict(rune, 2**70, 0),)), [output(mint, 1)])
    doubtful = etching(NAME, coin(naming(NAME)))
    raw = [one.raw for one in (chain.coinbase(840_002, 0, PAY, b"t", []), burn, doubtful)]
    index.apply(840_002, 5, raw)
    return index


def resealed(snapshot: bytes, change: Callable[[list[Any]], None]) -> bytes:
    """The snapshot with a change of its body, and a checksum that holds."""
    body = msgspec.msgpack.decode(snapshot[len(HEAD) + 32 :])
    change(body)
    raw = msgspec.msgpack.encode(body)
    return HEAD + sha256(raw).digest() + raw


def test_a_snapshot_holds_everything() -> None:
    index = rich()
    again = Index.restore(index.snapshot())
    assert again.entries() == index.entries()
    assert again.balances() == index.balances()
    assert again.events == index.events
    assert again.doubts == index.doubts != []
    assert (again.network, again.window, again.first_height) == ("mainnet", 2, 840_000)
    assert again.state_hash(840_001) == index.state_hash(840_001)
    assert repr(again) == repr(index)
    assert again.snapshot() == index.snapshot()


def test_a_restored_index_takes_back_the_same_blocks() -> None:
    index = rich()
    again = Index.restore(index.snapshot())
    for height in (840_001, 840_000):
        index.rewind(height)
        again.rewind(height)
        assert again.snapshot() == index.snapshot()
    with pytest.raises(InputError, match="allowed: 840000 to 840000"):
        again.rewind(839_999)


def test_a_restored_index_goes_on_as_the_first_one_does() -> None:
    index = rich()
    again = Index.restore(index.snapshot())
    made = etching(NAME, coin(naming(NAME))), etching(None)
    for one in (index, again):
        apply(one, 840_003, *made)
    assert again.entries() == index.entries()
    assert again.doubts == index.doubts


def test_a_restored_index_knows_the_hash_that_the_next_block_follows() -> None:
    index = Index("regtest")
    first = chain.coinbase(200, 0, PAY, b"test", [])
    tip, raw = chain.block("00" * 32, 7, [first])
    index.apply_block(raw)
    assert Index.restore(index.snapshot()).block_hash == tip
    _, raw = chain.block(tip, 8, [chain.coinbase(201, 0, PAY, b"test", [])])
    index.apply_block(raw)
    again = Index.restore(index.snapshot())
    assert again.hash_at(200) == index.hash_at(200) == tip


def test_an_empty_index_can_be_kept_too() -> None:
    again = Index.restore(Index("signet", window=7).snapshot())
    assert (again.network, again.window, again.height) == ("signet", 7, None)


def test_the_form_is_the_one_that_the_page_states() -> None:
    index = Index("regtest", window=3)
    made = etching(None, premine=2**64 + 7)
    apply(index, 9, made)
    snapshot = index.snapshot()
    assert snapshot.startswith(HEAD)
    assert snapshot[14:46] == sha256(snapshot[46:]).digest()
    body = msgspec.msgpack.decode(snapshot[46:])
    assert body[NETWORK : HASHES + 1] == [
        "regtest",
        3,
        9,
        None,
        bytes.fromhex(index.state_hash()),
    ]
    assert body[BALANCES] == (
        bytes.fromhex(made.txid)
        + (1).to_bytes(4, "little")
        + (1).to_bytes(4, "little")
        + (9).to_bytes(8, "little")
        + (1).to_bytes(4, "little")
        + (2**64 + 7).to_bytes(16, "little")
    )
    (step,) = body[STEPS]
    assert step[3] == bytes.fromhex(made.txid) + (1).to_bytes(4, "little") + bytes(4)
    assert [height for height, _ in body[SEEN]] == [9]


def test_outputs_are_kept_for_twice_the_window() -> None:
    index = Index("regtest", window=2)
    for height in range(10, 19):
        apply(index, height)
    body = msgspec.msgpack.decode(index.snapshot()[46:])
    assert [height for height, _ in body[SEEN]] == [15, 16, 17, 18]


def test_every_flipped_byte_is_noticed() -> None:
    snapshot = rich().snapshot()
    for place in range(0, len(snapshot), 37):
        damaged = bytearray(snapshot)
        damaged[place] ^= 1
        with pytest.raises(InputError, match=r"no snapshot|of the form|is damaged"):
            Index.restore(bytes(damaged))


def test_a_snapshot_that_is_cut_short_is_damaged() -> None:
    snapshot = rich().snapshot()
    for size in (14, 46, len(snapshot) - 1):
        with pytest.raises(InputError) as caught:
            Index.restore(snapshot[:size])
        assert str(caught.value) == (
            f"the snapshot is damaged: its {size} bytes do not give its checksum; "
            "restore another one"
        )


def test_what_is_no_snapshot_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        Index.restore(b"PK\3\4 something else")
    assert str(caught.value) == (
        "these 19 bytes are no snapshot of a Runes index; give what snapshot() returned"
    )
    with pytest.raises(InputError) as caught:
        Index.restore(None)  # type: ignore[arg-type]
    assert str(caught.value) == "snapshot is None; allowed: the bytes that snapshot() returned"


def test_a_snapshot_of_another_version_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        Index.restore(b"runes-index/2\n" + bytes(50))
    assert str(caught.value) == (
        "the snapshot is of the form 'runes-index/2'; this workbench reads runes-index/1: "
        "build the index anew, or update"
    )


def _minted(body: list[Any]) -> None:
    body[ENTRIES][1][5] = "2"


def _wrong_network(body: list[Any]) -> None:
    body[NETWORK] = "bitcoin"


def _no_window(body: list[Any]) -> None:
    body[WINDOW] = 0


def _unknown_rune(body: list[Any]) -> None:
    del body[ENTRIES][1]


def _twice(body: list[Any]) -> None:
    body[ENTRIES].insert(0, body[ENTRIES][0])


def _out_of_order(body: list[Any]) -> None:
    body[ENTRIES].append(body[ENTRIES].pop(2))


def _cut_balances(body: list[Any]) -> None:
    body[BALANCES] = body[BALANCES][:-1]


def _holds_nothing(body: list[Any]) -> None:
    body[BALANCES] += bytes(40)


def _other_history(body: list[Any]) -> None:
    body[STEPS][0][2] = body[STEPS][0][2].replace("mint 1:0 1", "mint 1:0 2")


def _no_history(body: list[Any]) -> None:
    body[STEPS][0][2] = "x"


def _fewer_steps(body: list[Any]) -> None:
    del body[STEPS][0]


def _without_last_step(body: list[Any]) -> None:
    del body[STEPS][-1]


def _without_first(body: list[Any]) -> None:
    body[FIRST] = None


def _negative(body: list[Any]) -> None:
    body[ENTRIES][1][6] = "-1"


def _too_much(body: list[Any]) -> None:
    row = body[ENTRIES][3]
    row[11], row[6] = str(2**128), str(2**128)


def _long_symbol(body: list[Any]) -> None:
    body[ENTRIES][1][10] = "ab"


def _unknown_count(body: list[Any]) -> None:
    body[STEPS][0][4][0][0] = [5, 5]


def _one_more(body: list[Any]) -> None:
    body.append(1)


def _no_txid(body: list[Any]) -> None:
    body[TIP] = "xyz"


REASONS = {
    _minted: "the supply of 840000:1 is not what is held and burned",
    _too_much: "the supply of 840000:3 is not what is held and burned",
    _unknown_rune: "(840000, 1)",
    _twice: "the runes are not in order",
    _out_of_order: "the runes are not in order",
    _holds_nothing: f"{'0' * 64}:0 holds nothing",
    _other_history: "block 840001 does not give its state hash",
    _fewer_steps: "the blocks that can be taken back are not the last ones",
    _without_last_step: "the blocks that can be taken back are not the last ones",
    _without_first: "hashes without blocks",
}
FOREIGN = (
    *(_wrong_network, _no_window, _cut_balances, _no_history, _negative, _long_symbol),
    *(_unknown_count, _one_more, _no_txid),
)


@pytest.mark.parametrize("change", REASONS)
def test_a_snapshot_that_is_not_true_is_refused(change: Callable[[list[Any]], None]) -> None:
    with pytest.raises(InputError) as caught:
        Index.restore(resealed(rich().snapshot(), change))
    assert str(caught.value) == (
        f"the snapshot contradicts itself ({REASONS[change]}): it was not written by snapshot(); "
        "restore another one"
    )


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (3, None, "a rune without a time"),
        (5, "1", "9:1 was minted more often than its cap allows"),
    ],
)
def test_a_rune_that_no_block_gives_is_refused(place: int, value: Any, reason: str) -> None:
    index = Index("regtest")
    apply(index, 9, etching(None))

    def change(body: list[Any]) -> None:
        body[ENTRIES][0][place] = value

    with pytest.raises(InputError, match=rf"\({reason}\)"):
        Index.restore(resealed(index.snapshot(), change))


@pytest.mark.parametrize(
    ("place", "value"), [(2, "00" * 32), (3, 7), (8, 1), (9, 7), (10, "X"), (12, True)]
)
def test_a_rune_is_as_the_text_of_its_block_says(place: int, value: Any) -> None:
    """The texts are what the state hash is made of: two analysts compare that."""
    index = Index("regtest")
    apply(index, 9, etching(None, divisibility=2, symbol="¤"))

    def change(body: list[Any]) -> None:
        body[ENTRIES][0][place] = value

    with pytest.raises(InputError, match=r"\(block 9 etched other runes than its text says\)"):
        Index.restore(resealed(index.snapshot(), change))


@pytest.mark.parametrize("change", FOREIGN)
def test_a_snapshot_of_other_values_is_refused(change: Callable[[list[Any]], None]) -> None:
    with pytest.raises(InputError, match=r"contradicts itself \((?!None).+\): it was not written"):
        Index.restore(resealed(rich().snapshot(), change))


def test_an_index_may_begin_at_block_0() -> None:
    index = Index("regtest", window=1)
    for height in range(3):
        apply(index, height, etching(None))
    assert Index.restore(index.snapshot()).state_hash(0) == index.state_hash(0)


def test_the_checks_take_what_is_true() -> None:
    assert Index.restore(resealed(rich().snapshot(), lambda body: None)).height == 840_002
