"""The state of the Runes, block by block: entries, balances, and what each message got.

Source: ord 0.27.1, `RuneUpdater`. It is exact from the first Runes block of a network, or
from any block before which nobody held runes, such as the first of a simulation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workbench.core.bitcoin import Transaction
from workbench.core.rune import (
    Network,
    RuneId,
    first_rune_height,
    is_reserved,
    minimum_rune,
    reserved_rune,
)
from workbench.core.runestone import Cenotaph, decipher
from workbench.runes.commitments import Origins, committed
from workbench.runes.entry import Entry, uncommon_goods
from workbench.runes.messages import Message, asked_etching
from workbench.runes.moves import Moves, allocate

Held = tuple[tuple[RuneId, int], ...]
"""What lies on one output: rune and amount, by rising rune id, never empty."""


@dataclass(frozen=True)
class Applied:
    """What one transaction with runes or a message did.

    `minted` and `etched` are None where nothing was granted; `inputs` is what lay on each
    outpoint that it spends and that held runes, `arrived` the same by rune.
    """

    index: int
    transaction: Transaction
    message: Message | None
    inputs: Sequence[tuple[str, Held]]
    arrived: Mapping[RuneId, int]
    minted: tuple[RuneId, int] | None
    etched: Entry | None
    moves: Moves


@dataclass(frozen=True)
class Doubt:
    """An etching that asks for a name, and of which nobody can say whether it may have it."""

    id: RuneId
    txid: str


@dataclass
class Change:
    """What a block changed, as it stood before: enough to take the block back.

    An output that held nothing is None; a count is mints and burned of a rune.
    """

    height: int
    balances: dict[str, Held | None] = field(default_factory=dict)
    counts: dict[RuneId, tuple[int, int]] = field(default_factory=dict)


@dataclass
class Ledger:
    """Entries by id and balances by `txid:vout`, after the blocks applied so far.

    `doubts`, by the number of the name, are etchings that were not honoured because their
    commitment is not known; all that does not concern those runes is exact nevertheless.
    """

    network: Network = "mainnet"
    entries: dict[RuneId, Entry] = field(default_factory=dict)
    balances: dict[str, Held] = field(default_factory=dict)
    doubts: dict[int, Doubt] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.network == "mainnet" and not self.entries:
            self.entries[RuneId(1, 0)] = uncommon_goods()
        self._names = {entry.number for entry in self.entries.values()}

    def apply(
        self,
        height: int,
        time: int,
        transactions: Sequence[Transaction],
        find: Origins,
        change: Change | None = None,
    ) -> list[Applied]:
        """Apply the block at `height`; blocks come in order. Gives what happened, in order.

        `find` knows the outputs that the block spends; `change` takes note of the state before.
        """
        if height < first_rune_height(self.network):
            return []
        minimum = minimum_rune(height, self.network)
        block = _Block(self, height, time, minimum, find, change or Change(height))
        done = (block.apply(index, transaction) for index, transaction in enumerate(transactions))
        return [applied for applied in done if applied is not None]

    def enter(self, entry: Entry) -> None:
        """A new rune, whose name nobody else can have from here on."""
        self.entries[entry.id] = entry
        self._names.add(entry.number)

    def is_taken(self, number: int) -> bool:
        """Whether a rune of this name exists."""
        return number in self._names

    def revert(self, change: Change) -> None:
        """Take back the last block applied, or as much of it as was done."""
        for outpoint, held in change.balances.items():
            if held is None:
                self.balances.pop(outpoint, None)
            else:
                self.balances[outpoint] = held
        while self.entries and next(reversed(self.entries)).block >= change.height:
            self._names.discard(self.entries.popitem()[1].number)
        for rune, (mints, burned) in change.counts.items():
            if rune in self.entries:
                self.entries[rune].mints, self.entries[rune].burned = mints, burned
        for number in [n for n, doubt in self.doubts.items() if doubt.id.block >= change.height]:
            del self.doubts[number]


@dataclass(frozen=True)
class _Block:
    """One block on its way into the ledger."""

    ledger: Ledger
    height: int
    time: int
    minimum: int
    find: Origins
    change: Change

    def apply(self, index: int, transaction: Transaction) -> Applied | None:
        scripts = transaction.scripts
        message = decipher(scripts)
        inputs = self._spent(transaction)
        arrived = _summed(inputs)
        if message is None and not arrived:
            return None
        unallocated = dict(arrived)
        minted = self._mint(message)
        if minted:
            unallocated[minted[0]] = unallocated.get(minted[0], 0) + minted[1]
        etched = self._etched(RuneId(self.height, index), transaction, message)
        if etched and etched.premine:
            unallocated[etched.id] = etched.premine
        there = etched.id if etched else None
        moves = allocate(unallocated, message, scripts, there) if unallocated else Moves()
        if etched:
            self.ledger.enter(etched)
        self._settle(transaction, moves)
        return Applied(index, transaction, message, inputs, arrived, minted, etched, moves)

    def _spent(self, transaction: Transaction) -> list[tuple[str, Held]]:
        spent: list[tuple[str, Held]] = []
        balances, before = self.ledger.balances, self.change.balances
        for put in transaction.inputs:
            outpoint = put.outpoint
            held = balances.get(outpoint)
            if held is None:
                continue
            before.setdefault(outpoint, held)
            del balances[outpoint]
            spent.append((outpoint, held))
        return spent

    def _counted(self, rune: RuneId) -> Entry:
        """The entry whose counts are about to change."""
        entry = self.ledger.entries[rune]
        self.change.counts.setdefault(rune, (entry.mints, entry.burned))
        return entry

    def _mint(self, message: Message | None) -> tuple[RuneId, int] | None:
        rune = message.mint if message else None
        entry = self.ledger.entries.get(rune) if rune else None
        amount = entry.mintable(self.height) if entry else None
        if entry is None or amount is None:
            return None
        self._counted(entry.id).mints += 1
        return entry.id, amount

    def _etched(
        self, id: RuneId, transaction: Transaction, message: Message | None
    ) -> Entry | None:
        """The new entry, if the message etches and the etching is honoured."""
        etching = asked_etching(message)
        if etching is None:
            return None
        number = reserved_rune(id) if etching.rune is None else etching.rune
        if etching.rune is not None and not self._is_granted(id, number, transaction):
            return None
        return Entry(
            id=id,
            number=number,
            txid=transaction.txid,
            etching=etching,
            place=len(self.ledger.entries),
            time=self.time,
            void=isinstance(message, Cenotaph),
        )

    def _is_granted(self, id: RuneId, number: int, transaction: Transaction) -> bool:
        """Whether the etching may have the name it asks for. A doubt is noted, not honoured."""
        ledger = self.ledger
        if number < self.minimum or is_reserved(number) or ledger.is_taken(number):
            return False
        found = committed(transaction, number, self.height, self.find)
        if found == "unknown" or (found == "valid" and number in ledger.doubts):
            ledger.doubts.setdefault(number, Doubt(id, transaction.txid))
            return False
        return found == "valid"

    def _settle(self, transaction: Transaction, moves: Moves) -> None:
        balances, before = self.ledger.balances, self.change.balances
        for output, held in moves.outputs.items():
            outpoint = f"{transaction.txid}:{output}"
            before.setdefault(outpoint, balances.get(outpoint))
            balances[outpoint] = tuple(sorted(held.items()))
        for (rune, _), amount in moves.burned.items():
            self._counted(rune).burned += amount


def _summed(inputs: Sequence[tuple[str, Held]]) -> dict[RuneId, int]:
    arrived: dict[RuneId, int] = {}
    for _, held in inputs:
        for rune, amount in held:
            arrived[rune] = arrived.get(rune, 0) + amount
    return arrived
