"""How widely mints are spread, how early they were made, and what their makers paid."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any

import pyarrow as pa
from msgspec import Meta

from workbench.core.figure import Figure
from workbench.core.sentence import Sentence
from workbench.runes.answer import Answer, Explanation
from workbench.runes.asking import question
from workbench.runes.evidence import Evidence
from workbench.runes.questions.bars import in_words
from workbench.runes.saying import said_counts, said_share

TITLE = "How fair is the mint?"

_CHOSEN = """
WITH chosen AS (
  SELECT height, tx_index, txid, rune_id, coalesce(receiver, address) AS whose, receiver,
    address, fee_sat
  FROM {mints} WHERE ($rune IS NULL OR rune_id = $rune) AND (NOT $state OR credited)
)
"""

_RECEIVERS = """
SELECT CASE WHEN bool_or(scripted) THEN whose END AS script,
  CASE WHEN bool_or(scripted) THEN any_value(address) ELSE whose END AS address,
  sum(n)::BIGINT AS mints, sum(n) / sum(sum(n)) OVER () AS share, count(*) AS blocks
FROM (
  SELECT whose, height, bool_or(receiver IS NOT NULL) AS scripted, any_value(address) AS address,
    count(*) AS n
  FROM chosen WHERE whose IS NOT NULL GROUP BY whose, height
)
GROUP BY whose ORDER BY mints DESC, whose
"""

_RUNES = """
, named AS (
  SELECT rune_id, any_value(spaced_name) AS name FROM {etchings}
  WHERE commitment <> 'missing' GROUP BY rune_id
)
SELECT rune_id, coalesce(any_value(name), rune_id) AS name, sum(n)::BIGINT AS mints,
  count(*) AS receivers,
  sum(n * n)::DOUBLE / (sum(n)::DOUBLE * sum(n)::DOUBLE) AS hhi, max(n) / sum(n) AS largest_share
FROM (
  SELECT rune_id, whose, count(*) AS n FROM chosen WHERE whose IS NOT NULL GROUP BY rune_id, whose
) LEFT JOIN named USING (rune_id)
GROUP BY rune_id ORDER BY mints DESC, rune_id
"""

_COUNTS = """
SELECT count(*) AS mints, count(*) FILTER (whose IS NULL) AS without_receiver,
  (SELECT count(*) FROM {mints}
    WHERE credited IS NULL AND $state AND ($rune IS NULL OR rune_id = $rune)) AS undecided
FROM chosen
"""

_CHAINED = """
, spent AS (
  SELECT put.height, put.tx_index, left(put.outpoint, 64) AS made, later.rune_id
  FROM {inputs} AS put JOIN chosen AS later
    ON later.height = put.height AND later.tx_index = put.tx_index
  WHERE coalesce(put.created_height, put.height) = put.height
)
SELECT count(DISTINCT spent.height * 4294967296 + spent.tx_index) AS chained
FROM spent JOIN chosen AS earlier
  ON earlier.height = spent.height AND earlier.txid = spent.made
    AND earlier.rune_id = spent.rune_id
"""

_EARLY = """
, opened AS (
  SELECT rune_id, min(greatest(height::HUGEINT, coalesce(height_start, 0)::HUGEINT,
    least(height::HUGEINT + coalesce(offset_start, 0)::HUGEINT, 18446744073709551615::HUGEINT)))
    AS start
  FROM {etchings} WHERE commitment <> 'missing' AND terms IS NOT NULL GROUP BY rune_id
)
SELECT count(*) AS mints, count(*) FILTER (height >= start AND height < start + $k) AS early
FROM chosen JOIN opened USING (rune_id)
WHERE start >= $first_height AND start + $k <= $last_height
"""

_PAID = """
, paid AS (
  SELECT height, count(*) AS mints, count(fee_sat + vsize) AS known, sum(fee_sat) AS fee_sat,
    sum(vsize) AS vsize
  FROM (
    SELECT chosen.height, coalesce(chosen.fee_sat, said.fee_sat) AS fee_sat, said.vsize
    FROM chosen LEFT JOIN {runestones} AS said
      ON said.height = chosen.height AND said.tx_index = chosen.tx_index
  )
  GROUP BY height
)
SELECT coalesce(sum(mints), 0)::BIGINT AS mints, coalesce(sum(fee_sat), 0)::BIGINT AS fee_sat,
  coalesce(sum(paid.vsize), 0)::BIGINT AS vsize,
  coalesce(sum(fees_sat - fee_sat), 0)::BIGINT AS other_fee_sat,
  coalesce(sum(weight - 4 * paid.vsize), 0)::BIGINT AS other_weight
