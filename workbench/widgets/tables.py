"""An Arrow table as a page shows it: a few rows, exact 128-bit integers, kinds for alignment."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import json
import math
from collections.abc import Collection
from decimal import Decimal
from typing import Any

SHOWN_ROWS = 50
SHOWN_COLUMNS = 50
SAFE_INTEGER = 2**53
TEXT_CHARS = 400


def table_view(
    name: str, table: Any, total: int | None = None, amounts: Collection[str] = ()
) -> dict[str, Any]:
    """`{name, total, columns: [{name, kind}], columnsTotal, rows}` of a pyarrow.Table's first rows
    and columns.

    `x_high` and `x_low` (two UBIGINT halves) become one column `x`; integers beyond 2^53
    become decimal strings, because a page's numbers are doubles. Columns that `amounts` names
    are integers, though they come as decimal strings.
    """
    head = table.slice(0, SHOWN_ROWS)
    kinds = {field.name: kind_of(str(field.type)) for field in head.schema}
    kinds |= {column: "integer" for column in amounts if column in kinds}
    halves = [name[:-5] for name in kinds if name.endswith("_high") and f"{name[:-5]}_low" in kinds]
    columns: dict[str, tuple[str, list[Any]]] = {}
    for column, kind in kinds.items():
        if len(columns) == SHOWN_COLUMNS:
            break
        base = column.rsplit("_", 1)[0]
        if base not in halves:
            columns[column] = (kind, [plain(value) for value in head.column(column).to_pylist()])
        elif column.endswith("_high"):
            high, low = (head.column(f"{base}_{half}").to_pylist() for half in ("high", "low"))
            columns[base] = ("integer", [joined(*pair) for pair in zip(high, low, strict=True)])
    return {
        "name": name,
        "total": table.num_rows if total is None else total,
        "columns": [{"name": column, "kind": kind} for column, (kind, _) in columns.items()],
        "columnsTotal": len(kinds) - len(halves),
        "rows": [
            list(row) for row in zip(*(values for _, values in columns.values()), strict=True)
        ],
    }


def kind_of(arrow_type: str) -> str:
    """integer, number, boolean, time or text, from Arrow's name of a type."""
    if arrow_type.startswith(("int", "uint")):
        return "integer"
    if arrow_type.startswith(("float", "double", "half", "decimal")):
        return "number"
    if arrow_type.startswith("bool"):
        return "boolean"
    return "time" if arrow_type.startswith(("timestamp", "date")) else "text"


def joined(high: int | None, low: int | None) -> str | None:
    """A 128-bit integer from its halves, as a decimal string."""
    return None if high is None or low is None else str((high << 64) + low)


def plain(value: Any) -> Any:
    """A cell as JSON holds it without loss; long text is cut short."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        return value if abs(value) < SAFE_INTEGER else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dt.datetime | dt.date):
        return value.isoformat(sep=" ") if isinstance(value, dt.datetime) else value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return base64.b16encode(value[: TEXT_CHARS // 2]).decode().lower()
    if isinstance(value, list | dict):
        return nested(value)
    text = str(value)
    if text.startswith(("[", "{")):  # SQL has no type for a document: it comes as its JSON
        with contextlib.suppress(ValueError, RecursionError):
            return nested(json.loads(text))
    return text if len(text) <= TEXT_CHARS else text[: TEXT_CHARS - 1] + "…"


def nested(value: Any) -> Any:
    """A JSON document with the same care for its integers."""
    if isinstance(value, dict):
        return {str(name): nested(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [nested(one) for one in value]
    return value if isinstance(value, str) else plain(value)
