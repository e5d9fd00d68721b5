"""How much of a rune moved, and how much of that reached another hand?"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pyarrow as pa
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.runes.amounts import number_texts, summed
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence, Rune
from workbench.runes.questions.bars import titled
from workbench.runes.saying import said_amount, said_counts, said_share

SHOWN_BARS = 20
AMOUNTS = ("gross", "net", "sent", "issued", "burned")

_PERIODS = {
    "batch": ("NULL::BIGINT", ""),
    "block": ("height", ""),
    "day": ("strftime(mined_at, '%Y-%m-%d')", "LEFT JOIN {blocks} USING (height)"),
}
"""What a row is of, and what that takes beside the height."""
_SAME = "sides.rune_id = {0}.rune_id AND sides.period IS NOT DISTINCT FROM {0}.period"
_SIDES = ("gross", "issued", "burned")
_BIAS, _MASK = f"{2**120}::HUGEINT", f"{2**64 - 1}::HUGEINT"
_PLACE = f"height * {2**32} + tx_index AS place"
_HEIGHT = "place >> 32 AS height"


def _each(sql: str, sides: tuple[str, ...]) -> str:
    """The columns of both halves of each side: `sql` with these in the place of <side>, <half>."""
    return ", ".join(
        f"{sql.replace('<side>', side).replace('<half>', half)} AS {side}_{half}"
        for side in sides
        for half in ("high", "low")
    )


_FLOWS = f"""
WITH legs AS NOT MATERIALIZED (
  SELECT rune_id, {_PLACE}, coalesce(script, address) AS who, 'gross' AS side,
    amount_high::HUGEINT AS high, amount_low::HUGEINT AS low
  FROM {{allocations}} WHERE $rune IS NULL OR rune_id = $rune
  UNION ALL
  SELECT rune_id, {_PLACE}, coalesce(script, address), 'input',
    -amount_high::HUGEINT, -amount_low::HUGEINT
  FROM {{inputs}} WHERE $rune IS NULL OR rune_id = $rune
), issues AS NOT MATERIALIZED (
  SELECT rune_id, {_PLACE}, kind = 'burned' AS is_burn, amount_high, amount_low
  FROM {{events}} WHERE kind <> 'transferred' AND ($rune IS NULL OR rune_id = $rune)
    AND coalesce(amount_high > 0 OR amount_low > 0, true)
), changed AS MATERIALIZED (
  SELECT rune_id, place, who, sum(high) + ((sum(low) + {_BIAS}) >> 64) - {2**56} AS high,
    (sum(low) + {_BIAS}) & {_MASK} AS low
  FROM legs GROUP BY rune_id, place, who
), flows AS (
  SELECT rune_id, period,
    sum(high) FILTER (high >= 0) AS net_high, sum(low) FILTER (high >= 0) AS net_low,
    -sum(high) FILTER (high < 0) AS sent_high, -sum(low) FILTER (high < 0) AS sent_low
  FROM (SELECT *, <period> AS period FROM (SELECT *, {_HEIGHT} FROM changed) <join>)
  GROUP BY rune_id, period
), placed AS (
  SELECT rune_id, place,
    sum(high) + (sum(low) >> 64) <> 0 OR sum(low) & {_MASK} <> 0 AS is_off
  FROM (
    SELECT rune_id, place, high, low FROM changed
    UNION ALL
    SELECT rune_id, place, CASE WHEN is_burn THEN amount_high ELSE -amount_high::HUGEINT END,
      CASE WHEN is_burn THEN amount_low ELSE -amount_low::HUGEINT END
    FROM issues
  ) GROUP BY rune_id, place
), counted AS (
  SELECT rune_id, period, count(*) AS transactions, count(*) FILTER (is_off) AS unbalanced
  FROM (SELECT *, <period> AS period FROM (SELECT *, {_HEIGHT} FROM placed) <join>)
  GROUP BY rune_id, period
), active AS (
  SELECT rune_id, period, count(*) AS scripts
  FROM (
    SELECT DISTINCT rune_id, <period> AS period, who FROM (SELECT *, {_HEIGHT} FROM changed) <join>
    WHERE who IS NOT NULL
  ) GROUP BY rune_id, period
), sides AS (
  SELECT rune_id, period, {_each("sum(<half>) FILTER (side = '<side>')", _SIDES)},
    count(*) - count(low) AS unknown, count(*) FILTER (is_nameless) AS nameless
  FROM (
    SELECT *, <period> AS period FROM (
      SELECT rune_id, {_HEIGHT}, side, high, low, who IS NULL AS is_nameless FROM legs
      UNION ALL
      SELECT rune_id, {_HEIGHT}, CASE WHEN is_burn THEN 'burned' ELSE 'issued' END,
        amount_high, amount_low, false
      FROM issues
    ) <join>
  ) GROUP BY rune_id, period
)
SELECT sides.rune_id, sides.period, transactions, unbalanced, coalesce(scripts, 0) AS scripts,
  unknown, nameless, {_each("coalesce(<side>_<half>, 0)::VARCHAR", AMOUNTS)}