FROM paid JOIN {blocks} AS block USING (height)
WHERE known = mints AND fees_sat IS NOT NULL
"""

_SAID = {
    (False, False): "{mints} {mints:mint was|mints were} asked for, to {receivers} "
    "{receivers:receiver|receivers}: the top {top} {top:takes|take} {share}, HHI {hhi}",
    (False, True): "{rune}: {mints} {mints:mint was|mints were} asked for, to {receivers} "
    "{receivers:receiver|receivers}: the top {top} {top:takes|take} {share}, HHI {hhi}",
    (True, False): "{mints} {mints:mint was|mints were} credited, to {receivers} "
    "{receivers:receiver|receivers}: the top {top} {top:takes|take} {share}, HHI {hhi}",
    (True, True): "{rune}: {mints} {mints:mint was|mints were} credited, to {receivers} "
    "{receivers:receiver|receivers}: the top {top} {top:takes|take} {share}, HHI {hhi}",
}
"""By whether the batch knows what was honoured, and whether one rune was asked about."""

_FORMULAS = (
    "share of a receiver = its mints / all mints that have a receiver",
    "HHI = sum of the squared shares; effective receivers = 1 / HHI",
    "repeated = mints of a receiver beyond its first one in a block",
    "chained = mints that spend an output of a mint of the same rune in the same block",
    "first share = mints in the first blocks from the opening of the mint on / all mints, of the "
    "runes whose opening the batch holds",
    "fee premium = (fees / vsize of the mints) / (fees / vsize of the rest of their blocks) - 1",
)
_ASSUMPTIONS = (
    "a receiver is a script, or an address where no script is known; who owns several is not seen",
    "the rest of a block is its weight / 4 less the mints, header and coinbase included",
)
_ASKED_ONLY = "whether a mint was credited: they are counted as asked for"
_NO_INPUTS = "the spent outputs that carry runes: chained mints are not told"
_CHAIN_SEEN = "chains over outputs without runes: chained mints are at least these"
_NO_EARLY = "the opening of the mint and a block after its first ones: no first share"
_NO_FEES = (
    "fees or sizes of {count} {count:mint, or of the rest of its block|mints, or of the rest of "
    "their blocks}"
)
_NO_RECEIVER = (
    "the receiver of {count} {count:mint: burned, or not known; it is|mints: burned, or not "
    "known; they are} in no share"
)
_UNDECIDED = (
    "whether {count} {count:mint was credited: it is|mints were credited: they are} left out"
)


@question(TITLE)
def mint_fairness(
    batch: Evidence,
    *,
    rune: Annotated[
        str | None, Meta(title="Rune", description="Its id or name; none: every rune.")
    ] = None,
    top: Annotated[
        int, Meta(ge=1, le=1000, title="Largest receivers", description="How many to add up.")
    ] = 10,
    first_blocks: Annotated[
        int,
        Meta(ge=1, le=100_000, title="First blocks", description="How many count as the first."),
    ] = 10,
) -> Answer:
    """Says how widely mints are spread over receivers, how many come in a row in one block, how
    many came in the first blocks, and what they paid beyond others."""
    batch.needs("mint_fairness", "mints", state=False)
    wanted = None if rune is None else batch.rune(rune)
    which, name = (None, None) if wanted is None else (wanted.id, wanted.name)
    batch = batch.of(which, "mints")
    chosen = {"rune": which, "state": batch.is_state}
    receivers = batch.rows(_CHOSEN + _RECEIVERS, **chosen)
    facts = {
        "rune": which,
        **batch.one(_CHOSEN + _COUNTS, **chosen),
        **_spread(receivers, top),
        "chained": _chained(batch, chosen),
        **_early(batch, chosen, first_blocks),
        **_paid(batch, chosen),
    }
    return Answer(
        question="mint_fairness",
        sentence=_sentence(batch.is_state, name, facts, top),
        table=receivers,
        more={} if wanted else {"runes": batch.rows(_CHOSEN + _RUNES, **chosen)},
        figure=_figure(receivers.slice(0, top).to_pylist(), facts["top_share"]),
        facts=facts,
        explanation=Explanation(
            question=TITLE,
            formulas=_FORMULAS,
            assumptions=_ASSUMPTIONS,
            missing=_missing(batch.is_state, facts),
            sources=batch.sources(),
        ),
    )


def _spread(receivers: pa.Table, top: int) -> dict[str, Any]:
    """How evenly the mints are spread; None where nobody received any."""
    counts = receivers["mints"].to_pylist()
    total = sum(counts)
    hhi = Fraction(sum(n * n for n in counts), total * total) if counts else None
    return {
        "receivers": len(counts),
        "hhi": None if hhi is None else float(hhi),
        "effective_receivers": None if hhi is None else float(1 / hhi),
        "top_share": sum(counts[:top]) / total if counts else None,
        "repeated": total - sum(receivers["blocks"].to_pylist()),
    }


def _chained(batch: Evidence, chosen: dict[str, Any]) -> int | None:
    if not batch.holds("inputs"):
        return None
    found: int = batch.one(_CHOSEN + _CHAINED, **chosen)["chained"]
    return found


def _early(batch: Evidence, chosen: dict[str, Any], k: int) -> dict[str, Any]:
    """The share of the first blocks, where the batch holds the opening and a block after them."""
    share = None
    if batch.first_height is not None:
        bounds = {"first_height": batch.first_height, "last_height": batch.last_height}
        row = batch.one(_CHOSEN + _EARLY, **chosen, **bounds, k=k)
        share = row["early"] / row["mints"] if row["mints"] else None
    return {"first_blocks": k, "first_share": share}


def _paid(batch: Evidence, chosen: dict[str, Any]) -> dict[str, Any]:
    """What mints paid for a vbyte, and how much more than the rest of their blocks."""
    row = batch.one(_CHOSEN + _PAID, **chosen)
    rate = row["fee_sat"] / row["vsize"] if row["vsize"] else None
    other = 4 * row["other_fee_sat"] / row["other_weight"] if row["other_weight"] > 0 else None
    return {
        "priced": row["mints"],
        "sat_per_vbyte": rate,
        "other_sat_per_vbyte": other,
        "fee_premium": rate / other - 1 if rate is not None and other else None,
    }


def _sentence(state: bool, name: str | None, facts: dict[str, Any], top: int) -> Sentence:
    if not facts["mints"]:
        if name is None:
            return Sentence("there are no mints in these blocks")
        return Sentence("there are no mints of {rune} in these blocks", {"rune": name})
    if facts["hhi"] is None:
        return Sentence(
            "there {mints:is|are} {mints} {mints:mint|mints}, and of none is a receiver known",
            {"mints": facts["mints"]},
        )
    values = {
        "mints": facts["mints"],
        "receivers": facts["receivers"],
        "top": min(top, facts["receivers"]),
        "share": said_share(facts["top_share"]),
        "hhi": f"{facts['hhi']:.4f}",
    }
    named = {} if name is None else {"rune": name}
    return Sentence(_SAID[state, name is not None], {**named, **values})


def _figure(largest: list[dict[str, Any]], top_share: float | None) -> Figure:
    """The largest receivers by their share, and all others together."""
    shares = [(_short(row["address"] or row["script"]), row["share"]) for row in largest]
    if top_share is not None and top_share < 1:
        shares.append(("all others", 1 - top_share))
    return Figure(
        data=[
            {
                "type": "bar",
                "name": "share",
                "orientation": "h",
                "x": [100 * share for _, share in shares],
                "y": [whose for whose, _ in shares],
                "texttemplate": "%{x:.1f} %",
            }
        ],
        layout={
            **in_words("y"),
            "title": {"text": "Who receives the mints"},
            "xaxis": {"title": {"text": "share of the mints, percent"}, "rangemode": "tozero"},
            "yaxis": {
                "title": {"text": "receiver"},
                "type": "category",
                "autorange": "reversed",
            },
        },
    )


def _short(whose: str) -> str:
    """An address or a script as an axis has room for it."""
    return whose if len(whose) <= 17 else f"{whose[:8]}…{whose[-8:]}"


def _missing(state: bool, facts: dict[str, Any]) -> tuple[str, ...]:
    """What the batch does not say."""
    said = [] if state else [_ASKED_ONLY]
    said.append(_NO_INPUTS if facts["chained"] is None else _CHAIN_SEEN)
    if facts["first_share"] is None:
        said.append(_NO_EARLY)
    counts = said_counts(
        (_NO_FEES, facts["mints"] - facts["priced"]),
        (_NO_RECEIVER, facts["without_receiver"]),
        (_UNDECIDED, facts["undecided"]),
    )
    return (*said, *counts)
