"""How much of a rune moved, and how much of that reached another hand?"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.runes.amounts import number_texts, summed_column, whole_numbers
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
_SIDES = ("gross", "came", "issued", "burned")
_MASK = f"{2**64 - 1}::HUGEINT"
_PLACE = f"height * {2**32} + tx_index AS place"
_HEIGHT = "place >> 32 AS height"
_WHO = "coalesce(script, address, '?') AS who"
_ASKED = "($rune IS NULL OR rune_id = $rune)"
_UNKNOWN = "count(*) - count(amount_low) AS unknown"
_NAMELESS = "count(*) - count(coalesce(script, address)) AS nameless"


def _each(sql: str, sides: tuple[str, ...]) -> str:
    """The columns of both halves of each side: `sql` with these in the place of <side>, <half>."""
    return ", ".join(
        f"{sql.replace('<side>', side).replace('<half>', half)} AS {side}_{half}"
        for side in sides
        for half in ("high", "low")
    )


_FLOWS = f"""
WITH own AS (
  SELECT rune_id, {_PLACE}, {_WHO}, coalesce(sum(amount_high), 0) AS in_high,
    coalesce(sum(amount_low), 0) AS in_low
  FROM {{inputs}} WHERE {_ASKED} GROUP BY rune_id, place, who
), given AS (
  SELECT rune_id, {_PLACE}, {_WHO}, amount_high, amount_low FROM {{allocations}} WHERE {_ASKED}
), both_sides AS (
  SELECT rune_id, place, any_value(in_high) AS in_high, any_value(in_low) AS in_low,
    coalesce(sum(amount_high), 0) AS out_high, coalesce(sum(amount_low), 0) AS out_low,
    CASE WHEN any_value(in_high) = 0 AND out_high = 0 THEN any_value(in_low) < out_low
      ELSE (any_value(in_high) + (any_value(in_low) >> 64), any_value(in_low) & {_MASK})
        < (out_high + (out_low >> 64), out_low & {_MASK}) END AS less
  FROM given JOIN own USING (rune_id, place, who) GROUP BY rune_id, place, who
), kept AS (
  SELECT rune_id, <period> AS period, sum(CASE WHEN less THEN in_high ELSE out_high END) AS high,
    sum(CASE WHEN less THEN in_low ELSE out_low END) AS low
  FROM (SELECT *, {_HEIGHT} FROM both_sides) <join> GROUP BY rune_id, period
), issues AS (
  SELECT rune_id, {_PLACE}, kind = 'burned' AS is_burn, amount_high, amount_low
  FROM {{events}} WHERE kind <> 'transferred' AND {_ASKED}
    AND coalesce(amount_high > 0 OR amount_low > 0, true)
), placed AS (
  SELECT rune_id, place,
    sum(high) + (sum(low) >> 64) <> 0 OR sum(low) & {_MASK} <> 0 AS is_off
  FROM (
    SELECT rune_id, {_PLACE}, amount_high::HUGEINT AS high, amount_low::HUGEINT AS low
    FROM {{allocations}} WHERE {_ASKED}
    UNION ALL
    SELECT rune_id, {_PLACE}, -amount_high::HUGEINT, -amount_low::HUGEINT
    FROM {{inputs}} WHERE {_ASKED}
    UNION ALL
    SELECT rune_id, place, CASE WHEN is_burn THEN amount_high ELSE -amount_high::HUGEINT END,
      CASE WHEN is_burn THEN amount_low ELSE -amount_low::HUGEINT END
    FROM issues
  ) GROUP BY rune_id, place
), counted AS (
  SELECT rune_id, <period> AS period, count(*) AS transactions,
    count(*) FILTER (is_off) AS unbalanced
  FROM (SELECT *, {_HEIGHT} FROM placed) <join> GROUP BY rune_id, period
), active AS (
  SELECT rune_id, <period> AS period, count(DISTINCT who) AS scripts
  FROM (
    SELECT rune_id, height, coalesce(script, address) AS who FROM {{allocations}} WHERE {_ASKED}
    UNION ALL
    SELECT rune_id, height, coalesce(script, address) FROM {{inputs}} WHERE {_ASKED}
  ) <join> GROUP BY rune_id, period
), parts AS (
  SELECT rune_id, <period> AS period, sum(amount_high) AS gross_high, sum(amount_low) AS gross_low,
    NULL AS came_high, NULL AS came_low,
    NULL AS issued_high, NULL AS issued_low, NULL AS burned_high, NULL AS burned_low,
    {_UNKNOWN}, {_NAMELESS}
  FROM {{allocations}} <join> WHERE {_ASKED} GROUP BY rune_id, period
  UNION ALL
  SELECT rune_id, <period> AS period, NULL, NULL, sum(amount_high), sum(amount_low),
    NULL, NULL, NULL, NULL, {_UNKNOWN}, {_NAMELESS}
  FROM {{inputs}} <join> WHERE {_ASKED} GROUP BY rune_id, period
  UNION ALL
  SELECT rune_id, <period> AS period, NULL, NULL, NULL, NULL,
    sum(amount_high) FILTER (NOT is_burn), sum(amount_low) FILTER (NOT is_burn),
    sum(amount_high) FILTER (is_burn), sum(amount_low) FILTER (is_burn), {_UNKNOWN}, 0
  FROM (SELECT *, {_HEIGHT} FROM issues) <join> GROUP BY rune_id, period
), sides AS (
  SELECT rune_id, period, {_each("coalesce(sum(<side>_<half>), 0)", _SIDES)},
    sum(unknown)::BIGINT AS unknown, sum(nameless)::BIGINT AS nameless
  FROM parts GROUP BY rune_id, period
), flows AS (
  SELECT sides.*, {_each("gross_<half> - coalesce(<half>, 0)", ("net",))},
    {_each("came_<half> - coalesce(<half>, 0)", ("sent",))}
  FROM sides LEFT JOIN kept ON {_SAME.format("kept")}
), held AS (
  SELECT rune_id, amount_sum(amount_high, amount_low) AS held FROM {{balances}}
  WHERE {_ASKED} GROUP BY rune_id
), etched AS (
  SELECT rune_id, min(spaced_name) AS name FROM {{etchings}}
  WHERE commitment <> 'missing' AND {_ASKED} GROUP BY rune_id
), used AS (
  SELECT rune_id, amount(supply_high, supply_low) - amount(burned_high, burned_low) AS used
  FROM {{entries}} WHERE {_ASKED}
)
SELECT sides.rune_id, etched.name, sides.period, transactions, coalesce(scripts, 0) AS scripts,
  unbalanced, unknown, nameless, coalesce(used.used, held.held) AS in_use,
  {_each("<side>_<half>::VARCHAR", AMOUNTS)}
