"""One rune as a producer tells it, held against a state of our own: what is wrong, and where."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from workbench.core.sentence import Sentence, told
from workbench.errors import InputError
from workbench.runes.answer import Answer
from workbench.runes.block import PRODUCER
from workbench.runes.evidence import Asked, Evidence, Rune, evidence_of
from workbench.runes.kinds import OF_INDEX
from workbench.runes.questions.compare_sources import compare_sources
from workbench.runes.questions.reconcile import reconcile

MOST = 500
"""Transactions that are named of one difference; further ones are counted."""

_MOVED = """
SELECT txid, any_value(height) AS height, kind, amount_sum(amount_high, amount_low) AS amount,
  count(*) = count(amount_low) AS known
FROM {events} WHERE rune_id = $rune AND height BETWEEN $first AND $last GROUP BY txid, kind
UNION ALL
SELECT txid, any_value(height), 'spent', amount_sum(amount_high, amount_low), true
FROM {inputs} WHERE rune_id = $rune AND height BETWEEN $first AND $last GROUP BY txid
"""
_TOUCHED = """
SELECT DISTINCT txid, height FROM {events} WHERE rune_id = $rune AND kind = $kind
ORDER BY height, txid
"""
_SPENDERS = """
SELECT outpoint, any_value(txid) AS txid FROM {inputs}
WHERE rune_id = $rune AND outpoint IS NOT NULL GROUP BY outpoint
"""
_OF_ONE_BLOCK = frozenset(("balances", "entries"))
_OF_THE_WHOLE = frozenset(("completeness", "last_height"))
"""How far a side reaches: what it says of the rune is not wrong by that."""
_EVER = {"first": 0, "last": 2**32 - 1}
_COMPUTED = (PRODUCER, OF_INDEX)
_AGREE = "{producer} and {ours} agree about {rune}: equal values {same}, to the atomic unit"
_DIFFER = (
    "{producer} and {ours} differ about {rune}: values that differ {values}, transactions that "
    "differ {transactions}, that contradict themselves {contradictions}, equal values {same}"
)
_KINDS = {"mints": "minted", "burned": "burned", "supply": "minted"}
"""Which events a figure of an entry sums up."""


@dataclass(frozen=True)
class Finding:
    """One value that is not ours, and the transactions that it is about; `of_all` counts them."""

    table: str
    what: str
    field: str
    ours: str | None
    theirs: str | None
    txids: tuple[str, ...] = ()
    of_all: int = 0

    @property
    def difference(self) -> int | None:
        """Theirs less ours, where both are numbers; a row that one lacks counts as 0 there."""
        if self.field not in ("amount", "premine", "cap", *_KINDS):
            return None
        sides = [0 if value is None else value for value in (self.ours, self.theirs)]
        return int(sides[1]) - int(sides[0]) if all(str(one).isdigit() for one in sides) else None


@dataclass(frozen=True)
class Moved:
    """What one transaction did to the rune, by each side; None where it says nothing of it."""

    height: int | None
    txid: str
    kind: str
    ours: int | None
    theirs: int | None

    @property
    def difference(self) -> int:
        return (self.theirs or 0) - (self.ours or 0)


@dataclass(frozen=True)
class Contradiction:
    """A transaction of the producer's whose two sides differ by its own figures."""

    height: int | None
    txid: str
    came: int
    went: int


