"""A producer's state taken over as an index, marked so; and what two indexes differ in.

Nobody proved such a state: the mark goes into its snapshots, batches and answers, and only a
replay of the blocks takes it away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from workbench.core.rune import MAX_U64, RuneId, is_reserved, rune_number
from workbench.core.runestone import Etching, Terms
from workbench.errors import InputError
from workbench.runes.batch import Batch
from workbench.runes.entry import Entry
from workbench.runes.evidence import evidence_of
from workbench.runes.history import trusted_hash
from workbench.runes.index import WINDOW, Index
from workbench.runes.ledger import Held, Ledger
from workbench.runes.snapshot import State, supply_fault
from workbench.runes.whole import whole_number

_ENTRIES = """
SELECT rune_id, any_value(name) AS name, any_value(spacers) AS spacers,
  any_value(symbol) AS symbol, any_value(divisibility) AS divisibility,
  any_value(amount(premine_high, premine_low)) AS premine, any_value(turbo) AS turbo,
  any_value(cenotaph) AS void,
  any_value(terms) AS terms, any_value(amount(etched.amount_high, etched.amount_low)) AS amount,
  any_value(amount(cap_high, cap_low)) AS cap, any_value(height_start) AS height_start,
  any_value(height_end) AS height_end, any_value(offset_start) AS offset_start,
  any_value(offset_end) AS offset_end, any_value(txid) AS txid,
  any_value(amount(mints_high, mints_low)) AS mints,
  any_value(amount(burned_high, burned_low)) AS burned
FROM {entries} LEFT JOIN
  (SELECT * FROM {etchings} WHERE commitment <> 'missing') AS etched USING (rune_id)
GROUP BY rune_id
"""
_BALANCES = """
SELECT outpoint, rune_id, amount_sum(amount_high, amount_low) AS amount
FROM {balances} GROUP BY outpoint, rune_id
"""
_ASKED = ("divisibility", "premine", "turbo", "terms")
"""What a cenotaph's etching does not get."""
_NEEDED = ("name", "txid", "mints", "burned", *_ASKED)


def trusted_index(batch: Batch, height: int, *, window: int = WINDOW) -> Index:
    """An index at block `height` whose state is what a producer's `batch` says of it.

    The batch needs every rune's etching and entry, and the balances by output; its supply must
    be what is held and burned. Raises InputError where it is not so.
    """
    height = whole_number("height", height, batch.last_height, MAX_U64)
    window = whole_number("window", window, 1, 10_000)
    trust = batch.source.trusted or batch.source.sha256
    if trust is None:
        raise InputError(
            "nobody knows what this batch was made of: take a state over from a producer's own "
            "files, such as what `ord runes` and `ord balances` print"
        )
    ledger = _ledger(batch)
    reason = supply_fault(ledger)
    if reason is not None:
        raise InputError(
            "the dump contradicts itself: {reason}; give what the producer says of one block, "
            "whole",
            reason=reason,
        )
    base = trusted_hash(ledger.network, trust, height)
    return Index.of(
        State(
            ledger=ledger,
            window=window,
            first=height,
            hashes=[base],
            steps=[],
            seen={},
            trust=trust,
        )
    )


def _ledger(batch: Batch) -> Ledger:
    evidence = evidence_of(batch)
    evidence.needs("a state to take over", "entries", "etchings", "balances")
    rows = evidence.rows(_ENTRIES).to_pylist()
    found = sorted((RuneId.parse(row["rune_id"]), row) for row in rows)
    entries = {id: _entry(id, row, place) for place, (id, row) in enumerate(found)}
    network: Any = batch.network
    if network == "mainnet" and RuneId(1, 0) not in entries:
        raise InputError("the state lacks rune 1:0, UNCOMMON•GOODS, which mainnet begins with")
    balances = _balances(evidence.rows(_BALANCES).to_pylist(), entries)
    return Ledger(network, entries, balances)


def _entry(id: RuneId, row: Mapping[str, Any], place: int) -> Entry:
    void = bool(row["void"])
    lacking = [name for name in _NEEDED if row[name] is None and not (void and name in _ASKED)]
    if lacking:
        raise InputError(
            "the state does not say the {fields} of rune {rune}: give a dump that does, such as "
            "what `ord runes` and `ord balances` print",
            fields=", ".join(lacking),
            rune=str(id),
        )
    number = rune_number(row["name"])
    etching = Etching(
        divisibility=row["divisibility"] or None,
        premine=int(row["premine"] or 0) or None,
        rune=None if is_reserved(number) else number,
        spacers=row["spacers"] or None,
        symbol=row["symbol"],
        terms=_terms(row) if row["terms"] else None,
        turbo=bool(row["turbo"]),
    )
    counts = {"mints": int(row["mints"]), "burned": int(row["burned"])}
    return Entry(id, number, row["txid"], etching, place=place, time=None, void=void, **counts)


def _terms(row: Mapping[str, Any]) -> Terms:
    def amount(name: str) -> int | None:
        return None if row[name] is None else int(row[name])

    return Terms(
        amount=amount("amount"),
        cap=amount("cap"),
        height=(row["height_start"], row["height_end"]),
        offset=(row["offset_start"], row["offset_end"]),
    )


def _balances(rows: list[dict[str, Any]], entries: Mapping[RuneId, Entry]) -> dict[str, Held]:
    held: dict[str, list[tuple[RuneId, int]]] = {}
    for row in rows:
        if row["outpoint"] is None:
            raise InputError(
                "the state says who holds rune {rune}, not on which output: give a dump by "
                "output, such as what `ord balances` prints",
                rune=row["rune_id"],
            )
        rune = RuneId.parse(row["rune_id"])
        if rune not in entries:
            raise InputError("the state holds {rune}, of which it has no entry", rune=str(rune))
        if int(row["amount"]):
            held.setdefault(row["outpoint"], []).append((rune, int(row["amount"])))
    return {outpoint: tuple(sorted(pairs)) for outpoint, pairs in held.items()}


class Difference(NamedTuple):
    """One value that two states do not share; None where a state does not have it at all."""

    what: str
    field: str
    ours: Any
    theirs: Any


def state_differences(ours: Index, theirs: Index) -> Iterator[Difference]:
    """What the states of two indexes differ in, rune by rune, then output by output. A time that
    one of them does not know is no difference."""
    mine, other = _by_id(ours), _by_id(theirs)
    for rune in sorted({*mine, *other}, key=RuneId.parse):
        left, right = mine.get(rune), other.get(rune)
        if left is None or right is None:
            yield Difference(f"rune {rune}", "", left and "there", right and "there")
            continue
        for field in left:
            known = field != "timestamp" or None not in (left[field], right[field])
            if known and left[field] != right[field]:
                yield Difference(f"rune {rune}", field, left[field], right[field])
    held, others = ours.balances(), theirs.balances()
    for outpoint in sorted({*held, *others}):
        if held.get(outpoint) != others.get(outpoint):
            yield Difference(f"output {outpoint}", "", held.get(outpoint), others.get(outpoint))


def _by_id(index: Index) -> dict[str, dict[str, Any]]:
    return {str(entry["id"]): {**entry, "terms": _said(entry)} for entry in index.entries()}


def _said(entry: Mapping[str, Any]) -> Any:
    """Terms without any value let nobody mint, as none do; not every producer tells them apart."""
    terms = entry["terms"]
    said = terms and (terms["amount"], terms["cap"], *terms["height"], *terms["offset"])
    return terms if said and set(said) != {None} else None
