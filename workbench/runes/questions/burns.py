"""What was burned, by which cause, and by which flaw of a cenotaph."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Annotated, Any

import pyarrow as pa
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.errors import InputError
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence, Rune
from workbench.runes.questions.bars import in_words
from workbench.runes.questions.standing import place_of
from workbench.runes.saying import said_amount, said_counts

TITLE = "What was burned, and why?"
CENOTAPH = "cenotaph"
TRANSFERS_ALONE = "dogdata"
"""A producer whose events are transfers: of burns it tells nothing."""
UNKNOWN = "unknown"
"""Stands for the cause where the source tells none, such as OPI."""

_BURNED = """
WITH flawed AS (
  SELECT height, tx_index, any_value(flaw) AS flaw FROM {runestones}
  WHERE flaw IS NOT NULL GROUP BY height, tx_index
), named AS (
  SELECT rune_id, any_value(spaced_name) AS name FROM {etchings}
  WHERE commitment <> 'missing' AND ($rune IS NULL OR rune_id = $rune) GROUP BY rune_id
), burned AS (
  SELECT event.rune_id, coalesce(event.cause, 'unknown') AS cause,
    event.amount_high, event.amount_low,
    CASE WHEN event.cause = 'cenotaph' THEN flawed.flaw END AS flaw
  FROM {events} AS event LEFT JOIN flawed
    ON flawed.height = event.height AND flawed.tx_index = event.tx_index
  WHERE event.kind = 'burned' AND ($rune IS NULL OR event.rune_id = $rune)
), grouped AS (
  SELECT rune_id, cause, flaw, count(*) AS events, count(*) - count(amount_low) AS unknown,
    sum(amount_high)::UHUGEINT AS high, sum(amount_low)::UHUGEINT AS low
  FROM burned GROUP BY rune_id, cause, flaw
)
SELECT grouped.*, coalesce(named.name, grouped.rune_id) AS name
FROM grouped LEFT JOIN named USING (rune_id)
"""

_CENOTAPHS = """
WITH burning AS (
  SELECT DISTINCT height, tx_index FROM {events}
  WHERE kind = 'burned' AND cause = 'cenotaph' AND ($rune IS NULL OR rune_id = $rune)
)
SELECT said.flaw, count(*) AS cenotaphs, count(burning.height) AS burning,
  sum(said.fee_sat)::BIGINT AS fee_sat, count(*) - count(said.fee_sat) AS without_fee
FROM {runestones} AS said LEFT JOIN burning
  ON burning.height = said.height AND burning.tx_index = said.tx_index
