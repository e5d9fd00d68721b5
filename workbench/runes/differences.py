"""Two tables of texts with the same columns, row by row: what is the same, and what is not."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from workbench.store.exact import as_text
from workbench.store.scratch import Scratch

COMPARED = ("etchings", "entries", "balances", "events")
SAME, UNSAID, ONLY_IN_B = "same", "not said", "only in b"

AMOUNT = ("amount_high", "amount_low", "amounts")
"""The columns of one value, the amount: its halves, or of several the text of all."""

_APART = """
SELECT rune_id, {told} AS key, one.field AS field, one.a AS a, one.b AS b,
  CASE WHEN NOT in_b THEN 'only in a' WHEN NOT in_a THEN 'only in b' WHEN one.a = one.b THEN 'same'
    WHEN one.a IS NULL OR one.b IS NULL THEN 'not said' ELSE 'differs' END AS what
FROM (
  SELECT rune_id, {keys}, coalesce(a.here, false) AS in_a, coalesce(b.here, false) AS in_b,
    unnest([{values}]) AS one
  FROM (SELECT *, true AS here FROM side_a) AS a
  FULL JOIN (SELECT *, true AS here FROM side_b) AS b USING (rune_id, {keys})
  WHERE NOT coalesce({same}, false)
)
"""
"""Nearly all rows are the same on both sides: only of the others texts are made."""

_AMOUNT_TEXT = f"""coalesce(<side>.amounts, CASE WHEN <side>.amount_low IS NOT NULL
  THEN {as_text("amount(<side>.amount_high, <side>.amount_low)")} END)"""
_SAME_AMOUNT = (
    "coalesce(a.amount_high = b.amount_high AND a.amount_low = b.amount_low, a.amounts = b.amounts)"
)

_COUNTS = "SELECT field, what, count(*) AS rows FROM apart GROUP BY field, what"

_DIFFERING = """
SELECT '{table}' AS "table", rune_id, key, field, a, b, what FROM apart
WHERE what NOT IN ('same', 'not said')
  AND (what = 'differs' OR field = '{first}')
ORDER BY try_cast(split_part(rune_id, ':', 1) AS UBIGINT), rune_id, key, field
"""
"""A row that one side lacks is one difference, said by its first field."""


def compared(
    table: str, a: pa.Table, b: pa.Table, keys: Sequence[str] = ("key",), name: str = "key"
) -> tuple[dict[tuple[str, str], int], pa.Table]:
    """How many values of each field are what, and those that differ, with both values.

    The columns of both: rune_id and `keys`, which the SQL `name` puts in words, then
    fields: texts, and those of `AMOUNT`.
    """
    texts = [each for each in a.column_names if each not in ("rune_id", *keys, *AMOUNT)]
    values = {each: (f'a."{each}"', f'b."{each}"') for each in texts}
    same = [f"{one} = {other}" for one, other in values.values()]
    if "amounts" in a.column_names:
        of_a, of_b = (_AMOUNT_TEXT.replace("<side>", side) for side in "ab")
        values["amount"] = (of_a, of_b)
        same.append(_SAME_AMOUNT)
    structs = (f"{{'field': '{each}', 'a': {x}, 'b': {y}}}" for each, (x, y) in values.items())
    sql = _APART.format(
        told=name, keys=", ".join(keys), values=", ".join(structs), same=" AND ".join(same)
    )
    apart = Scratch({"side_a": a, "side_b": b}).query(sql)
    scratch = Scratch({"apart": apart})
    counts = {
        (row["field"], row["what"]): row["rows"] for row in scratch.query(_COUNTS).to_pylist()
    }
    first = next(iter(values))
    told = sum(rows for (each, what), rows in counts.items() if each == first and what != ONLY_IN_B)
    for each in values:
        counts[each, SAME] = counts.get((each, SAME), 0) + a.num_rows - told
    return counts, scratch.query(_DIFFERING.format(table=table, first=first))


def row_of(table: str, field: str, a: str, b: str) -> pa.Table:
    """One difference that is of no rune."""
    values = (table, "", "", field, a, b, "differs")
    names = ("table", "rune_id", "key", "field", "a", "b", "what")
    return pa.table({name: [value] for name, value in zip(names, values, strict=True)})
