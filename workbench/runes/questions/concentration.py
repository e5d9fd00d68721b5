"""How much of a rune lies with how few?"""

from __future__ import annotations

from typing import Annotated, Any

import pyarrow as pa
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence, told
from workbench.runes.amounts import number_texts, summed
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence
from workbench.runes.holdings import refuse_nameless
from workbench.runes.questions.bars import titled
from workbench.runes.saying import said_counts, said_share

SHOWN_BARS = 20
_SCALE = 2.0**100
"""Squares of shares are summed as whole numbers of this: a sum of doubles would depend on the
order in which threads come to it."""

_HELD = """
WITH named AS (
  SELECT rune_id, coalesce(script, address) AS holder, max(address) AS address,
    sum(amount_high) AS h, sum(amount_low) AS l
  FROM {balances}
  WHERE ($rune IS NULL OR rune_id = $rune) AND coalesce(script, address) IS NOT NULL
  GROUP BY rune_id, coalesce(script, address)
), held AS (
  SELECT rune_id, (h + (l >> 64))::UBIGINT AS high,
    (l & 18446744073709551615::HUGEINT)::UBIGINT AS low
  FROM named WHERE (h > 0 OR l > 0) AND NOT (
    $without AND (holder IN (SELECT unnest($exchanges::VARCHAR[]))
      OR coalesce(address IN (SELECT unnest($exchanges::VARCHAR[])), false)))
), total AS (
  SELECT rune_id, count(*) AS n, amount_sum(high, low) AS x, sum(high) AS x_high,
    sum(low) AS x_low, amount_double(x_high, x_low) AS x_double
  FROM held GROUP BY rune_id
)
"""

_BIAS = 2**120
_MEASURES = f"""
, ranked AS (
  SELECT rune_id, high, low, row_number() OVER w AS i,
    sum(high) OVER (w ROWS UNBOUNDED PRECEDING) AS so_far_high,
    sum(low) OVER (w ROWS UNBOUNDED PRECEDING) AS so_far_low
  FROM held WINDOW w AS (PARTITION BY rune_id ORDER BY high, low)
), placed AS (
  SELECT rune_id, n, x, i, high, low, n - i < $top AS is_top,
    amount_double(high, low) / x_double AS share,
    x_high - 2 * so_far_high + ((x_low - 2 * so_far_low + {_BIAS - 1}::HUGEINT) >> 64)
      >= {_BIAS >> 64} AS is_below_half
  FROM ranked JOIN total USING (rune_id)
)
SELECT rune_id, any_value(n) AS holders, any_value(x) AS held,
  sum(high) FILTER (is_top)::VARCHAR AS top_high, sum(low) FILTER (is_top)::VARCHAR AS top_low,
  sum(i * high::HUGEINT)::VARCHAR AS weighted_high,
  sum(i * low::HUGEINT)::VARCHAR AS weighted_low,
  sum(round(share * share * $scale)::HUGEINT)::DOUBLE / $scale AS hhi,
  any_value(n) - count(*) FILTER (is_below_half) AS nakamoto
FROM placed GROUP BY rune_id ORDER BY rune_id
"""
"""Below half of X means 2 * so_far < X; the bias, a multiple of 2^64, keeps what is shifted
positive, and the 1 less makes that at least 1 unit."""

_CURVE = """
, ranked AS (
  SELECT row_number() OVER w AS i, x_double, n,
    sum(high) OVER (w ROWS UNBOUNDED PRECEDING) AS so_far_high,
    sum(low) OVER (w ROWS UNBOUNDED PRECEDING) AS so_far_low
  FROM held JOIN total USING (rune_id) WINDOW w AS (ORDER BY high, low)
)
SELECT i / n AS holders, amount_double(so_far_high, so_far_low) / x_double AS held
FROM ranked WHERE i = n OR i % greatest(n // 100, 1) = 0 ORDER BY i
"""

_KNOWN = """
WITH etched AS (
  SELECT rune_id, min(spaced_name) AS name FROM {etchings}
  WHERE commitment <> 'missing' GROUP BY rune_id
)
SELECT rune_id, name, amount(supply_high, supply_low) AS supply,
  amount(burned_high, burned_low) AS burned
FROM etched FULL JOIN {entries} USING (rune_id) WHERE $rune IS NULL OR rune_id = $rune
"""

