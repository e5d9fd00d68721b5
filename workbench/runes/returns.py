"""What came back to its sender: runes that went out and returned, and transfers to oneself."""

from __future__ import annotations

import pyarrow as pa

from workbench.runes.amounts import number_texts, summed_column
from workbench.runes.evidence import UNPLACED, Evidence

NEEDED = ("inputs", "allocations")

_PLACE = "height::UBIGINT * 4294967296 + tx_index::UBIGINT AS place"
_SAID = {
    f"{name}_tx": f"CASE WHEN {name}_place % 4294967296 < {UNPLACED}"
    f" THEN ({name}_place % 4294967296)::BIGINT END"
    for name in ("sent", "back")
}
"""A number that only stands for the place in the block is not shown as one."""

_CYCLES = """
WITH came AS (
  SELECT {place}, rune_id, min(hash(script)) AS sender FROM {{inputs}}
  WHERE $rune IS NULL OR rune_id = $rune GROUP BY place, rune_id
  HAVING min(hash(script)) = max(hash(script)) AND count(script) = count(*)
), gone AS (
  SELECT {place}, rune_id, hash(script) AS receiver, amount_high, amount_low FROM {{allocations}}
  WHERE ($rune IS NULL OR rune_id = $rune) AND script IS NOT NULL AND amount_low IS NOT NULL
), sent AS MATERIALIZED (
  SELECT place, rune_id, sender, receiver, amount_high, amount_low
  FROM gone JOIN came USING (place, rune_id) WHERE receiver <> sender
), both_ways AS MATERIALIZED (
  SELECT place, rune_id, sender, receiver, amount_sum(amount_high, amount_low) AS amount
  FROM sent SEMI JOIN (SELECT rune_id, receiver AS sender, sender AS receiver FROM sent)
    USING (rune_id, sender, receiver)
  GROUP BY place, rune_id, sender, receiver
), paired AS (
  SELECT there.rune_id, there.receiver, there.sender, there.place AS sent_place,
    there.amount AS sent,
    back.place AS back_place, back.amount AS returned
  FROM both_ways AS there ASOF JOIN both_ways AS back
    ON there.rune_id = back.rune_id AND there.sender = back.receiver
    AND there.receiver = back.sender AND there.place < back.place
  WHERE (back.place >> 32)::BIGINT - (there.place >> 32)::BIGINT <= $within
  QUALIFY row_number() OVER (
    PARTITION BY there.rune_id, there.sender, there.receiver, back.place ORDER BY there.place DESC
  ) = 1
), scripts AS (
  SELECT {place}, rune_id, hash(script) AS who, any_value(script) AS script
  FROM {{allocations}} SEMI JOIN (
    SELECT (place >> 32)::BIGINT AS height, (place % 4294967296)::BIGINT AS tx_index, rune_id
    FROM (SELECT sent_place AS place, rune_id FROM paired
      UNION ALL SELECT back_place, rune_id FROM paired)
  ) USING (height, tx_index, rune_id)
  GROUP BY place, rune_id, who
)
SELECT paired.rune_id, a.script AS a, b.script AS b,
  (sent_place >> 32)::BIGINT AS sent_height, {sent_tx} AS sent_tx, sent,
  (back_place >> 32)::BIGINT AS back_height, {back_tx} AS back_tx, returned,
  back_height - sent_height AS blocks
FROM paired
JOIN scripts AS b ON b.place = sent_place AND b.rune_id = paired.rune_id AND b.who = receiver
JOIN scripts AS a ON a.place = back_place AND a.rune_id = paired.rune_id AND a.who = sender
ORDER BY sent_place, paired.rune_id, b
"""
"""A sending and the next way back: of several sendings before one way back the last. Scripts are
told apart by their hashes of 64 bits, for texts cost ten times as much."""

