"""Blocks for the index, written transaction by transaction: what is spent is what was made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.core.bitcoin import Transaction
from workbench.core.rune import commitment
from workbench.core.runestone import Etching, Runestone, encipher
from workbench.core.spent import SpentOutput
from workbench.runes import Index
from workbench.runes.simulation import chain
from workbench.runes.simulation.chain import Coin, Lock
from workbench.runes.simulation.taproot import leaf_output

PAY, BURN = b"\x51", b"\x6a"
TIME = 1_700_000_000
NAME = 26**13
"""A name of 13 letters: it is free from the first block on."""

_made = 0


def coin(lock: Lock | None = None, height: int = 1) -> Coin:
    """An output from before the chain, unlike any other."""
    global _made
    _made += 1
    return Coin(f"{_made:064x}:0", 9_000, lock or chain.wallet_lock(1), height)


def output(made: Transaction, place: int, lock: Lock | None = None) -> Coin:
    """An output of a transaction, to be spent."""
    return Coin(f"{made.txid}:{place}", 9_000, lock or chain.wallet_lock(1), 0)


def send(
    message: Runestone | bytes | None,
    coins: Sequence[Coin] = (),
    scripts: Sequence[bytes] = (PAY,),
) -> Transaction:
    """A transaction with the message as its first output, where there is one."""
    script = encipher(message) if isinstance(message, Runestone) else message
    outputs = [(0, one) for one in ([] if script is None else [script])]
    return chain.transaction(coins or [coin()], [*outputs, *((546, one) for one in scripts)])


def naming(number: int, annex: bool = False, extra: bytes = b"") -> Lock:
    """A P2TR output whose tapscript pushes the name of a rune, and what spends it."""
    leaf = leaf_output(chain.push(commitment(number)) + b"\x75\x51" + extra)
    last = (b"\x50annex",) if annex else ()
    return Lock(leaf.output, (leaf.script, leaf.control, *last))


def committing(lock: Lock) -> Transaction:
    """A transaction with the commitment as its first output."""
    return send(None, scripts=[lock.script])


def etching(number: int | None, put: Coin | None = None, **fields: Any) -> Transaction:
    """The transaction that etches; all of a premine goes to output 1."""
    message = Runestone(etching=Etching(rune=number, **fields))
    return send(message, [put] if put else [])


def apply(
    index: Index, height: int, *made: Transaction, spent: dict[str, SpentOutput] | None = None
) -> list[dict[str, Any]]:
    """The block at `height`: a coinbase, then `made` from place 1 on."""
    first = chain.coinbase(height, 0, PAY, b"test", made)
    return index.apply(height, TIME + height, [one.raw for one in (first, *made)], spent)


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]
