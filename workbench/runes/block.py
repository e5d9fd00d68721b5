"""A raw block, with the outputs it spends where they are at hand, as a batch.

A lone block knows what its messages asked for, not the terms and balances that decide
what they got: the batch is at the `runestone` level. What follows exactly nevertheless
(where a premine goes, what a mint of 1:0 gives) is there; everything else is null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from workbench.core.bitcoin import Block, Transaction, check_block, parse_block, subsidy
from workbench.core.rune import Network, first_rune_height
from workbench.core.runestone import decipher
from workbench.core.spent import SpentOutput, read_spent
from workbench.errors import InputError
from workbench.runes.batch import Batch, Source
from workbench.runes.building import Rows
from workbench.runes.messages import MessageWriter, Note

PRODUCER = "runes-workbench block-import"
STEP = 64
"""Transactions between two reports of progress."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Totals:
    """Sums over the block's transactions, and over those with a Runes message.

    Virtual sizes in vbytes with the coinbase left out; fees in satoshi, None without the
    spent outputs. `claimed_sat` is coinbase - subsidy, the same fees by the other way.
    """

    transactions: int
    vsize: int
    claimed_sat: int
    runestones: int = 0
    runestone_vsize: int = 0
    fees_sat: int | None = None
    runestone_fees_sat: int | None = None

    @property
    def fees_agree(self) -> bool | None:
        """Whether both ways to the fees meet; None where only one can be gone."""
        return None if self.fees_sat is None else self.fees_sat == self.claimed_sat


@dataclass(frozen=True)
class BlockReading:
    """What one raw block holds."""

    block: Block
    height: int
    batch: Batch
    totals: Totals
    notes: tuple[Note, ...]


def read_block(
    raw: bytes,
    spent: Mapping[str, SpentOutput] | bytes | None = None,
    *,
    network: Network = "mainnet",
    source: Source | None = None,
    progress: Progress | None = None,
) -> BlockReading:
    """Decode a raw block, hold it against its proof of work, and make its batch.

    `spent` maps `txid:vout` to every output that the block spends, or is the document that
    `core.spent.read_spent` reads. `progress` is called with finished and all transactions.
    Raises InputError for a block that is malformed or proves no work.
    """
    block = parse_block(raw)
    check_block(block)
    height = block.height
    if height is None:
        raise InputError(
            "block {hash} does not state its height: blocks before BIP 34 cannot be read",
            hash=block.hash,
        )
    digest = sha256(raw).hexdigest()
    if isinstance(spent, bytes):
        spent = read_spent(spent, _outpoints(block))
    fees = _fees(block, spent)
    rows = Rows()
    totals, notes = _walk(block, height, network, spent, fees, rows, progress)
    rows.add("blocks", *_block_row(block, height, network, totals))
    batch = Batch(
        id=f"b{height}_{digest[:8]}",
        network=network,
        source=source or Source(producer=PRODUCER, sha256=digest),
        completeness="runestone",
        first_height=height,
        last_height=height,
        tables=rows.tables(),
    )
    return BlockReading(block, height, batch, totals, (*notes, *_fee_notes(totals)))


def _outpoints(block: Block) -> list[str]:
    paying = block.transactions[1:]
    return [put.outpoint for transaction in paying for put in transaction.inputs]


def _walk(
    block: Block,
    height: int,
    network: Network,
    spent: Mapping[str, SpentOutput] | None,
    fees: list[int | None],
    rows: Rows,
    progress: Progress | None,
) -> tuple[Totals, list[Note]]:
    """Read every message into `rows`, and add up."""
    everything = block.transactions
    messages = MessageWriter(rows, height, network, spent)
    active = height >= first_rune_height(network)
    found: list[int] = []
    for place, transaction in enumerate(everything):
        message = decipher(transaction.scripts) if active else None
        if message is not None:
            found.append(place)
            messages.write(place, transaction, message, fees[place])
        if progress and (place + 1) % STEP == 0:
            progress(place + 1, len(everything))
    if progress:
        progress(len(everything), len(everything))
    paying = everything[1:]
    totals = Totals(
        transactions=len(everything),
        vsize=sum(transaction.vsize for transaction in paying),
        claimed_sat=everything[0].paid_sat - subsidy(height, network),
        runestones=len(found),
        runestone_vsize=sum(everything[place].vsize for place in found if place),
        fees_sat=_sum(fees[1:], spent),
        runestone_fees_sat=_sum([fees[place] for place in found if place], spent),
    )
    return totals, messages.notes()


def _sum(fees: list[int | None], spent: Mapping[str, SpentOutput] | None) -> int | None:
    return None if spent is None else sum(fee or 0 for fee in fees)


def _fees(block: Block, spent: Mapping[str, SpentOutput] | None) -> list[int | None]:
    """Inputs - outputs of each transaction, in satoshi; the coinbase has none."""
    if spent is None:
        return [None] * len(block.transactions)
    return [None, *(_fee(transaction, spent) for transaction in block.transactions[1:])]


def _fee(transaction: Transaction, spent: Mapping[str, SpentOutput]) -> int:
    missing = [put.outpoint for put in transaction.inputs if put.outpoint not in spent]
    if missing:
        raise InputError("the spent outputs lack {outpoint}", outpoint=missing[0])
    held = sum(spent[put.outpoint].value for put in transaction.inputs)
    if held < transaction.paid_sat:
        raise InputError(
            "transaction {txid} pays {paid_sat} sat from {held_sat} sat: "
            "these are not the outputs that it spends",
            txid=transaction.txid,
            paid_sat=transaction.paid_sat,
            held_sat=held,
        )
    return held - transaction.paid_sat


def _block_row(block: Block, height: int, network: Network, totals: Totals) -> tuple[Any, ...]:
    return (
        height,
        block.hash,
        block.time,
        totals.transactions,
        block.size,
        block.weight,
        subsidy(height, network),
        block.transactions[0].paid_sat,
        totals.fees_sat,
        totals.vsize,
    )


def _fee_notes(totals: Totals) -> list[Note]:
    """What cannot be known of the fees, or does not agree."""
    if totals.fees_sat is None:
        return [
            Note(
                "fees per transaction and commitments are unknown: "
                "the outputs that the block spends were not given",
                {},
            )
        ]
    if totals.fees_agree:
        return []
    values = {"fees_sat": totals.fees_sat, "claimed_sat": totals.claimed_sat}
    if totals.claimed_sat < totals.fees_sat:
        return [
            Note(
                "the miner claimed {claimed_sat} sat of {fees_sat} sat in fees: "
                "the rest is lost for good",
                values,
            )
        ]
    return [
        Note(
            "the fees do not agree: inputs - outputs give {fees_sat} sat, "
            "coinbase - subsidy gives {claimed_sat} sat",
            values,
        )
    ]
