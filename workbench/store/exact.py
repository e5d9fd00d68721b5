"""128-bit amounts in SQL: macros over their two halves, and answers that keep them exact.

DuckDB's own `sum` over UHUGEINT is a DOUBLE, and as Arrow a UHUGEINT becomes a signed decimal,
wrong above 2**127. Loaded by path too, by the process that runs SQL of users.
"""

from __future__ import annotations

import duckdb

_HALF = "18446744073709551616"
MACROS = (
    f"amount(high, low) AS high::UHUGEINT * {_HALF}::UHUGEINT + low::UHUGEINT",
    f"amount_of_sums(high, low) AS (high::HUGEINT + (low::HUGEINT >> 64))::UHUGEINT"
    f" * {_HALF}::UHUGEINT + (low::HUGEINT & {2**64 - 1}::HUGEINT)::UHUGEINT",
    "amount_sum(high, low) AS amount_of_sums(sum(high::UBIGINT), sum(low::UBIGINT))",
    "amount_double(high, low) AS high::DOUBLE * 18446744073709551616.0 + low::DOUBLE",
)
"""What each of them says stands in the reference of the data format."""


def add_macros(connection: duckdb.DuckDBPyConnection, *, shared: bool = False) -> None:
    """The macros, for this connection alone, or `shared` by all of its database."""
    for macro in MACROS:
        connection.execute(f"CREATE {'' if shared else 'TEMP '}MACRO {macro}")


def exact(relation: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    """UHUGEINT as decimal text."""
    kinds = [str(kind) for kind in relation.types]
    if not any("UHUGEINT" in kind for kind in kinds):
        return relation
    parts = [
        f"{_column(place, kind)} AS {_quoted(name)}"
        for place, (name, kind) in enumerate(zip(relation.columns, kinds, strict=True), start=1)
    ]
    return relation.project(", ".join(parts))


def as_text(amount: str) -> str:
    """SQL: the decimal text of an expression of type UHUGEINT.

    DuckDB writes a HUGEINT a hundred times as fast as a UHUGEINT, and most amounts fit one.
    """
    return (
        f"CASE WHEN {amount} < {2**127}::UHUGEINT THEN ({amount})::HUGEINT::VARCHAR"
        f" ELSE ({amount})::VARCHAR END"
    )


def _column(place: int, kind: str) -> str:
    if kind == "UHUGEINT":
        return as_text(f"#{place}")
    return f"CAST(#{place} AS {kind.replace('UHUGEINT', 'VARCHAR')})"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
