"""The entries of a snapshot: as MessagePack has them, and back."""

from __future__ import annotations

from typing import Annotated

import msgspec

from workbench.core.rune import RuneId
from workbench.core.runestone import Etching, Terms
from workbench.runes.entry import Entry

Amount = Annotated[str, msgspec.Meta(pattern=r"^(0|[1-9][0-9]{0,38})$")]
Count = Annotated[int, msgspec.Meta(ge=0)]
Txid = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
Id = tuple[Count, Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]]
Bounds = tuple[Count | None, Count | None]


class Row(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """What is written as an array, in the order of its fields."""


class TermsRow(Row, frozen=True):
    amount: Amount | None
    cap: Amount | None
    height: Bounds
    offset: Bounds


class EntryRow(Row, frozen=True):
    id: Id
    number: Amount
    txid: Txid
    time: Count | None
    void: bool
    mints: Amount
    burned: Amount
    rune: Amount | None
    spacers: Annotated[int, msgspec.Meta(ge=0, le=0x7FFFFFF)] | None
    divisibility: Annotated[int, msgspec.Meta(ge=0, le=38)] | None
    symbol: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] | None
    premine: Amount | None
    turbo: bool
    terms: TermsRow | None


def pair_of(rune: RuneId) -> Id:
    return rune.block, rune.tx


def entry_row(entry: Entry) -> EntryRow:
    etching = entry.etching
    return EntryRow(
        id=pair_of(entry.id),
        number=str(entry.number),
        txid=entry.txid,
        time=entry.time,
        void=entry.void,
        mints=str(entry.mints),
        burned=str(entry.burned),
        rune=_text(etching.rune),
        spacers=etching.spacers,
        divisibility=etching.divisibility,
        symbol=etching.symbol,
        premine=_text(etching.premine),
        turbo=etching.turbo,
        terms=None if etching.terms is None else _terms_row(etching.terms),
    )


def _terms_row(terms: Terms) -> TermsRow:
    return TermsRow(_text(terms.amount), _text(terms.cap), terms.height, terms.offset)


def _text(value: int | None) -> str | None:
    return None if value is None else str(value)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def entry_of(row: EntryRow, place: int) -> Entry:
    etching = Etching(
        divisibility=row.divisibility,
        premine=_number(row.premine),
        rune=_number(row.rune),
        spacers=row.spacers,
        symbol=row.symbol,
        terms=None if row.terms is None else _terms(row.terms),
        turbo=row.turbo,
    )
    return Entry(
        id=RuneId(*row.id),
        number=int(row.number),
        txid=row.txid,
        etching=etching,
        place=place,
        time=row.time,
        void=row.void,
        mints=int(row.mints),
        burned=int(row.burned),
    )


def _terms(row: TermsRow) -> Terms:
    return Terms(
        amount=_number(row.amount), cap=_number(row.cap), height=row.height, offset=row.offset
    )
