"""Consecutive blocks as one batch at the `state` level: what the protocol honoured.

True from a block before which nobody held runes; every amount is known and exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from workbench.core.bitcoin import Block, Transaction, address_of, check_block, parse_block, subsidy
from workbench.core.rune import Network, RuneId
from workbench.core.runestone import Runestone
from workbench.core.spent import SpentOutput
from workbench.errors import InputError
from workbench.runes.batch import Batch, Source
from workbench.runes.building import Rows
from workbench.runes.ledger import Applied, Ledger
from workbench.runes.messages import (
    asked_etching,
    etching_row,
    mint_fate,
    moving,
    runestone_row,
)

RawBlock = tuple[bytes, Mapping[str, SpentOutput]]
Place = tuple[int, int, str]


def state_batch(
    blocks: Iterable[RawBlock], *, id: str, source: Source, network: Network = "mainnet"
) -> Batch:
    """The batch of at least one raw block, each with the outputs that it spends, in order."""
    writer = _StateWriter(network)
    for raw, spent in blocks:
        block = parse_block(raw)
        check_block(block)
        writer.write(block, spent)
    heights = writer.heights
    if not heights:
        raise InputError("a batch needs at least one block")
    writer.balances()
    return Batch(
        id=id,
        network=network,
        source=source,
        completeness="state",
        first_height=heights[0],
        last_height=heights[-1],
        tables=writer.rows.tables(),
    )


@dataclass
class _StateWriter:
    network: Network
    rows: Rows = field(default_factory=Rows)
    heights: list[int] = field(default_factory=list)
    scripts: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.network)

    def write(self, block: Block, spent: Mapping[str, SpentOutput]) -> None:
        height = self._next_height(block)
        fees = {tx.txid: _fee(tx, spent) for tx in block.transactions[1:]}
        self.rows.add(
            "blocks",
            *(height, block.hash, block.time, len(block.transactions), block.size, block.weight),
            subsidy(height, self.network),
            block.transactions[0].paid_sat,
            sum(fees.values()),
        )
        for applied in self.ledger.apply(height, block.transactions, spent):
            self._write(height, applied, fees.get(applied.transaction.txid))

    def balances(self) -> None:
        """What lies where after the last block."""
        for outpoint, held in self.ledger.balances.items():
            script = self.scripts[outpoint]
            whose = (script.hex(), address_of(script, self.network))
            for rune, amount in held.items():
                self.rows.add("balances", str(rune), outpoint, *whose, amount)

    def _next_height(self, block: Block) -> int:
        height = block.height
        if height is None or (self.heights and height != self.heights[-1] + 1):
            raise InputError.field("the height of block " + block.hash, height, "one after another")
        self.heights.append(height)
        return height

    def _write(self, height: int, applied: Applied, fee_sat: int | None) -> None:
        transaction, message = applied.transaction, applied.message
        place = (height, applied.index, transaction.txid)
        if message is not None:
            asks = asked_etching(message) is not None
            row = runestone_row(message, asks, transaction, fee_sat)
            self.rows.add("runestones", *place, *row)
        self._grants(place, applied, fee_sat)
        if isinstance(message, Runestone):
            for index, edict in enumerate(message.edicts):
                row = (index, str(edict.id), edict.amount, edict.output)
                self.rows.add("edicts", *place, *row)
        self._moves(place, applied)

    def _grants(self, place: Place, applied: Applied, fee_sat: int | None) -> None:
        """The mint that was asked for and what came of it, and the etching if honoured."""
        message, entry = applied.message, applied.etched
        scripts = applied.transaction.scripts
        if message is not None and message.mint:
            output, _ = mint_fate(message, message.mint, scripts)
            script = None if output is None else scripts[output]
            address = None if script is None else address_of(script, self.network)
            whose = (None if script is None else script.hex(), address)
            credited = applied.minted is not None
            self.rows.add("mints", *place, str(message.mint), *whose, fee_sat, credited)
            if applied.minted:
                self._event(place, "minted", *applied.minted, output)
        if entry:
            row = etching_row(entry.id, entry.etching, entry.commitment, place, void=entry.void)
            self.rows.add("etchings", *row)
            self._event(place, "etched", entry.id, entry.premine)

    def _moves(self, place: Place, applied: Applied) -> None:
        scripts = applied.transaction.scripts
        for output, held in applied.moves.outputs.items():
            script = scripts[output]
            self.scripts[f"{place[2]}:{output}"] = script
            whose = (script.hex(), address_of(script, self.network))
            for rune, amount in held.items():
                cause = _cause(applied, rune, output)
                self.rows.add("allocations", *place, str(rune), output, *whose, amount, cause)
                self._event(place, "transferred", rune, amount, output)
        for (rune, cause), amount in applied.moves.burned.items():
            self._event(place, "burned", rune, amount, cause=cause)

    def _event(
        self,
        place: Place,
        kind: str,
        rune: RuneId,
        amount: int,
        output: int | None = None,
        cause: str | None = None,
    ) -> None:
        self.rows.add("events", *place, kind, str(rune), amount, output, cause)


def _cause(applied: Applied, rune: RuneId, output: int) -> str:
    """Why an output holds a rune; where several hold, the first of premine, edict, mint."""
    if applied.etched and rune == applied.etched.id:
        return "premine"
    named = moving(applied.message, rune) if applied.message else []
    if any(edict.output in (output, len(applied.transaction.outputs)) for edict in named):
        return "edict"
    return "mint" if applied.minted and applied.minted[0] == rune else "default"


def _fee(transaction: Transaction, spent: Mapping[str, SpentOutput]) -> int:
    return sum(spent[put.outpoint].value for put in transaction.inputs) - transaction.paid_sat
