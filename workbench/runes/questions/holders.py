"""Who holds a rune, after any block of the batch?"""

from __future__ import annotations

from typing import Annotated, Any

import pyarrow as pa
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence, Rune
from workbench.runes.holdings import OWNER, held_at, missing_holders, settled
from workbench.runes.saying import said_amount, said_share

SHOWN_BARS = 20
SHOWN_CHARS = 12

_HOLDERS = f"""
SELECT script, address, amount, lots FROM ({held_at("height")})
ORDER BY amount DESC, holder NULLS LAST
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
    after = settled(batch, "holders", wanted, height)
    found = batch.rows(_HOLDERS, rune=wanted.id, height=after)
    amounts = [int(text) for text in found["amount"].to_pylist()]
    total = sum(amounts)
    shares = [amount / total for amount in amounts]
    owners = [
        row["address"] or row["script"] for row in found.select(["script", "address"]).to_pylist()
    ]
    nameless = sum(one for one, owner in zip(amounts, owners, strict=True) if owner is None)
    facts = {
        "holders": sum(owner is not None for owner in owners),
        "held": total,
        "nameless": nameless,
        "largest_share": shares[0] if shares else None,
        "height": batch.last_height if height is None else height,
    }
    return Answer(
        question="holders",
        sentence=_sentence(wanted, facts),
        table=found.append_column("share", pa.array(shares, pa.float64())),
        amounts=("amount",),
        divisibility=wanted.divisibility,
        figure=_figure(wanted, owners, shares),
        facts=facts,
        explanation=_explanation(batch, wanted, facts),
    )


def _sentence(rune: Rune, facts: dict[str, Any]) -> Sentence:
    said = {"rune": rune.name, "height": facts["height"], "holders": facts["holders"]}
    if facts["largest_share"] is None:
        return Sentence("nobody holds {rune} after block {height}", said)
    said["amount"] = said_amount(facts["held"], rune.divisibility, rune.symbol)
    said["share"] = said_share(facts["largest_share"])
    if facts["height"] is None:
        template = "{holders} holders of {rune} have {amount}; the largest has {share}"
    else:
        template = (
            "after block {height}, {holders} holders of {rune} have {amount}; "
            "the largest has {share}"
        )
    return Sentence(template, said)


def _figure(rune: Rune, owners: list[str | None], shares: list[float]) -> Figure:
    """The largest holders."""
    named = [_short(place, owner) for place, owner in enumerate(owners[:SHOWN_BARS], start=1)]
    return Figure(
        data=[{"type": "bar", "name": "share", "x": named, "y": shares[:SHOWN_BARS]}],
        layout={
            "title": {"text": f"The largest holders of {rune.name}"},
            "yaxis": {"title": {"text": "share of what is held"}, "tickformat": ".1~%"},
        },
    )


def _short(place: int, owner: str | None) -> str:
    """A name that no other bar has."""
    if owner is None:
        return f"{place}. not known"
    return f"{place}. {owner}" if len(owner) <= SHOWN_CHARS else f"{place}. …{owner[-SHOWN_CHARS:]}"


def _explanation(batch: Evidence, rune: Rune, facts: dict[str, Any]) -> Explanation:
    missing = []
    if facts["nameless"]:
        missing.append(f"the owner of {facts['nameless']:,} atomic units: a row without a name")
    if facts["height"] == batch.last_height:
        missing += missing_holders(batch, rune, facts["held"])
    return Explanation(
        question="Who holds it?",
        formulas=(
            "balances(h) = balances(end) - what outputs received after h + what inputs carried "
            "after h, for each holder",
            "share = amount / sum of all amounts",
        ),
        assumptions=(OWNER,),
        missing=tuple(missing),
        sources=batch.sources(),
    )
