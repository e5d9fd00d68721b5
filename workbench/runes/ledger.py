"""The state of the Runes, block by block: entries, balances, and what each message got.

Source: ord 0.27.1, `RuneUpdater`. It is exact from the first Runes block of a network, or
from any block before which nobody held runes, such as the first of a simulation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from workbench.core.bitcoin import Transaction
from workbench.core.rune import (
    MAX_U64,
    MAX_U128,
    Network,
    RuneId,
    first_rune_height,
    is_reserved,
    minimum_rune,
    reserved_rune,
)
from workbench.core.runestone import Cenotaph, Etching, Terms, decipher
from workbench.core.spent import SpentOutput
from workbench.runes.commitments import Commitment, commits
from workbench.runes.messages import Message, asked_etching
from workbench.runes.moves import Moves, allocate


@dataclass
class Entry:
    """One rune as it stands. `mints` counts, everything else is in atomic units."""

    id: RuneId
    number: int
    txid: str
    etching: Etching
    commitment: Commitment = "valid"
    void: bool = False
    mints: int = 0
    burned: int = 0

    @property
    def premine(self) -> int:
        return 0 if self.void else self.etching.premine or 0

    @property
    def supply(self) -> int:
        """Everything ever made of it, burned or not."""
        terms = self.etching.terms or Terms()
        return self.premine + self.mints * (terms.amount or 0)

    def mintable(self, height: int) -> int | None:
        """What a mint in the block at `height` gives; None where the mint is not open."""
        terms = self.etching.terms
        if self.void or terms is None:
            return None
        starts = [bound for bound in self._bounds(0) if bound is not None]
        ends = [bound for bound in self._bounds(1) if bound is not None]
        open_now = height >= max(starts, default=0) and height < min(ends, default=height + 1)
        return terms.amount or 0 if open_now and self.mints < (terms.cap or 0) else None

    def _bounds(self, end: int) -> tuple[int | None, int | None]:
        terms = self.etching.terms or Terms()
        offset = terms.offset[end]
        relative = None if offset is None else min(self.id.block + offset, MAX_U64)
        return terms.height[end], relative


UNCOMMON_GOODS = Entry(
    id=RuneId(1, 0),
    number=2055900680524219742,
    txid="0" * 64,
    etching=Etching(
        rune=2055900680524219742,
        spacers=128,
        symbol="\u29c9",
        terms=Terms(amount=1, cap=MAX_U128, height=(840_000, 1_050_000)),
        turbo=True,
    ),
)


@dataclass(frozen=True)
class Applied:
    """What one transaction with runes or a message did.

    `minted` and `etched` are None where nothing was granted; `arrived` is what lay on the
    inputs.
    """

    index: int
    transaction: Transaction
    message: Message | None
    arrived: Mapping[RuneId, int]
    minted: tuple[RuneId, int] | None
    etched: Entry | None
    moves: Moves


@dataclass
class Ledger:
    """Entries by id and balances by `txid:vout`, after the blocks applied so far."""

    network: Network = "mainnet"
    entries: dict[RuneId, Entry] = field(default_factory=dict)
    balances: dict[str, dict[RuneId, int]] = field(default_factory=dict)
    _names: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        if self.network == "mainnet":
            built_in = UNCOMMON_GOODS
            copy = Entry(built_in.id, built_in.number, built_in.txid, built_in.etching)
            self.entries[copy.id] = copy
            self._names.add(copy.number)

    def apply(
        self,
        height: int,
        transactions: Sequence[Transaction],
        spent: Mapping[str, SpentOutput],
    ) -> list[Applied]:
        """Apply the block at `height`; blocks come in order. Gives what happened, in order."""
        if height < first_rune_height(self.network):
            return []
        minimum = minimum_rune(height, self.network)
        done = (
            self._apply(RuneId(height, index), transaction, spent, minimum)
            for index, transaction in enumerate(transactions)
        )
        return [applied for applied in done if applied is not None]

    def _apply(
        self,
        id: RuneId,
        transaction: Transaction,
        spent: Mapping[str, SpentOutput],
        minimum: int,
    ) -> Applied | None:
        message = decipher(transaction.scripts)
        arrived = self._arrived(transaction)
        if message is None and not arrived:
            return None
        unallocated = dict(arrived)
        minted = self._mint(message, id.block)
        if minted:
            unallocated[minted[0]] = unallocated.get(minted[0], 0) + minted[1]
        etched = self._etched(id, transaction, message, spent, minimum)
        if etched and etched.premine:
            unallocated[id] = unallocated.get(id, 0) + etched.premine
        moves = allocate(unallocated, message, transaction.scripts, id if etched else None)
        if etched:
            self.entries[id] = etched
            self._names.add(etched.number)
        self._settle(transaction, moves)
        return Applied(id.tx, transaction, message, arrived, minted, etched, moves)

    def _arrived(self, transaction: Transaction) -> dict[RuneId, int]:
        arrived: dict[RuneId, int] = {}
        for put in transaction.inputs:
            for rune, amount in self.balances.pop(put.outpoint, {}).items():
                arrived[rune] = arrived.get(rune, 0) + amount
        return arrived

    def _mint(self, message: Message | None, height: int) -> tuple[RuneId, int] | None:
        rune = message.mint if message else None
        entry = self.entries.get(rune) if rune else None
        amount = entry.mintable(height) if entry else None
        if entry is None or amount is None:
            return None
        entry.mints += 1
        return entry.id, amount

    def _etched(
        self,
        id: RuneId,
        transaction: Transaction,
        message: Message | None,
        spent: Mapping[str, SpentOutput],
        minimum: int,
    ) -> Entry | None:
        """The new entry, if the message etches and the etching is honoured."""
        void = isinstance(message, Cenotaph)
        etching = asked_etching(message)
        if etching is None:
            return None
        number = reserved_rune(id) if etching.rune is None else etching.rune
        if etching.rune is not None:
            taken = number < minimum or is_reserved(number) or number in self._names
            if taken or commits(transaction, number, id.block, spent) != "valid":
                return None
        return Entry(id, number, transaction.txid, etching, void=void)

    def _settle(self, transaction: Transaction, moves: Moves) -> None:
        for output, held in moves.outputs.items():
            self.balances[f"{transaction.txid}:{output}"] = held
        for (rune, _), amount in moves.burned.items():
            self.entries[rune].burned += amount
