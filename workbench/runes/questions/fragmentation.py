"""In how many pieces does a rune lie, and for how long has it lain there?"""

from __future__ import annotations

import math
from typing import Annotated, Any

import pyarrow as pa
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.errors import InputError
from workbench.runes.amounts import summed
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence, Rune
from workbench.runes.holdings import OWNER
from workbench.runes.saying import said_counts, said_share

BLOCKS_A_DAY = 144
LONG_DAYS = 155
AMOUNTS = ("amount", "aged", "long_held")
_BINS = (1, 2, 3, 5, 10, 20, 50, 100, 1_000)
"""The fewest lots of each bar; the last one is open."""

_LOTS = """
WITH made AS (
  SELECT txid || ':' || output AS outpoint, max(height) AS height
  FROM {allocations} WHERE rune_id = $rune GROUP BY txid, output
), lots AS (
  SELECT script, address, amount_high::HUGEINT AS high, amount_low::HUGEINT AS low,
    $last::BIGINT - made.height AS age
  FROM {balances} AS held LEFT JOIN made ON held.outpoint = made.outpoint
  WHERE rune_id = $rune AND (amount_high > 0 OR amount_low > 0)
)
"""

_HOLDERS = """
SELECT max(script) AS script, max(address) AS address, count(*) AS lots,
  sum(high)::VARCHAR AS amount_high, sum(low)::VARCHAR AS amount_low,
  coalesce(sum(high) FILTER (age IS NOT NULL), 0)::VARCHAR AS aged_high,
  coalesce(sum(low) FILTER (age IS NOT NULL), 0)::VARCHAR AS aged_low,
  coalesce(sum(high) FILTER (age >= $long), 0)::VARCHAR AS long_held_high,
  coalesce(sum(low) FILTER (age >= $long), 0)::VARCHAR AS long_held_low,
  coalesce(sum(high * age), 0)::VARCHAR AS coin_blocks_high,
  coalesce(sum(low * age), 0)::VARCHAR AS coin_blocks_low
FROM lots GROUP BY coalesce(script, address)
ORDER BY lots DESC, coalesce(script, address) NULLS LAST
"""

_DESTROYED = """
SELECT coalesce(sum(amount_high::HUGEINT * age), 0)::VARCHAR AS destroyed_high,
  coalesce(sum(amount_low::HUGEINT * age), 0)::VARCHAR AS destroyed_low,
  count(*) FILTER (age IS NULL) AS unknown
FROM (SELECT *, height - created_height AS age FROM {inputs} WHERE rune_id = $rune)
"""

_LISTED = """
SELECT count(*) AS rows FROM {balances} WHERE rune_id = $rune AND outpoint IS NULL
"""

Row = dict[str, Any]


@question("In how many pieces does it lie?")
def fragmentation(
    batch: Evidence,
    *,
    rune: Annotated[str, Meta(title="Rune", description="Its id or name.")],
    long_days: Annotated[
        int,
        Meta(title="Long term", description="From how many days on.", ge=1, le=36_500),
    ] = LONG_DAYS,
) -> Answer:
    """Counts each holder's outputs and their age: lots, coin-days, long-term share, entropy."""
    batch.needs("fragmentation", "balances")
    wanted = batch.rune(rune)
    _has_outputs(batch, wanted)
    asked = {"rune": wanted.id, "last": batch.last_height, "long": long_days * BLOCKS_A_DAY}
    found = batch.rows(_LOTS + _HOLDERS, **asked).to_pylist()
    rows = [_row(row, wanted) for row in found]
    facts = _facts(rows) | _destroyed(batch, wanted)
    return Answer(
        question="fragmentation",
        sentence=_sentence(wanted, facts, long_days),
        table=_table(rows),
        amounts=AMOUNTS,
        divisibility=wanted.divisibility,
        figure=_figure(wanted, rows),
        facts=facts,
        explanation=_explanation(batch, facts, long_days),
    )


def _has_outputs(batch: Evidence, rune: Rune) -> None:
    listed = batch.one(_LISTED, rune=rune.id)["rows"]
    if listed:
        raise InputError(
            "fragmentation counts outputs, and {batch} lists holders: {rows} balances of {rune} "
            "name no output. Ask holders or concentration",
            batch=batch.name,
            rows=listed,
            rune=rune.name,
        )


def _days(coin_blocks: int, rune: Rune) -> float:
    """Whole units times days; atomic units where the divisibility is not known."""
    days: float = coin_blocks / (BLOCKS_A_DAY * 10 ** (rune.divisibility or 0))
    return days


def _row(row: Row, rune: Rune) -> Row:
    amounts = {name: summed(row, name) for name in AMOUNTS}
    is_known = amounts["aged"] > 0
    return {
        **{name: row[name] for name in ("script", "address", "lots")},
        **amounts,
        "coin_days": _days(summed(row, "coin_blocks"), rune) if is_known else None,
    }