@dataclass(frozen=True)
class Audit:
    """Everything that the page shows."""

    rune: Rune
    ours: Evidence
    theirs: Evidence
    compared: Answer
    findings: tuple[Finding, ...]
    moved: tuple[Moved, ...]
    contradictions: tuple[Contradiction, ...]
    reconciled: Answer | None
    own: Answer | None
    missing: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether nothing that both say differs, and their own figures add up."""
        own = self.reconciled is None or not self.reconciled.facts["wrong"]
        return own and not (self.findings or self.moved or self.contradictions)

    @property
    def is_proof(self) -> bool:
        """Whether ours was computed from blocks here: else nobody knows which of both is wrong."""
        return self.ours.producer in _COMPUTED and self.ours.trust is None

    @property
    def sentence(self) -> Sentence:
        """What came of it."""
        values = {
            "rune": self.rune.name,
            "producer": self.theirs.producer,
            "ours": self.ours.producer,
            "same": self.compared.facts["same"],
            "values": len(self.findings),
            "transactions": len(self.moved),
            "contradictions": len(self.contradictions),
        }
        if not self.is_proof:
            return Sentence(_AGREE if self.agrees else _DIFFER, values)
        if self.agrees:
            return Sentence(
                "{producer} is right about {rune}: equal values {same}, to the atomic unit",
                values,
            )
        return Sentence(
            "{producer} is wrong about {rune}: values that differ {values}, transactions that "
            "differ {transactions}, that contradict themselves {contradictions}, equal values "
            "{same}",
            values,
        )


def audit(ours: Asked, theirs: Asked, rune: str) -> Audit:
    """Hold what a producer says of `rune` (its id or name) against our own state of it.

    Raises InputError for an unknown rune, where the two have nothing in common, and for states
    of different blocks, which would differ by whatever happened between them.
    """
    mine, other = evidence_of(ours), evidence_of(theirs)
    _of_one_block(mine, other)
    found = mine.rune(rune)
    compared = compare_sources(mine, other, rune=found.id)
    missing = compared.explanation.missing
    moved, why = _moved(mine, other, found.id)
    rows = [
        row
        for row in compared.table.to_pylist()
        if (row["table"] != "events" or why)
        and not (row["table"] == "batch" and row["field"] in _OF_THE_WHOLE)
    ]
    return Audit(
        rune=found,
        ours=mine,
        theirs=other,
        compared=compared,
        findings=tuple(_finding(mine, other, found.id, row) for row in rows),
        moved=tuple(moved),
        contradictions=tuple(_contradictions(other, found.id)),
        reconciled=_reconciled(other, found.id),
        own=_reconciled(mine, found.id),
        missing=(*missing, *([why] if why else [])),
    )


def _of_one_block(mine: Evidence, other: Evidence) -> None:
    """Raises InputError for states of different blocks. Events alone are compared in the blocks
    that both cover, so that they need no common end."""
    states = mine.is_state and other.is_state
    heights = (mine.last_height, other.last_height)
    if None in heights or heights[0] == heights[1] or not states:
        return
    if _OF_ONE_BLOCK & set(mine.tables) & set(other.tables):
        raise InputError(
            "a state is of one block: ours is of block {ours} and the one of {producer} of block "
            "{theirs}. Bring ours to block {theirs} (Index.apply_block() up to it, Index.rewind() "
            "back to it), or say that the producer's files are as of ours: --height {ours}, or in "
            "Python read(..., height={ours})",
            ours=heights[0],
            theirs=heights[1],
            producer=other.producer,
        )


def _reconciled(evidence: Evidence, rune: str) -> Answer | None:
    """Nothing where the batch does not hold what it takes."""
    try:
        return reconcile(evidence, rune=rune)
    except InputError:
        return None


def _contradictions(side: Evidence, rune: str) -> Iterator[Contradiction]:
    """Where inputs, mint and premine are not outputs and burns; nothing where it lacks a side."""
    if not {"inputs", "events"} <= set(side.tables):
        return
    came: dict[str, int] = {}
    went: dict[str, int] = {}
    heights: dict[str, int | None] = {}
    for (txid, kind), (height, amount) in _sums(side, rune, _EVER).items():
        into = came if kind in ("spent", "minted", "etched") else went
        into[txid] = into.get(txid, 0) + (amount or 0)
        heights[txid] = height
    for txid in sorted(heights, key=lambda one: (heights[one] or 0, one)):
        if came.get(txid, 0) != went.get(txid, 0):
            yield Contradiction(heights[txid], txid, came.get(txid, 0), went.get(txid, 0))


def _finding(mine: Evidence, other: Evidence, rune: str, row: dict[str, Any]) -> Finding:
    txids = _concerned(mine, other, rune, row)
    return Finding(
        row["table"],
        row["key"] if row["table"] in ("balances", "events") else "",
        row["field"],
        row["a"],
        row["b"],
        tuple(txids[:MOST]),
        len(txids),
    )


def _concerned(mine: Evidence, other: Evidence, rune: str, row: dict[str, Any]) -> list[str]:
    """The transactions by which a value came about, as far as our own side knows them."""
    table, key = row["table"], row["key"]
    if table == "etchings":
        sql = "SELECT DISTINCT txid FROM {etchings} WHERE rune_id = $rune AND txid IS NOT NULL"
        return sorted(mine.rows(sql, rune=rune)["txid"].to_pylist())
    if table == "entries":
        rows = mine.rows(_TOUCHED, rune=rune, kind=_KINDS.get(row["field"], "minted"))
        return [str(txid) for txid in rows["txid"].to_pylist()]
    if table == "balances" and ":" in key:
        made = key.partition(":")[0]
        return [made, *_spenders(mine, rune).get(key, ())]
    return []


def _spenders(mine: Evidence, rune: str) -> dict[str, tuple[str, ...]]:
    rows = mine.rows(_SPENDERS, rune=rune).to_pylist()
    return {row["outpoint"]: (row["txid"],) for row in rows}


def _moved(mine: Evidence, other: Evidence, rune: str) -> tuple[list[Moved], str]:
    """Transaction by transaction, each kind in sum: no producer need say the place in a block.
    With the reason where it cannot be done."""
    if "events" not in mine.tables:
        return [], told("we tell of no events: transactions could not be compared one by one")
    if "events" not in other.tables:
        return [], told(
            "the producer tells of no events: transactions could not be compared one by one"
        )
    bounds = [(side.first_height or 0, side.last_height or 0) for side in (mine, other)]
    span = {"first": max(one[0] for one in bounds), "last": min(one[1] for one in bounds)}
    if span["first"] > span["last"]:
        return [], "the two have no block in common: no transactions could be compared"
    ours, theirs = (_sums(side, rune, span) for side in (mine, other))
    kinds = {kind for _, kind in ours} & {kind for _, kind in theirs}
    found = []
    for key in sorted({*ours, *theirs}):
        left, right = ours.get(key), theirs.get(key)
        amounts = [None if one is None else one[1] for one in (left, right)]
        if key[1] in kinds and amounts[0] != amounts[1]:
            height = (left or right or (None, None))[0]
            found.append(Moved(height, key[0], key[1], *amounts))
    return sorted(found, key=lambda one: (one.height or 0, one.txid, one.kind)), ""


_Sums = dict[tuple[str, str], tuple[int | None, int | None]]


def _sums(side: Evidence, rune: str, span: dict[str, int]) -> _Sums:
    """Height and amount by transaction and kind; what is not known of it is left out."""
    rows: pa.Table = side.rows(_MOVED, rune=rune, **span)
    return {
        (row["txid"], row["kind"]): (row["height"], int(row["amount"]))
        for row in rows.to_pylist()
        if row["known"] and row["amount"] is not None
    }
