"""Xverse's and UniSat's answers about holders, activity and runes. Amounts are atomic.

Source: docs.xverse.app (the schemas; they state no unit, and the wallet divides by the
divisibility beside the amount) and UniSat's public client code (`toDecimalAmount`). A value
with a fraction is refused, so that an answer that was divided is not taken for one that was not.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from workbench.errors import InputError
from workbench.runes.sources.shapes import (
    About,
    Address,
    Count,
    Divisibility,
    Fact,
    Height,
    Id,
    Number,
    Row,
    Shape,
    Text,
    TxId,
    atomic,
    check_letters,
    etching,
    fact_of,
    maybe_atomic,
    only_keys,
    rune_of,
    with_keys,
)

XVERSE = "xverse"
UNISAT = "unisat"
KINDS = {
    "etch": "etched",
    "etching": "etched",
    "mint": "minted",
    "burn": "burned",
    "transfer": "transferred",
    "receive": "transferred",
}
"""What Xverse's `type` says, in the batch's words; `send` is an input."""


class Activity(msgspec.Struct):
    """One of GET /v1/runes/<id>/activity."""

    blockHeight: Height
    txid: TxId
    type: Text
    amount: Number = None
    address: Address | None = None


class Holder(msgspec.Struct):
    """One of GET /v1/runes/<id>/holders."""

    address: Address
    amount: Number


class Info(msgspec.Struct):
    """One of GET /v1/runes/batch-info."""

    runeId: Id
    spacedRuneName: Text
    divisibility: Divisibility
    amount: Number = None
    cap: Number = None
    premine: Number = None
    supply: Number = None
    turbo: bool | None = None
    symbol: str | None = None
    holders: Count | None = None
    runeName: Text | None = None


class Balance(msgspec.Struct):
    """One of UniSat's balance list of an address, with the address added where it is known: to
    it, or to the page."""

    runeid: Id
    spacedRune: Text
    divisibility: Divisibility
    amount: Number
    address: Address | None = None
    rune: Text | None = None


def _activity(document: Activity, about: About) -> Iterator[Row | Fact]:
    place = {"height": document.blockHeight, "txid": document.txid, "rune_id": rune_of(about)}
    amount = maybe_atomic("amount", document.amount)
    said = document.type.lower()
    if said == "send":
        whose = {"address": document.address}
        yield Row("inputs", {**place, **whose, "amount": atomic("amount", document.amount)})
        return
    if said not in KINDS:
        raise InputError.field("type", document.type, ", ".join([*KINDS, "send"]))
    yield Row("events", {**place, "kind": KINDS[said], "amount": amount})
    if said == "mint":
        yield Row("mints", {**place, "address": document.address, "credited": True})


def _once(document: Activity) -> tuple[str, ...] | None:
    """A transaction mints a rune once: the page says of which rune it is."""
    return ("mint", document.txid) if document.type.lower() == "mint" else None


def _holder(document: Holder, about: About) -> Iterator[Row | Fact]:
    amount = atomic("amount", document.amount)
    values = {"rune_id": rune_of(about), "address": document.address, "amount": amount}
    yield Row("balances", values)


def _info(document: Info, about: About) -> Iterator[Row | Fact]:
    """It does not say who etched it, nor when it can be minted."""
    check_letters("runeName", document.runeName, "spacedRuneName", document.spacedRuneName)
    yield from etching(
        document.runeId,
        "spacedRuneName",
        document.spacedRuneName,
        document.divisibility,
        amount=maybe_atomic("amount", document.amount),
        cap=maybe_atomic("cap", document.cap),
        premine=maybe_atomic("premine", document.premine),
        symbol=document.symbol,
        turbo=document.turbo,
    )
    yield Row(
        "entries",
        {
            "rune_id": document.runeId,
            "supply": maybe_atomic("supply", document.supply),
            "holders": document.holders,
        },
    )


def _balance(document: Balance, about: About) -> Iterator[Row | Fact]:
    check_letters("rune", document.rune, "spacedRune", document.spacedRune)
    yield fact_of(document.runeid, "spacedRune", document.spacedRune, document.divisibility)
    amount = atomic("amount", document.amount)
    address = document.address or about.address
    values = {"rune_id": document.runeid, "address": address, "amount": amount}
    yield Row("balances", values)


SHAPES = (
    Shape(
        XVERSE,
        "GET /v1/runes/<id>/activity",
        ("events", "mints", "inputs"),
        Activity,
        with_keys("blockHeight", "txid", "type", "amount"),
        _activity,
        listing=True,
        once=_once,
    ),
    Shape(
        XVERSE,
        "GET /v1/runes/<id>/holders",
        ("balances",),
        Holder,
        only_keys("address", "amount"),
        _holder,
        holders="total",
    ),
    Shape(
        XVERSE,
        "GET /v1/runes/batch-info",
        ("etchings", "entries"),
        Info,
        with_keys("runeId", "spacedRuneName", "divisibility"),
        _info,
    ),
    Shape(
        UNISAT,
        "GET /v1/indexer/address/<address>/runes/balance-list",
        ("balances",),
        Balance,
        with_keys("runeid", "spacedRune", "amount", "divisibility"),
        _balance,
    ),
)
