"""Raw Bitcoin blocks: read, checked against their own proof of work, and measured.

Sources: Bitcoin Core's serialisation, BIP 34 (height), BIP 141 (weight, witness root).
Hashes are hexadecimal as block explorers print them; values are satoshi.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from struct import Struct, error

import msgspec

from workbench.core.address import address_of as address_of
from workbench.core.rune import Network
from workbench.core.spent import SpentOutput as SpentOutput
from workbench.errors import InputError

MAX_WEIGHT = 4_000_000
COIN = 100_000_000
_HALVING = {"regtest": 150}
_WITNESS_COMMITMENT = bytes.fromhex("6a24aa21a9ed")
_HEADER = Struct("<i32s32sIII")
_I32, _U16, _U32, _U64 = Struct("<i"), Struct("<H"), Struct("<I"), Struct("<Q")
_WIDER = {0xFD: 2, 0xFE: 4, 0xFF: 8}
"""Further bytes of a compact size, by its first one."""
_OUTPOINT = Struct("<32sI")
_Input = tuple[str, int, bytes, int]  # txid, vout, script, sequence


class TxInput(msgspec.Struct, frozen=True, gc=False):
    """One input: the output that it spends, its unlocking script and its witness stack."""

    txid: str
    vout: int
    script: bytes
    sequence: int
    witness: tuple[bytes, ...] = ()

    @property
    def outpoint(self) -> str:
        return f"{self.txid}:{self.vout}"


class TxOutput(msgspec.Struct, frozen=True, gc=False):
    """One output: its value in satoshi and its locking script."""

    value: int
    script: bytes


class Transaction(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction. `raw` are its own bytes, witnesses included; `weight` is BIP 141's."""

    txid: str
    version: int
    inputs: tuple[TxInput, ...]
    outputs: tuple[TxOutput, ...]
    lock_time: int
    weight: int
    raw: bytes

    @property
    def size(self) -> int:
        """Serialised size with witnesses, in bytes."""
        return len(self.raw)

    @property
    def vsize(self) -> int:
        """Virtual size in vbytes, rounded up."""
        return (self.weight + 3) // 4

    @property
    def is_coinbase(self) -> bool:
        first = self.inputs[0]
        return len(self.inputs) == 1 and first.vout == 0xFFFFFFFF and first.txid == "0" * 64

    @property
    def scripts(self) -> list[bytes]:
        """The locking scripts of the outputs, in order: what `decipher` takes."""
        return [output.script for output in self.outputs]

    @property
    def paid_sat(self) -> int:
        """The sum of the outputs, in satoshi."""
        return sum(output.value for output in self.outputs)


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """One block. `time` is the miner's, in seconds since the epoch; `bits` the target."""

    hash: str
    version: int
    previous: str
    merkle_root: str
    time: int
    bits: int
    nonce: int
    transactions: tuple[Transaction, ...]
    size: int
    weight: int

    @property
    def height(self) -> int | None:
        """The height that the coinbase states (BIP 34); None before that rule."""
        return _stated_height(self.transactions[0].inputs[0].script) if self.version > 1 else None


def double_sha256(data: bytes) -> bytes:
    return sha256(sha256(data).digest()).digest()


def parse_block(raw: bytes) -> Block:
    """A block from exactly its raw bytes. Raises InputError naming the byte offset.

    It is read, not believed: `check_block` holds it against its proof of work.
    """
    try:
        return _parse_block(raw)
    except (error, IndexError):
        if len(raw) <= _HEADER.size:
            raise InputError(
                "the block is cut short: it ends at byte {size}, inside its header", size=len(raw)
            ) from None
        raise InputError(
            "the block is cut short: it ends at byte {size}, inside a transaction", size=len(raw)
        ) from None


def parse_transaction(raw: bytes) -> Transaction:
    """A transaction from exactly its raw bytes. Raises InputError naming the byte offset."""
    try:
        transaction, end = _transaction(raw, 0)
    except (error, IndexError):
        raise InputError(
            "the transaction is cut short: it ends at byte {size}", size=len(raw)
        ) from None
    if end != len(raw):
        raise _odd(end, "byte {offset} is wrong: bytes after the end of the transaction")
    return transaction


