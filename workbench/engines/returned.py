"""What a function returned, as a Result: plain values, tables and figures find their places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from workbench.core.model import Result
from workbench.core.wide_integers import TOO_WIDE, wide_column
from workbench.engines.frames import to_json
from workbench.errors import WorkbenchError

VALUE = "value"
DEPTH = 20
"""So many levels down it is looked for what is wrong."""
NOT_A_VALUE = (
    "the model returned something of the type {kind} as {name}; allowed: None, numbers, texts, "
    "lists and dictionaries, a DataFrame, a Series, an array, a pyarrow.Table, a Plotly figure, a "
    "dictionary or tuple of these, or a Result"
)
DIMENSIONS = "the model returned an array of {count} dimensions as {name}; allowed: 1 or 2"
NO_COLUMNS = "the table {name} that the model returned has no columns"
ALIKE = (
    "the table {name} that the model returned has the columns {one} and {other}, which SQL does "
    "not tell apart: rename one"
)
UNREADABLE = (
    "the table {name} that the model returned cannot be written as Arrow: {reason}; give each "
    "column one type, such as with .astype(str)"
)


def result_of(returned: Any) -> Result:
    """A Result as it is. Else JSON under `data.value`, tables and figures beside it.

    Of a dictionary or tuple that mixes them each part keeps its name or number: the tables are
    `value` for a lone one, else `<name>` or `value_<number>`. `data.value` holds the rest: by
    name, or of a tuple as a list with None where a table or figure was.
    """
    if isinstance(returned, Result):
        return returned
    if _is_special(returned):
        return _sorted({VALUE: returned})
    if isinstance(returned, Mapping) and any(map(_is_special, returned.values())):
        found = _sorted({str(name): each for name, each in returned.items()})
        lone = VALUE in found.tables and not found.data  # told apart from a table by itself
        return msgspec.structs.replace(found, data={VALUE: {}}) if lone else found
    if isinstance(returned, tuple) and any(map(_is_special, returned)):
        numbered = {f"{VALUE}_{number}": each for number, each in enumerate(returned)}
        found = _sorted(numbered)
        rest = found.data.get(VALUE, {})
        return msgspec.structs.replace(found, data={VALUE: [rest.get(name) for name in numbered]})
    return Result(data={VALUE: _plain(returned, VALUE)})


def _sorted(parts: dict[str, Any]) -> Result:
    tables: dict[str, Any] = {}
    figures: list[dict[str, Any]] = []
    rest: dict[str, Any] = {}
    for name, each in parts.items():
        if hasattr(each, "to_plotly_json"):
            figures.append(each.to_plotly_json())
        elif _is_table(each):
            tables[name] = table_of(each, name)
        else:
            rest[name] = _plain(each, name)
    return Result(data={VALUE: rest} if rest else {}, tables=tables, figures=figures)


def _plain(value: Any, name: str) -> Any:
    """A value that JSON can say. Bytes it would only say in a code that nobody expects."""
    if _has_json(value):
        return value
    where, part = _culprit(value, name)
    raise WorkbenchError(NOT_A_VALUE, kind=type(part).__name__, name=where)


def _has_json(value: Any) -> bool:
    if isinstance(value, bytes | bytearray | memoryview):
        return False
    try:
        to_json(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _culprit(value: Any, name: str) -> tuple[str, Any]:
    """The innermost part that JSON cannot say, and where it is."""
    for _ in range(DEPTH):
        if not isinstance(value, Mapping | list | tuple):
            break
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        found = next(((key, part) for key, part in parts if not _has_json(part)), None)
        if found is None:
            break
        name, value = f"{name}.{found[0]}", found[1]
    return name, value


def _is_special(value: Any) -> bool:
    return hasattr(value, "to_plotly_json") or _is_table(value)


def _is_table(value: Any) -> bool:
    """A DataFrame, a Series or a Table by what it can do; an array by its dimensions."""
    if isinstance(value, type):
        return False
    return hasattr(value, "__arrow_c_stream__") or (
        hasattr(value, "__array__") and getattr(value, "ndim", 0) > 0
    )


def table_of(value: Any, name: str = VALUE) -> Any:
    """Whatever is a table as a pyarrow.Table. An index that says something becomes columns."""
    import pyarrow

    table = value if isinstance(value, pyarrow.Table) else _converted(value, name)
    if not table.num_columns:
        raise WorkbenchError(NO_COLUMNS, name=name)
    seen: dict[str, str] = {}
    for column in table.column_names:
        other = seen.setdefault(column.casefold(), column)
        if other != column:
            raise WorkbenchError(ALIKE, name=name, one=other, other=column)
    return table


def _converted(value: Any, name: str) -> Any:
    import pandas  # takes 0.4 s, which a table of Arrow's own need not wait for
    import pyarrow

    try:
        return pyarrow.table(_with_columns(value, name))
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        wide = wide_column(value.items()) if isinstance(value, pandas.DataFrame) else None
        if wide is not None:
            raise WorkbenchError(TOO_WIDE, column=wide) from None
        reason = str(error).partition("\n")[0]
        raise WorkbenchError(UNREADABLE, name=name, reason=reason) from None


def _with_columns(value: Any, name: str) -> Any:
    import pandas

    if isinstance(value, pandas.Series):
        value = value.to_frame(value.name if value.name is not None else VALUE)
    elif not hasattr(value, "__arrow_c_stream__"):
        value = _array(value, name)
    elif hasattr(value, "to_frame") and not isinstance(value, pandas.DataFrame):
        value = value.to_frame()  # a polars.Series
    if not isinstance(value, pandas.DataFrame):
        return value
    if not isinstance(value.index, pandas.RangeIndex):
        value = value.reset_index(allow_duplicates=True)
    return value.set_axis([_column(each) for each in value.columns], axis=1)


def _array(value: Any, name: str) -> Any:
    import numpy
    import pandas

    array = numpy.asarray(value)
    if array.ndim == 1 and array.dtype.names is None:
        return pandas.DataFrame({VALUE: array})
    if array.ndim <= 2:
        return pandas.DataFrame(array)
    raise WorkbenchError(DIMENSIONS, count=array.ndim, name=name)


def _column(name: Any) -> str:
    """A column's name as a text; the levels of several joined."""
    if isinstance(name, tuple):
        return "_".join(str(each) for each in name if str(each))
    return str(name)
