"""What was asked for in vain, and what did it cost?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pyarrow as pa
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence, Rune
from workbench.runes.questions.bars import in_words
from workbench.runes.saying import said_counts, said_share

LISTED = 1_000

_MESSAGES = """
WITH honoured AS (
  SELECT DISTINCT height, tx_index, true AS is_honoured FROM {etchings}
  WHERE commitment <> 'missing'
), asked AS (
  SELECT message.height, message.tx_index, message.txid, mints AS rune_id, fee_sat, flaw,
    message.kind = 'cenotaph' AS is_cenotaph,
    etches AND is_honoured IS NULL AS is_ignored,
    CASE WHEN minted = mints THEN is_credited END AS credited,
    mints IS NOT NULL AND credited IS NULL AS is_unknown
  FROM {runestones} AS message
  LEFT JOIN (
    SELECT height, tx_index, any_value(rune_id) AS minted, bool_or(credited) AS is_credited
    FROM {mints} WHERE $rune IS NULL OR rune_id = $rune GROUP BY height, tx_index
  ) AS mint USING (height, tx_index)
  LEFT JOIN honoured USING (height, tx_index)
  WHERE $rune IS NULL OR mints = $rune
)
"""

_GROUPS = """
SELECT is_cenotaph, is_ignored, coalesce(NOT credited, false) AS is_closed, flaw,
  count(*) AS transactions, coalesce(sum(fee_sat), 0)::VARCHAR AS fee_sat,
  count(*) FILTER (fee_sat IS NULL) AS unknown_fees, count(*) FILTER (is_unknown) AS unknown_mints
FROM asked GROUP BY ALL
"""

_LIST = """
SELECT height, tx_index, txid, rune_id, NOT credited AS mint_not_credited,
  is_ignored AS etching_ignored, flaw, fee_sat
