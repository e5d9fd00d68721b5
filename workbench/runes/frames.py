"""Tables of a batch as pandas frames and as CSV, and back: amounts whole, missing stays missing.

pandas turns a column of integers with a missing value into doubles, and reads a CSV's amounts
as doubles; here an amount is a Python int in a frame and one decimal text in a CSV.
"""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from workbench.errors import InputError
from workbench.runes.amounts import AMOUNT_TEXT, amount_ints, format_amounts, parse_amounts
from workbench.runes.recognising import taken
from workbench.runes.tables import ARROW, TABLES, Column

if TYPE_CHECKING:
    import pandas

_INSTANT = "%Y-%m-%dT%H:%M:%SZ"


def to_frame(name: str, table: pa.Table) -> pandas.DataFrame:
    """The table as a frame: amounts are Python ints, what is missing is None or pandas.NA."""
    import pandas

    kinds = {
        pa.int64(): pandas.Int64Dtype(),
        pa.uint64(): pandas.UInt64Dtype(),
        pa.bool_(): pandas.BooleanDtype(),
    }
    columns: dict[str, Any] = {}
    for column in TABLES[name]:
        if column.kind.is_amount:
            halves = (table[f"{column.name}_{half}"] for half in ("high", "low"))
            columns[column.name] = pandas.Series(amount_ints(*halves), dtype=object)
        else:
            columns[column.name] = table[column.name].to_pandas(types_mapper=kinds.get)
    return pandas.DataFrame(columns)


def from_frame(name: str, frame: Any) -> pa.Table:
    """A frame of pandas or Polars, or whatever else Arrow takes, as the table `name`: amounts may
    be ints, whole Decimals or decimal texts.

    Raises InputError for a float, which is not exact, and for what is missing or out of range.
    """
    if name not in TABLES:
        raise InputError.field("tables", name, ", ".join(TABLES))
    return taken(name, _table(name, frame))


def _table(name: str, frame: Any) -> pa.Table:
    import pandas

    allowed = (
        f"a frame of pandas or Polars, or an Arrow table, with the columns of {name}, each once; "
        "rows that are dictionaries become one by pandas.DataFrame(rows)"
    )
    try:
        if not isinstance(frame, pandas.DataFrame):
            table = pa.table(frame) if hasattr(frame, "__arrow_c_stream__") else None
        elif frame.columns.has_duplicates or not len(frame):  # only the names matter
            table = pa.table([pa.nulls(len(frame))] * frame.shape[1], [*map(str, frame.columns)])
        else:
            table = _of_pandas(name, frame)
    except pa.ArrowException as error:
        raise InputError.field("frame", str(error), allowed) from None
    if table is None:
        raise InputError.field("frame", type(frame).__name__, allowed)
    names = table.column_names
    if len(set(names)) < len(names):
        raise InputError.field("frame", names, allowed)
    return table


def _of_pandas(name: str, frame: pandas.DataFrame) -> pa.Table:
    amounts = {column.name for column in TABLES[name] if column.kind.is_amount}
    arrays = {
        str(key): _amount_texts(name, str(key), values)
        if key in amounts
        else pa.Array.from_pandas(values)
        for key, values in frame.items()
    }
    return pa.table(arrays)


def _amount_texts(name: str, key: str, values: pandas.Series[Any]) -> pa.Array:
    """Amounts as text: Arrow has no integer of 128 bits."""
    missing = values.isna()
    if values.dtype.kind == "f":
        allowed = "integers or decimal texts: a column of floats is not exact"
        raise InputError.field(f"tables.{name}.{key}", str(values.dtype), allowed)
    for row, value in enumerate(values):
        if isinstance(value, float) and not missing.iloc[row]:
            allowed = "an integer or a decimal text: a float is not exact"
            raise InputError.field(f"tables.{name}[{row}].{key}", value, allowed)
    texts = (None if gone else _text(one) for one, gone in zip(values, missing, strict=True))
    return pa.array(texts, pa.string())


def _text(value: Any) -> str:
    """What is no amount stays what it is: it is refused with its row."""
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return str(int(value))
    return str(value)


def csv_bytes(name: str, table: pa.Table) -> bytes:
    """The table as CSV under a line of names: text is quoted, an empty place is null."""
    arrays = {column.name: _written(column, table) for column in TABLES[name]}
    target = io.BytesIO()
    pa_csv.write_csv(pa.table(arrays), target)
    return target.getvalue()


def _written(column: Column, table: pa.Table) -> Any:
    if column.kind.is_amount:
        return format_amounts(table[f"{column.name}_high"], table[f"{column.name}_low"])
    if column.kind.is_instant:
        return pc.strftime(table[column.name], format=_INSTANT)
    return table[column.name]


def read_csv(name: str, path: Path) -> pa.Table:
    """The table that `csv_bytes` wrote. Raises InputError for other columns or types."""
    kinds = {
        column.name: pa.string() if column.kind.is_instant else column.kind.arrow
        for column in TABLES[name]
    }
    options = pa_csv.ConvertOptions(
        column_types=kinds,
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    try:
        found = pa_csv.read_csv(path, convert_options=options)
        arrays = [each for column in TABLES[name] for each in _read(column, found)]
    except (pa.ArrowException, OSError, KeyError) as error:
        raise InputError(
            "{path} cannot be read: {reason}", path=str(path), reason=str(error)
        ) from None
    extra = sorted(set(found.column_names) - kinds.keys())
    if extra:
        raise InputError.field(f"tables.{name}", extra, "the columns " + ", ".join(kinds))
    loose = pa.schema([field.with_nullable(True) for field in ARROW[name]])
    return pa.Table.from_arrays(arrays, schema=loose)


def _read(column: Column, found: pa.Table) -> list[Any]:
    values = found[column.name]
    if column.kind.is_amount:
        _check_texts(column, values)
        return list(parse_amounts(values))
    if column.kind.is_instant:
        return [values.cast(pa.timestamp("s", "UTC")).cast(pa.timestamp("s"))]
    return [values]


def _check_texts(column: Column, values: pa.ChunkedArray) -> None:
    right = pc.match_substring_regex(values, AMOUNT_TEXT)
    odd = values.filter(pc.invert(right)).drop_null()
    if len(odd):
        raise InputError.field(column.name, odd[0].as_py(), column.kind.rule)
