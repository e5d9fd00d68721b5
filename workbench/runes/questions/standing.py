"""Each rune as the tables have it: what was etched, and how much was minted and burned so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workbench.core.rune import MAX_U64
from workbench.runes.evidence import Evidence

_STANDINGS = """
WITH etched AS (
  SELECT rune_id, any_value(spaced_name) AS name, any_value(divisibility) AS divisibility,
    any_value(symbol) AS symbol, any_value(terms) AS terms, any_value(cenotaph) AS cenotaph,
    any_value(amount(premine_high, premine_low)) AS premine,
    any_value(amount(amount_high, amount_low)) AS amount,
    any_value(amount(cap_high, cap_low)) AS cap,
    any_value(height_start) AS height_start, any_value(height_end) AS height_end,
    any_value(offset_start) AS offset_start, any_value(offset_end) AS offset_end
  FROM {etchings} WHERE commitment <> 'missing' AND ($rune IS NULL OR rune_id = $rune)
  GROUP BY rune_id
), entered AS (
  SELECT rune_id, amount(mints_high, mints_low) AS mints, amount(burned_high, burned_low) AS burned,
    amount(supply_high, supply_low) AS stated
  FROM {entries} WHERE $rune IS NULL OR rune_id = $rune
)
SELECT * FROM entered FULL JOIN etched USING (rune_id)
"""

_AMOUNTS = ("premine", "amount", "cap", "mints", "burned", "stated")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One rune; None is what the tables do not say. `amount` and `cap` are 0 where the rune has
    no terms, or terms that name none: then nothing can be minted.

    It can be minted from the height `start` on and before `end`, where there are such bounds.
    `stated` is the supply that the source states.
    """

    rune_id: str
    name: str
    divisibility: int | None
    symbol: str | None
    terms: bool | None
    cenotaph: bool | None
    premine: int | None
    amount: int | None
    cap: int | None
    mints: int | None
    burned: int | None
    stated: int | None
    start: int | None
    end: int | None

    @property
    def minted(self) -> int | None:
        return product(self.mints, self.amount)


def place_of(rune_id: str) -> tuple[int, int]:
    """By which runes are in the order of the chain."""
    block, _, index = rune_id.partition(":")
    return int(block), int(index)


def product(count: int | None, amount: int | None) -> int | None:
    """None where a factor is not known and the other one is not 0."""
    if 0 in (count, amount):
        return 0
    return None if count is None or amount is None else count * amount


def standings(batch: Evidence, rune: str | None) -> list[Standing]:
    """Every rune, or the one of this id, in the order of the chain."""
    found = [_standing(row) for row in batch.rows(_STANDINGS, rune=rune).to_pylist()]
    return sorted(found, key=lambda one: place_of(one.rune_id))


def _standing(row: dict[str, Any]) -> Standing:
    for name in _AMOUNTS:
        row[name] = None if row[name] is None else int(row[name])
    for name in ("amount", "cap"):
        row[name] = _granted(row, row[name])
    offsets = [row.pop("offset_start"), row.pop("offset_end")]
    heights = [row.pop("height_start"), row.pop("height_end")]
    block, _ = place_of(row["rune_id"])
    starts, ends = (
        [bound for bound in (height, _later(block, offset)) if bound is not None]
        for height, offset in zip(heights, offsets, strict=True)
    )
    row["premine"] = 0 if row["cenotaph"] else row["premine"]
    row["name"] = row["name"] or row["rune_id"]
    return Standing(**row, start=max(starts, default=None), end=min(ends, default=None))


def _granted(row: dict[str, Any], value: int | None) -> int | None:
    """What the terms grant; None where it is not known whether there are any."""
    if row["cenotaph"] or row["terms"] is False:
        return 0
    return value if value is not None or row["terms"] is None else 0


def _later(block: int, offset: int | None) -> int | None:
    """A bound that counts from the etching, as the protocol saturates it."""
    return None if offset is None else min(block + offset, MAX_U64)