def _facts(rows: list[Row]) -> Row:
    """Of all holders together; shares are None where nothing is there to share."""
    held, aged, long_held = (sum(row[name] for row in rows) for name in AMOUNTS)
    lots = sum(row["lots"] for row in rows)
    shares = [row["amount"] / held for row in rows]
    known = [row["coin_days"] for row in rows if row["coin_days"] is not None]
    entropy = -math.fsum(share * math.log2(share) for share in shares if share) + 0.0
    return {
        "holders": len(rows),
        "nameless_lots": sum(row["lots"] for row in rows if not (row["script"] or row["address"])),
        "lots": lots,
        "held": held,
        "lots_per_holder": lots / len(rows) if rows else None,
        "single_lot_share": sum(row["lots"] == 1 for row in rows) / len(rows) if rows else None,
        "aged_share": aged / held if held else None,
        "coin_days": math.fsum(known) if known else None,
        "long_share": long_held / aged if aged else None,
        "entropy_bits": entropy if rows else None,
        "evenness": entropy / math.log2(len(rows)) if len(rows) > 1 else None,
    }


def _destroyed(batch: Evidence, rune: Rune) -> Row:
    spent = batch.one(_DESTROYED, rune=rune.id)
    return {
        "coin_days_destroyed": _days(summed(spent, "destroyed"), rune),
        "spent_of_unknown_age": spent["unknown"],
    }


def _sentence(rune: Rune, facts: Row, long_days: int) -> Sentence:
    if not facts["holders"]:
        return Sentence("nobody holds {rune} here", {"rune": rune.name})
    said = {
        "rune": rune.name,
        "lots": facts["lots"],
        "holders": facts["holders"],
        "mean": f"{facts['lots_per_holder']:.1f}",
        "days": long_days,
        "share": said_share(facts["long_share"]),
    }
    if facts["long_share"] is None:
        template = (
            "{rune} lies on {lots} outputs of {holders} holders, {mean} each; since when is not "
            "known"
        )
    else:
        template = (
            "{rune} lies on {lots} outputs of {holders} holders, {mean} each; {share} of what has "
            "a known age has not moved for {days} days"
        )
    return Sentence(template, said)


def _table(rows: list[Row]) -> pa.Table:
    kinds = {
        "script": pa.string(),
        "address": pa.string(),
        "lots": pa.int64(),
        **dict.fromkeys(AMOUNTS, pa.string()),
        "coin_days": pa.float64(),
    }
    exact = [{**row, **{name: str(row[name]) for name in AMOUNTS}} for row in rows]
    return pa.Table.from_pylist(exact, schema=pa.schema(list(kinds.items())))


def _figure(rune: Rune, rows: list[Row]) -> Figure:
    """How many holders have how many lots."""
    ends = [*_BINS[1:], math.inf]
    counts = [
        sum(first <= row["lots"] < end for row in rows)
        for first, end in zip(_BINS, ends, strict=True)
    ]
    names = [
        f"{first} or more" if end == math.inf else str(first) if end == first + 1
        else f"{first} to {end - 1}"
        for first, end in zip(_BINS, ends, strict=True)
    ]  # fmt: skip
    return Figure(
        data=[{"type": "bar", "name": "holders", "x": names, "y": counts}],
        layout={
            "title": {"text": f"Outputs for each holder of {rune.name}"},
            "xaxis": {"title": {"text": "outputs"}, "type": "category"},
            "yaxis": {"title": {"text": "holders"}},
        },
    )


def _explanation(batch: Evidence, facts: Row, long_days: int) -> Explanation:
    missing = []
    if facts["aged_share"] is not None and facts["aged_share"] < 1:
        unknown = said_share(1 - facts["aged_share"])
        missing.append(
            f"when {unknown} of what is held came to its output: before this batch, or it does "
            "not say; it has no coin-days and is in no long-term share"
        )
    missing += said_counts(
        ("the owners of {count} outputs: they count as one holder", facts["nameless_lots"]),
        ("the age of {count} spent outputs", facts["spent_of_unknown_age"]),
    )
    return Explanation(
        question="In how many pieces does it lie?",
        formulas=(
            "age in days = (last block - block of the output) / 144",
            "coin_days = sum(amount * age), in whole units",
            f"long_share = amounts of an age from {long_days} days on / amounts of known age",
            "entropy_bits = -sum(p * log2(p)) over the holders' shares p; evenness = "
            "entropy_bits / log2(holders)",
            "coin_days_destroyed = sum(amount * age when spent) over the inputs of the batch",
        ),
        assumptions=(OWNER, "a day has 144 blocks"),
        missing=tuple(missing),
        sources=batch.sources(),
    )
