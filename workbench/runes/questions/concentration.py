"""How much of a rune lies with how few?"""

from __future__ import annotations

from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence, told
from workbench.runes.amounts import summed_column, whole_numbers
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
    CASE WHEN $rune IS NOT NULL AND (i = n OR i % greatest(n // 100, 1) = 0) THEN struct_pack(
      holders := i / n, held := amount_double(so_far_high, so_far_low) / x_double) END AS point,
    x_high - 2 * so_far_high + ((x_low - 2 * so_far_low + {_BIAS - 1}::HUGEINT) >> 64)
      >= {_BIAS >> 64} AS is_below_half
  FROM ranked JOIN total USING (rune_id)
)
SELECT rune_id, any_value(n) AS holders, any_value(x) AS held,
  sum(high) FILTER (is_top)::VARCHAR AS top_high, sum(low) FILTER (is_top)::VARCHAR AS top_low,
  sum(i * high::HUGEINT)::VARCHAR AS weighted_high,
  sum(i * low::HUGEINT)::VARCHAR AS weighted_low,
  sum(round(share * share * $scale)::HUGEINT)::DOUBLE / $scale AS hhi,
  any_value(n) - count(*) FILTER (is_below_half) AS nakamoto,
  list(point ORDER BY i) FILTER (point IS NOT NULL) AS curve
FROM placed GROUP BY rune_id ORDER BY rune_id
"""
"""Below half of X means 2 * so_far < X; the bias, a multiple of 2^64, keeps what is shifted
positive, and the 1 less makes that at least 1 unit. `curve` is of the one rune asked for."""

_KNOWN = """
WITH etched AS (
  SELECT rune_id, min(spaced_name) AS name FROM {etchings}
  WHERE commitment <> 'missing' AND ($rune IS NULL OR rune_id = $rune) GROUP BY rune_id
)
SELECT rune_id, name, amount(supply_high, supply_low) AS supply,
  amount(burned_high, burned_low) AS burned
