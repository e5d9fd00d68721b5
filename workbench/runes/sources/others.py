"""OKX, Maestro's Symphony, Allium's tables and the DOG tracer. Amounts are atomic.

Source: OKX's marketplace pages, Symphony's `docs/openapi.json`, docs.allium.so, and the files
of LimaDevBTC/DogData-v1. Allium's NUMBER(38,0) has no room for the largest amounts: a cap of
2^128 - 1 cannot be true there, and is not read from it.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from workbench.runes.kinds import DIVISIBILITY
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
    bounded,
    check_letters,
    etching,
    maybe_atomic,
    rune_of,
    unsigned,
    with_keys,
)

DOG = "840000:3"


class Okx(msgspec.Struct):
    """A rune of OKX's marketplace; it knows neither premine nor etcher."""

    runesId: Id
    spacename: Text
    divisibility: Divisibility
    limitPerMint: Number = None
    maxMintNumber: Number = None
    mintedNumber: Number = None
    startBlock: Number = None
    endBlock: Number = None
    symbol: str | None = None
    holders: Number = None
    name: Text | None = None


class SymphonyTerms(msgspec.Struct):
    amount: Number = None
    cap: Number = None
    start_height: Number = None
    end_height: Number = None


class Symphony(msgspec.Struct):
    """Maestro's RuneInfo."""

    id: Id
    spaced_name: Text
    divisibility: Divisibility
    etching_tx: TxId
    premine: Number
    terms: SymphonyTerms | None = None
    symbol: str | None = None
    name: Text | None = None


class Allium(msgspec.Struct):
    """A row of bitcoin.assets.rune_etchings."""

    rune_id: Id
    spaced_rune: Text
    divisibility: Number
    premine: Number
    symbol: str | None = None
    num_mints: Number = None
    num_burned: Number = None


class Party(msgspec.Struct):
    address: Address | None
    amount: Number
    has_dog: bool = True


class Traced(msgspec.Struct):
    """A transfer as the DOG tracer saw it; it is known to drop inputs."""

    txid: TxId
    block_height: Height
    senders: list[Party]
    receivers: list[Party]


class DogHolder(msgspec.Struct):
    """A row of the DOG tracer's holder list."""

    address: Address
    amount: Number
    utxo_count: Count


def _okx(document: Okx, about: About) -> Iterator[Row | Fact]:
    check_letters("name", document.name, "spacename", document.spacename)
    yield from etching(
        document.runesId,
        "spacename",
        document.spacename,
        document.divisibility,
        symbol=document.symbol,
        amount=maybe_atomic("limitPerMint", document.limitPerMint),
        cap=maybe_atomic("maxMintNumber", document.maxMintNumber),
        height_start=unsigned("startBlock", document.startBlock),
        height_end=unsigned("endBlock", document.endBlock),
    )
    mints = maybe_atomic("mintedNumber", document.mintedNumber)
    holders = unsigned("holders", document.holders)
    yield Row("entries", {"rune_id": document.runesId, "mints": mints, "holders": holders})


def _symphony(document: Symphony, about: About) -> Iterator[Row | Fact]:
    check_letters("name", document.name, "spaced_name", document.spaced_name)
    terms = document.terms or SymphonyTerms()
    has_terms = any(getattr(terms, name) is not None for name in terms.__struct_fields__)
    yield from etching(
        document.id,
        "spaced_name",
        document.spaced_name,
        document.divisibility,
        symbol=document.symbol,
        premine=atomic("premine", document.premine),
        terms=has_terms,
        amount=maybe_atomic("terms.amount", terms.amount),
        cap=maybe_atomic("terms.cap", terms.cap),
        height_start=unsigned("terms.start_height", terms.start_height),
        height_end=unsigned("terms.end_height", terms.end_height),
        txid=document.etching_tx,
    )


def _allium(document: Allium, about: About) -> Iterator[Row | Fact]:
    yield from etching(
        document.rune_id,
        "spaced_rune",
        document.spaced_rune,
        bounded("divisibility", document.divisibility, DIVISIBILITY),
        symbol=document.symbol,
        premine=atomic("premine", document.premine),
    )
    yield Row(
        "entries",
        {
            "rune_id": document.rune_id,
            "mints": maybe_atomic("num_mints", document.num_mints),
            "burned": maybe_atomic("num_burned", document.num_burned),
        },
    )


def _traced(document: Traced, about: About) -> Iterator[Row | Fact]:
    """Receivers have no output number: they are events without one."""
    rune = about.rune_id or DOG
    place = {"height": document.block_height, "txid": document.txid, "rune_id": rune}
    for index, party in enumerate(document.senders):
        if party.has_dog:
            amount = atomic(f"senders[{index}].amount", party.amount)
            yield Row("inputs", {**place, "address": party.address, "amount": amount})
    for index, party in enumerate(document.receivers):
        if party.has_dog:
            amount = atomic(f"receivers[{index}].amount", party.amount)
            yield Row("events", {**place, "kind": "transferred", "amount": amount})


def _dog_holder(document: DogHolder, about: About) -> Iterator[Row | Fact]:
    amount = atomic("amount", document.amount)
    values = {"rune_id": rune_of(about), "address": document.address, "amount": amount}
    yield Row("balances", values)


_STATE = ("etchings", "entries")
SHAPES = (
    Shape("okx", "runes/detail", _STATE, Okx, with_keys("runesId", "spacename"), _okx),
    Shape(
        "maestro",
        "RuneInfo",
        ("etchings",),
        Symphony,
        with_keys("etching_tx", "spaced_name", "premine"),
        _symphony,
    ),
    Shape(
        "allium",
        "bitcoin.assets.rune_etchings",
        _STATE,
        Allium,
        with_keys("rune_id", "spaced_rune", "num_mints", "premine"),
        _allium,
    ),
    Shape(
        "dogdata",
        "dog_transactions",
        ("events", "inputs"),
        Traced,
        with_keys("txid", "senders", "receivers"),
        _traced,
        listing=True,
        once=lambda document: (document.txid,),
    ),
    Shape(
        "dogdata",
        "dog_holders_by_address",
        ("balances",),
        DogHolder,
        with_keys("address", "amount", "utxo_count"),
        _dog_holder,
        holders="total_holders",
    ),
)
