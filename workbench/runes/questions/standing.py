"""Each rune as the tables have it: what was etched, and how much was minted and burned so far."""

from __future__ import annotations

from dataclasses import dataclass, fields

from workbench.core.rune import MAX_U64
from workbench.runes.amounts import whole_numbers
from workbench.runes.evidence import Evidence

_BLOCK, _INDEX = "split_part(rune_id, ':', 1)::UBIGINT", "split_part(rune_id, ':', 2)::UBIGINT"


def _bound(which: str, end: str) -> str:
    """SQL: the absolute bound and the one that counts from the etching, as the protocol saturates
    it, in one; null where there is neither."""
    offset = f"any_value(offset_{end})"
    later = f"least({_BLOCK}::HUGEINT + {offset}, {MAX_U64})::UBIGINT"
    return f"{which}(any_value(height_{end}), CASE WHEN {offset} IS NOT NULL THEN {later} END)"


def _granted(amount: str) -> str:
    """SQL: what the terms grant; null where it is not known whether there are any."""
    return (
        f"CASE WHEN cenotaph OR NOT terms THEN 0::UHUGEINT WHEN terms IS NULL THEN {amount}"
        f" ELSE coalesce({amount}, 0::UHUGEINT) END AS {amount}"
    )


_STANDINGS = f"""
WITH etched AS (
  SELECT rune_id, any_value(spaced_name) AS name, any_value(divisibility) AS divisibility,
    any_value(symbol) AS symbol, any_value(terms) AS terms, any_value(cenotaph) AS cenotaph,
    any_value(amount(premine_high, premine_low)) AS premine,
    any_value(amount(amount_high, amount_low)) AS amount,
    any_value(amount(cap_high, cap_low)) AS cap,
    {_bound("greatest", "start")} AS start, {_bound("least", "end")} AS until
  FROM {{etchings}} WHERE commitment <> 'missing' AND ($rune IS NULL OR rune_id = $rune)
  GROUP BY rune_id
), entered AS (
  SELECT rune_id, amount(mints_high, mints_low) AS mints, amount(burned_high, burned_low) AS burned,
    amount(supply_high, supply_low) AS stated
  FROM {{entries}} WHERE $rune IS NULL OR rune_id = $rune
)
SELECT rune_id, coalesce(nullif(name, ''), rune_id) AS name, divisibility, symbol, terms, cenotaph,
  CASE WHEN cenotaph THEN 0::UHUGEINT ELSE premine END AS premine,
  {_granted("amount")}, {_granted("cap")}, mints, burned, stated, start, until AS "end"
FROM entered FULL JOIN etched USING (rune_id) ORDER BY {_BLOCK}, {_INDEX}
"""

_AMOUNTS = frozenset(("premine", "amount", "cap", "mints", "burned", "stated"))


@dataclass(slots=True)
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


def place_of(rune_id: str) -> tuple[int, int]:
    """By which runes are in the order of the chain."""
    block, _, index = rune_id.partition(":")
    return int(block), int(index)


def product(count: int | None, amount: int | None) -> int | None:
    """None where a factor is not known and the other one is not 0."""
    if count is None or amount is None:
        return 0 if 0 in (count, amount) else None
    return count * amount


def standings(batch: Evidence, rune: str | None) -> list[Standing]:
    """Every rune, or the one of this id, in the order of the chain."""
    found = batch.rows(_STANDINGS, rune=rune)
    columns = (
        whole_numbers(found[each.name]) if each.name in _AMOUNTS else found[each.name].to_pylist()
        for each in fields(Standing)
    )
    return list(map(Standing, *columns))
