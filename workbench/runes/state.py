"""Consecutive blocks as one batch at the `state` level: what the protocol honoured.

True from a block before which nobody held runes; every amount is known and exact.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import msgspec

from workbench.core.bitcoin import Block, Transaction, address_of, check_block, parse_block, subsidy
from workbench.core.rune import Network, RuneId
from workbench.core.runestone import Runestone
from workbench.core.spent import SpentOutput
from workbench.errors import InputError
from workbench.runes.batch import Batch, Source
from workbench.runes.building import Rows
from workbench.runes.commitments import origins
from workbench.runes.index import WINDOW, Index
from workbench.runes.kinds import OF_INDEX
from workbench.runes.ledger import Applied, Ledger
from workbench.runes.messages import (
    asked_etching,
    etching_row,
    mint_fate,
    moving,
    runestone_row,
)
from workbench.runes.seen import Seen
from workbench.runes.snapshot import load

Spent = Mapping[str, SpentOutput] | None
RawBlock = tuple[bytes, Spent]
Place = tuple[int, int, str]
UNCOMMON_GOODS = RuneId(1, 0)
"""Built into mainnet."""
_UNKNOWN: tuple[None, None] = (None, None)
"""Script and height of an output made before the blocks at hand."""


def state_batch(
    blocks: Iterable[RawBlock],
    *,
    id: str,
    source: Source,
    network: Network = "mainnet",
    onto: Index | None = None,
) -> Batch:
    """The batch of at least one raw block, each with the outputs that it spends, in order.

    They follow the last block of `onto`, which is left as it is; without one they begin where
    nobody held runes. Of the outputs made before them nobody knows the script.

    Where a block comes without those, its fees are null, and a commitment counts only to an
    output of one of the last blocks. One to an older output is in doubt: its etching is not
    honoured, and the batch is at the `runestone` level, for one name may be missing in it.
    """
    writer = _StateWriter(network)
    if onto is not None:
        writer.begin(onto)
        source = msgspec.structs.replace(source, trusted=onto.trusted)
    for raw, spent in blocks:
        block = parse_block(raw)
        check_block(block)
        writer.write(block, spent)
    heights = writer.heights
    if not heights and onto is not None and onto.height is not None:
        heights = [onto.height]  # the state alone
    if not heights:
        raise InputError("a batch needs at least one block")
    writer.balances()
    writer.entries()
    return Batch(
        id=id,
        network=network,
        source=source,
        completeness="runestone" if writer.ledger.doubts else "state",
        first_height=heights[0],
        last_height=heights[-1],
        tables=writer.rows.tables(),
    )


def index_batch(index: Index) -> Batch:
    """The state of an index alone: its runes, and what lies on which output."""
    if index.height is None:
        raise InputError("the index holds no block: apply one")
    source = Source(producer=OF_INDEX)
    whole = state_batch([], id=f"i{index.height}", source=source, network=index.network, onto=index)
    return dataclasses.replace(whole, covers=("etchings", "entries", "balances"))


@dataclass
class _StateWriter:
    network: Network
    rows: Rows = field(default_factory=Rows)
    heights: list[int] = field(default_factory=list)
    made: dict[str, tuple[bytes, int]] = field(default_factory=dict)
    """The script of each output that holds runes, and the height at which it was made."""
    before: int | None = None
    """The last block before these, where it is known; `tip` is its hash."""
    tip: str | None = None

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.network)
        self.seen = Seen(WINDOW, {})

    def begin(self, index: Index) -> None:
        """Go on from where the index stands, whose runes are told of as well."""
        state = load(index.snapshot())
        self.ledger, self.before, self.tip = state.ledger, index.height, index.block_hash
        self.seen = Seen(state.window, state.seen)
        for rune, entry in self.ledger.entries.items():
            if rune != UNCOMMON_GOODS:
                place = (rune.block, rune.tx, entry.txid)
                row = etching_row(rune, entry.etching, "valid", place, void=entry.void)
                self.rows.add("etchings", *row)

    def write(self, block: Block, spent: Spent) -> None:
        height = self._next_height(block)
        fees = {} if spent is None else {tx.txid: _fee(tx, spent) for tx in block.transactions[1:]}
        self.rows.add(
            "blocks",
            *(height, block.hash, block.time, len(block.transactions), block.size, block.weight),
            subsidy(height, self.network),
            block.transactions[0].paid_sat,
            None if spent is None else sum(fees.values()),
            sum(transaction.vsize for transaction in block.transactions[1:]),
        )
        self.seen.add(height, block.transactions)
        find = partial(self.seen.find, height=height) if spent is None else origins(spent)
        for applied in self.ledger.apply(height, block.time, block.transactions, find):
            self._write(height, applied, fees.get(applied.transaction.txid))
        self.seen.prune(height)

    def balances(self) -> None:
        """What lies where after the last block."""
        for outpoint, held in self.ledger.balances.items():
            whose = self._whose(self.made.get(outpoint, _UNKNOWN)[0])
            for rune, amount in held:
                self.rows.add("balances", str(rune), outpoint, *whose, amount)

    def entries(self) -> None:
        """What the state says of each rune after the last block."""
        for rune, entry in self.ledger.entries.items():
            if rune == UNCOMMON_GOODS:  # no block etched it
                place = (rune.block, rune.tx, entry.txid)
                row = etching_row(rune, entry.etching, "valid", place, void=entry.void)
                self.rows.add("etchings", *row)
            self.rows.add("entries", str(rune), entry.mints, entry.burned, entry.supply, None)

    def _whose(self, script: bytes | None) -> tuple[str | None, str | None]:
        if script is None:
            return None, None
        return script.hex(), address_of(script, self.network)

    def _next_height(self, block: Block) -> int:
        height = block.height
        last = self.heights[-1] if self.heights else self.before
        if height is None or (last is not None and height != last + 1):
            raise InputError.field("the height of block " + block.hash, height, "one after another")
        if not self.heights and self.tip not in (None, block.previous):
            raise InputError.field("the block before " + block.hash, block.previous, str(self.tip))
        self.heights.append(height)
        return height

    def _write(self, height: int, applied: Applied, fee_sat: int | None) -> None:
        transaction, message = applied.transaction, applied.message
        place = (height, applied.index, transaction.txid)
        if message is not None:
            asks = asked_etching(message) is not None
            row = runestone_row(message, asks, transaction, fee_sat)
            self.rows.add("runestones", *place, *row)
        self._spends(place, applied)
        self._grants(place, applied, fee_sat)
        if isinstance(message, Runestone):
            for index, edict in enumerate(message.edicts):
                row = (index, str(edict.id), edict.amount, edict.output)
                self.rows.add("edicts", *place, *row)
        self._moves(place, applied)

    def _spends(self, place: Place, applied: Applied) -> None:
        for outpoint, held in applied.inputs:
            script, height = self.made.pop(outpoint, _UNKNOWN)
            for rune, amount in held:
                row = (str(rune), outpoint, *self._whose(script), amount, height)
                self.rows.add("inputs", *place, *row)

    def _grants(self, place: Place, applied: Applied, fee_sat: int | None) -> None:
        """The mint that was asked for and what came of it, and the etching if honoured."""
        message, entry = applied.message, applied.etched
        scripts = applied.transaction.scripts
        if message is not None and message.mint:
            output, _ = mint_fate(message, message.mint, scripts)
            script = None if output is None else scripts[output]
            whose = self._whose(script)
            credited = applied.minted is not None
            self.rows.add("mints", *place, str(message.mint), *whose, fee_sat, credited)
            if applied.minted:
                self._event(place, "minted", *applied.minted, output)
        if entry:
            row = etching_row(entry.id, entry.etching, "valid", place, void=entry.void)
            self.rows.add("etchings", *row)
            self._event(place, "etched", entry.id, entry.premine)

    def _moves(self, place: Place, applied: Applied) -> None:
        scripts = applied.transaction.scripts
        for output, held in applied.moves.outputs.items():
            script = scripts[output]
            self.made[f"{place[2]}:{output}"] = (script, place[0])
            whose = self._whose(script)
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
