"""Whether a transaction committed to a rune's name before it etched it.

Source: ord 0.27.1, `RuneUpdater::tx_commits_to_rune`: a push of the name's little-endian
bytes in an input's tapscript that spends a P2TR output with at least 6 confirmations.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from workbench.core.bitcoin import Transaction
from workbench.core.rune import commitment
from workbench.core.runestone import COMMIT_CONFIRMATIONS
from workbench.core.spent import SpentOutput

Commitment = Literal["valid", "missing", "unknown"]

_ANNEX = b"\x50"
_PUSH_WIDTHS = {0x4C: 1, 0x4D: 2, 0x4E: 4}


def commits(
    transaction: Transaction,
    rune: int,
    height: int,
    spent: Mapping[str, SpentOutput] | None,
) -> Commitment:
    """Whether `transaction`, in the block at `height`, proves a commitment to the name `rune`.

    `unknown` without the spent outputs, or where only an output of unknown height would do.
    """
    if spent is None:
        return "unknown"
    wanted = commitment(rune)
    doubtful = False
    for put in transaction.inputs:
        script = _tapscript(put.witness)
        output = spent.get(put.outpoint)
        if script is None or output is None or not _is_p2tr(output.script):
            continue
        if wanted in _pushes(script):
            if output.height is None:
                doubtful = True
            elif height - output.height + 1 >= COMMIT_CONFIRMATIONS:
                return "valid"
    return "unknown" if doubtful else "missing"


def _is_p2tr(script: bytes) -> bool:
    return len(script) == 34 and script[:2] == b"\x51\x20"


def _tapscript(witness: Sequence[bytes]) -> bytes | None:
    """The script of a script-path spend: the element before the control block (BIP 341)."""
    annex = len(witness) > 1 and witness[-1][:1] == _ANNEX
    stack = witness[:-1] if annex else witness
    return stack[-2] if len(stack) > 1 else None


def _pushes(script: bytes) -> Iterator[bytes]:
    """The data pushes of a script, up to the first that runs past the end; OP_0 pushes b""."""
    position, end = 0, len(script)
    while position < end:
        size = script[position]
        position += 1
        if size > 0x4E:
            continue
        if size in _PUSH_WIDTHS:
            width = _PUSH_WIDTHS[size]
            if position + width > end:
                return
            size = int.from_bytes(script[position : position + width], "little")
            position += width
        if position + size > end:
            return
        yield script[position : position + size]
        position += size