_NAMELESS = """
SELECT count(*) AS rows FROM {balances}
WHERE script IS NULL AND address IS NULL AND ($rune IS NULL OR rune_id = $rune)
"""

Row = dict[str, Any]


@question("How concentrated is it?")
def concentration(
    batch: Evidence,
    *,
    rune: Annotated[
        str | None, Meta(title="Rune", description="Its id or name; none: every rune.")
    ] = None,
    top: Annotated[
        int,
        Meta(title="Largest holders", description="How many count as the top.", ge=1, le=100_000),
    ] = 10,
    exchanges: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=10_000)], ...],
        Meta(
            title="Exchanges",
            description="Addresses or scripts to leave out in a second reckoning.",
            max_length=10_000,
        ),
    ] = (),
) -> Answer:
    """Says how much of a rune its largest holders have: their share, HHI, Gini and Nakamoto."""
    batch.needs("concentration", "balances")
    wanted = None if rune is None else batch.rune(rune)
    if wanted is not None:
        refuse_nameless(batch, "concentration", wanted)
    only = None if wanted is None else wanted.id
    known = {row["rune_id"]: row for row in batch.rows(_KNOWN, rune=only).to_pylist()}
    asked = {"rune": only, "top": top, "exchanges": list(exchanges), "scale": _SCALE}
    rows: list[Row] = []
    for without in (False, True) if exchanges else (False,):
        found = batch.rows(_HELD + _MEASURES, without=without, **asked).to_pylist()
        rows += [_measured(row, known.get(row["rune_id"], {}), without) for row in found]
    rows.sort(key=lambda row: (row["without_exchanges"], -row["top_share"], row["rune_id"]))
    whole = [row for row in rows if not row["without_exchanges"]]
    return Answer(
        question="concentration",
        sentence=_sentence(whole, rows, top, None if wanted is None else wanted.name),
        table=_table(rows),
        amounts=("held",),
        figure=_figure(whole, top) if only is None else _curve(batch, only),
        facts=_facts(whole, None if wanted is None else rows),
        explanation=_explanation(batch, whole, only, top),
    )


def _measured(row: Row, known: Row, without: bool) -> Row:
    """The measures of one rune, each a whole fraction that is divided once."""
    count, held = row["holders"], int(row["held"])
    top, weighted = summed(row, "top"), summed(row, "weighted")
    in_use = _difference(known.get("supply"), known.get("burned"))
    return {
        "rune_id": row["rune_id"],
        "name": known.get("name"),
        "without_exchanges": without,
        "holders": count,
        "held": held,
        "top_share": top / held,
        "hhi": row["hhi"],
        "effective_holders": 1 / row["hhi"],
        "gini": (2 * weighted - (count + 1) * held) / (count * held),
        "nakamoto": row["nakamoto"],
        "coverage": held / in_use if in_use else None,
    }


def _difference(supply: str | None, burned: str | None) -> int | None:
    return None if supply is None or burned is None else int(supply) - int(burned)


def _sentence(whole: list[Row], rows: list[Row], top: int, name: str | None) -> Sentence:
    if not whole:
        return Sentence("nobody holds {rune} here", {"rune": name or "a rune"})
    if name is None:
        return Sentence(
            "{runes} {runes:rune is|runes are} held here; of {single} of them a single holder "
            "has more than half",
            {"runes": len(whole), "single": sum(row["nakamoto"] == 1 for row in whole)},
        )
    row = whole[0]
    said = {
        "top": min(top, row["holders"]),
        "holders": row["holders"],
        "rune": name,
        "share": said_share(row["top_share"]),
        "gini": f"{row['gini']:.3f}",
        "nakamoto": row["nakamoto"],
    }
    said["without"] = said_share(rows[1]["top_share"]) if len(rows) > 1 else ""
    return Sentence(TEMPLATES[row["coverage"] == 1, len(rows) > 1], said)


TEMPLATES = {
    (True, False): "the largest {top} of {holders} {holders:holder|holders} of {rune} "
    "{top:has|have} {share}; its Gini is {gini}, and {nakamoto} {nakamoto:alone has|together "
    "have} more than half",
    (
        True,
        True,
    ): "the largest {top} of {holders} {holders:holder|holders} of {rune} {top:has|have} "
    "{share}, without exchanges {without}; its Gini is {gini}, and {nakamoto} "
    "{nakamoto:alone has|together have} more than half",
    (False, False): "of {holders} known {holders:holder|holders} of {rune}, who may not be all, "
    "the largest {top} {top:has|have} {share}; their Gini is {gini}, and {nakamoto} "
    "{nakamoto:alone has|together have} more than half",
    (
        False,
        True,
    ): "of {holders} known {holders:holder|holders} of {rune}, who may not be all, the largest "
    "{top} {top:has|have} {share}, without exchanges {without}; their Gini is {gini}, and "
    "{nakamoto} {nakamoto:alone has|together have} more than half",
}
"""By whether they have all that is in use, and whether exchanges were named."""


