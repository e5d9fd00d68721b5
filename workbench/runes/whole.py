"""What an index takes: a block that its network could have, what that spends, and numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import index as index_of
from typing import Any

from workbench.core.bitcoin import (
    Block,
    Transaction,
    check_block,
    parse_block,
    parse_transaction,
    target,
)
from workbench.core.rune import Network
from workbench.errors import InputError

EASIEST: dict[Network, int] = {
    "mainnet": 0x1D00FFFF,
    "testnet3": 0x1D00FFFF,
    "testnet4": 0x1D00FFFF,
    "signet": 0x1E0377AE,
    "regtest": 0x207FFFFF,
}
"""The `bits` of each network's proof-of-work limit (Bitcoin Core, kernel/chainparams.cpp)."""
STRANGE = "block {hash} has the bits {bits}, which {network} cannot have; allowed: {allowed}"


def whole_block(network: Network, raw: Any) -> Block:
    """The block, held against its proof of work and the network's least."""
    if not isinstance(raw, bytes | bytearray | memoryview):
        raise InputError.field("raw", raw, "the block's bytes: of hexadecimal text bytes.fromhex()")
    block = parse_block(bytes(raw))
    check_block(block)
    easiest = EASIEST[network]
    if network == "regtest":  # its difficulty never changes
        strange, allowed = block.bits != easiest, f"{easiest:08x}"
    else:
        strange, allowed = target(block.bits) > target(easiest), f"{easiest:08x} or harder"
    if strange:
        raise InputError(
            STRANGE,
            hash=block.hash,
            bits=f"{block.bits:08x}",
            network=network,
            allowed=allowed,
        )
    return block


def check_spent(spent: Any) -> None:
    """Raises InputError for what is no source of spent outputs; their content is not read."""
    if spent is not None and not isinstance(spent, Mapping | bytes):
        allowed = "None, SpentOutputs by txid:vout, or the bytes that read_spent takes"
        raise InputError.field("spent", spent, allowed)


def check_distinct(height: int, transactions: Sequence[Transaction]) -> None:
    """Raises InputError where a block holds a transaction twice: no block does."""
    if len({one.txid for one in transactions}) == len(transactions):
        return
    places: dict[str, int] = {}
    for place, one in enumerate(transactions):
        first = places.setdefault(one.txid, place)
        if first != place:
            raise InputError.field(
                f"transaction {place} of block {height}",
                f"{one.txid}, as transaction {first}",
                "each transaction once",
            )


def whole_number(field: str, value: Any, lowest: int, highest: int) -> int:
    """The value as an integer; those of a data frame are taken as well."""
    allowed = f"integer from {lowest} to {highest}"
    try:
        number = index_of(value)
    except TypeError:
        raise InputError.field(field, value, allowed) from None
    if isinstance(value, bool) or not lowest <= number <= highest:
        raise InputError.field(field, value, allowed)
    return number


def parsed_transaction(height: int, place: int, one: bytes | Transaction) -> Transaction:
    if isinstance(one, Transaction):
        return one
    if not isinstance(one, bytes | bytearray | memoryview):
        raise InputError.field(f"transaction {place} of block {height}", one, "its raw bytes")
    try:
        return parse_transaction(bytes(one))
    except InputError as error:
        raise InputError(
            "transaction {place} of block {height} cannot be read: {reason}",
            place=place,
            height=height,
            reason=str(error),
        ) from error
