"""What share of blocks Runes messages take: of transactions, of virtual size, of fees."""

from __future__ import annotations

from typing import Any

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence, told
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence
from workbench.runes.questions.bars import in_words, whole_axis
from workbench.runes.saying import said_counts, said_share

SHOWN_POINTS = 500

_BLOCKS = """
WITH said AS (
  SELECT height, count(*) AS runestones,
    coalesce(sum(vsize) FILTER (tx_index > 0), 0)::BIGINT AS runestone_vsize,
    CASE WHEN count(*) FILTER (tx_index > 0 AND fee_sat IS NULL) = 0
      THEN coalesce(sum(fee_sat) FILTER (tx_index > 0), 0)::BIGINT END AS runestone_fees_sat
  FROM {runestones} GROUP BY height
)
SELECT height, coalesce(runestones, 0) / nullif(transactions, 0) AS transactions_share,
  coalesce(runestone_vsize, 0) / nullif(vsize, 0) AS vsize_share,
  CASE WHEN said.height IS NULL THEN 0 ELSE runestone_fees_sat END / nullif(fees_sat, 0)
    AS fees_share,
  fees_sat, coinbase_sat - subsidy_sat AS claimed_sat,
  fees_sat - (coinbase_sat - subsidy_sat) AS difference_sat,
  transactions, coalesce(runestones, 0) AS runestones,
  vsize, coalesce(runestone_vsize, 0) AS runestone_vsize,
  CASE WHEN said.height IS NULL THEN 0 ELSE runestone_fees_sat END AS runestone_fees_sat
FROM {blocks} LEFT JOIN said USING (height) ORDER BY height
"""

_OUTSIDE = """
SELECT count(*) AS runestones FROM {runestones} ANTI JOIN {blocks} USING (height)
"""

_PARTS = (
    ("transactions", "runestones", "transactions"),
    ("vsize", "runestone_vsize", "vsize"),
    ("fees", "runestone_fees_sat", "fees_sat"),
)
"""What a share is of; the columns with the part and with the whole."""


@question("What share of blocks do Runes take?")
def block_share(batch: Evidence) -> Answer:
    """The share of Runes messages in each block's transactions, virtual size and fees, and its
    fees held against what its coinbase claims."""
    batch.needs_rows("block_share", "blocks")
    table = batch.rows(_BLOCKS)
    rows = table.to_pylist()
    sums = {of: _sums(rows, part, whole) for of, part, whole in _PARTS}
    facts = _facts(rows, sums)
    return Answer(
        question="block_share",
        sentence=_sentence(facts),
        table=table,
        figure=_figure(rows),
        facts=facts,
        explanation=_explanation(batch, facts, batch.one(_OUTSIDE)["runestones"]),
    )


def _sums(rows: list[dict[str, Any]], part: str, whole: str) -> tuple[int, int, int]:
    """Part and whole over the rows that know both, and how many these are."""
    known = [row for row in rows if row[part] is not None and row[whole] is not None]
    return sum(row[part] for row in known), sum(row[whole] for row in known), len(known)


def _share(sums: tuple[int, int, int]) -> float | None:
    part, whole, _ = sums
    return part / whole if whole else None


def _facts(rows: list[dict[str, Any]], sums: dict[str, tuple[int, int, int]]) -> dict[str, Any]:
    """Sums in vbytes and satoshi, None where no block tells; shares from 0 to 1."""
    checked = [row for row in rows if row["fees_sat"] is not None]
    facts: dict[str, Any] = {"blocks": len(rows), "claimed_sat": _total(rows, "claimed_sat")}
    for of, part, whole in _PARTS:
        in_part, in_whole, known = sums[of]
        facts[part] = in_part if known else None
        facts[whole] = in_whole if known else None
        facts[f"{of}_share"] = _share(sums[of])
        facts[f"{of}_known"] = known
    facts["fees_checked"] = len(checked)
    facts["fees_differ"] = sum(row["difference_sat"] != 0 for row in checked)
    return facts


def _total(rows: list[dict[str, Any]], name: str) -> int:
    return sum(row[name] for row in rows)