def _facts(whole: list[Row], rows: list[Row] | None) -> Row:
    """Of one rune its measures; of all of them how many there are."""
    if rows is None:
        return {"runes": len(whole), "single": sum(row["nakamoto"] == 1 for row in whole)}
    facts: Row = dict(rows[0]) if rows else {"holders": 0}
    if len(rows) > 1:
        facts["without_exchanges"] = dict(rows[1])
    return facts


def _table(rows: list[Row]) -> pa.Table:
    kinds = {
        "rune_id": pa.string(),
        "name": pa.string(),
        "without_exchanges": pa.bool_(),
        "holders": pa.int64(),
        "held": pa.string(),
        **dict.fromkeys(("top_share", "hhi", "effective_holders", "gini"), pa.float64()),
        "nakamoto": pa.int64(),
        "coverage": pa.float64(),
    }
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in kinds}
    columns["held"] = number_texts(columns["held"])
    return pa.table(columns, schema=pa.schema(list(kinds.items())))


def _figure(whole: list[Row], top: int) -> Figure:
    """The runes whose top has the most."""
    shown = whole[:SHOWN_BARS]
    return Figure(
        data=[
            {
                "type": "bar",
                "name": "share",
                "x": [row["name"] or row["rune_id"] for row in shown],
                "y": [row["top_share"] for row in shown],
            }
        ],
        layout={
            **titled("Share of the largest {top} {top:holder|holders}", top=top),
            "yaxis": {
                "title": {"text": "share of what is held"},
                "range": [0, 1],
                "tickformat": ".1~%",
            },
        },
    )


def _curve(batch: Evidence, rune: str) -> Figure:
    """The Lorenz curve: what the smaller holders have together."""
    found = batch.rows(_HELD + _CURVE, rune=rune, without=False, exchanges=[])
    points = {name: [0.0, *found[name].to_pylist()] for name in ("holders", "held")}
    even = {"dash": "dot"}
    return Figure(
        data=[
            {"type": "scatter", "name": "held", "x": points["holders"], "y": points["held"]},
            {"type": "scatter", "name": "all alike", "x": [0, 1], "y": [0, 1], "line": even},
        ],
        layout={
            "title": {"text": "What the smaller holders have together"},
            "xaxis": {"title": {"text": "share of holders, smallest first"}, "tickformat": ".1~%"},
            "yaxis": {"title": {"text": "share of what is held"}, "tickformat": ".1~%"},
        },
    )


def _explanation(batch: Evidence, whole: list[Row], rune: str | None, top: int) -> Explanation:
    return Explanation(
        question="How concentrated is it?",
        formulas=(
            "x_1 <= ... <= x_n are the balances of n holders, X their sum",
            told("top_share = sum of the largest {top} / X", top=top),
            "hhi = sum((x_i / X)^2); effective_holders = 1 / hhi",
            "gini = 2 * sum(i * x_i) / (n * X) - (n + 1) / n",
            "nakamoto = the fewest holders with more than X / 2 together",
            "coverage = X / (supply - burned)",
        ),
        assumptions=(
            "a holder is a script, or an address where the script is not known; who has "
            "several counts several times",
        ),
        missing=_missing(batch, whole, rune),
        sources=batch.sources(),
    )


def _missing(batch: Evidence, whole: list[Row], rune: str | None) -> tuple[str, ...]:
    covered = [row["coverage"] for row in whole]
    return said_counts(
        (
            "the {count:owner|owners} of {count} {count:balance: it is|balances: they are} left "
            "out",
            batch.one(_NAMELESS, rune=rune)["rows"],
        ),
        (
            "holders of {count} {count:rune: its|runes: their} balances are not the supply in use",
            sum(share not in (None, 1) for share in covered),
        ),
        (
            "the supply of {count} {count:rune|runes}: whether every holder is here is not known",
            covered.count(None),
        ),
    )
