"""One Runes message as rows of a batch at the `runestone` level: what it asked for.

Amounts that follow without any state are filled in: a premine goes where the message
sends it, a mint of the built-in rune 1:0 gives 1. The others are null.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.core.bitcoin import Transaction, address_of
from workbench.core.rune import (
    Network,
    RuneId,
    SpacedRune,
    is_reserved,
    minimum_rune,
    reserved_rune,
)
from workbench.core.runestone import Cenotaph, Edict, Etching, Runestone, Terms
from workbench.core.spent import SpentOutput
from workbench.runes.building import Rows
from workbench.runes.commitments import Commitment, commits
from workbench.runes.moves import ETCHED_HERE, allocate, burns, default_output, destinations

UNCOMMON_GOODS = RuneId(1, 0)
UNCOMMON_GOODS_HEIGHTS = range(840_000, 1_050_000)

MAX_ALLOCATIONS = 500_000
"""Rows of allocations per block: a hostile message can ask for billions by splitting."""

Message = Runestone | Cenotaph
Cause = Literal["premine", "mint", "edict"]


@dataclass(frozen=True)
class Note:
    """Something a reader of the result should know, as template and values."""

    template: str
    values: dict[str, Any]


def etching_row(
    rune_id: RuneId, etching: Etching, commitment: Commitment, place: tuple[Any, ...], *, void: bool
) -> tuple[Any, ...]:
    """A row of the table `etchings`; `void` says that a cenotaph etched it."""
    number = reserved_rune(rune_id) if etching.rune is None else etching.rune
    spaced = SpacedRune(number, etching.spacers or 0)
    terms = etching.terms or Terms()
    return (
        str(rune_id),
        spaced.name,
        str(spaced),
        etching.symbol,
        etching.divisibility or 0,
        etching.spacers or 0,
        etching.premine or 0,
        terms.amount,
        terms.cap,
        *terms.height,
        *terms.offset,
        etching.turbo,
        etching.terms is not None,
        void,
        commitment,
        *place,
    )


def runestone_row(
    message: Message, etches: bool, transaction: Transaction, fee_sat: int | None
) -> tuple[Any, ...]:
    """A row of the table `runestones`, less its place."""
    runestone = message if isinstance(message, Runestone) else Runestone()
    return (
        "cenotaph" if isinstance(message, Cenotaph) else "runestone",
        message.flaw if isinstance(message, Cenotaph) else None,
        etches,
        str(message.mint) if message.mint else None,
        len(runestone.edicts),
        runestone.pointer,
        len(transaction.outputs),
        transaction.vsize,
        fee_sat,
    )


def asked_etching(message: Message | None) -> Etching | None:
    """The etching that a message asks for; of a cenotaph only the name is left."""
    if isinstance(message, Runestone):
        return message.etching
    return None if message is None or message.etching is None else Etching(rune=message.etching)


def moving(message: Message, rune: RuneId) -> list[Edict]:
    """The edicts that move `rune`."""
    return [e for e in message.edicts if e.id == rune] if isinstance(message, Runestone) else []


def mint_fate(
    message: Message, rune: RuneId, scripts: Sequence[bytes]
) -> tuple[int | None, str | None]:
    """The output that receives a mint (the first that an edict names, else the default one),
    or why it burns."""
    if isinstance(message, Cenotaph):
        return None, "cenotaph"
    place = default_output(message, scripts)
    for edict in moving(message, rune)[:1]:
        split = edict.output == len(scripts)
        place = next(iter(destinations(scripts)), None) if split else edict.output
    if place is None:
        return None, "no-output"
    return (None, "op-return") if burns(scripts[place]) else (place, None)


class MessageWriter:
    """Writes the messages of the block at `height` into `rows`, in their order."""

    def __init__(
        self,
        rows: Rows,
        height: int,
        network: Network,
        spent: Mapping[str, SpentOutput] | None,
    ) -> None:
        self._rows = rows
        self._height = height
        self._network = network
        self._spent = spent
        self._minimum = minimum_rune(height, network)
        self._ignored = 0
        self._unexpanded = 0

    def write(
        self, index: int, transaction: Transaction, message: Message, fee_sat: int | None
    ) -> None:
        """All rows of one message. `index` is its transaction's place in the block."""
        _Writing(self, index, transaction, message, fee_sat).write()

    def notes(self) -> list[Note]:
        """What a reader should know of the messages written."""
        notes = []
        if self._ignored:
            template = (
                "{count} etchings cannot be honoured: the name is reserved or not yet "
                "unlocked, or nobody committed to it"
            )
            notes.append(Note(template, {"count": self._ignored}))
        if self._unexpanded:
            template = "{count} edicts split over more outputs than a batch lists"
            notes.append(Note(template, {"count": self._unexpanded}))
        return notes


