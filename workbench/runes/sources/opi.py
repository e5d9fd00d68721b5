"""OPI's state: its tables of entries and of what outputs hold. Amounts are atomic.

Source: `modules/runes_index/db_init.sql` of the open indexer OPI, 0.4.2. A copy as CSV writes
lists as {840000:3,1:0} and truth as t or f. It honours only what is committed to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from workbench.core.rune import SPACER, SpacedRune, rune_number
from workbench.errors import InputError
from workbench.runes.kinds import DIVISIBILITY, RUNE_ID, SPACERS, rule_pattern
from workbench.runes.sources.bestinslot import OPI
from workbench.runes.sources.shapes import (
    About,
    Address,
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
    etching,
    maybe_atomic,
    unsigned,
    with_keys,
)

Truth = bool | Literal["t", "f", "true", "false"]
_TRUE = (True, "t", "true")
_ID = rule_pattern(RUNE_ID)


class Entry(msgspec.Struct):
    """A row of `runes_id_to_entry`."""

    rune_id: Id
    rune_name: Text
    spacers: Number
    burned: Number
    divisibility: Number
    etching: TxId
    mints: Number
    premine: Number
    turbo: Truth
    terms_amount: Number = None
    terms_cap: Number = None
    terms_height_l: Number = None
    terms_height_h: Number = None
    terms_offset_l: Number = None
    terms_offset_h: Number = None
    symbol: str | None = None


class Held(msgspec.Struct):
    """A row of `runes_outpoint_to_balances`."""

    outpoint: Outpoint
    rune_ids: list[Id] | Text
    balances: list[Any] | str
    spent: Truth
    pkscript: Script | None = None
    wallet_addr: Address | Literal[""] | None = None


def _entry(document: Entry, about: About) -> Iterator[Row | Fact]:
    terms = _terms(document)
    yield from etching(
        document.rune_id,
        "rune_name",
        _spaced(document),
        bounded("divisibility", document.divisibility, DIVISIBILITY),
        commitment="valid",
        **terms,
        terms=any(value is not None for value in terms.values()),
        symbol=document.symbol,
        premine=atomic("premine", document.premine),
        turbo=document.turbo in _TRUE,
        txid=document.etching,
    )
    counts = {name: atomic(name, getattr(document, name)) for name in ("mints", "burned")}
    yield Row("entries", {"rune_id": document.rune_id, **counts})


def _spaced(document: Entry) -> str:
    """The name with its spacers, which stand beside it as bits."""
    if SPACER in document.rune_name:
        return document.rune_name
    bits = bounded("spacers", document.spacers, SPACERS)
    try:
        return str(SpacedRune(rune_number(document.rune_name), bits))
    except InputError as error:
        raise InputError.field("rune_name", document.rune_name, str(error)) from None


def _terms(document: Entry) -> dict[str, Any]:
    bounds = {
        f"{kind}_{end}": unsigned(f"terms_{kind}_{half}", getattr(document, f"terms_{kind}_{half}"))
        for kind in ("height", "offset")
        for end, half in (("start", "l"), ("end", "h"))
    }
    amounts = {
        name: maybe_atomic(f"terms_{name}", getattr(document, f"terms_{name}"))
        for name in ("amount", "cap")
    }
    return {**amounts, **bounds}


def _held(document: Held, about: About) -> Iterator[Row | Fact]:
    """An output that is spent holds nothing any more."""
    if document.spent in _TRUE:
        return
    ids, amounts = _listed(document.rune_ids), _listed(document.balances)
    if len(ids) != len(amounts):
        raise InputError.field("balances", document.balances, f"{len(ids)} amounts, one a rune")
    for place, (rune, amount) in enumerate(zip(ids, amounts, strict=True)):
        if not _ID.search(rune):
            raise InputError.field(f"rune_ids[{place}]", rune, RUNE_ID.rule)
        yield Row(
            "balances",
            {
                "rune_id": rune,
                "outpoint": document.outpoint,
                "script": document.pkscript,
                "address": document.wallet_addr or None,
                "amount": atomic(f"balances[{place}]", amount),
            },
        )


def _listed(value: list[Any] | str) -> list[Any]:
    """A list, or PostgreSQL's text of one."""
    if isinstance(value, list):
        return value
    inside = value.removeprefix("{").removesuffix("}")
    return inside.split(",") if inside else []


SHAPES = (
    Shape(
        OPI,
        "runes_id_to_entry",
        ("etchings", "entries"),
        Entry,
        with_keys("rune_id", "rune_name", "terms_cap", "mints"),
        _entry,
    ),
    Shape(
        OPI,
        "runes_outpoint_to_balances",
        ("balances",),
        Held,
        with_keys("outpoint", "rune_ids", "balances", "spent"),
        _held,
    ),
)
