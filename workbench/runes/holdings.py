"""Who holds a rune after a block of the batch: counted back from its end, exactly.

balances(h) = balances(end) - what outputs received after h + what inputs carried after h.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from workbench.core.sentence import told
from workbench.errors import InputError
from workbench.runes.amounts import MAX_AMOUNT
from workbench.runes.evidence import Evidence, Rune
from workbench.runes.kinds import MAX_HEIGHT, OF_INDEX

_BIAS = f"{2**120}::HUGEINT"
_HELD = """
SELECT holder, script, address, lots, {amounts}
FROM (
  SELECT coalesce(script, address) AS holder,
    CASE WHEN count(script) > 0 THEN coalesce(script, address) END AS script,
    max(address) AS address, CASE WHEN count(*) = count(lots) THEN sum(lots)::BIGINT END AS lots,
    {sums}
  FROM (
    SELECT script, address, amount_high::HUGEINT AS high, amount_low::HUGEINT AS low,
      CASE WHEN outpoint IS NOT NULL THEN 1 END AS lots, NULL AS height
    FROM {{balances}} WHERE rune_id = $rune
    UNION ALL
    SELECT script, address, -amount_high::HUGEINT, -amount_low::HUGEINT, -1, height
    FROM {{allocations}} WHERE rune_id = $rune AND height > ${earliest}
    UNION ALL
    SELECT script, address, amount_high::HUGEINT, amount_low::HUGEINT, 1, height
    FROM {{inputs}} WHERE rune_id = $rune AND height > ${earliest}
  ) GROUP BY coalesce(script, address)
) WHERE {any}
"""
_SUMS = f"""coalesce(sum(high) FILTER (<later>), 0)
      + ((coalesce(sum(low) FILTER (<later>), 0) + {_BIAS}) >> 64) - {2**56} AS <name>_high,
    (coalesce(sum(low) FILTER (<later>), 0) + {_BIAS}) & {2**64 - 1}::HUGEINT AS <name>_low"""
_IS_POSSIBLE = f"<name>_high BETWEEN 0 AND {2**64 - 1}"
_AMOUNT = f"""CASE WHEN {_IS_POSSIBLE} THEN <name>_high::UBIGINT END AS <name>_high,
  <name>_low::UBIGINT AS <name>_low,
  CASE WHEN {_IS_POSSIBLE} THEN amount(<name>_high, <name>_low) END AS <name>"""
"""The sums are of signed halves; the bias, a multiple of 2^64, keeps what is shifted positive."""

_SIDES = """
SELECT sum(sign * high)::VARCHAR AS high, sum(sign * low)::VARCHAR AS low,
  count(*) FILTER (WHERE low IS NULL) AS unknown
FROM (
  SELECT 1 AS sign, amount_high::HUGEINT AS high, amount_low::HUGEINT AS low FROM {inputs}
  WHERE rune_id = $rune AND height > $height
  UNION ALL
  SELECT -1, amount_high::HUGEINT, amount_low::HUGEINT FROM {allocations}
  WHERE rune_id = $rune AND height > $height
  UNION ALL
  SELECT CASE WHEN kind = 'burned' THEN -1 ELSE 1 END, amount_high::HUGEINT, amount_low::HUGEINT
  FROM {events} WHERE rune_id = $rune AND height > $height AND kind <> 'transferred'
)
"""

_IN_USE = """
SELECT amount(supply_high, supply_low) AS supply, amount(burned_high, burned_low) AS burned,
  holders
