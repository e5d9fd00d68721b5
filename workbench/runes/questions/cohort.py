"""Who came, who went, and who has more or less than before?"""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import pyarrow.compute as pc
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.errors import InputError
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence, Rune
from workbench.runes.holdings import OWNER, held_at, refuse_debts, settled
from workbench.runes.questions.bars import titled
from workbench.store.exact import as_text

KINDS = ("entered", "left", "grew", "shrank", "stayed")

_COHORT = f"""
WITH compared AS (
  SELECT holder, script, address, since AS before, until AS after,
    CASE WHEN after < before THEN before - after ELSE after - before END AS moved
  FROM ({held_at("since", "until")})
)
SELECT script, address, before, after,
  CASE WHEN after < before THEN '-' ELSE '' END || {as_text("moved")} AS change,
  CASE WHEN before = 0 THEN 'entered' WHEN after = 0 THEN 'left' WHEN after > before THEN 'grew'
    WHEN after < before THEN 'shrank' ELSE 'stayed' END AS kind
FROM compared ORDER BY moved DESC, holder
"""


@question("Who came, and who went?")
def cohort(
    batch: Evidence,
    *,
    rune: Annotated[str, Meta(title="Rune", description="Its id or name.")],
    since: Annotated[int, Meta(title="From block", description="The holders after this block.")],
    until: Annotated[
        int | None,
        Meta(
            title="To block",
            description="Against those after this one; none: the last one of the batch.",
        ),
    ] = None,
) -> Answer:
    """Compares the holders of a rune after two blocks: entered, left, grew, shrank, stayed."""
    batch.needs("cohort", "balances")
    wanted = batch.rune(rune)
    batch = batch.of(wanted.id, "balances", "allocations", "inputs", "events")
    span = {
        "since": settled(batch, "cohort", wanted, since, "since"),
        "until": settled(batch, "cohort", wanted, until, "until"),
    }
    if span["until"] < span["since"]:
        raise InputError.field("until", until, f"a block from {since} on")
    both = batch.rows(_COHORT, rune=wanted.id, **span)
    refuse_debts(batch, "cohort", wanted, span["since"], both["before"])
    refuse_debts(batch, "cohort", wanted, span["until"], both["after"])
    found = both.filter(pc.coalesce(both["script"], both["address"]).is_valid())
    counted = found["kind"].value_counts().to_pylist()
    counts = Counter({one["values"]: one["counts"] for one in counted})
    kinds = {kind: counts[kind] for kind in KINDS}
    return Answer(
        question="cohort",
        sentence=Sentence(
            "from block {since} to block {until}, of the holders of {rune} {entered} entered, "
            "{left} left, {grew} grew, {shrank} shrank and {stayed} stayed",
            {"rune": wanted.name, **span, **kinds},
        ),
        table=found,
        amounts=("before", "after", "change"),
        divisibility=wanted.divisibility,
        figure=_figure(wanted, kinds),
        facts={**span, **kinds},
        explanation=_explanation(batch, found.num_rows < both.num_rows),
    )


def _figure(rune: Rune, kinds: dict[str, int]) -> Figure:
    return Figure(
        data=[{"type": "bar", "name": "holders", "x": [*kinds], "y": [*kinds.values()]}],
        layout={
            **titled("What became of the holders of {rune}", words="x", rune=rune.name),
            "yaxis": {"title": {"text": "holders"}},
        },
    )


def _explanation(batch: Evidence, nameless: bool) -> Explanation:
    missing = ("the owners of some balances: they are left out",) if nameless else ()
    return Explanation(
        question="Who came, and who went?",
        formulas=(
            "balances(h) = balances(end) - what outputs received after h + what inputs carried "
            "after h, for each holder",
            "entered: before = 0 < after; left: after = 0 < before; grew: 0 < before < after; "
            "shrank: 0 < after < before; stayed: before = after",
        ),
        assumptions=(OWNER,),
        missing=missing,
        sources=batch.sources(),
    )
