"""Transactions and blocks as bytes: serialised, committed to, and mined at regtest difficulty.

Nothing is signed: every output is locked by a script that anybody can satisfy, so the
blocks are valid without a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from struct import pack
from typing import NamedTuple

from workbench.core.bitcoin import (
    Transaction,
    double_sha256,
    merkle_root,
    parse_transaction,
    target,
)
from workbench.core.spent import SpentOutput

REGTEST_BITS = 0x207FFFFF
VERSION = 0x20000000
_DROP_TRUE = b"\x75\x51"
_WITNESS_COMMITMENT = b"\x6a\x24\xaa\x21\xa9\xed"
_SEQUENCE = 0xFFFFFFFD  # replaceable, as wallets mark theirs


class Lock(NamedTuple):
    """A locking script and the witness that opens it."""

    script: bytes
    witness: tuple[bytes, ...]


class Coin(NamedTuple):
    """An output that can be spent. `height` is that of its block; values are satoshi."""

    outpoint: str
    value: int
    lock: Lock
    height: int

    @property
    def spent(self) -> SpentOutput:
        return SpentOutput(self.lock.script, self.value, self.height)


def push(data: bytes) -> bytes:
    """A push of at most 75 bytes."""
    return bytes([len(data)]) + data


def dropping(data: bytes) -> bytes:
    """A script that names `data` and that anybody satisfies."""
    return push(data) + _DROP_TRUE


def wallet_lock(number: int) -> Lock:
    """The P2WSH output of wallet `number`."""
    script = dropping(number.to_bytes(4, "big"))
    return Lock(b"\x00\x20" + sha256(script).digest(), (script,))


def size(number: int) -> bytes:
    """Bitcoin's compact size."""
    if number < 0xFD:
        return bytes([number])
    if number <= 0xFFFF:
        return b"\xfd" + pack("<H", number)
    return b"\xfe" + pack("<I", number)


def transaction(coins: Sequence[Coin], outputs: Sequence[tuple[int, bytes]]) -> Transaction:
    """The transaction that spends `coins` to `outputs` (value in satoshi, script)."""
    inputs = [_outpoint(coin.outpoint) + b"\x00" + pack("<I", _SEQUENCE) for coin in coins]
    stacks = [_stack(coin.lock.witness) for coin in coins]
    return parse_transaction(_serialised(inputs, outputs, stacks))


def coinbase(
    height: int, reward: int, script: bytes, tag: bytes, others: Sequence[Transaction]
) -> Transaction:
    """The coinbase of the block that holds `others` after it (BIP 34, BIP 141)."""
    stated = height.to_bytes((height.bit_length() + 8) // 8, "little")
    unlocking = push(stated) + push(tag)
    hashes = [bytes(32), *(double_sha256(other.raw) for other in others)]
    commitment = double_sha256(merkle_root(hashes)[0] + bytes(32))
    outputs = [(reward, script), (0, _WITNESS_COMMITMENT + commitment)]
    put = bytes(32) + b"\xff" * 4 + size(len(unlocking)) + unlocking + b"\xff" * 4
    return parse_transaction(_serialised([put], outputs, [_stack((bytes(32),))]))


def block(previous: str, time: int, transactions: Sequence[Transaction]) -> tuple[str, bytes]:
    """The hash and the bytes of a block: its first nonce that meets regtest's difficulty."""
    hashes = [bytes.fromhex(one.txid)[::-1] for one in transactions]
    root, _ = merkle_root(hashes)
    head = pack("<i32s32sII", VERSION, bytes.fromhex(previous)[::-1], root, time, REGTEST_BITS)
    nonce, limit = 0, target(REGTEST_BITS)
    while int.from_bytes(double_sha256(head + pack("<I", nonce)), "little") > limit:
        nonce += 1
    header = head + pack("<I", nonce)
    body = b"".join(one.raw for one in transactions)
    return double_sha256(header)[::-1].hex(), header + size(len(transactions)) + body


def _serialised(
    inputs: Sequence[bytes], outputs: Sequence[tuple[int, bytes]], stacks: Sequence[bytes]
) -> bytes:
    outs = [pack("<Q", value) + size(len(script)) + script for value, script in outputs]
    version, lock_time = pack("<I", 2), pack("<I", 0)
    puts = [size(len(inputs)), *inputs, size(len(outs)), *outs]
    return b"".join([version, b"\x00\x01", *puts, *stacks, lock_time])


def _outpoint(outpoint: str) -> bytes:
    txid, _, place = outpoint.partition(":")
    return bytes.fromhex(txid)[::-1] + pack("<I", int(place))


def _stack(items: Sequence[bytes]) -> bytes:
    return size(len(items)) + b"".join(size(len(item)) + item for item in items)