FROM asked WHERE is_cenotaph OR is_ignored OR NOT credited
ORDER BY fee_sat DESC NULLS LAST, height, tx_index LIMIT $listed
"""

Row = dict[str, Any]


@question("What was asked for in vain?")
def wasted(
    batch: Evidence,
    *,
    rune: Annotated[
        str | None,
        Meta(title="Rune", description="Only messages that mint it: its id or name; none: all."),
    ] = None,
) -> Answer:
    """Counts mints not credited, etchings ignored and cenotaphs, with the fees that they cost."""
    batch.needs("wasted", "runestones")
    wanted = None if rune is None else batch.rune(rune)
    only = None if wanted is None else wanted.id
    batch = batch.of(only, "runestones", "mints")
    groups = batch.rows(_MESSAGES + _GROUPS, rune=only).to_pylist()
    whole = _sums(groups)
    vain = [group for group in groups if _is_vain(group)]
    rows = [_shared(row, whole) for row in _reasons(vain)]
    facts = _facts(groups, vain, rows)
    return Answer(
        question="wasted",
        sentence=_sentence(facts, wanted),
        table=_table(rows),
        more={"transactions": batch.rows(_MESSAGES + _LIST, rune=only, listed=LISTED)},
        figure=_figure(rows),
        facts=facts,
        explanation=_explanation(batch, facts),
    )


def _is_vain(group: Row) -> bool:
    return bool(group["is_closed"] or group["is_ignored"] or group["is_cenotaph"])


def _sums(groups: list[Row]) -> Row:
    return {
        "transactions": sum(group["transactions"] for group in groups),
        "fee_sat": sum(int(group["fee_sat"]) for group in groups),
        "unknown_fees": sum(group["unknown_fees"] for group in groups),
    }


def _reasons(vain: list[Row]) -> list[Row]:
    """One row a reason; a transaction with several reasons is in the row of each."""
    tests: list[tuple[str, str | None, Callable[[Row], bool]]] = [
        ("mint not credited", None, lambda group: group["is_closed"]),
        ("etching ignored", None, lambda group: group["is_ignored"]),
    ]
    flaws = sorted({group["flaw"] or "" for group in vain if group["is_cenotaph"]})
    for flaw in flaws:
        tests.append(("cenotaph", flaw or None, _has_flaw(flaw)))
    rows = [
        {"reason": reason, "flaw": flaw, **_sums([group for group in vain if test(group)])}
        for reason, flaw, test in tests
    ]
    return sorted(rows, key=lambda row: (-row["fee_sat"], -row["transactions"]))


def _has_flaw(flaw: str) -> Callable[[Row], bool]:
    return lambda group: group["is_cenotaph"] and (group["flaw"] or "") == flaw


def _shared(row: Row, whole: Row) -> Row:
    """With its share of all messages, and of their fees as far as any are known."""
    fees, count = whole["fee_sat"], whole["transactions"]
    is_known = row["unknown_fees"] < row["transactions"] or not row["transactions"]
    return {
        **row,
        "fee_sat": row["fee_sat"] if is_known else None,
        "share_of_transactions": row["transactions"] / count if count else None,
        "share_of_fees": row["fee_sat"] / fees if fees and is_known else None,
    }


def _facts(groups: list[Row], vain: list[Row], rows: list[Row]) -> Row:
    """Each transaction counts once here, whatever number of reasons it has."""
    whole, lost = _sums(groups), _shared(_sums(vain), _sums(groups))
    counts = {
        reason: sum(row["transactions"] for row in rows if row["reason"] == reason)
        for reason in ("mint not credited", "etching ignored", "cenotaph")
    }
    return {
        "messages": whole["transactions"],
        "wasted": lost["transactions"],
        "mints": counts["mint not credited"],
        "etchings": counts["etching ignored"],
        "cenotaphs": counts["cenotaph"],
        "fee_sat": lost["fee_sat"],
        "share_of_fees": lost["share_of_fees"],
        "unknown_fees": lost["unknown_fees"],
        "unknown_mints": sum(group["unknown_mints"] for group in groups),
    }


def _sentence(facts: Row, wanted: Rune | None) -> Sentence:
    if not facts["messages"]:
        if wanted is not None:
            return Sentence("no message in these blocks mints {rune}", {"rune": wanted.name})
        return Sentence("there are no Runes messages in these blocks")
    names = ("messages", "wasted", "mints", "etchings", "cenotaphs")
    said = {name: facts[name] for name in names}
    if not facts["wasted"] and facts["unknown_mints"]:
        return Sentence(
            "none of {messages} {messages:message|messages} is known to have been in vain", said
        )
    if not facts["wasted"]:
        return Sentence("none of {messages} {messages:message|messages} was in vain", said)
    if facts["fee_sat"] is None or (not facts["fee_sat"] and facts["unknown_fees"]):
        return Sentence(
            "{wasted} of {messages} {messages:message|messages} {wasted:was|were} in vain: "
            "{mints} {mints:mint|mints} not credited, {etchings} {etchings:etching|etchings} "
            "ignored, {cenotaphs} {cenotaphs:cenotaph|cenotaphs}; what they cost is not known",
            said,
        )
    if not facts["fee_sat"]:
        return Sentence(
            "{wasted} of {messages} {messages:message|messages} {wasted:was|were} in vain: "
            "{mints} {mints:mint|mints} not credited, {etchings} {etchings:etching|etchings} "
            "ignored, {cenotaphs} {cenotaphs:cenotaph|cenotaphs}; they paid no fees",
            said,
        )
    return Sentence(
        "{wasted} of {messages} {messages:message|messages} {wasted:was|were} in vain: {mints} "
        "{mints:mint|mints} not credited, {etchings} {etchings:etching|etchings} ignored, "
        "{cenotaphs} {cenotaphs:cenotaph|cenotaphs}; they cost {fee} sat, {share} of all their "
        "fees",
        {**said, "fee": f"{facts['fee_sat']:,}", "share": said_share(facts["share_of_fees"])},
    )


def _table(rows: list[Row]) -> pa.Table:
    kinds = {
        **dict.fromkeys(("reason", "flaw"), pa.string()),
        **dict.fromkeys(("transactions", "fee_sat", "unknown_fees"), pa.int64()),
        **dict.fromkeys(("share_of_transactions", "share_of_fees"), pa.float64()),
    }
    return pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))


def _figure(rows: list[Row]) -> Figure:
    names = [row["reason"] + (f": {row['flaw']}" if row["flaw"] else "") for row in rows]
    return Figure(
        data=[
            {"type": "bar", "name": "fees", "x": names, "y": [row["fee_sat"] for row in rows]},
        ],
        layout={
            **in_words("x"),
            "title": {"text": "Fees of messages that were in vain"},
            "yaxis": {"title": {"text": "fees, sat"}},
        },
    )


def _explanation(batch: Evidence, facts: Row) -> Explanation:
    return Explanation(
        question="What was asked for in vain?",
        formulas=(
            "mint not credited: it was closed, not yet open, capped, or there is no such rune",
            "etching ignored: asked for, and no etching of that transaction is honoured",
            "share_of_fees = fees of these transactions / fees of all Runes messages",
        ),
        assumptions=(
            "the whole fee counts, even where the rest of a message was honoured",
            "a transaction with several reasons is in each row, and once in the sentence",
        ),
        missing=said_counts(
            ("whether {count} {count:mint was|mints were} credited", facts["unknown_mints"]),
            ("the fees of {count} of these transactions", facts["unknown_fees"]),
        ),
        sources=batch.sources(),
    )
