"""In how many pieces does a rune lie, and for how long has it lain there?"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence, told
from workbench.errors import InputError
from workbench.runes.amounts import format_amounts, sum_amounts, summed
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence, Rune
from workbench.runes.holdings import OWNER, refuse_beyond
from workbench.runes.questions.bars import titled
from workbench.runes.saying import said_counts, said_share

BLOCKS_A_DAY = 144
LONG_DAYS = 155
AMOUNTS = ("amount", "aged", "long_held")
_BINS = (1, 2, 3, 5, 10, 20, 50, 100, 1_000)
"""The fewest lots of each bar; the last one is open."""

_LOTS = """
WITH made AS (
  SELECT txid || ':' || output AS outpoint, <height> AS height
  FROM {allocations} WHERE rune_id = $rune <once>
), lots AS (
  SELECT script, address, amount_high::HUGEINT AS high, amount_low::HUGEINT AS low,
    $last::BIGINT - made.height AS age
  FROM {balances} AS held LEFT JOIN made ON held.outpoint = made.outpoint
  WHERE rune_id = $rune AND (amount_high > 0 OR amount_low > 0)
)
"""

_AS_TOLD = _LOTS.replace("<height>", "height").replace("<once>", "")
"""An output is made once: only where the tables say it several times must it be looked for."""
_ONCE = _LOTS.replace("<height>", "max(height)").replace("<once>", "GROUP BY txid, output")

_HOLDERS = f"""
SELECT CASE WHEN count(script) > 0 THEN coalesce(script, address) END AS script,
  max(address) AS address, count(*) AS lots,
  {
    ", ".join(
        f'''(coalesce(sum(high) {which}, 0) + (coalesce(sum(low) {which}, 0) >> 64))::UBIGINT
    AS {name}_high,
  (coalesce(sum(low) {which}, 0) & {2**64 - 1}::HUGEINT)::UBIGINT AS {name}_low'''
        for name, which in (
            ("amount", ""),
            ("aged", "FILTER (age IS NOT NULL)"),
            ("long_held", "FILTER (age >= $long)"),
        )
    )
},
  sum(high * age)::DOUBLE * {2.0**64} + sum(low * age)::DOUBLE AS coin_blocks
FROM lots GROUP BY coalesce(script, address)
ORDER BY lots DESC, coalesce(script, address) NULLS LAST
"""

_DESTROYED = """
SELECT coalesce(sum(amount_high::HUGEINT * age), 0)::VARCHAR AS destroyed_high,
  coalesce(sum(amount_low::HUGEINT * age), 0)::VARCHAR AS destroyed_low,
  count(*) FILTER (age IS NULL) AS unknown
FROM (SELECT *, height - created_height AS age FROM {inputs} WHERE rune_id = $rune)
"""

_COUNTS = """
SELECT count(*) - count(outpoint) AS listed,
  count(*) FILTER (amount_high > 0 OR amount_low > 0) AS lots
FROM {balances} WHERE rune_id = $rune
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
    batch = batch.of(wanted.id, "balances", "inputs", allocations=("txid", "output", "height"))
    lots = _lots(batch, wanted)
    asked = {"rune": wanted.id, "last": batch.last_height, "long": long_days * BLOCKS_A_DAY}
    found = batch.rows(_AS_TOLD + _HOLDERS, **asked)
    if pc.sum(found["lots"]).as_py() not in (None, lots):
        found = batch.rows(_ONCE + _HOLDERS, **asked)
    table = _table(found, wanted)
    facts = _facts(found, table) | _destroyed(batch, wanted)
    refuse_beyond(wanted, facts["held"])
    return Answer(
        question="fragmentation",
        sentence=_sentence(wanted, facts, long_days),
        table=table,
        amounts=AMOUNTS,
        divisibility=wanted.divisibility,
        figure=_figure(wanted, table),
        facts=facts,
        explanation=_explanation(batch, facts, long_days),
    )


def _lots(batch: Evidence, rune: Rune) -> int:
    """How many outputs hold it."""
    counts = batch.one(_COUNTS, rune=rune.id)
    listed, lots = counts["listed"], int(counts["lots"])
    if listed:
        raise InputError(
            "fragmentation counts outputs, and {batch} lists holders: {rows} "
            "{rows:balance|balances} of {rune} {rows:names|name} no output. Ask holders or "
            "concentration",
            batch=batch.name,
            rows=listed,
            rune=rune.name,
        )
    return lots


def _unit_days(rune: Rune) -> int:
    """Atomic units times blocks in a whole unit's day; where the divisibility is not known in
    that of an atomic unit."""
    return int(BLOCKS_A_DAY * 10 ** (rune.divisibility or 0))