FROM flows AS sides JOIN counted ON {_SAME.format("counted")}
LEFT JOIN active ON {_SAME.format("active")}
LEFT JOIN etched ON etched.rune_id = sides.rune_id
LEFT JOIN used ON used.rune_id = sides.rune_id LEFT JOIN held ON held.rune_id = sides.rune_id
ORDER BY sides.period, sides.rune_id
"""
"""What a script gives and gets in one transaction is on both sides: the less of both stayed with
it, so that net = gross - kept, and sent = came - kept. Only there is anything put together by
script. '?' is neither a script nor an address."""

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
    period, join = _PERIODS[per]
    sql = _FLOWS.replace("<period>", period).replace("<join>", join)
    tables = batch.numbered().of(only, "allocations", "inputs", "events", "balances")
    found = tables.rows(sql, rune=only)
    table = _table(found, per)
    facts = _facts(table)
    return Answer(
        question="volume",
        sentence=_sentence(wanted, facts),
        table=table,
        amounts=AMOUNTS,
        figure=_figure(wanted, table, per),
        facts=facts,
        explanation=_explanation(batch, found, table),
    )


def _table(found: pa.Table, per: Per) -> pa.Table:
    """A row for each rune in each period; over the whole batch the most turned over first.
    Volumes of many transactions may exceed 128 bits."""
    sums = {name: summed_column(found, name) for name in AMOUNTS}
    parts = zip(sums["sent"], whole_numbers(found["in_use"]), strict=True)
    turnover = pa.array([sent / used if used else None for sent, used in parts], pa.float64())
    nothing, said = pa.nulls(found.num_rows), found["period"]
    table = pa.table(
        {
            "rune_id": found["rune_id"],
            "name": found["name"],
            "block": (said if per == "block" else nothing).cast(pa.int64()),
            "day": (said if per == "day" else nothing).cast(pa.string()),
            "transactions": found["transactions"],
            "active_scripts": found["scripts"],
            **{name: number_texts(column) for name, column in sums.items()},
            "turnover": turnover,
            "unbalanced": found["unbalanced"],
        }
    )
    if per != "batch":
        return table
    ranks = {"turnover": turnover.fill_null(0.0)}
    ranks |= {name: table[name] for name in ("transactions", "rune_id")}
    keys = [("turnover", "descending"), ("transactions", "descending"), ("rune_id", "ascending")]
    return table.take(pc.sort_indices(pa.table(ranks), sort_keys=keys))


def _facts(table: pa.Table) -> dict[str, Any]:
    """Of one rune its volumes too; active scripts of several periods cannot be added up."""
    facts: dict[str, Any] = {
        name: pc.sum(table[name]).as_py() or 0 for name in ("transactions", "unbalanced")
    }
    facts["runes"] = pc.count_distinct(table["rune_id"]).as_py()
    if facts["runes"] == 1:
        facts |= {name: sum(map(int, table[name].to_pylist())) for name in AMOUNTS}
    if table.num_rows == 1:
        facts |= {name: table[name][0].as_py() for name in ("active_scripts", "turnover")}
    return facts


def _sentence(rune: Rune | None, facts: dict[str, Any]) -> Sentence:
    if not facts["runes"]:
        return Sentence("nothing of {rune} moved", {"rune": rune.name if rune else "any rune"})
    if rune is None:
        return Sentence(
            "{runes} {runes:rune|runes} moved or {runes:was|were} issued, {transactions} "
            "{transactions:time|times} in all",
            {name: facts[name] for name in ("runes", "transactions")},
        )
    said: dict[str, Any] = {
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


def _figure(rune: Rune | None, table: pa.Table, per: Per) -> Figure:
    """Over time the transactions; of one rune its volumes; else the runes turned over most."""
    if per != "batch":
        over = table.select([per, "transactions"]).group_by(per, use_threads=False)
        times = over.aggregate([("transactions", "sum")])
        head = {"title": {"text": _PER_TITLES[per]}}
        columns = (times[name].to_pylist() for name in (per, "transactions_sum"))
        return _bars(head, "transactions", *columns)
    if rune is not None:
        unit = 10 ** (rune.divisibility or 0)
        heights = [int(row[name]) / unit for row in table.to_pylist() for name in AMOUNTS]
        axis = "atomic units" if rune.divisibility is None else "whole units"
        title = titled("Volume of {rune}", words="x", rune=rune.name)
        return _bars(title, axis, [*AMOUNTS][: len(heights)], heights)
    shown = table.filter(table["turnover"].is_valid()).slice(0, SHOWN_BARS).to_pylist()
    names = [row["name"] or row["rune_id"] for row in shown]
    axis = "turnover, share of what is in use"
    return _bars({"title": {"text": "Turnover"}}, axis, names, [row["turnover"] for row in shown])


def _bars(title: dict[str, Any], axis: str, xs: list[Any], ys: list[Any]) -> Figure:
    return Figure(
        data=[{"type": "bar", "name": axis, "x": xs, "y": ys}],
        layout={**title, "yaxis": {"title": {"text": axis}}},
    )


def _explanation(batch: Evidence, found: pa.Table, table: pa.Table) -> Explanation:
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
        missing=_missing(found, table),
        sources=batch.sources(),
    )


def _missing(found: pa.Table, table: pa.Table) -> tuple[str, ...]:
    unbalanced, unknown, nameless = (
        pc.sum(found[name]).as_py() or 0 for name in ("unbalanced", "unknown", "nameless")
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
    if table["turnover"].null_count:
        said += ("what is in use of some runes: they have no turnover",)
    return said