def _parse_block(raw: bytes) -> Block:
    version, previous, merkle_root, time, bits, nonce = _HEADER.unpack_from(raw)
    count, position = _count(raw, _HEADER.size)
    if not count:
        raise _odd(_HEADER.size, "byte {offset} is wrong: a block without transactions")
    overhead = position
    transactions = []
    for _ in range(count):
        transaction, position = _transaction(raw, position)
        transactions.append(transaction)
    if position != len(raw):
        raise _odd(position, "byte {offset} is wrong: bytes after the last transaction")
    return Block(
        hash=_hex(double_sha256(raw[: _HEADER.size])),
        version=version,
        previous=_hex(previous),
        merkle_root=_hex(merkle_root),
        time=time,
        bits=bits,
        nonce=nonce,
        transactions=tuple(transactions),
        size=len(raw),
        weight=4 * overhead + sum(transaction.weight for transaction in transactions),
    )


def _transaction(raw: bytes, start: int) -> tuple[Transaction, int]:
    """The transaction at `start`, and where it ends."""
    body = start + 4
    segwit = raw[body] == 0
    if segwit:
        if raw[body + 1] != 1:
            raise _odd(body, "byte {offset} is wrong: a transaction without inputs")
        body += 2
    inputs, position = _inputs(raw, body)
    outputs, position = _outputs(raw, position)
    witnesses_at = position
    stacks: list[tuple[bytes, ...]] = [()] * len(inputs)
    if segwit:
        stacks, position = _witnesses(raw, position, len(inputs))
    (lock_time,) = _U32.unpack_from(raw, position)
    end = position + 4
    whole = raw[start:end]
    legacy = raw[start : start + 4] + raw[body:witnesses_at] + raw[position:end]
    base = legacy if segwit else whole
    transaction = Transaction(
        txid=sha256(sha256(base).digest()).digest()[::-1].hex(),
        version=_U32.unpack_from(raw, start)[0],
        inputs=tuple([TxInput(*put, stack) for put, stack in zip(inputs, stacks, strict=True)]),
        outputs=tuple(outputs),
        lock_time=lock_time,
        weight=3 * len(base) + len(whole),
        raw=whole,
    )
    return transaction, end


def _inputs(raw: bytes, position: int) -> tuple[list[_Input], int]:
    """The inputs, still without their witnesses, and where they end."""
    count, position = _count(raw, position)
    inputs: list[_Input] = []
    for _ in range(count):
        txid, vout = _OUTPOINT.unpack_from(raw, position)
        position += 37
        length = raw[position - 1]
        if length > 0xFC:  # the short form is read in place: a call for each costs a fifth
            length, position = _count(raw, position - 1)
        end = position + length
        (sequence,) = _U32.unpack_from(raw, end)
        inputs.append((txid[::-1].hex(), vout, raw[position:end], sequence))
        position = end + 4
    return inputs, position


def _outputs(raw: bytes, position: int) -> tuple[list[TxOutput], int]:
    count, position = _count(raw, position)
    limit, outputs = len(raw), []
    for _ in range(count):
        (value,) = _U64.unpack_from(raw, position)
        position += 9
        length = raw[position - 1]
        if length > 0xFC:
            length, position = _count(raw, position - 1)
        end = position + length
        if end > limit:
            raise IndexError
        outputs.append(TxOutput(value, raw[position:end]))
        position = end
    return outputs, position


def _witnesses(raw: bytes, start: int, inputs: int) -> tuple[list[tuple[bytes, ...]], int]:
    """One stack for each input, and where the last one ends."""
    position, limit, stacks = start, len(raw), []
    for _ in range(inputs):
        count, position = _count(raw, position)
        stack = []
        for _ in range(count):
            position += 1
            length = raw[position - 1]
            if length > 0xFC:
                length, position = _count(raw, position - 1)
            end = position + length
            if end > limit:
                raise IndexError
            stack.append(raw[position:end])
            position = end
        stacks.append(tuple(stack))
    if not any(stacks):
        raise _odd(
            start, "byte {offset} is wrong: a transaction with the witness flag but no witness"
        )
    return stacks, position


def _count(raw: bytes, position: int) -> tuple[int, int]:
    """The compact size at `position`, and where it ends; the shortest form only."""
    first = raw[position]
    if first < 0xFD:
        return first, position + 1
    form, least = ((_U16, 0xFD), (_U32, 0x10000), (_U64, 0x100000000))[first - 0xFD]
    (count,) = form.unpack_from(raw, position + 1)
    if count < least:
        raise _odd(position, "byte {offset} is wrong: a length in a longer form than it needs")
    if count > len(raw):
        raise _odd(position, "byte {offset} is wrong: a length beyond the end")
    return count, position + 1 + form.size


def _odd(position: int, template: str) -> InputError:
    return InputError(template, offset=position)


def _hex(digest: bytes) -> str:
    return digest[::-1].hex()


