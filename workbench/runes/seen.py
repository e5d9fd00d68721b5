"""The outputs that the last blocks made, as far as commitments ask for them: which are P2TR.

For each block it keeps the sorted outpoints of its P2TR outputs, 36 bytes each, and the ids
of the transactions without one: whatever else such a block made is no P2TR output.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from workbench.core.bitcoin import Transaction
from workbench.runes.commitments import Origin, is_p2tr

_RECORD = 36
_NONE = b"\xff" * 4


class Seen:
    """The outputs of the blocks from `height - window + 1` on, for the block after `height`."""

    def __init__(self, window: int, blocks: dict[int, bytes]) -> None:
        self.window = window
        self.blocks = blocks

    def add(self, height: int, transactions: Sequence[Transaction]) -> None:
        """Take note of the block's outputs."""
        self.blocks[height] = _records(transactions)

    def prune(self, height: int) -> None:
        """Forget what lies behind, once the block at `height` is applied. Twice the window is
        kept, so that as many blocks can be taken back and found again."""
        self.blocks.pop(height - 2 * self.window, None)

    def drop_from(self, height: int) -> None:
        """Forget the blocks from `height` on."""
        for one in [one for one in self.blocks if one >= height]:
            del self.blocks[one]

    def find(self, outpoint: str, height: int) -> Origin | None:
        """The output, for a block at `height` that spends it; None where it was not seen."""
        txid, _, place = outpoint.partition(":")
        key = bytes.fromhex(txid) + int(place).to_bytes(4)
        for made in range(height, height - self.window - 1, -1):
            is_taproot = _look(self.blocks.get(made, b""), key)
            if is_taproot is not None:
                return Origin(is_taproot, made)
        return None


def _look(records: bytes, key: bytes) -> bool | None:
    """Whether the output at `key` is P2TR; None where none of the records is of its transaction."""

    def record(at: int) -> bytes:
        return records[at * _RECORD : (at + 1) * _RECORD]

    at = bisect_left(range(len(records) // _RECORD), key, key=record)
    near = [record(place) for place in (at - 1, at) if place >= 0]
    if key in near:
        return True
    return False if any(one[:32] == key[:32] for one in near) else None


def _records(transactions: Iterable[Transaction]) -> bytes:
    found: list[bytes] = []
    for transaction in transactions:
        txid = bytes.fromhex(transaction.txid)
        places = [n for n, output in enumerate(transaction.outputs) if is_p2tr(output.script)]
        found += [txid + n.to_bytes(4) for n in places] or [txid + _NONE]
    return b"".join(sorted(found))