FROM etched FULL JOIN {entries} USING (rune_id) WHERE $rune IS NULL OR rune_id = $rune
"""

_NAMELESS = """
SELECT count(*) AS rows FROM {balances}
WHERE script IS NULL AND address IS NULL AND ($rune IS NULL OR rune_id = $rune)
"""

_UNMET = """
SELECT count(*) AS exchanges
FROM (SELECT DISTINCT unnest($exchanges::VARCHAR[]) AS who)
ANTI JOIN (
  SELECT script AS who FROM {balances} WHERE $rune IS NULL OR rune_id = $rune
  UNION ALL SELECT address FROM {balances} WHERE $rune IS NULL OR rune_id = $rune
) USING (who)
"""

_SCHEMA = pa.schema(
    {
        "rune_id": pa.string(),
        "name": pa.string(),
        "without_exchanges": pa.bool_(),
        "holders": pa.int64(),
        "held": pa.string(),
        **dict.fromkeys(("top_share", "hhi", "effective_holders", "gini"), pa.float64()),
        "nakamoto": pa.int64(),
        "coverage": pa.float64(),
    }
)
_ORDER = [
    ("without_exchanges", "ascending"),
    ("top_share", "descending"),
    ("rune_id", "ascending"),
]

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
    only = None if wanted is None else wanted.id
    batch = batch.of(only, "balances")
    if wanted is not None:
        refuse_nameless(batch, "concentration", wanted)
    known = batch.rows(_KNOWN, rune=only)
    asked = {"rune": only, "top": top, "exchanges": list(exchanges), "scale": _SCALE}
    found = [
        batch.rows(_HELD + _MEASURES, without=without, **asked)
        for without in ((False, True) if exchanges else (False,))
    ]
    table = pa.concat_tables(_measured(one, known, place > 0) for place, one in enumerate(found))
    table = table.take(pc.sort_indices(table, sort_keys=_ORDER))
    whole = table.filter(pc.invert(table["without_exchanges"]))
    rows = [] if wanted is None else list(map(_row, table.to_pylist()))
    return Answer(
        question="concentration",
        sentence=_sentence(whole, rows, top, None if wanted is None else wanted.name),
        table=table,
        amounts=("held",),
        figure=_figure(whole, top) if wanted is None else _curve(found[0]),
        facts=_summary(whole) if wanted is None else _facts(rows),
        explanation=_explanation(batch, whole, only, top, exchanges),
    )


def _measured(found: pa.Table, known: pa.Table, without: bool) -> pa.Table:
    """The measures of each rune, each a whole fraction that is divided once."""
    names = dict(zip(known["rune_id"].to_pylist(), known["name"].to_pylist(), strict=True))
    parts = (whole_numbers(known[name]) for name in ("supply", "burned"))
    used = dict(zip(names, map(_difference, *parts), strict=True))
    runes, counts = found["rune_id"].to_pylist(), found["holders"].to_pylist()
    held = [int(text) for text in found["held"].to_pylist()]
    ginis = zip(summed_column(found, "weighted"), counts, held, strict=True)
    in_use = [used.get(rune) for rune in runes]
    columns = {
        "rune_id": runes,
        "name": [names.get(rune) for rune in runes],
        "without_exchanges": pa.repeat(without, len(runes)),
        "holders": counts,
        "held": found["held"],
        "top_share": [t / x for t, x in zip(summed_column(found, "top"), held, strict=True)],
        "hhi": found["hhi"],
        "effective_holders": pc.divide(1.0, found["hhi"]),
        "gini": [(2 * sums - (n + 1) * x) / (n * x) for sums, n, x in ginis],
        "nakamoto": found["nakamoto"],
        "coverage": [x / all_ if all_ else None for x, all_ in zip(held, in_use, strict=True)],
    }
    return pa.table(columns, schema=_SCHEMA)


def _difference(supply: int | None, burned: int | None) -> int | None:
    return None if supply is None or burned is None else supply - burned


def _row(row: Row) -> Row:
    return {**row, "held": int(row["held"])}


def _sentence(whole: pa.Table, rows: list[Row], top: int, name: str | None) -> Sentence:
    if not whole.num_rows:
        return Sentence("nobody holds {rune} here", {"rune": name or "a rune"})
    if name is None:
        return Sentence(
            "{runes} {runes:rune is|runes are} held here; of {single} of them a single holder "
            "has more than half",
            _summary(whole),
        )
    row = rows[0]
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


def _summary(whole: pa.Table) -> Row:
    """Of all runes how many there are, and how many of them have a holder of more than half."""
    single = pc.sum(pc.equal(whole["nakamoto"], 1)).as_py() or 0
    return {"runes": whole.num_rows, "single": single}


def _facts(rows: list[Row]) -> Row:
    """Of one rune its measures."""
    facts: Row = dict(rows[0]) if rows else {"holders": 0}
    if len(rows) > 1:
        facts["without_exchanges"] = dict(rows[1])
    return facts


def _figure(whole: pa.Table, top: int) -> Figure:
    """The runes whose top has the most."""
    shown = whole.slice(0, SHOWN_BARS).to_pylist()
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


def _curve(found: pa.Table) -> Figure:
    """The Lorenz curve: what the smaller holders have together."""
    curve = found["curve"][0].as_py() if found.num_rows else []
    points = {name: [0.0, *(point[name] for point in curve)] for name in ("holders", "held")}
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


def _explanation(
    batch: Evidence, whole: pa.Table, rune: str | None, top: int, exchanges: tuple[str, ...]
) -> Explanation:
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
        missing=_missing(batch, whole, rune, exchanges),
        sources=batch.sources(),
    )


def _missing(
    batch: Evidence, whole: pa.Table, rune: str | None, exchanges: tuple[str, ...]
) -> tuple[str, ...]:
    covered = whole["coverage"]
    unmet = batch.one(_UNMET, rune=rune, exchanges=list(exchanges))["exchanges"] if exchanges else 0
    return said_counts(
        (
            "{count} of the exchanges {count:holds|hold} nothing here under the address or script "
            "given",
            unmet,
        ),
        (
            "the {count:owner|owners} of {count} {count:balance: it is|balances: they are} left "
            "out",
            batch.one(_NAMELESS, rune=rune)["rows"],
        ),
        (
            "holders of {count} {count:rune: its|runes: their} balances are not the supply in use",
            pc.sum(pc.not_equal(covered, 1.0)).as_py() or 0,
        ),
        (
            "the supply of {count} {count:rune|runes}: whether every holder is here is not known",
            covered.null_count,
        ),
    )