FROM {entries} WHERE rune_id = $rune
"""

_OWNED = """
SELECT count(*) AS rows, count(coalesce(script, address)) AS owned FROM {balances}
WHERE rune_id = $rune
"""

OWNER = (
    "a holder is a script, or an address where the script is not known; who has several counts "
    "several times"
)


def held_at(*heights: str) -> str:
    """SQL: what each holder of `$rune` has after the blocks that these parameters name, the
    earliest first: a column for each, of its name, and its halves `_high` and `_low`; null where
    the amount is impossible (`refuse_debts`), of the halves the high one.

    `holder` is null for balances whose owner is not known, `lots` (outputs, after the earliest)
    where the producer lists holders.
    """
    sums, amounts = (
        ", ".join(_of(part, name, name != heights[0]) for name in heights)
        for part in (_SUMS, _AMOUNT)
    )
    some = " OR ".join(f"{name}_high <> 0 OR {name}_low <> 0" for name in heights)
    return _HELD.format(amounts=amounts, sums=sums, any=some, earliest=heights[0])


def _of(part: str, name: str, is_later: bool) -> str:
    later = f"height IS NULL OR height > ${name}" if is_later else "true"
    return part.replace("<later>", later).replace("<name>", name)


def counting_back(batch: Evidence, height: int) -> Evidence:
    """The same with what counting back to the block reads: nothing beyond the balances where it is
    the last one."""
    if batch.last_height is not None and height < batch.last_height:
        return batch
    tables = {
        name: sql for name, sql in batch.tables.items() if name not in ("allocations", "inputs")
    }
    return replace(batch, tables=tables)


def settled(
    batch: Evidence, question: str, rune: Rune, height: int | None, field: str = "height"
) -> int:
    """The block after which it is asked, the last one for None. Raises InputError, of the
    parameter `field`, for one that the batch cannot count back to, with the reason."""
    first, last = batch.first_height, batch.last_height
    if height is None or height == last:
        return MAX_HEIGHT if last is None else last
    if first is None or last is None or not first - 1 <= height <= last:
        raise InputError.field(field, height, _allowed(batch))
    _reconciled(batch, question, rune, height)
    return height


def _allowed(batch: Evidence) -> str:
    if batch.first_height is None:
        return "none: the tables do not say of which blocks they are"
    if not {"events", "allocations", "inputs"} & set(batch.tables):
        return (
            f"{batch.last_height}, the only one: a list of holders has nothing to count back with; "
            "if it is of another block, say which where it is read: runes.read(..., height=BLOCK)"
        )
    return f"a block from {batch.first_height - 1} to {batch.last_height}"


def _reconciled(batch: Evidence, question: str, rune: Rune, height: int) -> None:
    """Only if what came after the block is what went, nothing is missing on the way back."""
    batch.needs_rows(question, "allocations", "events")
    sides = batch.one(_SIDES, rune=rune.id, height=height)
    apart = (int(sides["high"] or 0) << 64) + int(sides["low"] or 0)
    if apart or sides["unknown"]:
        raise InputError(
            "{question} cannot count back to block {height}: after it what {rune} came with and "
            "went to differs by {apart} atomic units, and {unknown} amounts are not known; "
            "reconcile names the transactions",
            question=question,
            height=height,
            rune=rune.name,
            apart=abs(apart),
            unknown=sides["unknown"],
        )


def refuse_nameless(batch: Evidence, question: str, rune: Rune) -> None:
    """Raises InputError where not one balance of the rune says whose it is."""
    told_by = batch.one(_OWNED, rune=rune.id)
    if not told_by["rows"] or told_by["owned"]:
        return
    if batch.producer == OF_INDEX:
        raise InputError(
            "{question} needs to know whose the balances of {rune} are, and the state of an index "
            "names outputs alone: ask the batch of the blocks themselves, runes.read(blocks), "
            "which has their scripts",
            question=question,
            rune=rune.name,
        )
    raise InputError(
        "{question} needs to know whose the balances of {rune} are, and no row of {batch} has an "
        "address or a script: export the rune's holders with their addresses, or, of lists that "
        "were asked for by address, add it to each row as the field address",
        question=question,
        rune=rune.name,
        batch=batch.name,
    )


def refuse_debts(batch: Evidence, question: str, rune: Rune, height: int, amounts: Any) -> None:
    """Nobody can have had less than nothing, or more than there can be of a rune: refuse the
    amounts of `held_at` after the block where one is null."""
    debts = amounts.null_count
    if debts:
        raise InputError(
            "{question} finds {debts} holders of {rune} with an impossible amount after block "
            "{height}: the tables of {batch} contradict each other",
            question=question,
            debts=debts,
            rune=rune.name,
            height=height,
            batch=batch.name,
        )


def refuse_beyond(rune: Rune, held: int) -> None:
    """There cannot be more than 2^128 - 1 of a rune, whoever has it: refuse a sum of balances
    above it, as SQL refuses it elsewhere."""
    if held > MAX_AMOUNT:
        from workbench.store.scratch import REMEDY, SUM_BEYOND  # it loads DuckDB

        raise InputError(
            SUM_BEYOND, field="balances.amount", rune=rune.id, value=str(held), remedy=REMEDY
        )


def missing_holders(batch: Evidence, rune: Rune, held: int, holders: int) -> tuple[str, ...]:
    """What the batch does not say of who holds the rune at its end, where it knows so many
    `holders` with `held` in all."""
    known = batch.rows(_IN_USE, rune=rune.id).to_pylist()
    stated = known[0].pop("holders") if known else None
    if stated is not None and stated > holders:
        return (
            told(
                "holders: {known} of the {stated} that the source counts are here",
                known=f"{holders:,}",
                stated=f"{stated:,}",
            ),
        )
    if not known or None in known[0].values():
        return ("the supply: whether every holder is here is not known",)
    in_use = int(known[0]["supply"]) - int(known[0]["burned"])
    if in_use == held:
        return ()
    return (
        told(
            "holders: they have {held} of {in_use} atomic units in use",
            held=f"{held:,}",
            in_use=f"{in_use:,}",
        ),
    )