_SELF = """
WITH came AS MATERIALIZED (
  SELECT {place}, rune_id, min(hash(script)) AS sender, max(hash(script)) AS other,
    count(*) = count(script) AS known,
    coalesce(sum(amount_high), 0) AS in_high, coalesce(sum(amount_low), 0) AS in_low
  FROM {{inputs}} WHERE $rune IS NULL OR rune_id = $rune GROUP BY place, rune_id
), gone AS (
  SELECT {place}, rune_id, hash(script) AS who, amount_high AS high, amount_low AS low,
    script IS NOT NULL AND amount_low IS NOT NULL AS known
  FROM {{allocations}} WHERE $rune IS NULL OR rune_id = $rune
), moved AS MATERIALIZED (
  SELECT place, rune_id, who, high, low, sender <> other AS of_several,
    NOT of_several AND who = sender AS is_own, gone.known AND came.known AS known
  FROM gone JOIN came USING (place, rune_id)
), doubtful AS MATERIALIZED (
  SELECT place, rune_id FROM came WHERE NOT known
  UNION
  SELECT place, rune_id FROM moved WHERE NOT known
), by_one AS (
  SELECT place, rune_id, sum(high) AS out_high, sum(low) AS out_low
  FROM moved ANTI JOIN doubtful USING (place, rune_id) WHERE is_own GROUP BY place, rune_id
), by_several AS (
  SELECT place, rune_id, who, sum(high) AS out_high, sum(low) AS out_low
  FROM moved ANTI JOIN doubtful USING (place, rune_id) WHERE of_several
  GROUP BY place, rune_id, who
), several AS (
  SELECT place, rune_id, who, coalesce(sum(high), 0) AS in_high, coalesce(sum(low), 0) AS in_low
  FROM (
    SELECT {place}, rune_id, hash(script) AS who, amount_high AS high, amount_low AS low
    FROM {{inputs}} WHERE $rune IS NULL OR rune_id = $rune
  ) SEMI JOIN (FROM came WHERE sender <> other) USING (place, rune_id)
  GROUP BY place, rune_id, who
), sums AS (
  SELECT rune_id, in_high, in_low, out_high, out_low
  FROM by_one JOIN came USING (place, rune_id)
  UNION ALL
  SELECT rune_id, in_high, in_low, out_high, out_low
  FROM by_several JOIN several USING (place, rune_id, who)
), compared AS (
  SELECT *, CASE WHEN in_high = 0 AND out_high = 0 THEN in_low < out_low
    ELSE (in_high + (in_low >> 64), in_low & 18446744073709551615::HUGEINT)
      < (out_high + (out_low >> 64), out_low & 18446744073709551615::HUGEINT) END AS less
  FROM sums
), back AS (
  SELECT rune_id, sum(CASE WHEN less THEN in_high ELSE out_high END) AS high,
    sum(CASE WHEN less THEN in_low ELSE out_low END) AS low
  FROM compared GROUP BY rune_id
), gross AS (
  SELECT rune_id, sum(high) AS high, sum(low) AS low
  FROM moved ANTI JOIN doubtful USING (place, rune_id) GROUP BY rune_id
), counted AS (
  SELECT rune_id, count(*) AS transfers FROM came GROUP BY rune_id
), uncounted AS (
  SELECT rune_id, count(*) AS unknown FROM doubtful GROUP BY rune_id
)
SELECT rune_id, transfers, coalesce(unknown, 0) AS unknown,
  coalesce(gross.high, 0)::VARCHAR AS gross_high, coalesce(gross.low, 0)::VARCHAR AS gross_low,
  coalesce(back.high, 0)::VARCHAR AS back_high, coalesce(back.low, 0)::VARCHAR AS back_low
FROM counted LEFT JOIN uncounted USING (rune_id)
LEFT JOIN gross USING (rune_id) LEFT JOIN back USING (rune_id)
"""
"""Only transactions that spend the rune: what others put on outputs came from nobody. A `doubtful`
one has an unknown script or amount. Nearly all have one sender, whose outputs need no table of
who gave what."""

_SENDERS = """
SELECT count(*) AS unfollowed FROM (
  SELECT {place} FROM {{inputs}} WHERE $rune IS NULL OR rune_id = $rune GROUP BY place, rune_id
  HAVING min(hash(script)) <> max(hash(script)) OR count(script) < count(*)
)
"""


def cycles(batch: Evidence, rune: str | None, within: int) -> pa.Table:
    """Each time runes went from the only sender A of a transaction to B, and from the only sender
    B back to A within so many blocks."""
    return batch.rows(_CYCLES.format(place=_PLACE, **_SAID), rune=rune, within=within)


def unfollowed(batch: Evidence, rune: str | None) -> int:
    """Transfers of a rune with several senders, or with one whose script is not known."""
    return int(batch.one(_SENDERS.format(place=_PLACE), rune=rune)["unfollowed"])


def self_transfers(batch: Evidence, rune: str | None) -> pa.Table:
    """By rune: what its transfers moved (`gross`) and what of it went back to a script that it came
    from (`returned`), exact; transfers with an unknown script or amount are counted apart."""
    found = batch.rows(_SELF.format(place=_PLACE), rune=rune)
    gross, returned = summed_column(found, "gross"), summed_column(found, "back")
    shares = [back / all_ if all_ else None for back, all_ in zip(returned, gross, strict=True)]
    ranks = [(-(share or 0), -all_) for share, all_ in zip(shares, gross, strict=True)]
    runes = found["rune_id"].to_pylist()
    order = sorted(range(len(runes)), key=lambda row: (ranks[row], runes[row]))
    table = pa.table(
        {
            **{name: found[name] for name in ("rune_id", "transfers", "unknown")},
            "gross": number_texts(gross),
            "returned": number_texts(returned),
            "share": pa.array(shares, pa.float64()),
        }
    )
    return table.take(pa.array(order, pa.int64()))
