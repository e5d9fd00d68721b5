"""How much of each rune there is, how much there can be, and what part was premined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import pyarrow as pa
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.runes.amounts import number_texts
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence
from workbench.runes.questions.bars import bars
from workbench.runes.questions.standing import Standing, product, standings
from workbench.runes.saying import said_amount, said_counts, said_share

TITLE = "How much is there, and how much can there be?"
BUCKETS = 10
AMOUNTS = ("premine", "mints", "minted", "burned", "current", "maximum", "circulating", "stated")

_SCHEMA = pa.schema(
    [
        ("rune_id", pa.string()),
        ("name", pa.string()),
        *((name, pa.string()) for name in AMOUNTS),
        ("premine_of_current", pa.float64()),
        ("premine_of_maximum", pa.float64()),
    ]
)
_FORMULAS = (
    "current = premine + mints * amount",
    "maximum = premine + cap * amount",
    "circulating = current - burned",
    "premine_of_current = premine / current; premine_of_maximum = premine / maximum",
)
_ASSUMPTIONS = (
    "terms without a cap or an amount, and no terms at all, let nothing be minted",
    "mints and burned count from the etching on, as the table entries has them",
)
_NO_MAXIMUM = "premine or terms of {count} {count:rune|runes}: how much there can be"
_NO_CURRENT = "premine, terms or mints of {count} {count:rune|runes}: how much there is"
_STATED = (
    "of {count} {count:rune|runes} the current supply is what the source states: it could not be "
    "computed"
)
_DIFFERS = (
    "for {count} {count:rune|runes} the source states another supply than premine + mints * amount"
)
_NO_BURNED = "what was burned of {count} {count:rune|runes}: how much circulates"


@dataclass(slots=True)
class _Supply:
    """What follows of a rune's standing; None where a part is not known."""

    of: Standing
    minted: int | None
    computed: int | None
    current: int | None
    maximum: int | None
    circulating: int | None
    premine_of_current: float | None
    premine_of_maximum: float | None


def _supply(of: Standing) -> _Supply:
    minted = product(of.mints, of.amount)
    computed = _sum(of.premine, minted)
    current = of.stated if computed is None else computed
    maximum = _sum(of.premine, product(of.cap, of.amount))
    circulating = None if current is None or of.burned is None else current - of.burned
    shares = _share(of.premine, current), _share(of.premine, maximum)
    return _Supply(of, minted, computed, current, maximum, circulating, *shares)


@question(TITLE)
def supply(
    batch: Evidence,
    *,
    rune: Annotated[
        str | None, Meta(title="Rune", description="Its id or name; none: every rune.")
    ] = None,
) -> Answer:
    """Says how much of each rune there is, circulates and can ever be, and what part of it was
    premined."""
    batch.needs("supply", "entries")
    wanted = None if rune is None else batch.rune(rune)
    found = [_supply(one) for one in standings(batch, wanted.id if wanted else None)]
    found.sort(key=_by_premine)
    one = found[0] if wanted and found else None
    return Answer(
        question="supply",
        sentence=_one(wanted.name, one) if wanted else _all(found),
        table=_table(found),
        amounts=AMOUNTS,
        counts=("mints",),
        figure=_parts(one) if wanted else _shares(found),
        facts=_facts(found, one),
        explanation=Explanation(
            question=TITLE,
            formulas=_FORMULAS,
            assumptions=_ASSUMPTIONS,
            missing=_missing(found),
            sources=batch.sources(),
        ),
    )


def _by_premine(one: _Supply) -> tuple[bool, float]:
    share = one.premine_of_maximum
    return share is None, -(share or 0)


def _sum(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one + other


def _share(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else part / whole


def _table(found: list[_Supply]) -> pa.Table:
    """Its columns are those of a rune's standing, and what follows of it."""
    columns: dict[str, Any] = {}
    for name in _SCHEMA.names:
        stands = name in Standing.__slots__
        values = [getattr(one.of if stands else one, name) for one in found]
        columns[name] = number_texts(values) if name in AMOUNTS else values
    return pa.table(columns, schema=_SCHEMA)


def _counts(found: list[_Supply]) -> dict[str, int]:
    """How many runes were premined whole, and how many to at least the half."""
    parts = [(one.of.premine, one.maximum) for one in found]
    known = [(part, whole) for part, whole in parts if part is not None and whole]
    return {
        "runes": len(found),
        "whole": sum(part == whole for part, whole in known),
        "half": sum(2 * part >= whole for part, whole in known),
    }


def _facts(found: list[_Supply], one: _Supply | None) -> dict[str, Any]:
    if one is None:
        return _counts(found)
    return {
        "rune": one.of.rune_id,
        "current": one.current,
        "maximum": one.maximum,
        "circulating": one.circulating,
        "premine_of_current": one.premine_of_current,
        "premine_of_maximum": one.premine_of_maximum,
    }


def _one(name: str, one: _Supply | None) -> Sentence:
    if one is None or one.current is None:
        return Sentence("the batch does not say how much of {rune} there is", {"rune": name})
    return Sentence(
        "{rune}: there are {current} of at most {maximum}, {circulating} circulate; {share} of "
        "what there is was premined",
        {
            "rune": name,
            "current": _said(one, one.current),
            "maximum": _said(one, one.maximum),
            "circulating": _said(one, one.circulating),
            "share": said_share(one.premine_of_current),
        },
    )


def _said(one: _Supply, amount: int | None) -> str:
    return "–" if amount is None else said_amount(amount, one.of.divisibility, one.of.symbol)


def _all(found: list[_Supply]) -> Sentence:
    if not found:
        return Sentence("there are no runes in this batch")
    return Sentence(
        "of {runes} {runes:rune|runes} {half} {half:was|were} premined to at least a half of all "
        "there can be, {whole} of them whole",
        _counts(found),
    )


def _parts(one: _Supply | None) -> Figure:
    """Of one rune: what circulates, was burned, and can still be minted."""
    shown: list[tuple[str, float]] = []
    if one and one.maximum and one.current is not None:
        parts = {
            "circulates": one.circulating,
            "burned": one.of.burned,
            "not yet minted": one.maximum - one.current,
        }
        known = [(name, part) for name, part in parts.items() if part is not None]
        shown = [(name, 100 * (part / one.maximum)) for name, part in known]
    return bars("What there can be of the rune", shown, ("part", "share of the maximum, percent"))


def _shares(found: list[_Supply]) -> Figure:
    """Of many runes: how many were premined to which part."""
    counts = [0] * BUCKETS
    for one in found:
        if one.premine_of_maximum is not None:
            counts[min(int(one.premine_of_maximum * BUCKETS), BUCKETS - 1)] += 1
    step = 100 // BUCKETS
    return bars(
        "Runes by the share that was premined",
        [
            (f"{place * step}–{place * step + step} %", float(count))
            for place, count in enumerate(counts)
        ],
        ("premine, share of the maximum", "runes"),
    )


def _missing(found: list[_Supply]) -> tuple[str, ...]:
    """What the batch does not say of how many runes."""
    stated = [one for one in found if one.of.stated is not None]
    return said_counts(
        (_NO_MAXIMUM, sum(one.maximum is None for one in found)),
        (_NO_CURRENT, sum(one.current is None for one in found)),
        (_STATED, sum(one.computed is None for one in stated)),
        (_DIFFERS, sum(one.computed not in (None, one.of.stated) for one in stated)),
        (_NO_BURNED, sum(one.of.burned is None for one in found)),
    )
