"""What is out of the ordinary: counts far from their median, and runes that came straight back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence, told
from workbench.errors import InputError
from workbench.runes import returns
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence
from workbench.runes.questions.bars import whole_axis
from workbench.runes.saying import said_counts, said_share

SHOWN_POINTS = 1_000
MEASURES = ("etched", "minted", "transferred", "burned", "moved")

_SCORED = """
WITH counted AS MATERIALIZED (
  SELECT height, NULL::VARCHAR AS rune_id, kind AS measure, count(*)::DOUBLE AS value
  FROM {events} WHERE $over = 'blocks' AND ($rune IS NULL OR rune_id = $rune)
  GROUP BY height, kind
  UNION ALL
  SELECT NULL, rune_id, kind, count(*)::DOUBLE FROM {events} WHERE $over = 'runes'
  GROUP BY rune_id, kind
  UNION ALL
  SELECT height, NULL, 'moved', amount_double(sum(amount_high), sum(amount_low)) AS value
  FROM {events} WHERE $rune IS NOT NULL AND rune_id = $rune AND kind = 'transferred'
  GROUP BY height HAVING count(*) = count(amount_low) AND value > 0
), middle AS (
  SELECT measure, median(value) AS median, mad(value) AS mad FROM counted GROUP BY measure
), centre AS (
  SELECT measure, any_value(median) AS median, any_value(mad) AS mad,
    avg(abs(value - median)) AS spread
  FROM counted JOIN middle USING (measure) GROUP BY measure
)
SELECT measure, height, rune_id, value, median, mad,
  CASE WHEN mad > 0 THEN 0.6745 * (value - median) / mad
    WHEN spread > 0 THEN (value - median) / (1.253314 * spread) END AS z