def _table(found: pa.Table, rune: Rune) -> pa.Table:
    amounts = {name: (found[f"{name}_high"], found[f"{name}_low"]) for name in AMOUNTS}
    days = found["coin_blocks"].to_numpy() / _unit_days(rune)
    return pa.table(
        {
            **{name: found[name] for name in ("script", "address", "lots")},
            **{name: format_amounts(*halves) for name, halves in amounts.items()},
            "coin_days": pa.array(days, pa.float64(), mask=np.isnan(days)),
        }
    )


def _facts(found: pa.Table, table: pa.Table) -> Row:
    """Of all holders together; shares are None where nothing is there to share."""
    held, aged, long_held = (
        sum_amounts(found[f"{name}_high"], found[f"{name}_low"]) for name in AMOUNTS
    )
    high, low = (found[f"amount_{half}"].to_numpy().astype(float) for half in ("high", "low"))
    shares = (high * 2.0**64 + low) / (held or 1)
    entropy = -math.fsum(shares * np.log2(shares)) + 0.0
    known = table["coin_days"].drop_null().to_pylist()
    count, counts = table.num_rows, table["lots"].to_numpy()
    lots = int(counts.sum())
    nameless = pc.and_(table["script"].is_null(), table["address"].is_null())
    return {
        "holders": count,
        "nameless_lots": pc.sum(table["lots"].filter(nameless)).as_py() or 0,
        "lots": lots,
        "held": held,
        "lots_per_holder": lots / count if count else None,
        "single_lot_share": int((counts == 1).sum()) / count if count else None,
        "aged_share": aged / held if held else None,
        "coin_days": math.fsum(known) if known else None,
        "long_share": long_held / aged if aged else None,
        "entropy_bits": entropy if count else None,
        "evenness": entropy / math.log2(count) if count > 1 else None,
    }


def _destroyed(batch: Evidence, rune: Rune) -> Row:
    spent = batch.one(_DESTROYED, rune=rune.id)
    return {
        "coin_days_destroyed": summed(spent, "destroyed") / _unit_days(rune),
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
            "{rune} lies on {lots} {lots:output|outputs} of {holders} "
            "{holders:holder|holders}, {mean} each; since when is not known"
        )
    else:
        template = (
            "{rune} lies on {lots} {lots:output|outputs} of {holders} "
            "{holders:holder|holders}, {mean} each; {share} of what has a known age has not "
            "moved for {days} {days:day|days}"
        )
    return Sentence(template, said)


def _figure(rune: Rune, table: pa.Table) -> Figure:
    """How many holders have how many lots."""
    ends = [*_BINS[1:], math.inf]
    counts = np.histogram(table["lots"].to_numpy(), [*_BINS, 2**63])[0].tolist()
    names = [
        f"≥ {first}" if end == math.inf else str(first) if end == first + 1
        else f"{first}–{end - 1}"
        for first, end in zip(_BINS, ends, strict=True)
    ]  # fmt: skip
    return Figure(
        data=[{"type": "bar", "name": "holders", "x": names, "y": counts}],
        layout={
            **titled("Outputs for each holder of {rune}", rune=rune.name),
            "xaxis": {"title": {"text": "outputs"}, "type": "category"},
            "yaxis": {"title": {"text": "holders"}},
        },
    )


def _explanation(batch: Evidence, facts: Row, long_days: int) -> Explanation:
    missing: list[str] = []
    if facts["aged_share"] is not None and facts["aged_share"] < 1:
        unknown = said_share(1 - facts["aged_share"])
        missing.append(
            told(
                "when {unknown} of what is held came to its output: before this batch, or it does "
                "not say; it has no coin-days and is in no long-term share",
                unknown=unknown,
            )
        )
    missing += said_counts(
        (
            (
                "the {count:owner|owners} of {count} {count:output: it counts|outputs: they count} "
                "as one holder"
            ),
            facts["nameless_lots"],
        ),
        ("the age of {count} spent {count:output|outputs}", facts["spent_of_unknown_age"]),
    )
    return Explanation(
        question="In how many pieces does it lie?",
        formulas=(
            "age in days = (last block - block of the output) / 144",
            "coin_days = sum(amount * age), in whole units",
            told(
                "long_share = amounts of an age from {days} {days:day|days} on / amounts of known "
                "age",
                days=long_days,
            ),
            "entropy_bits = -sum(p * log2(p)) over the holders' shares p; evenness = "
            "entropy_bits / log2(holders)",
            "coin_days_destroyed = sum(amount * age when spent) over the inputs of the batch",
        ),
        assumptions=(OWNER, "a day has 144 blocks"),
        missing=tuple(missing),
        sources=batch.sources(),
    )
