"""Hiro's former Runes API, which a self-hosted bitcoin-indexer still speaks.

Every amount was divided by 10^divisibility, and so was the cap, which is no amount but a
count: it is brought back where it has a point (the service prints one for each divisibility
above 0). `supply.current` counts what was burned twice; it is kept as stated, so that a
comparison shows it. Holder lists and activities state no divisibility: read the etching with
them. Source: `api/runes/src/api/schemas.ts` and its helpers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from workbench.runes.sources.shapes import (
    About,
    Address,
    Count,
    Divided,
    Divisibility,
    Fact,
    Height,
    Id,
    Number,
    Outpoint,
    Row,
    Shape,
    Text,
    TxId,
    check_letters,
    divided,
    etching,
    maybe_atomic,
    maybe_divided,
    only_keys,
    rune_of,
    unsigned,
    with_keys,
)

PRODUCER = "hiro"


class Location(msgspec.Struct):
    block_height: Height
    tx_id: TxId
    tx_index: Count | None = None
    vout: Count | None = None
    output: Outpoint | Literal[""] | None = None


class Terms(msgspec.Struct):
    amount: Number = None
    cap: Number = None
    height_start: Number = None
    height_end: Number = None
    offset_start: Number = None
    offset_end: Number = None


class Supply(msgspec.Struct):
    premine: Number
    burned: Number = None
    total_mints: Number = None
    current: Number = None


class Etching(msgspec.Struct):
    """GET /runes/v1/etchings/<rune>, and each of /etchings."""

    id: Id
    spaced_name: Text
    divisibility: Divisibility
    turbo: bool
    mint_terms: Terms | None
    supply: Supply
    location: Location
    symbol: str | None = None
    name: Text | None = None


class ActivityRune(msgspec.Struct):
    id: Id


class Activity(msgspec.Struct):
    """One of GET /runes/v1/etchings/<rune>/activity."""

    rune: ActivityRune
    operation: Literal["etching", "mint", "burn", "send", "receive"]
    location: Location
    amount: Number = None
    address: Address | None = None


class Holder(msgspec.Struct):
    """One of GET /runes/v1/etchings/<rune>/holders."""

    address: Address | None
    balance: Number


def _etching(document: Etching, about: About) -> Iterator[Row | Fact]:
    check_letters("name", document.name, "spaced_name", document.spaced_name)
    places, supply = document.divisibility, document.supply
    yield from etching(
        document.id,
        "spaced_name",
        document.spaced_name,
        places,
        **_terms(document.mint_terms, places),
        symbol=document.symbol,
        premine=divided("supply.premine", supply.premine, places),
        turbo=document.turbo,
        txid=document.location.tx_id,
    )
    yield Row(
        "entries",
        {
            "rune_id": document.id,
            "mints": maybe_atomic("supply.total_mints", supply.total_mints),
            "burned": maybe_divided("supply.burned", supply.burned, places),
            "supply": maybe_divided("supply.current", supply.current, places),
        },
    )


def _terms(terms: Terms | None, places: int) -> dict[str, Any]:
    """Hiro gives terms without a value in them where there are none."""
    if terms is None or not any(
        getattr(terms, name) is not None for name in terms.__struct_fields__
    ):
        return {"terms": False}
    bounds = ("height_start", "height_end", "offset_start", "offset_end")
    return {
        "terms": True,
        "amount": maybe_divided("mint_terms.amount", terms.amount, places),
        "cap": _cap("mint_terms.cap", terms.cap, places),
        **{name: unsigned(f"mint_terms.{name}", getattr(terms, name)) for name in bounds},
    }


def _cap(field: str, value: Any, places: int) -> str | None:
    if isinstance(value, str) and "." in value:
        return divided(field, value, places)
    return maybe_atomic(field, value)


def _activity(document: Activity, about: About) -> Iterator[Row | Fact]:
    at, rune = document.location, document.rune.id
    place = {"height": at.block_height, "tx_index": at.tx_index, "txid": at.tx_id, "rune_id": rune}
    amount = None if document.amount is None else Divided("amount", document.amount)
    whose = {"address": document.address}
    match document.operation:
        case "etching":
            yield Row("events", {**place, "kind": "etched", "amount": amount})
        case "mint":
            yield Row("events", {**place, "kind": "minted", "amount": amount, "output": at.vout})
            yield Row("mints", {**place, **whose, "credited": True})
        case "burn":
            yield Row("events", {**place, "kind": "burned", "amount": amount})
        case "send":
            yield Row("inputs", {**place, **whose, "amount": amount})
        case "receive":
            kept = {**place, "amount": amount, "output": at.vout}
            yield Row("events", {**kept, "kind": "transferred"})
            if at.vout is not None:
                yield Row("allocations", {**kept, **whose})


def _once(document: Activity) -> tuple[str, ...] | None:
    """A transaction mints a rune once. It may send alike amounts from one address several times."""
    if document.operation not in ("etching", "mint"):
        return None
    return document.rune.id, document.operation, document.location.tx_id


def _holder(document: Holder, about: About) -> Iterator[Row | Fact]:
    """A holder without an address is a script that has none."""
    amount = Divided("balance", document.balance)
    values = {"rune_id": rune_of(about), "address": document.address, "amount": amount}
    yield Row("balances", values)


_EVENTS = ("events", "mints", "inputs", "allocations")
SHAPES = (
    Shape(
        PRODUCER,
        "GET /runes/v1/etchings",
        ("etchings", "entries"),
        Etching,
        with_keys("id", "mint_terms", "supply", "location"),
        _etching,
    ),
    Shape(
        PRODUCER,
        "GET /runes/v1/etchings/<rune>/activity",
        _EVENTS,
        Activity,
        with_keys("operation", "location", "rune"),
        _activity,
        listing=True,
        once=_once,
    ),
    Shape(
        PRODUCER,
        "GET /runes/v1/etchings/<rune>/holders",
        ("balances",),
        Holder,
        only_keys("address", "balance"),
        _holder,
        holders="total",
    ),
)