FROM counted JOIN centre USING (measure)
ORDER BY abs(z) DESC NULLS LAST, measure, height, rune_id
"""
"""Without a z where all values of a measure are the same."""


@question("What is out of the ordinary?")
def anomalies(
    batch: Evidence,
    *,
    rune: Annotated[
        str | None, Meta(title="Rune", description="Its id or name; none: every rune.")
    ] = None,
    over: Annotated[
        Literal["blocks", "runes"],
        Meta(title="Compare", description="Blocks with each other, or runes."),
    ] = "blocks",
    threshold: Annotated[
        float, Meta(gt=0, le=1_000, title="Threshold", description="How far out, as robust z.")
    ] = 3.5,
    within: Annotated[
        int, Meta(ge=0, le=1_000_000, title="Within blocks", description="For runes to come back.")
    ] = 144,
) -> Answer:
    """Blocks or runes whose counts lie far from the median, runes that went from A to B and back,
    and what was only moved to oneself."""
    batch.needs("anomalies", "events")
    batch = batch.numbered()
    wanted = _wanted(batch, rune, over)
    batch = batch.of(wanted, "events", "inputs", "allocations")
    scored = batch.rows(_SCORED, rune=wanted, over=over)
    beyond = scored.filter(pc.greater(pc.abs(scored["z"]), threshold))
    followed = all(map(batch.holds, returns.NEEDED))
    cycles = returns.cycles(batch, wanted, within) if followed else None
    own = returns.self_transfers(batch, wanted) if followed else None
    unfollowed = returns.unfollowed(batch, wanted) if followed else 0
    facts = _facts(scored, beyond, cycles, own, unfollowed)
    return Answer(
        question="anomalies",
        sentence=_sentence(facts, threshold, within),
        table=beyond,
        amounts=("sent", "returned", "gross"),
        more={} if cycles is None or own is None else {"cycles": cycles, "self_transfers": own},
        figure=_figure(beyond, threshold),
        facts=facts,
        explanation=_explanation(batch, scored, facts, within),
    )


def _wanted(batch: Evidence, rune: str | None, over: str) -> str | None:
    if rune is None:
        return None
    if over == "runes":
        raise InputError.field("over", over, "blocks, where one rune is asked for")
    return batch.rune(rune).id


def _facts(
    scored: pa.Table,
    beyond: pa.Table,
    cycles: pa.Table | None,
    own: pa.Table | None,
    unfollowed: int,
) -> dict[str, Any]:
    """`self_share` is of what moved of the rune asked for; of several runes units differ, so it
    is the mean of their shares."""
    shares = [] if own is None else own["share"].drop_null().to_pylist()
    return {
        "values": scored.num_rows,
        "beyond": beyond.num_rows,
        "cycles": None if cycles is None else cycles.num_rows,
        "self_share": sum(shares) / len(shares) if shares else None,
        "runes_moved": None if own is None else len(shares),
        "unfollowed": None if cycles is None else unfollowed,
        "unknown": None if own is None else pc.sum(own["unknown"]).as_py() or 0,
    }


def _sentence(facts: dict[str, Any], threshold: float, within: int) -> Sentence:
    values = {
        "beyond": f"{facts['beyond']:,}",
        "values": f"{facts['values']:,}",
        "threshold": f"{threshold:g}",
    }
    if facts["cycles"] is None:
        return Sentence(
            "{beyond} of {values} {values:value|values} {beyond:lies|lie} beyond a robust z of "
            "{threshold}; what came back to its sender is not known",
            values,
        )
    share = facts["self_share"]
    if share is None and not facts["unknown"]:
        return Sentence(
            "{beyond} of {values} {values:value|values} {beyond:lies|lie} beyond a robust z of "
            "{threshold}; nothing moved that could come back to its sender",
            values,
        )
    values |= {"cycles": f"{facts['cycles']:,}", "within": f"{within:,}"}
    if share is None:
        return Sentence(
            "{beyond} of {values} {values:value|values} {beyond:lies|lie} beyond a robust z of "
            "{threshold}; {cycles} {cycles:time|times} runes went from A to B and back within "
            "{within} {within:block|blocks}, and whose it was that moved is not known",
            values,
        )
    return Sentence(
        "{beyond} of {values} {values:value|values} {beyond:lies|lie} beyond a robust z of "
        "{threshold}; {cycles} {cycles:time|times} runes went from A to B and back within {within} "
        "{within:block|blocks}, and {share} of what moved went back to its sender",
        {**values, "share": said_share(share)},
    )


def _figure(beyond: pa.Table, threshold: float) -> Figure:
    """The values furthest out; a sign for each measure."""
    rows = beyond.slice(0, SHOWN_POINTS).to_pylist()
    by_rune = any(row["rune_id"] for row in rows)
    signs = ("circle", "square", "diamond", "x", "triangle-up")
    data = []
    for measure, sign in zip(MEASURES, signs, strict=True):
        mine = [row for row in rows if row["measure"] == measure]
        if mine:
            data.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": measure,
                    "marker": {"symbol": sign, "size": 9},
                    "x": [row["rune_id"] if by_rune else row["height"] for row in mine],
                    "y": [row["z"] for row in mine],
                }
            )
    line = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "line": {"dash": "dot"}}
    return Figure(
        data=data,
        layout={
            "title": {"text": "Values out of the ordinary"},
            "xaxis": {"title": {"text": "rune"}}
            if by_rune
            else whole_axis("height of the block", (row["height"] for row in rows)),
            "yaxis": {"title": {"text": "robust z"}},
            "shapes": [{**line, "y0": at, "y1": at} for at in (threshold, -threshold)],
        },
    )


def _explanation(
    batch: Evidence, scored: pa.Table, facts: dict[str, Any], within: int
) -> Explanation:
    missing: list[str] = []
    flat = sorted(scored["measure"].filter(scored["z"].is_null()).unique().to_pylist())
    missing += (told("a z of {measure}: all values are the same", measure=one) for one in flat)
    if facts["cycles"] is None:
        missing.append("inputs or allocations: what came back to its sender is not known")
    elif batch.unplaced:
        missing.append("the order of transactions within a block: the source does not say it")
    missing += said_counts(
        (
            "the sender of {count} {count:transfer|transfers}: several, or none known",
            facts["unfollowed"],
        ),
        (
            (
                "whose {count} {count:transfer was: it counts|transfers were: they count} for no "
                "share"
            ),
            facts["unknown"],
        ),
    )
    return Explanation(
        question="What is out of the ordinary?",
        formulas=(
            "z = 0.6745 * (x - median) / MAD, with MAD = median of |x - median|; where that is 0, "
            "z = (x - median) / (1.253314 * mean of |x - median|)",
            "x = events of one kind in a block, or of a rune; of one rune also the sum moved",
            told(
                "cycle: A, the only sender, to B, and B, the only sender, to A of the same rune, "
                "at most {within} {within:block|blocks} later; the last sending before, the first "
                "way back after",
                within=f"{within:,}",
            ),
            "share that went back = sum of min(in, out) by transaction and script / sum of out, "
            "over transactions that spend the rune; of several runes the mean of their shares",
        ),
        assumptions=(
            "blocks or runes without any such event are not in the series",
            "one script is one person (told apart by a hash of 64 bits): change counts as a "
            "transfer to oneself",
            "one transaction may end a cycle and begin the next",
        ),
        missing=tuple(missing),
        sources=batch.sources(),
    )
