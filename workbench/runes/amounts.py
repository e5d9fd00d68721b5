"""128-bit amounts as two unsigned 64-bit columns: exact on every way in and out.

No engine sums or stores an unsigned 128-bit integer without turning it into a double
somewhere; two UBIGINT columns, high and low, survive Arrow, DuckDB and Parquet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from workbench.errors import InputError

MAX_AMOUNT = 2**128 - 1
AMOUNT_TEXT = r"^(0|[1-9][0-9]{0,38})$"
"""How an amount is written; of those with 39 digits some are too large."""
AMOUNT_RULE = "decimal string from 0 to 2^128 - 1"

_MASK = 2**64 - 1
_WIDE = pa.decimal256(39, 0)
_LIMBS = 4  # a decimal256 is four little-endian 64-bit limbs


def halves(value: int) -> tuple[int, int]:
    """(high, low) of one amount. Raises InputError outside 0 to 2^128 - 1."""
    if not 0 <= value <= MAX_AMOUNT:
        raise InputError.field("amount", value, AMOUNT_RULE)
    return value >> 64, value & _MASK


def joined(high: int, low: int) -> int:
    """The amount that (high, low) stand for."""
    return (high << 64) | low


def summed(row: Mapping[str, Any], name: str) -> int:
    """What the sums of halves `<name>_high` and `<name>_low` of a row stand for, as numbers or
    digits: that of the low halves may be beyond 64 bits."""
    return (int(row[f"{name}_high"]) << 64) + int(row[f"{name}_low"])


def summed_column(table: Any, name: str) -> list[int]:
    """`summed` of each row, where both halves are digits."""
    high, low = (table[f"{name}_{half}"].to_pylist() for half in ("high", "low"))
    pairs = zip(high, low, strict=True)
    return [int(lo) if h == "0" else (int(h) << 64) + int(lo) for h, lo in pairs]


def whole_numbers(texts: Any) -> list[int | None]:
    """A column of decimal strings as Python integers, null as None."""
    return [None if text is None else int(text) for text in texts.to_pylist()]


def number_texts(values: Iterable[int | None]) -> pa.Array:
    """Python integers of any size as decimal strings, as every answer has its amounts."""
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def amount_columns(values: Iterable[int | None]) -> tuple[pa.Array, pa.Array]:
    """Python integers as (high, low) columns; None is null in both."""
    pairs = [(None, None) if value is None else halves(value) for value in values]
    high = pa.array([pair[0] for pair in pairs], pa.uint64())
    return high, pa.array([pair[1] for pair in pairs], pa.uint64())


def amount_ints(high: Any, low: Any) -> list[int | None]:
    """(high, low) columns as Python integers, null as None."""
    if _are_small(high, low):
        return list(_one(low).to_numpy().tolist())
    pairs = zip(_listed(high), _listed(low), strict=True)
    return [None if h is None or lo is None else (h << 64) | lo for h, lo in pairs]


def table_amounts(table: pa.Table, name: str) -> list[int | None]:
    """The amounts of the columns `<name>_high` and `<name>_low` as Python integers."""
    return amount_ints(table[f"{name}_high"], table[f"{name}_low"])


def parse_amounts(texts: Any) -> tuple[pa.Array, pa.Array]:
    """Decimal strings as (high, low) columns. The strings must be canonical and fit."""
    wide = _one(pa.array(texts, pa.string()) if isinstance(texts, Sequence) else texts).cast(_WIDE)
    limbs = np.frombuffer(wide.buffers()[1], dtype="<u8").reshape(-1, _LIMBS)
    limbs = limbs[wide.offset : wide.offset + len(wide)]
    if wide.null_count:
        missing = np.asarray(wide.is_null())
        limbs = np.where(missing[:, None], np.uint64(0), limbs)
    else:
        missing = None
    if limbs[:, 2:].any():
        raise InputError.field("amount", _first_too_large(wide), AMOUNT_RULE)
    return (
        pa.array(np.ascontiguousarray(limbs[:, 1]), pa.uint64(), mask=missing),
        pa.array(np.ascontiguousarray(limbs[:, 0]), pa.uint64(), mask=missing),
    )


def format_amounts(high: Any, low: Any) -> pa.Array:
    """(high, low) columns as decimal strings, null where either is null."""
    high, low = _one(high), _one(low)
    if _are_small(high, low):
        return low.cast(pa.string())
    limbs = np.zeros((len(high), _LIMBS), dtype="<u8")
    limbs[:, 1] = high.fill_null(0).to_numpy(zero_copy_only=False)
    limbs[:, 0] = low.fill_null(0).to_numpy(zero_copy_only=False)
    wide = pa.Array.from_buffers(_WIDE, len(high), [None, pa.py_buffer(limbs.tobytes())])
    texts = wide.cast(pa.string())
    missing = pc.or_(high.is_null(), low.is_null())
    return pc.if_else(missing, pa.scalar(None, pa.string()), texts)


def sum_amounts(high: Any, low: Any) -> int:
    """The exact sum of two columns as one Python integer (it may exceed 2^128); nulls count 0."""
    return (_sum_u64(_one(high)) << 64) + _sum_u64(_one(low))


def _sum_u64(column: pa.Array) -> int:
    """Sums 32-bit halves, so that 2^32 rows cannot overflow 64 bits."""
    values = column.fill_null(0).to_numpy(zero_copy_only=False).astype(np.uint64, copy=False)
    upper = int((values >> np.uint64(32)).sum(dtype=np.uint64))
    return (upper << 32) + int((values & np.uint64(0xFFFFFFFF)).sum(dtype=np.uint64))


def _are_small(high: Any, low: Any) -> bool:
    """Whether all of (high, low) columns are known and below 2^64, as nearly all amounts are."""
    columns = (high, low)
    if not all(isinstance(one, pa.Array | pa.ChunkedArray) for one in columns):
        return False
    return not any(one.null_count for one in columns) and not (pc.max(high).as_py() or 0)


def _one(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _listed(column: Any) -> list[int | None]:
    return list(column.to_pylist()) if hasattr(column, "to_pylist") else list(column)


def _first_too_large(wide: pa.Array) -> str:
    return next(
        str(value) for value in wide.to_pylist() if value is not None and value > MAX_AMOUNT
    )
