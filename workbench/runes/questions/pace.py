"""How many mints the last blocks held: counted over the blocks that the batch has."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.runes.evidence import Evidence

DAY = 144
"""Blocks that a day has by the protocol's target of one in ten minutes."""

_RECENT = """
SELECT rune_id,
  CASE WHEN bool_and(credited IS NOT NULL) THEN count(*) FILTER (WHERE credited) END AS mints
FROM {mints}
WHERE ($rune IS NULL OR rune_id = $rune) AND height > $after AND height <= $last
GROUP BY rune_id
"""


def blocks_of(batch: Evidence, blocks: int) -> int:
    """How many of the last `blocks` blocks the batch has."""
    if batch.first_height is None or batch.last_height is None:
        return 0
    return min(blocks, batch.last_height - batch.first_height + 1)


def recent(batch: Evidence, rune: str | None, blocks: int) -> Mapping[str, int | None] | None:
    """Credited mints in the last `blocks` blocks, by rune; a rune without any is left out, and
    of one it is None where of a mint it is not known whether it was credited.

    None where the batch does not speak of mints.
    """
    if not batch.holds("mints") or batch.last_height is None:
        return None
    bounds = {"after": batch.last_height - blocks, "last": batch.last_height}
    rows = batch.rows(_RECENT, rune=rune, **bounds).to_pylist()
    return {row["rune_id"]: row["mints"] for row in rows}