WHERE said.kind = 'cenotaph' AND ($rune IS NULL OR burning.height IS NOT NULL)
GROUP BY said.flaw ORDER BY cenotaphs DESC, said.flaw
"""

_TOTALS = """
SELECT rune_id, amount(burned_high, burned_low) AS burned FROM {entries}
WHERE burned_low IS NOT NULL AND ($rune IS NULL OR rune_id = $rune)
"""

_SCHEMA = pa.schema(
    [
        ("rune_id", pa.string()),
        ("name", pa.string()),
        ("cause", pa.string()),
        ("flaw", pa.string()),
        ("events", pa.int64()),
        ("amount", pa.string()),
        ("unknown", pa.int64()),
        ("share", pa.float64()),
    ]
)
_CAUSES = pa.schema(
    [
        ("cause", pa.string()),
        ("flaw", pa.string()),
        ("events", pa.int64()),
        ("runes", pa.int64()),
    ]
)
_FORMULAS = (
    "amount = sum of what was burned of the rune by this cause and flaw, in these blocks",
    "share = amount / everything burned of the rune in these blocks",
)
_ASSUMPTIONS = (
    "an event is what one transaction burned of one rune by one cause",
    "amounts of different runes are not added up",
)
_AMOUNT = (
    "the amount of {count} {count:burn: the sums are without it|burns: the sums are without them}"
)
_CAUSE = "the cause of {count} {count:burn|burns}"
_FLAW = "the flaw of the cenotaph in {count} {count:burn|burns}"
_EARLIER = (
    "{count} {count:rune has|runes have} burned more, by the table entries, than the events "
    "of these blocks tell"
)
_EXCESS = (
    "{count} {count:rune has|runes have} burned less, by the table entries, than the events "
    "tell: one is wrong"
)

_SAID = (
    "{runes} {runes:rune was|runes were} burned in {events} {events:event|events}: "
    "{cenotaphs} by cenotaphs, {op_returns} sent to OP_RETURN, {no_outputs} without an "
    "output to go to"
)
_SAID_UNTOLD = (
    "{runes} {runes:rune was|runes were} burned in {events} {events:event|events}: "
    "{cenotaphs} by cenotaphs, {op_returns} sent to OP_RETURN, {no_outputs} without an "
    "output to go to, {unknown_causes} by a cause that is not told"
)
_SAID_ONE = (
    "{rune}: {amount} burned in {events} {events:event|events}: {cenotaphs} by cenotaphs, "
    "{op_returns} sent to OP_RETURN, {no_outputs} without an output to go to"
)
_SAID_ONE_UNTOLD = (
    "{rune}: {amount} burned in {events} {events:event|events}: {cenotaphs} by cenotaphs, "
    "{op_returns} sent to OP_RETURN, {no_outputs} without an output to go to, {unknown_causes} "
    "by a cause that is not told"
)


@question(TITLE)
def burns(
    batch: Evidence,
    *,
    rune: Annotated[
        str | None, Meta(title="Rune", description="Its id or name; none: every rune.")
    ] = None,
) -> Answer:
    """Says how much of each rune was burned, by cause, and by the flaw where a cenotaph did it;
    and how many cenotaphs there were, and what they paid."""
    batch.needs("burns", "events")
    wanted = None if rune is None else batch.rune(rune)
    which = wanted.id if wanted else None
    batch = batch.of(which, "events")
    rows = _burned(batch, which)
    if not rows and batch.producer == TRANSFERS_ALONE:
        raise InputError(
            "burns needs a source that tells what was burned: {producer} lists transfers alone",
            producer=batch.producer,
        )
    totals = _totals(batch, which)
    causes = _by_cause(rows)
    return Answer(
        question="burns",
        sentence=_sentence(rows, wanted) if rows else _without_rows(totals, wanted),
        table=pa.Table.from_pylist([_exact(row) for row in rows], schema=_SCHEMA),
        amounts=("amount",),
        more={
            "causes": pa.Table.from_pylist(causes, schema=_CAUSES),
            "cenotaphs": batch.rows(_CENOTAPHS, rune=which),
        },
        figure=_figure(causes),
        facts=_counts(rows) if wanted is None else _facts(rows, wanted),
        explanation=Explanation(
            question=TITLE,
            formulas=_FORMULAS,
            assumptions=_ASSUMPTIONS,
            missing=_missing(rows, totals),
            sources=batch.sources(),
        ),
    )


def _burned(batch: Evidence, rune: str | None) -> list[dict[str, Any]]:
    """By rune, cause and flaw, the most frequent first."""
    rows = batch.rows(_BURNED, rune=rune).to_pylist()
    for row in rows:
        high, low = row.pop("high"), row.pop("low")
        row["amount"] = None if low is None else (int(high) << 64) + int(low)
    sums = _sums(rows)
    for row in rows:
        whole = sums[row["rune_id"]]
        row["share"] = row["amount"] / whole if row["amount"] is not None and whole else None
    return sorted(rows, key=_rank)


def _rank(row: dict[str, Any]) -> tuple[Any, ...]:
    return -row["events"], place_of(row["rune_id"]), row["cause"], row["flaw"] or ""


def _sums(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """What is known to be burned of each rune."""
    sums: dict[str, int] = defaultdict(int)
    for row in rows:
        sums[row["rune_id"]] += row["amount"] or 0
    return sums


def _totals(batch: Evidence, rune: str | None) -> dict[str, int]:
    """What the source says was burned since each etching."""
    rows = batch.rows(_TOTALS, rune=rune).to_pylist()
    return {row["rune_id"]: int(row["burned"]) for row in rows}


def _exact(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "amount": None if row["amount"] is None else str(row["amount"])}


def _by_cause(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Events and runes of each cause and flaw, the most frequent first."""
    found: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for row in rows:
        found[row["cause"], row["flaw"]].append(row["events"])
    causes = [
        {"cause": cause, "flaw": flaw, "events": sum(events), "runes": len(events)}
        for (cause, flaw), events in found.items()
    ]
    return sorted(causes, key=lambda one: (-one["events"], one["cause"], one["flaw"] or ""))


