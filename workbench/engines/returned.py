"""What a function returned, as a Result: plain values, tables and figures find their places."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from workbench.arrays import VALUE, table_of_array
from workbench.core.exact import MARKS, KeyFault, NoColumns, key_text, marked
from workbench.core.model import Result
from workbench.core.wide_integers import TOO_WIDE, wide_column
from workbench.engines.columns import nameable, noted, storable
from workbench.engines.frames import to_json
from workbench.errors import WorkbenchError, shown

DEPTH = 100
"""So many levels down it is looked for what is wrong."""
NOT_A_VALUE = (
    "the model returned something of the type {kind} as {name}; allowed: None, numbers, texts, "
    "lists and dictionaries, a DataFrame, a Series, an array, a pyarrow.Table, a Plotly figure, a "
    "dictionary or tuple of these, or a Result"
)
NESTED = (
    "the model returned a {kind} as {name}: a table or figure is returned by itself, or in a "
    "dictionary or tuple that holds it directly"
)
BAD_KEY = (
    "the model returned a dictionary as {name} with the key {key}, of the type {kind}; allowed as "
    "keys: texts, numbers, dates, True, False and None"
)
SAME_KEYS = (
    "the model returned a dictionary as {name} with the keys {one} and {other}, which are the same "
    "text: JSON would keep one of them"
)
HALF_CHARACTER = (
    "the model returned a text as {name} that holds half a character (a lone surrogate), which "
    "UTF-8 cannot say: text.encode('utf-8', 'replace').decode() puts ? in its place"
)
ITSELF = "the model returned something as {name} that contains itself"
TOO_DEEP = "the model returned something as {name} that is nested too deeply"
DIMENSIONS = "the model returned an array of {count} dimensions as {name}; allowed: 1 or 2"
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
        found = _sorted({VALUE: returned})
        return found.with_data(_data(found.rest[VALUE], found.rest) if found.rest else {})
    if isinstance(returned, Mapping) and any(map(_is_special, returned.values())):
        fault = _key_fault(returned, VALUE)
        if fault is not None:
            raise fault
        found = _sorted({str(name): each for name, each in returned.items()})
        lone = VALUE in found.tables  # told apart from a table by itself
        return found.with_data(_data(found.rest, found.rest) if found.rest or lone else {})
    if isinstance(returned, tuple) and any(map(_is_special, returned)):
        numbered = {f"{VALUE}_{number}": each for number, each in enumerate(returned)}
        found = _sorted(numbered)
        rest = [found.rest.get(name) for name in numbered]
        return found.with_data(_data(rest, found.rest))
    return Result(data=_data(returned, {VALUE: returned}))


def _data(value: Any, parts: Mapping[str, Any]) -> dict[str, Any]:
    """A plain value, with marks beside it where JSON alone would change it.

    Raises WorkbenchError for what JSON cannot say in one of its `parts`.
    """
    try:
        plain, marks = marked(value)
        to_json(plain)
    except (TypeError, ValueError, RecursionError):
        for name, each in parts.items():
            if not _has_json(each):
                raise _fault(each, name) from None
        raise
    return {VALUE: plain, MARKS: marks} if marks else {VALUE: plain}


class _Sorted(NamedTuple):
    """The parts of what was returned, by where they go."""

    tables: dict[str, Any]
    figures: list[dict[str, Any]]
    rest: dict[str, Any]

    def with_data(self, data: dict[str, Any]) -> Result:
        return Result(data=data, tables=self.tables, figures=self.figures)


def _sorted(parts: dict[str, Any]) -> _Sorted:
    found = _Sorted({}, [], {})
    for name, each in parts.items():
        if hasattr(each, "to_plotly_json"):
            found.figures.append(each.to_plotly_json())
        elif _is_table(each):
            table = table_of(each, name)
            if table.num_columns:
                found.tables[name] = table
            else:
                found.rest[name] = NoColumns(table.num_rows)
        else:
            found.rest[name] = each
    return found


def _has_json(value: Any) -> bool:
    try:
        to_json(marked(value)[0])
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _fault(value: Any, name: str) -> WorkbenchError:
    """What is wrong with the innermost part that JSON cannot say, and where that is."""
    above: list[int] = []
    for _ in range(DEPTH):
        if id(value) in above:
            return WorkbenchError(ITSELF, name=name)
        above.append(id(value))
        error = _fault_here(value, name)
        if error is not None:
            return error
        parts = value.items() if isinstance(value, Mapping) else enumerate(value)
        found = next(((key, part) for key, part in parts if not _has_json(part)), None)
        if found is None:
            break
        name, value = f"{name}.{found[0]}", found[1]
    return WorkbenchError(TOO_DEEP, name=name.partition(".")[0])


def _fault_here(value: Any, name: str) -> WorkbenchError | None:
    """None where it must be in one of its parts."""
    if _is_special(value):
        return WorkbenchError(NESTED, kind=type(value).__name__, name=name)
    if isinstance(value, str):
        return WorkbenchError(HALF_CHARACTER, name=name)
    if isinstance(value, Mapping):
        return _key_fault(value, name)
    if isinstance(value, list | tuple | set | frozenset):
        return None
    return WorkbenchError(NOT_A_VALUE, kind=type(value).__name__, name=name)


def _key_fault(value: Mapping[Any, Any], name: str) -> WorkbenchError | None:
    seen: dict[str, Any] = {}
    for key in value:
        try:
            text, _ = key_text(key)
        except KeyFault:
            return WorkbenchError(BAD_KEY, name=name, key=shown(key), kind=type(key).__name__)
        if text in seen:
            return WorkbenchError(SAME_KEYS, name=name, one=shown(seen[text]), other=shown(key))
        if not _has_json(text):
            return WorkbenchError(HALF_CHARACTER, name=f"a key of {name}")
        seen[text] = key
    return None


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
    seen: dict[str, str] = {}
    for column in table.column_names:
        other = seen.setdefault(column.casefold(), column)
        if other != column:
            raise WorkbenchError(ALIKE, name=name, one=other, other=column)
    return nameable(table)


def _converted(value: Any, name: str) -> Any:
    import pandas  # takes 0.4 s, which a table of Arrow's own need not wait for
    import pyarrow

    types: dict[str, Any] = {}
    try:
        value = _with_columns(value, name)
        if isinstance(value, pandas.DataFrame):
            value, types = storable(value)
        return noted(pyarrow.table(value), types)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
        wide = wide_column(value.items()) if isinstance(value, pandas.DataFrame) else None
        if wide is not None:
            raise WorkbenchError(TOO_WIDE, column=wide) from None
        reason = str(error).partition("\n")[0]
        raise WorkbenchError(UNREADABLE, name=name, reason=reason) from None


def _with_columns(value: Any, name: str) -> Any:
    import pandas

    if isinstance(value, pandas.Series):
        value = value.to_frame(value.name if value.name not in (None, "") else VALUE)
    elif not hasattr(value, "__arrow_c_stream__"):
        if value.ndim > 2:
            raise WorkbenchError(DIMENSIONS, count=value.ndim, name=name)
        value = table_of_array(value)
    elif hasattr(value, "to_frame") and not isinstance(value, pandas.DataFrame):
        value = value.to_frame(value.name or VALUE)  # a polars.Series
    if not isinstance(value, pandas.DataFrame):
        return value
    if not isinstance(value.index, pandas.RangeIndex):
        value = value.reset_index(allow_duplicates=True)
    return value.set_axis([_column(each) for each in value.columns], axis=1)


def _column(name: Any) -> str:
    """A column's name as a text; the levels of several joined."""
    if isinstance(name, tuple):
        return "_".join(str(each) for each in name if str(each))
    return str(name)
