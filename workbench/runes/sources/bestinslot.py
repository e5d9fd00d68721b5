"""Best in Slot's API and the events of its open indexer OPI. Amounts are atomic.

Source: the API's page of terms (`per_mint_amount: terms.amount`) and OPI's
`modules/runes_index/db_init.sql`. Bounds of a mint are stated once, whether the etching gave
heights or offsets: they are kept as heights. OPI does not say where in its block a
transaction stands.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from workbench.runes.kinds import HEIGHT
from workbench.runes.sources.shapes import (
    About,
    Address,
    Count,
    Divisibility,
    Fact,
    Id,
    Number,
    Outpoint,
    Row,
    Script,
    Shape,
    Text,
    TxId,
    atomic,
    bounded,
    check_letters,
    etching,
    fact_of,
    maybe_atomic,
    unsigned,
    with_keys,
)

BEST_IN_SLOT = "best-in-slot"
OPI = "opi"


class Ticker(msgspec.Struct):
    """One of GET /v3/runes/tickers, and /v3/runes/ticker_info."""

    rune_id: Id
    spaced_rune_name: Text
    decimals: Divisibility
    deploy_txid: TxId
    premined_supply: Number
    auto_upgrade: bool | None = None
    symbol: str | None = None
    per_mint_amount: Number = None
    mint_cnt: Number = None
    mint_cnt_limit: Number = None
    total_minted_supply: Number = None
    burned_supply: Number = None
    mint_start_block: Number = None
    mint_end_block: Number = None
    holder_count: Count | None = None
    rune_name: Text | None = None


class Holder(msgspec.Struct):
    """One of GET /v3/runes/holders."""

    pkscript: Script
    rune_id: Id
    total_balance: Number
    decimals: Divisibility
    spaced_rune_name: Text
    wallet_addr: Address | Literal[""] | None = None
    rune_name: Text | None = None


class Event(msgspec.Struct):
    """A row of OPI's table `runes_events`; as CSV every value is text."""

    event_type: Literal[0, 1, 2, 3, 4, "0", "1", "2", "3", "4"]
    txid: TxId
    rune_id: Id
    amount: Number
    block_height: Number
    outpoint: Outpoint | Literal[""] | None = None
    pkscript: Script | None = None
    wallet_addr: Address | Literal[""] | None = None


def _ticker(document: Ticker, about: About) -> Iterator[Row | Fact]:
    check_letters("rune_name", document.rune_name, "spaced_rune_name", document.spaced_rune_name)
    yield from etching(
        document.rune_id,
        "spaced_rune_name",
        document.spaced_rune_name,
        document.decimals,
        **_terms(document),
        symbol=document.symbol,
        premine=atomic("premined_supply", document.premined_supply),
        turbo=document.auto_upgrade,
        txid=document.deploy_txid,
    )
    yield Row(
        "entries",
        {
            "rune_id": document.rune_id,
            "mints": maybe_atomic("mint_cnt", document.mint_cnt),
            "burned": maybe_atomic("burned_supply", document.burned_supply),
            "supply": maybe_atomic("total_minted_supply", document.total_minted_supply),
            "holders": document.holder_count,
        },
    )


def _terms(document: Ticker) -> dict[str, Any]:
    found = {
        "amount": maybe_atomic("per_mint_amount", document.per_mint_amount),
        "cap": maybe_atomic("mint_cnt_limit", document.mint_cnt_limit),
        "height_start": unsigned("mint_start_block", document.mint_start_block),
        "height_end": unsigned("mint_end_block", document.mint_end_block),
    }
    return {**found, "terms": any(value is not None for value in found.values())}


def _holder(document: Holder, about: About) -> Iterator[Row | Fact]:
    check_letters("rune_name", document.rune_name, "spaced_rune_name", document.spaced_rune_name)
    spaced = document.spaced_rune_name
    yield fact_of(document.rune_id, "spaced_rune_name", spaced, document.decimals)
    yield Row(
        "balances",
        {
            "rune_id": document.rune_id,
            "script": document.pkscript,
            "address": document.wallet_addr or None,
            "amount": atomic("total_balance", document.total_balance),
        },
    )


def _event(document: Event, about: About) -> Iterator[Row | Fact]:
    """0 input, 1 new allocation (a premine), 2 mint, 3 output, 4 burn."""
    height = bounded("block_height", document.block_height, HEIGHT)
    row = {"height": height, "txid": document.txid, "rune_id": document.rune_id}
    row["amount"] = atomic("amount", document.amount)
    outpoint, kind = document.outpoint or None, int(document.event_type)
    output = int(outpoint.partition(":")[2]) if outpoint else None
    whose = {"script": document.pkscript, "address": document.wallet_addr or None}
    if kind == 0:
        yield Row("inputs", {**row, "outpoint": outpoint, **whose})
    elif kind == 2:
        yield Row("events", {**row, "kind": "minted"})
        place = {name: row[name] for name in ("height", "txid", "rune_id")}
        receiver = {"receiver": document.pkscript or None, "address": whose["address"]}
        yield Row("mints", {**place, **receiver, "credited": True})
    else:
        said = {1: "etched", 3: "transferred", 4: "burned"}[kind]
        yield Row("events", {**row, "kind": said, "output": output if kind == 3 else None})
        if kind == 3 and output is not None:
            yield Row("allocations", {**row, "output": output, **whose})


SHAPES = (
    Shape(
        BEST_IN_SLOT,
        "GET /v3/runes/ticker_info",
        ("etchings", "entries"),
        Ticker,
        with_keys("rune_id", "spaced_rune_name", "premined_supply", "deploy_txid"),
        _ticker,
    ),
    Shape(
        BEST_IN_SLOT,
        "GET /v3/runes/holders",
        ("balances",),
        Holder,
        with_keys("pkscript", "total_balance", "rune_id"),
        _holder,
    ),
    Shape(
        OPI,
        "runes_events",
        ("events", "mints", "inputs", "allocations"),
        Event,
        with_keys("event_type", "txid", "rune_id", "block_height"),
        _event,
    ),
)