def _counts(rows: list[dict[str, Any]]) -> dict[str, int]:
    """How many events there are, of how many runes, and by which causes."""
    events: dict[str, int] = defaultdict(int)
    for row in rows:
        events[row["cause"]] += row["events"]
    return {
        "runes": len(_sums(rows)),
        "events": sum(events.values()),
        "cenotaphs": events[CENOTAPH],
        "op_returns": events["op-return"],
        "no_outputs": events["no-output"],
        "unknown_causes": events[UNKNOWN],
    }


def _facts(rows: list[dict[str, Any]], wanted: Rune) -> dict[str, Any]:
    """Of one rune; `burned` is None where of no burn the amount is known."""
    known = not rows or any(row["amount"] is not None for row in rows)
    counts = _counts(rows)
    del counts["runes"]
    burned = _sums(rows).get(wanted.id, 0) if known else None
    return {"rune": wanted.id, "burned": burned, **counts}


def _sentence(rows: list[dict[str, Any]], wanted: Rune | None) -> Sentence:
    if wanted is None:
        counts = _counts(rows)
        return Sentence(_SAID_UNTOLD if counts["unknown_causes"] else _SAID, counts)
    facts = _facts(rows, wanted)
    burned = facts.pop("burned")
    amount = "–" if burned is None else said_amount(burned, wanted.divisibility, wanted.symbol)
    template = _SAID_ONE_UNTOLD if facts["unknown_causes"] else _SAID_ONE
    return Sentence(template, {**facts, "rune": wanted.name, "amount": amount})


def _without_rows(totals: dict[str, int], wanted: Rune | None) -> Sentence:
    """Where no event burned anything; of what was burned since an etching the entries know."""
    burned = {rune: total for rune, total in totals.items() if total}
    if wanted is None:
        if not burned:
            return Sentence("nothing was burned in these blocks")
        return Sentence(
            "the events of these blocks tell of no burn; by the table entries {runes} "
            "{runes:rune was|runes were} burned since {runes:its etching|their etchings}",
            {"runes": len(burned)},
        )
    if not burned:
        return Sentence("nothing of {rune} was burned in these blocks", {"rune": wanted.name})
    amount = said_amount(burned[wanted.id], wanted.divisibility, wanted.symbol)
    return Sentence(
        "the events of these blocks tell of no burn of {rune}; by the table entries {amount} "
        "were burned since its etching",
        {"rune": wanted.name, "amount": amount},
    )


def _figure(causes: list[dict[str, Any]]) -> Figure:
    """How many burns each cause and flaw has."""
    names = [": ".join(filter(None, (one["cause"], one["flaw"]))) for one in causes]
    return Figure(
        data=[
            {
                "type": "bar",
                "name": "burns",
                "orientation": "h",
                "x": [one["events"] for one in causes],
                "y": names,
                "texttemplate": "%{x:,}",
            }
        ],
        layout={
            **in_words("y"),
            "title": {"text": "Burns by cause"},
            "xaxis": {"title": {"text": "burns"}, "rangemode": "tozero"},
            "yaxis": {
                "title": {"text": "cause"},
                "type": "category",
                "autorange": "reversed",
            },
        },
    )


def _missing(rows: list[dict[str, Any]], totals: dict[str, int]) -> tuple[str, ...]:
    """What the batch does not say of how many burns, and where it contradicts itself."""
    sums = _sums(rows)
    flawless = [row for row in rows if row["cause"] == CENOTAPH and row["flaw"] is None]
    return said_counts(
        (_AMOUNT, sum(row["unknown"] for row in rows)),
        (_CAUSE, sum(row["events"] for row in rows if row["cause"] == UNKNOWN)),
        (_FLAW, sum(row["events"] for row in flawless)),
        (_EARLIER, sum(total > sums.get(rune, 0) for rune, total in totals.items())),
        (_EXCESS, sum(total < sums.get(rune, 0) for rune, total in totals.items())),
    )
