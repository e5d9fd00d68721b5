"""Whether a transaction committed to a rune's name before it etched it.

Source: ord 0.27.1, `RuneUpdater::tx_commits_to_rune`: a push of the name's little-endian
bytes in an input's tapscript that spends a P2TR output with at least 6 confirmations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from workbench.core.bitcoin import Transaction
from workbench.core.rune import commitment
from workbench.core.runestone import COMMIT_CONFIRMATIONS
from workbench.core.spent import SpentOutput

Commitment = Literal["valid", "missing", "unknown"]

_ANNEX = b"\x50"
_PUSH_WIDTHS = {0x4C: 1, 0x4D: 2, 0x4E: 4}


class Origin(NamedTuple):
    """What a commitment asks of the output that it spends; `height` None where not known."""

    is_taproot: bool
    height: int | None


Origins = Callable[[str], Origin | None]
"""Finds the output at a `txid:vout`; None where it is not known."""


def origins(spent: Mapping[str, SpentOutput]) -> Origins:
    """Finds the origins in the spent outputs of a block."""

    def find(outpoint: str) -> Origin | None:
        output = spent.get(outpoint)
        return None if output is None else Origin(is_p2tr(output.script), output.height)

    return find


def commits(
    transaction: Transaction,
    rune: int,
    height: int,
    spent: Mapping[str, SpentOutput] | None,
) -> Commitment:
    """Whether `transaction`, in the block at `height`, proves a commitment to the name `rune`.

    `unknown` without the spent outputs, or where only an output of unknown height would do.
    """
    return "unknown" if spent is None else committed(transaction, rune, height, origins(spent))


def committed(transaction: Transaction, rune: int, height: int, find: Origins) -> Commitment:
    """The same with the outputs that `find` knows; `unknown` where one it does not would do."""
    wanted = commitment(rune)
    found = {
        _verdict(find(put.outpoint), height)
        for put in transaction.inputs
        if wanted in _pushes(_tapscript(put.witness))
    }
    if "valid" in found:
        return "valid"
    return "unknown" if "unknown" in found else "missing"


def _verdict(origin: Origin | None, height: int) -> Commitment:
    """What an input that says the name proves, by the output that it spends."""
    if origin is None:
        return "unknown"
    if not origin.is_taproot:
        return "missing"
    if origin.height is None:
        return "unknown"
    confirmations = height - origin.height + 1
    return "valid" if confirmations >= COMMIT_CONFIRMATIONS else "missing"


def is_p2tr(script: bytes) -> bool:
    return len(script) == 34 and script[:2] == b"\x51\x20"


def _tapscript(witness: Sequence[bytes]) -> bytes | None:
    """The script of a script-path spend: the element before the control block (BIP 341)."""
    annex = len(witness) > 1 and witness[-1][:1] == _ANNEX
    stack = witness[:-1] if annex else witness
    return stack[-2] if len(stack) > 1 else None


def _pushes(script: bytes | None) -> Iterator[bytes]:
    """The data pushes of a script, up to the first that runs past the end; OP_0 pushes b""."""
    if script is None:
        return
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
