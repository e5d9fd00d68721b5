"""Two tables of texts with the same columns, row by row: what is the same, and what is not."""

from __future__ import annotations

import pyarrow as pa

COMPARED = ("etchings", "entries", "balances", "events")
SAME, UNSAID = "same", "not said"

_SIDES = """
SELECT rune_id, key, one.field AS field, one.a AS a, one.b AS b,
  CASE WHEN NOT in_b THEN 'only in a' WHEN NOT in_a THEN 'only in b' WHEN one.a = one.b THEN 'same'
    WHEN one.a IS NULL OR one.b IS NULL THEN 'not said' ELSE 'differs' END AS what
FROM (
  SELECT rune_id, key, coalesce(a.here, false) AS in_a, coalesce(b.here, false) AS in_b,
    unnest([{values}]) AS one
  FROM (SELECT *, true AS here FROM side_a) AS a
  FULL JOIN (SELECT *, true AS here FROM side_b) AS b USING (rune_id, key)
)
"""

_COUNTS = "SELECT field, what, count(*) AS rows FROM ({fields}) GROUP BY field, what"

_DIFFERING = """
SELECT '{table}' AS "table", rune_id, key, field, a, b, what FROM ({fields})
WHERE what NOT IN ('same', 'not said')
  AND (what = 'differs' OR field = '{first}')
ORDER BY try_cast(split_part(rune_id, ':', 1) AS UBIGINT), rune_id, key, field
"""
"""A row that one side lacks is one difference, said by its first field."""


def _pair(name: str) -> str:
    """A column's name and both its values, as a struct in SQL."""
    return f"{{'field': '{name}', 'a': a.\"{name}\", 'b': b.\"{name}\"}}"


def compared(table: str, a: pa.Table, b: pa.Table) -> tuple[dict[tuple[str, str], int], pa.Table]:
    """How many values of each field are what, and those that differ, with both values.

    The columns of both: rune_id, key, then the fields, all of them texts.
    """
    from workbench.store.scratch import Scratch  # it loads DuckDB, which a lone import need not

    names = a.column_names[2:]
    fields = _SIDES.format(values=", ".join(map(_pair, names)))
    scratch = Scratch({"side_a": a, "side_b": b})
    counts = scratch.query(_COUNTS.format(fields=fields)).to_pylist()
    rows = scratch.query(_DIFFERING.format(table=table, fields=fields, first=names[0]))
    return {(row["field"], row["what"]): row["rows"] for row in counts}, rows


def row_of(table: str, field: str, a: str, b: str) -> pa.Table:
    """One difference that is of no rune."""
    values = (table, "", "", field, a, b, "differs")
    names = ("table", "rune_id", "key", "field", "a", "b", "what")
    return pa.table({name: [value] for name, value in zip(names, values, strict=True)})