def _stated_height(script: bytes) -> int | None:
    """The number that the coinbase's script pushes first; None where it pushes none."""
    if not script:
        return None
    first = script[0]
    if 0x51 <= first <= 0x60:  # OP_1 to OP_16: the first blocks of a test network
        return first - 0x50
    number = script[1 : 1 + first]
    if not 0 < first <= 5 or len(number) < first or number[-1] & 0x80:
        return None
    return int.from_bytes(number, "little")


def opening_height(opening: bytes) -> int | None:
    """What `Block.height` says, from the first 400 bytes of a raw block alone."""
    try:
        (version,) = _I32.unpack_from(opening)
        first = opening[_HEADER.size]
        marker = _HEADER.size + 1 + _WIDER.get(first, 0) + 4
        puts = marker + (2 if opening[marker] == 0 else 0)
        length = opening[puts + 37]
        script = opening[puts + 38 : puts + 38 + length]
    except (error, IndexError):
        return None
    return _stated_height(script) if version > 1 and len(script) == length else None


def check_block(block: Block) -> None:
    """Raises InputError unless proof of work, Merkle root and witness root all hold.

    This proves that work was spent on these bytes, not that the block is in the best
    chain, nor that its scripts and values are valid.
    """
    if int(block.hash, 16) > target(block.bits):
        raise InputError(
            "block {hash} does not meet its own target: it has no proof of work",
            hash=block.hash,
        )
    if block.weight > MAX_WEIGHT:
        raise InputError(
            "block {hash} has a weight of {weight}; allowed: up to {limit}",
            hash=block.hash,
            weight=block.weight,
            limit=MAX_WEIGHT,
        )
    places = [place for place, tx in enumerate(block.transactions) if tx.is_coinbase]
    if places != [0]:
        raise InputError(
            "block {hash} has {count} coinbases; allowed: one, and first",
            hash=block.hash,
            count=len(places),
        )
    _check_merkle_root(block)
    _check_witnesses(block)


def target(bits: int) -> int:
    """The number that a block's hash may not exceed, from the compact form in its header."""
    exponent, mantissa = bits >> 24, bits & 0x7FFFFF
    if bits & 0x800000 or exponent > 32:
        return 0
    return mantissa << 8 * (exponent - 3) if exponent > 3 else mantissa >> 8 * (3 - exponent)


def difficulty(bits: int) -> float:
    """How many times harder the target is than the easiest that mainnet allows."""
    return target(0x1D00FFFF) / max(target(bits), 1)


def merkle_root(hashes: Sequence[bytes]) -> tuple[bytes, bool]:
    """The root over at least one hash, and whether a pair of equal hashes was met.

    Such a pair lets somebody repeat transactions without changing the root (CVE-2012-2459).
    """
    level, repeated = list(hashes), False
    while len(level) > 1:
        repeated |= any(level[at] == level[at + 1] for at in range(0, len(level) - 1, 2))
        if len(level) % 2:
            level.append(level[-1])
        level = [double_sha256(level[at] + level[at + 1]) for at in range(0, len(level), 2)]
    return level[0], repeated


def _check_merkle_root(block: Block) -> None:
    hashes = [bytes.fromhex(transaction.txid)[::-1] for transaction in block.transactions]
    root, repeated = merkle_root(hashes)
    if repeated or _hex(root) != block.merkle_root:
        raise InputError(
            "the transactions of block {hash} do not give its Merkle root: "
            "one is missing, repeated or altered",
            hash=block.hash,
        )


def _check_witnesses(block: Block) -> None:
    """BIP 141: the coinbase commits to all witnesses, which the Merkle root leaves out."""
    if not any(put.witness for tx in block.transactions for put in tx.inputs):
        return
    coinbase = block.transactions[0]
    found = [
        output.script[6:38]
        for output in coinbase.outputs
        if output.script.startswith(_WITNESS_COMMITMENT) and len(output.script) >= 38
    ]
    reserved = coinbase.inputs[0].witness
    hashes = [bytes(32), *(double_sha256(tx.raw) for tx in block.transactions[1:])]
    root, _ = merkle_root(hashes)
    if not found or len(reserved) != 1 or double_sha256(root + reserved[0]) != found[-1]:
        raise InputError(
            "the witnesses of block {hash} are not the ones that its coinbase commits to",
            hash=block.hash,
        )


def subsidy(height: int, network: Network = "mainnet") -> int:
    """New coins that the block at `height` may make, in satoshi."""
    halvings = height // _HALVING.get(network, 210_000)
    return 50 * COIN >> halvings if halvings < 64 else 0
