"""ord: its JSON API, and what `ord runes` and `ord balances` print. Amounts are atomic.

Source of the shapes: ord's templates `rune.rs`, `runes.rs`, `api.rs` and subcommands
`runes.rs`, `balances.rs`. ord honours an etching only after its commitment, so that one is
valid; it does not say whether a cenotaph etched the rune, nor at which block it stood.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from workbench.core.rune import SPACER
from workbench.runes.sources.shapes import (
    About,
    Address,
    Divided,
    Divisibility,
    Fact,
    Id,
    Named,
    Number,
    Outpoint,
    Row,
    Script,
    Shape,
    Text,
    TxId,
    atomic,
    etching,
    maybe_atomic,
    same_name,
    unsigned,
    with_keys,
)

PRODUCER = "ord"


class Terms(msgspec.Struct):
    amount: Number = None
    cap: Number = None
    height: tuple[Number, Number] = (None, None)
    offset: tuple[Number, Number] = (None, None)


class Entry(msgspec.Struct):
    burned: Number
    divisibility: Divisibility
    etching: TxId
    mints: Number
    premine: Number
    spaced_rune: Text
    terms: Terms | None
    turbo: bool
    symbol: str | None = None


class Rune(msgspec.Struct):
    """GET /rune/<id>."""

    id: Id
    entry: Entry


class Runes(msgspec.Struct):
    """GET /runes."""

    entries: list[tuple[Id, Entry]]


class PrintedEntry(msgspec.Struct):
    id: Id
    burned: Number
    divisibility: Divisibility
    etching: TxId
    mints: Number
    premine: Number
    supply: Number
    terms: Terms | None
    turbo: bool
    rune: Text = ""
    symbol: str | None = None


class PrintedRunes(msgspec.Struct):
    """`ord runes`."""

    runes: dict[str, PrintedEntry]


class Pile(msgspec.Struct):
    amount: Number
    divisibility: Divisibility


class PrintedBalances(msgspec.Struct):
    """`ord balances`."""

    runes: dict[Text, dict[Outpoint, Pile]]


class Output(msgspec.Struct):
    """GET /output/<outpoint>, and each of /outputs."""

    outpoint: Outpoint
    runes: dict[Text, Pile] | list[tuple[Text, Pile]] | None
    spent: bool
    address: Address | None = None
    script_pubkey: Script | None = None


class Held(msgspec.Struct):
    """GET /address/<address>, with the address added: ord leaves it out."""

    runes_balances: list[tuple[Text, Number, str | None]]
    address: Address


def _entry_rows(rune_id: str, at: str, entry: Entry) -> Iterator[Row | Fact]:
    yield from etching(
        rune_id,
        f"{at}spaced_rune",
        entry.spaced_rune,
        entry.divisibility,
        commitment="valid",
        **_terms(at, entry.terms),
        symbol=entry.symbol,
        premine=atomic(f"{at}premine", entry.premine),
        turbo=entry.turbo,
        txid=entry.etching,
    )
    yield Row(
        "entries",
        {
            "rune_id": rune_id,
            "mints": atomic(f"{at}mints", entry.mints),
            "burned": atomic(f"{at}burned", entry.burned),
        },
    )


def _terms(at: str, terms: Terms | None) -> dict[str, Any]:
    if terms is None:
        return {"terms": False}
    bounds = {
        f"{kind}_{end}": unsigned(f"{at}terms.{kind}[{place}]", pair[place])
        for kind, pair in (("height", terms.height), ("offset", terms.offset))
        for place, end in enumerate(("start", "end"))
    }
    return {
        "terms": True,
        "amount": maybe_atomic(f"{at}terms.amount", terms.amount),
        "cap": maybe_atomic(f"{at}terms.cap", terms.cap),
        **bounds,
    }


def _rune(document: Rune, about: About) -> Iterator[Row | Fact]:
    yield from _entry_rows(document.id, "entry.", document.entry)


def _runes(document: Runes, about: About) -> Iterator[Row | Fact]:
    for place, (rune_id, entry) in enumerate(document.entries):
        yield from _entry_rows(rune_id, f"entries[{place}][1].", entry)


def _printed_runes(document: PrintedRunes, about: About) -> Iterator[Row | Fact]:
    for name, each in document.runes.items():
        at = f"runes.{name}."
        entry = Entry(
            burned=each.burned,
            divisibility=each.divisibility,
            etching=each.etching,
            mints=each.mints,
            premine=each.premine,
            spaced_rune=max(each.rune or name, name, key=_spacers),
            terms=each.terms,
            turbo=each.turbo,
            symbol=each.symbol,
        )
        for row in _entry_rows(each.id, at, entry):
            if isinstance(row, Row) and row.table == "entries":
                row.values["supply"] = atomic(f"{at}supply", each.supply)
            yield row


def _spacers(name: str) -> int:
    """An entry stands under its name, and says it once more: one of both may lack the spacers."""
    return same_name(name).count(SPACER)


def _printed_balances(document: PrintedBalances, about: About) -> Iterator[Row | Fact]:
    for name, held in document.runes.items():
        for outpoint, pile in held.items():
            amount = atomic(f"runes.{name}.{outpoint}.amount", pile.amount)
            rune = Named(same_name(name))
            yield Row("balances", {"rune_id": rune, "outpoint": outpoint, "amount": amount})


def _output(document: Output, about: About) -> Iterator[Row | Fact]:
    """An output that is spent holds nothing any more."""
    if document.spent:
        return
    runes = document.runes or {}
    for name, pile in runes.items() if isinstance(runes, Mapping) else runes:
        yield Row(
            "balances",
            {
                "rune_id": Named(same_name(name)),
                "outpoint": document.outpoint,
                "script": document.script_pubkey,
                "address": document.address,
                "amount": atomic(f"runes.{name}.amount", pile.amount),
            },
        )


def _held(document: Held, about: About) -> Iterator[Row | Fact]:
    """The sums of an address, divided by 10^divisibility."""
    for place, (name, amount, _) in enumerate(document.runes_balances):
        shown = Divided(f"runes_balances[{place}][1]", amount)
        rune = Named(same_name(name))
        yield Row("balances", {"rune_id": rune, "address": document.address, "amount": shown})


def _prints(key: str) -> Any:
    """Tells what the command line prints: `runes`, with entries or with outputs below."""

    def tells(document: Mapping[str, Any]) -> bool:
        runes = document.get("runes") if document.keys() == {"runes"} else None
        if not isinstance(runes, dict):
            return False
        first = next(iter(runes.values()), None)
        return (isinstance(first, dict) and "etching" in first) == (key == "etching")

    return tells


_STATE = ("etchings", "entries")
SHAPES = (
    Shape(PRODUCER, "GET /rune/<id>", _STATE, Rune, with_keys("entry", "id"), _rune),
    Shape(PRODUCER, "GET /runes", _STATE, Runes, with_keys("entries", "more"), _runes),
    Shape(PRODUCER, "ord runes", _STATE, PrintedRunes, _prints("etching"), _printed_runes),
    Shape(PRODUCER, "ord balances", ("balances",), PrintedBalances, _prints(""), _printed_balances),
    Shape(PRODUCER, "GET /output", ("balances",), Output, with_keys("outpoint", "runes"), _output),
    Shape(PRODUCER, "GET /address", ("balances",), Held, with_keys("runes_balances"), _held),
)