FROM sides JOIN counted ON {_SAME.format("counted")}
LEFT JOIN flows ON {_SAME.format("flows")} LEFT JOIN active ON {_SAME.format("active")}
ORDER BY sides.period, sides.rune_id
"""
"""The bias, a multiple of 2^64, keeps what is shifted positive."""

_KNOWN = """
WITH held AS (
  SELECT rune_id, amount_sum(amount_high, amount_low) AS held FROM {balances}
  WHERE $rune IS NULL OR rune_id = $rune GROUP BY rune_id
), etched AS (
  SELECT rune_id, min(spaced_name) AS name FROM {etchings}
  WHERE commitment <> 'missing' AND ($rune IS NULL OR rune_id = $rune) GROUP BY rune_id
), used AS (
  SELECT rune_id, amount(supply_high, supply_low) - amount(burned_high, burned_low) AS used
  FROM {entries} WHERE $rune IS NULL OR rune_id = $rune
)
SELECT rune_id, name, coalesce(used, held) AS in_use
FROM etched FULL JOIN used USING (rune_id) FULL JOIN held USING (rune_id)
"""

Row = dict[str, Any]
Per = Literal["batch", "block", "day"]
_PER_TITLES = {"block": "Transactions per block", "day": "Transactions per day"}


@question("How much moved?")
def volume(
    batch: Evidence,
    *,
    rune: Annotated[
        str | None, Meta(title="Rune", description="Its id or name; none: every rune.")
    ] = None,
    per: Annotated[
        Per, Meta(title="Per", description="One row for the whole batch, each block or each day.")
    ] = "batch",
) -> Answer:
    """Says how much of a rune outputs received, and how much of it reached another script."""
    batch.needs("volume", "allocations")
    if per == "day":
        batch.needs_rows("volume per day", "blocks")
    wanted = None if rune is None else batch.rune(rune)
    only = None if wanted is None else wanted.id
    known = {row["rune_id"]: row for row in batch.rows(_KNOWN, rune=only).to_pylist()}
    period, join = _PERIODS[per]
    sql = _FLOWS.replace("<period>", period).replace("<join>", join)
    found = batch.numbered().rows(sql, rune=only).to_pylist()
    rows = [_row(row, known.get(row["rune_id"], {}), per) for row in found]
    if per == "batch":
        rows.sort(key=lambda row: (-(row["turnover"] or 0), -row["transactions"], row["rune_id"]))
    facts = _facts(rows)
    return Answer(
        question="volume",
        sentence=_sentence(wanted, rows, facts),
        table=_table(rows),
        amounts=AMOUNTS,
        figure=_figure(wanted, rows, per),
        facts=facts,
        explanation=_explanation(batch, found, rows),
    )


def _row(row: Row, known: Row, per: Per) -> Row:
    """One rune in one period. Volumes of many transactions may exceed 128 bits."""
    amounts = {name: summed(row, name) for name in AMOUNTS}
    in_use = int(known.get("in_use") or 0)
    return {
        "rune_id": row["rune_id"],
        "name": known.get("name"),
        "block": row["period"] if per == "block" else None,
        "day": row["period"] if per == "day" else None,
        "transactions": row["transactions"],
        "active_scripts": row["scripts"],
        **amounts,
        "turnover": amounts["sent"] / in_use if in_use else None,
        "unbalanced": row["unbalanced"],
    }


def _facts(rows: list[Row]) -> Row:
    """Of one rune its volumes too; active scripts of several periods cannot be added up."""
    runes = {row["rune_id"] for row in rows}
    facts = {name: sum(row[name] for row in rows) for name in ("transactions", "unbalanced")}
    facts["runes"] = len(runes)
    if len(runes) == 1:
        facts |= {name: sum(row[name] for row in rows) for name in AMOUNTS}
    if len(rows) == 1:
        facts |= {name: rows[0][name] for name in ("active_scripts", "turnover")}
    return facts


def _sentence(rune: Rune | None, rows: list[Row], facts: Row) -> Sentence:
    if not rows:
        return Sentence("nothing of {rune} moved", {"rune": rune.name if rune else "any rune"})
    if rune is None:
        return Sentence(
            "{runes} {runes:rune|runes} moved or {runes:was|were} issued, {transactions} "
            "{transactions:time|times} in all",
            {name: facts[name] for name in ("runes", "transactions")},
        )
    said: Row = {
        name: said_amount(facts[name], rune.divisibility, rune.symbol)
        for name in ("gross", "net", "issued")
    }
    said |= {"rune": rune.name, "transactions": facts["transactions"]}
    if facts.get("turnover") is None:
        return Sentence(
            "{transactions} {transactions:transaction|transactions} put {gross} of {rune} on "
            "outputs; {net} of it reached another script, and {issued} were issued",
            said,
        )
    return Sentence(
        "{transactions} {transactions:transaction|transactions} put {gross} of {rune} on "
        "outputs; {net} of it reached another script, {issued} were issued, and the turnover is "
        "{turnover}",
        {**said, "turnover": said_share(facts["turnover"])},
    )


def _table(rows: list[Row]) -> pa.Table:
    kinds = {
        "rune_id": pa.string(),
        "name": pa.string(),
        "block": pa.int64(),
        "day": pa.string(),
        "transactions": pa.int64(),
        "active_scripts": pa.int64(),
        **dict.fromkeys(AMOUNTS, pa.string()),
        "turnover": pa.float64(),
        "unbalanced": pa.int64(),
    }
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in kinds}
    exact = {name: number_texts(columns[name]) for name in AMOUNTS}
    return pa.table(columns | exact, schema=pa.schema(list(kinds.items())))


def _figure(rune: Rune | None, rows: list[Row], per: Per) -> Figure:
    """Over time the transactions; of one rune its volumes; else the runes turned over most."""
    if per != "batch":
        times: dict[Any, int] = {}
        for row in rows:
            times[row[per]] = times.get(row[per], 0) + row["transactions"]
        head = {"title": {"text": _PER_TITLES[per]}}
        return _bars(head, "transactions", [*times], [*times.values()])
    if rune is not None:
        unit = 10 ** (rune.divisibility or 0)
        heights = [row[name] / unit for row in rows for name in AMOUNTS]
        axis = "atomic units" if rune.divisibility is None else "whole units"
        title = titled("Volume of {rune}", words="x", rune=rune.name)
        return _bars(title, axis, [*AMOUNTS][: len(heights)], heights)
    shown = [row for row in rows if row["turnover"] is not None][:SHOWN_BARS]
    names = [row["name"] or row["rune_id"] for row in shown]
    axis = "turnover, share of what is in use"
    return _bars({"title": {"text": "Turnover"}}, axis, names, [row["turnover"] for row in shown])


def _bars(title: dict[str, Any], axis: str, xs: list[Any], ys: list[Any]) -> Figure:
    return Figure(
        data=[{"type": "bar", "name": axis, "x": xs, "y": ys}],
        layout={**title, "yaxis": {"title": {"text": axis}}},
    )


def _explanation(batch: Evidence, found: list[Row], rows: list[Row]) -> Explanation:
    return Explanation(
        question="How much moved?",
        formulas=(
            "gross = sum of what outputs received",
            "net = sum over transactions and scripts of max(0, out - in)",
            "sent = sum over transactions and scripts of max(0, in - out); "
            "net - sent = issued - burned",
            "turnover = sent / (supply - burned at the end of the batch)",
            "unbalanced = transactions with inputs + issued <> outputs + burned",
        ),
        assumptions=(
            "change returns to the script that paid; change to a new script of the same owner "
            "counts as net",
        ),
        missing=_missing(found, rows),
        sources=batch.sources(),
    )


def _missing(found: list[Row], rows: list[Row]) -> tuple[str, ...]:
    unbalanced, unknown, nameless = (
        sum(row[name] for row in found) for name in ("unbalanced", "unknown", "nameless")
    )
    said = said_counts(
        (
            "inputs or outputs of {count} {count:transaction|transactions}: net and sent are off "
            "by what they lack",
            unbalanced,
        ),
        ("the amounts of {count} {count:row: it is|rows: they are} not in any volume", unknown),
        (
            "the {count:owner|owners} of {count} {count:row|rows}: in one transaction they count "
            "as one",
            nameless,
        ),
    )
    if any(row["turnover"] is None for row in rows):
        said += ("what is in use of some runes: they have no turnover",)
    return said
