"""Can a rune be minted in the next block, why not, and when will all of it be minted?"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Annotated, Any

import pyarrow as pa
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.errors import InputError
from workbench.runes.amounts import number_texts
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence, Rune
from workbench.runes.questions.bars import bars
from workbench.runes.questions.pace import DAY, blocks_of, recent
from workbench.runes.questions.standing import Standing, standings
from workbench.runes.saying import said_counts, said_share

TITLE = "Can it be minted, and until when?"
AMOUNTS = ("mints", "cap", "remaining")
OPEN = "open"
STATUSES = (OPEN, "not-started", None, "capped", "ended", "no-cap", "no-terms", "cenotaph")
"""In the order of the table; None: the batch does not tell."""
_RANKS = {status: rank for rank, status in enumerate(STATUSES)}

_SCHEMA = pa.schema(
    [
        ("rune_id", pa.string()),
        ("name", pa.string()),
        ("status", pa.string()),
        *((name, pa.string()) for name in AMOUNTS),
        ("progress", pa.float64()),
        ("opens_at", pa.uint64()),
        ("closes_at", pa.uint64()),
        ("mints_per_block", pa.float64()),
        ("eta_blocks", pa.float64()),
        ("outlook", pa.string()),
    ]
)
_FORMULAS = (
    "progress = mints / cap; remaining = cap - mints",
    "open at height h: mints < cap and start <= h < end, where there are such bounds",
    "start = the later, end = the earlier of the absolute bound and etching's height + offset",
    "mints_per_block = credited mints of the last 144 blocks / 144",
    "eta_blocks = remaining / mints_per_block",
    "outlook: fills, if the cap is reached at that pace before the end; else closes",
)
_ASSUMPTIONS = (
    "terms without a cap allow no mint",
    "the pace of the last day goes on",
)
_UNKNOWN = "terms or mints of {count} {count:rune: whether it|runes: whether they} can be minted"
_SHORT = "{count} of the last 144 blocks: the pace is that of the others"
_NO_PACE = "the table mints: no pace, and no time until the cap"
_UNDECIDED = (
    "whether recent mints of {count} {count:rune were credited: it has|runes were credited: they "
    "have} no pace"
)

_CLOSED = {
    None: "the batch does not say whether {rune} can be minted",
    "not-started": "{rune} cannot be minted yet: its mint opens at height {start}",
    "capped": "{rune} cannot be minted any more: all {cap} mints are made",
    "ended": "{rune} cannot be minted any more: its mint closed at height {end}, with {mints} of "
    "{cap} made",
    "no-cap": "{rune} can never be minted: its terms name no cap",
    "no-terms": "{rune} can never be minted: it was etched without terms",
    "cenotaph": "{rune} can never be minted: a cenotaph etched it",
}
_OPEN = {
    None: "{rune} can be minted at height {height}: {mints} of {cap} are made ({share}), and no "
    "pace says when the rest will be",
    "fills": "{rune} can be minted at height {height}: {mints} of {cap} are made ({share}); at "
    "{pace} a block the rest takes {blocks} {blocks:block|blocks}",
    "closes": "{rune} can be minted at height {height}: {mints} of {cap} are made ({share}); at "
    "{pace} a block it closes at height {end} before all are",
}


@dataclass(slots=True)
class _Status:
    """A rune at the height of the next block; `fresh` of its mints lie in the last `blocks`."""

    of: Standing
    height: int
    fresh: int | None
    blocks: int
    remaining: int | None = field(init=False)
    status: str | None = field(init=False)

    def __post_init__(self) -> None:
        of = self.of
        self.remaining = None if of.cap is None or of.mints is None else of.cap - of.mints
        self.status = self._status()

    def _status(self) -> str | None:
        """Why it is not open, as the protocol looks for a reason; None where that is not told."""
        of = self.of
        if of.cenotaph:
            return "cenotaph"
        if of.terms is False:
            return "no-terms"
        if of.cap == 0:
            return "no-cap"
        if self.remaining is not None and self.remaining <= 0:
            return "capped"
        if of.start is not None and self.height < of.start:
            return "not-started"
        if of.end is not None and self.height >= of.end:
            return "ended"
        return None if self.remaining is None else OPEN

    @property
    def progress(self) -> float | None:
        of = self.of
        return of.mints / of.cap if of.cap and of.mints is not None else None

    @property
    def pace(self) -> float | None:
        return self.fresh / self.blocks if self.blocks and self.fresh is not None else None

    @property
    def eta_blocks(self) -> float | None:
        if self.status != OPEN or not self.fresh or not self.blocks or self.remaining is None:
            return None
        return self.remaining * self.blocks / self.fresh

    @property
    def outlook(self) -> str | None:
        """Whether the cap or the end comes first, at the pace of the last day."""
        if self.status != OPEN or self.remaining is None or self.pace is None:
            return None
        if self.of.end is None:
            return "fills" if self.fresh else None
        could_be = (self.fresh or 0) * (self.of.end - self.height)
        return "fills" if self.remaining * self.blocks <= could_be else "closes"

    @property
    def rank(self) -> tuple[int, float]:
        """The open ones first, of them the nearest to the cap."""
        return _RANKS[self.status], -(self.progress or 0)


@question(TITLE)
def mint_status(
    batch: Evidence,
    *,
    rune: Annotated[
        str | None, Meta(title="Rune", description="Its id or name; none: every rune.")
    ] = None,
) -> Answer:
    """Says whether each rune can be minted in the next block, why not, how much of its cap is
    used, and when it will be used up at the pace of the last 144 blocks."""
    batch.needs("mint_status", "entries")
    wanted = None if rune is None else batch.rune(rune)
    height = _next_height(batch)
    fresh = recent(batch, wanted.id if wanted else None, DAY)
    found = _judged(batch, wanted, height, fresh)
    one = found[0] if wanted and found else None
    return Answer(
        question="mint_status",
        sentence=_one(wanted, one) if wanted else _all(found, height),
        table=_table(found),
        amounts=AMOUNTS,
        counts=AMOUNTS,
        figure=_progress(one) if wanted else _statuses(found),
        facts=_facts(found, one, height),
        explanation=Explanation(
            question=TITLE,
            formulas=_FORMULAS,
            assumptions=_ASSUMPTIONS,
            missing=_missing(found, fresh is not None, blocks_of(batch, DAY)),
            sources=batch.sources(),
        ),
    )


def _next_height(batch: Evidence) -> int:
    if batch.last_height is None:
        raise InputError(
            "{question} needs to know the last block, and {batch} does not state it: ask a batch",
            question="mint_status",
            batch=batch.name,
        )
    return batch.last_height + 1


def _judged(batch: Evidence, wanted: Rune | None, height: int, fresh: Any) -> list[_Status]:
    blocks = blocks_of(batch, DAY)
    found = [
        _Status(one, height, None if fresh is None else fresh.get(one.rune_id, 0), blocks)
        for one in standings(batch, wanted.id if wanted else None)
    ]
    return sorted(found, key=lambda one: one.rank)  # of equals in the order of the chain


def _table(found: list[_Status]) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "rune_id": [one.of.rune_id for one in found],
        "name": [one.of.name for one in found],
        "status": [one.status for one in found],
        "mints": [one.of.mints for one in found],
        "cap": [one.of.cap for one in found],
        "remaining": [one.remaining for one in found],
        "progress": [one.progress for one in found],
        "opens_at": [one.of.start for one in found],
        "closes_at": [one.of.end for one in found],
        "mints_per_block": [one.pace for one in found],
        "eta_blocks": [one.eta_blocks for one in found],
        "outlook": [one.outlook for one in found],
    }
    exact = {name: number_texts(columns[name]) for name in AMOUNTS}
    return pa.table(columns | exact, schema=_SCHEMA)


def _facts(found: list[_Status], one: _Status | None, height: int) -> dict[str, Any]:
    if one is None:
        counts = Counter(each.status for each in found)
        told = {"runes": len(found), "unknown": counts[None], "height": height}
        return {**told, **{status: counts[status] for status in STATUSES if status}}
    return {
        "rune": one.of.rune_id,
        "height": height,
        "status": one.status,
        "mints": one.of.mints,
        "cap": one.of.cap,
        "remaining": one.remaining,
        "progress": one.progress,
        "mints_per_block": one.pace,
        "eta_blocks": one.eta_blocks,
        "outlook": one.outlook,
    }


def _one(wanted: Rune, one: _Status | None) -> Sentence:
    values: dict[str, Any] = {"rune": wanted.name}
    if one is None or one.status is None:
        return Sentence(_CLOSED[None], values)
    of = one.of
    numbers = {"mints": of.mints, "cap": of.cap}
    values |= {name: "–" if n is None else f"{n:,}" for name, n in numbers.items()}
    heights = {"start": of.start, "end": of.end}
    values |= {name: "–" if n is None else str(n) for name, n in heights.items()}
    if one.status != OPEN:
        return _filled(_CLOSED[one.status], values)
    values |= {
        "height": one.height,
        "share": said_share(one.progress),
        "pace": f"{one.pace or 0:,.2f}",
        "blocks": f"{one.eta_blocks or 0:,.0f}",
    }
    return _filled(_OPEN[one.outlook], values)


def _filled(template: str, values: dict[str, Any]) -> Sentence:
    """The template with those values that it has a place for."""
    return Sentence(template, {name: n for name, n in values.items() if f"{{{name}}}" in template})


def _all(found: list[_Status], height: int) -> Sentence:
    if not found:
        return Sentence("there are no runes in this batch")
    return Sentence(
        "{open} of {runes} {runes:rune|runes} can be minted at height {height}",
        {
            "open": sum(one.status == OPEN for one in found),
            "runes": len(found),
            "height": height,
        },
    )


def _progress(one: _Status | None) -> Figure:
    """Of one rune: what part of the cap is used."""
    share = one.progress if one else None
    shown = [] if share is None else [("minted", 100 * share), ("left", 100 - 100 * share)]
    return bars("What part of the cap is minted", shown, ("mints", "share of the cap, percent"))


def _statuses(found: list[_Status]) -> Figure:
    """Of many runes: how many are open, and why the others are not."""
    counts = Counter(one.status for one in found)
    shown = [(status or "unknown", float(counts[status])) for status in STATUSES if counts[status]]
    return bars("Which runes can be minted", shown, ("status", "runes"))


def _missing(found: list[_Status], paced: bool, blocks: int) -> tuple[str, ...]:
    """What the batch does not say."""
    said = said_counts((_UNKNOWN, sum(one.status is None for one in found)))
    if not paced:
        return (*said, _NO_PACE)
    undecided = sum(one.fresh is None for one in found)
    return said + said_counts((_SHORT, DAY - blocks), (_UNDECIDED, undecided))