class _Writing:
    """One message on its way into the rows."""

    def __init__(
        self,
        writer: MessageWriter,
        index: int,
        transaction: Transaction,
        message: Message,
        fee_sat: int | None,
    ) -> None:
        self.writer = writer
        self.rows = writer._rows
        self.id = RuneId(writer._height, index)
        self.place = (writer._height, index, transaction.txid)
        self.transaction = transaction
        self.scripts = transaction.scripts
        self.message = message
        self.fee_sat = fee_sat

    def write(self) -> None:
        etching = asked_etching(self.message)
        row = runestone_row(self.message, etching is not None, self.transaction, self.fee_sat)
        self.rows.add("runestones", *self.place, *row)
        if etching:
            self._etch(etching)
        if self.message.mint:
            self._mint(self.message.mint)
        if isinstance(self.message, Runestone):
            self._edicts(self.message)

    def _etch(self, etching: Etching) -> None:
        found: Commitment = "valid"  # a reserved name takes none
        possible = True
        if etching.rune is not None:
            spent = self.writer._spent
            found = commits(self.transaction, etching.rune, self.writer._height, spent)
            possible = not is_reserved(etching.rune) and etching.rune >= self.writer._minimum
        void = isinstance(self.message, Cenotaph)
        self.rows.add("etchings", *etching_row(self.id, etching, found, self.place, void=void))
        if not possible or found == "missing":
            self.writer._ignored += 1
            return
        self._event("etched", self.id, etching.premine or 0)
        if isinstance(self.message, Runestone) and etching.premine:
            self._premine(self.message, etching.premine)

    def _premine(self, message: Runestone, premine: int) -> None:
        """Exact: nothing else of a rune can be in the transaction that etches it."""
        moves = allocate({self.id: premine}, message, self.scripts, self.id)
        for output, held in moves.outputs.items():
            self._allocation(self.id, output, held[self.id], "premine")
        for (rune, cause), amount in moves.burned.items():
            self._event("burned", rune, amount, cause=cause)

    def _mint(self, rune: RuneId) -> None:
        output, lost = mint_fate(self.message, rune, self.scripts)
        script = None if output is None else self.scripts[output]
        credited = self._credited(rune)
        self.rows.add("mints", *self.place, str(rune), *self._whose(script), self.fee_sat, credited)
        if credited is False:
            return
        amount = 1 if credited else None  # only 1:0 has terms that are known without state
        self._event("minted", rune, amount, output)
        if lost:
            self._event("burned", rune, amount, cause=lost)
        elif output is not None and not moving(self.message, rune):
            self._allocation(rune, output, amount, "mint")

    def _credited(self, rune: RuneId) -> bool | None:
        """Whether the mint was open, where that needs no state; else None."""
        if rune == UNCOMMON_GOODS and self.writer._network == "mainnet":
            return self.writer._height in UNCOMMON_GOODS_HEIGHTS  # its cap is out of reach
        return False if rune >= self.id or rune == ETCHED_HERE else None

    def _edicts(self, message: Runestone) -> None:
        targets = destinations(self.scripts)
        for place, edict in enumerate(message.edicts):
            row = (place, str(edict.id), edict.amount, edict.output)
            self.rows.add("edicts", *self.place, *row)
            if edict.id not in (ETCHED_HERE, self.id):
                self._expand(edict, targets)

    def _expand(self, edict: Edict, targets: list[int]) -> None:
        """One edict as allocations; of amount 0, all that is left, only the outputs are known."""
        outputs = targets if edict.output == len(self.scripts) else [edict.output]
        if self.rows.count("allocations") + len(outputs) > MAX_ALLOCATIONS:
            self.writer._unexpanded += 1
            return
        for output in outputs:
            self._allocation(edict.id, output, edict.amount or None, "edict")

    def _allocation(self, rune: RuneId, output: int, amount: int | None, cause: Cause) -> None:
        """One output that receives; an OP_RETURN output burns what it gets."""
        script = self.scripts[output]
        whose = (script.hex(), address_of(script, self.writer._network))
        self.rows.add("allocations", *self.place, str(rune), output, *whose, amount, cause)
        if burns(script):
            self._event("burned", rune, amount, output, cause="op-return")
        else:
            self._event("transferred", rune, amount, output)

    def _event(
        self,
        kind: str,
        rune: RuneId,
        amount: int | None,
        output: int | None = None,
        cause: str | None = None,
    ) -> None:
        self.rows.add("events", *self.place, kind, str(rune), amount, output, cause)

    def _whose(self, script: bytes | None) -> tuple[str | None, str | None]:
        if script is None:
            return None, None
        return script.hex(), address_of(script, self.writer._network)
