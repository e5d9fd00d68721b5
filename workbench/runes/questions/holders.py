"""Who holds a rune, after any block of the batch?"""

from __future__ import annotations

from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence, told
from workbench.runes.amounts import format_amounts, sum_amounts
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence, Rune
from workbench.runes.holdings import (
    OWNER,
    counting_back,
    held_at,
    missing_holders,
    refuse_beyond,
    refuse_debts,
    refuse_nameless,
    settled,
)
from workbench.runes.questions.bars import titled
from workbench.runes.saying import said_amount, said_share

SHOWN_BARS = 20
SHOWN_CHARS = 12

_HOLDERS = f"""
SELECT script, address, height_high AS high, height_low AS low, lots FROM ({held_at("height")})
ORDER BY high DESC, low DESC, holder NULLS LAST
"""


@question("Who holds it?")
def holders(
    batch: Evidence,
    *,
    rune: Annotated[str, Meta(title="Rune", description="Its id or name.")],
    height: Annotated[
        int | None,
        Meta(title="Block", description="After which block; none: the last one of the batch."),
    ] = None,
) -> Answer:
    """Lists every holder of a rune with its amount and share, after any block of the batch."""
    batch.needs("holders", "balances")
    wanted = batch.rune(rune)
    batch = batch.of(wanted.id, "balances", "allocations", "inputs", "events")
    refuse_nameless(batch, "holders", wanted)
    after = settled(batch, "holders", wanted, height)
    found = counting_back(batch, after).rows(_HOLDERS, rune=wanted.id, height=after)
    high, low = found["high"], found["low"]
    refuse_debts(batch, "holders", wanted, after, high)
    total = sum_amounts(high, low)
    refuse_beyond(wanted, total)
    shares = _shares(high, low, total)
    owners = pc.coalesce(found["address"], found["script"])
    nameless = owners.is_null()
    last = height is None or height == batch.last_height
    known = len(owners) - owners.null_count
    missing = missing_holders(batch, wanted, total, known) if last else ()
    facts = {
        "holders": known,
        "whole": not missing,
        "held": total,
        "nameless": sum_amounts(high.filter(nameless), low.filter(nameless)),
        "largest_share": shares[0].as_py() if shares else None,
        "height": (batch.last_height if batch.is_dated else None) if height is None else height,
    }
    return Answer(
        question="holders",
        sentence=_sentence(wanted, facts),
        table=pa.table(
            {
                **{name: found[name] for name in ("script", "address")},
                "amount": format_amounts(high, low),
                "lots": found["lots"],
                "share": shares,
            }
        ),
        amounts=("amount",),
        divisibility=wanted.divisibility,
        figure=_figure(
            wanted, owners.slice(0, SHOWN_BARS).to_pylist(), shares.slice(0, SHOWN_BARS)
        ),
        facts=facts,
        explanation=_explanation(batch, facts, missing),
    )


def _shares(high: Any, low: Any, total: int) -> pa.Array:
    """What part of the total each amount is."""
    parts = high.to_numpy().astype(float) * 2.0**64 + low.to_numpy().astype(float)
    return pa.array(parts / (total or 1), pa.float64())


def _sentence(rune: Rune, facts: dict[str, Any]) -> Sentence:
    said = {"rune": rune.name, "height": facts["height"], "holders": facts["holders"]}
    if facts["largest_share"] is None and facts["height"] is None:
        return Sentence("nobody holds {rune} here", {"rune": rune.name})
    if facts["largest_share"] is None:
        return Sentence("nobody holds {rune} after block {height}", said)
    said["amount"] = said_amount(facts["held"], rune.divisibility, rune.symbol)
    said["share"] = said_share(facts["largest_share"])
    if not facts["whole"]:
        template = (
            "{holders} {holders:holder|holders} of {rune} {holders:is|are} known, with "
            "{amount}; the largest has {share} of that, and whether {holders:that is|they "
            "are} all is not known"
        )
    elif facts["height"] is None:
        template = (
            "{holders} {holders:holder|holders} of {rune} {holders:has|have} {amount}; the "
            "largest has {share}"
        )
    else:
        template = (
            "after block {height}, {holders} {holders:holder|holders} of {rune} "
            "{holders:has|have} {amount}; the largest has {share}"
        )
    return Sentence(template, said)


def _figure(rune: Rune, owners: list[str | None], shares: pa.Array) -> Figure:
    """The largest holders."""
    named = [_short(place, owner) for place, owner in enumerate(owners, start=1)]
    return Figure(
        data=[{"type": "bar", "name": "share", "x": named, "y": shares.to_pylist()}],
        layout={
            **titled("The largest holders of {rune}", rune=rune.name),
            "yaxis": {"title": {"text": "share of what is held"}, "tickformat": ".1~%"},
        },
    )


def _short(place: int, owner: str | None) -> str:
    """A name that no other bar has."""
    if owner is None:
        return f"{place}. ?"
    return f"{place}. {owner}" if len(owner) <= SHOWN_CHARS else f"{place}. …{owner[-SHOWN_CHARS:]}"


def _explanation(batch: Evidence, facts: dict[str, Any], missing: tuple[str, ...]) -> Explanation:
    if facts["nameless"]:
        nameless = told(
            "the owner of {amount} atomic units: a row without a name",
            amount=f"{facts['nameless']:,}",
        )
        missing = (nameless, *missing)
    if facts["height"] is None and batch.last_height is not None:
        missing = (*missing, "the block: say it where the list is read, runes.read(..., height=)")
    return Explanation(
        question="Who holds it?",
        formulas=(
            "balances(h) = balances(end) - what outputs received after h + what inputs carried "
            "after h, for each holder",
            "share = amount / sum of all amounts",
        ),
        assumptions=(OWNER,),
        missing=missing,
        sources=batch.sources(),
    )
