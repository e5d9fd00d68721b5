"""Types of a data frame's columns that the tables of the store lack: told beside, given back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas
    import pyarrow

TYPES = "types"
"""Under this name they stand beside a table's rows and columns in its result."""
NOTED = b"workbench.types"
"""In the metadata of a table's Arrow schema, as JSON: the type of each such column by its name."""
UNNAMED = ""
"""Among those types: the name under which the store has the column of the name ""."""
NOTED_CHARS = 32 << 10
"""A table's entry in the journal holds them: what is longer, such as a thousand categories, is
not told, and those columns come back as the store has them."""
_MASKED = ("boolean", "Int8", "Int16", "Int32", "Int64", "UInt8", "UInt16", "UInt32", "UInt64")
_FLOATS = ("Float32", "Float64")

Types = dict[str, Any]


def storable(frame: pandas.DataFrame) -> tuple[pandas.DataFrame, Types]:
    """The frame as Arrow and the store take it, and the types that they would lose."""
    import pandas

    types: Types = {}
    frame = frame.copy(deep=False)
    kinds: list[Any] = list(frame.dtypes)
    for at, (name, kind) in enumerate(zip(frame.columns, kinds, strict=True)):
        if isinstance(kind, pandas.CategoricalDtype):
            if isinstance(kind.categories.dtype, pandas.IntervalDtype):  # Arrow cannot say it
                frame.isetitem(at, frame.iloc[:, at].astype("string").array)
            elif pandas.api.types.infer_dtype(kind.categories) in ("string", "integer", "empty"):
                types[name] = {"categories": kind.categories.tolist(), "ordered": kind.ordered}
        elif isinstance(kind, pandas.PeriodDtype):  # as text: SQL would see numbers since 1970
            types[name] = str(kind)
            frame.isetitem(at, frame.iloc[:, at].astype("string").array)
        elif kind == "float16":
            types[name] = "float16"
            frame.isetitem(at, frame.iloc[:, at].astype("float32").array)
        elif (
            isinstance(kind, pandas.DatetimeTZDtype | pandas.IntervalDtype)
            or str(kind) in (*_MASKED, *_FLOATS)
            or getattr(kind, "kind", "") == "m"
        ):
            types[name] = str(kind)
    return frame, types


def nameable(table: pyarrow.Table) -> pyarrow.Table:
    """The table with a name that the store takes for the column of none, told beside."""
    if "" not in table.column_names:
        return table
    taken = {name.casefold() for name in table.column_names}
    name = next(name for n in range(len(taken)) if (name := f"v{n}") not in taken)
    names = [each or name for each in table.column_names]
    types = {each or name: kind for each, kind in types_in(table.schema).items()}
    return noted(table.rename_columns(names), {**types, UNNAMED: name})


def noted(table: pyarrow.Table, types: Types) -> pyarrow.Table:
    """The table with these types in its schema."""
    text = json.dumps(types)
    if not types or len(text) > NOTED_CHARS:
        return table
    return table.replace_schema_metadata({**(table.schema.metadata or {}), NOTED: text})


def types_in(schema: pyarrow.Schema) -> Types:
    """What `noted` wrote there."""
    found = (schema.metadata or {}).get(NOTED)
    return dict(json.loads(found)) if found else {}


def given_back(frame: pandas.DataFrame, types: Mapping[str, Any]) -> pandas.DataFrame:
    """A frame from the store with the types that its columns had; one that no longer fits stays."""
    for at, name in enumerate(frame.columns):
        if name in types:
            try:
                frame.isetitem(at, _typed(frame.iloc[:, at], types[name]))
            except (TypeError, ValueError, KeyError, AttributeError):
                continue  # told by another version, of another pandas
    unnamed = types.get(UNNAMED)
    return frame.rename(columns={unnamed: ""}) if isinstance(unnamed, str) else frame


def _typed(column: pandas.Series, kind: Any) -> Any:
    import pandas

    if isinstance(kind, Mapping):
        return column.astype(
            pandas.CategoricalDtype(kind["categories"], ordered=bool(kind["ordered"]))
        )
    if str(kind).startswith("interval"):
        pairs: Any = [(each["left"], each["right"]) if each else float("nan") for each in column]
        return pandas.arrays.IntervalArray.from_tuples(pairs, dtype=pandas.IntervalDtype(kind))
    return column.astype(kind)