def _sentence(facts: dict[str, Any]) -> Sentence:
    values = {
        "share": said_share(facts["transactions_share"]),
        "transactions": f"{facts['transactions']:,}",
        "blocks": f"{facts['blocks']:,}",
        "vsize": said_share(facts["vsize_share"]),
        "fees": said_share(facts["fees_share"]),
        "differ": f"{facts['fees_differ']:,}",
        "checked": f"{facts['fees_checked']:,}",
    }
    if not facts["fees_checked"]:
        template = (
            "Runes messages are {share} of {transactions} "
            "{transactions:transaction|transactions} in {blocks} {blocks:block|blocks} and "
            "{vsize} of their vsize; their fees are not known"
        )
    elif facts["fees_differ"]:
        template = (
            "Runes messages are {share} of {transactions} "
            "{transactions:transaction|transactions} in {blocks} {blocks:block|blocks}, "
            "{vsize} of their vsize and {fees} of their fees; in {differ} of {checked} "
            "{checked:block|blocks} the fees are not what the coinbase claims"
        )
    else:
        template = (
            "Runes messages are {share} of {transactions} "
            "{transactions:transaction|transactions} in {blocks} {blocks:block|blocks}, "
            "{vsize} of their vsize and {fees} of their fees; the fees are what the coinbase "
            "claims"
        )
    return Sentence(template, values)


def _figure(rows: list[dict[str, Any]]) -> Figure:
    """The three shares over the height; of many blocks the shares of neighbours together."""
    if len(rows) == 1:
        return _of_one(rows[0])
    together = -(-len(rows) // SHOWN_POINTS) or 1
    pieces = [rows[at : at + together] for at in range(0, len(rows), together)]
    heights: list[int] = [piece[0]["height"] for piece in pieces]
    looks = (("solid", "circle"), ("dash", "square"), ("dot", "diamond"))
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": of,
            "line": {"dash": dash},
            "marker": {"symbol": symbol},
            "x": heights,
            "y": [_pct(_share(_sums(piece, part, whole))) for piece in pieces],
        }
        for (of, part, whole), (dash, symbol) in zip(_PARTS, looks, strict=True)
    ]
    layout = {
        "title": {"text": "Share of Runes messages"},
        "xaxis": whole_axis("height of the block", heights),
        "yaxis": {"title": {"text": "share, %"}, "rangemode": "tozero"},
    }
    return Figure(data=data, layout=layout)


def _of_one(row: dict[str, Any]) -> Figure:
    """The three shares of one block."""
    shares = [_pct(_share(_sums([row], part, whole))) for _, part, whole in _PARTS]
    bar = {"type": "bar", "name": "share", "x": [of for of, *_ in _PARTS], "y": shares}
    layout = {
        **in_words("x"),
        "title": {"text": "Share of Runes messages"},
        "yaxis": {"title": {"text": "share, %"}, "range": [0, 100]},
    }
    return Figure(data=[{**bar, "texttemplate": "%{y:.1f} %"}], layout=layout)


def _pct(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _explanation(batch: Evidence, facts: dict[str, Any], outside: int) -> Explanation:
    blocks = facts["blocks"]
    lacking = {
        "the vsize of all transactions, in {lacking} of {blocks} blocks": "vsize",
        "the fees, in {lacking} of {blocks} blocks: what the transactions spend": "fees",
    }
    missing: list[str] = [
        told(says, lacking=f"{blocks - facts[f'{of}_known']:,}", blocks=f"{blocks:,}")
        for says, of in lacking.items()
        if facts[f"{of}_known"] < blocks
    ]
    missing += said_counts(
        (
            (
                "the {count:block|blocks} of {count} Runes {count:message: it does|messages: "
                "these do} not count"
            ),
            outside,
        )
    )
    if "runestones" not in batch.tables:
        missing.append("any Runes message: there was none, or the producer left them out")
    return Explanation(
        question="What share of blocks do Runes take?",
        formulas=(
            "share of transactions = transactions with a Runes message / all transactions",
            "share of vsize, of fees: the same sums over all transactions but the coinbase",
            "difference = fees - (coinbase - subsidy); it must be 0, above it the miner left fees "
            "behind, below it the outputs spent are not the right ones",
        ),
        assumptions=(
            "a cenotaph is a Runes message too",
            "a share over several blocks is the sum of the parts / the sum of the wholes, over "
            "the blocks that know both",
        ),
        missing=tuple(missing),
        sources=batch.sources(),
    )
