"""What a task's function returned, put together again from its result: data and tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from workbench.clients.answer import QueryResult
from workbench.core.exact import MARKS, restored
from workbench.engines.columns import TYPES, given_back
from workbench.errors import InputError

if TYPE_CHECKING:
    import pandas

VALUE = "value"
"""A plain value is the result's data of this name, a table its table of this name."""
NO_TABLES = "none: it wrote no tables"
NO_HUB = "the rows of table {name} stay at the hub that ran the task: workbench.run(id) has them"

Query = Callable[[str], QueryResult]


def returned(result: Mapping[str, Any], query: Query | None) -> Any:
    """The value as its function returned it; of a model that says more, its data."""
    data, tables = result.get("data"), list(result.get("tables") or {})
    if not isinstance(data, Mapping) or set(data) - {VALUE, MARKS}:
        return data
    if isinstance(data.get(MARKS), list) and VALUE in data:
        data = {VALUE: restored(data[VALUE], data[MARKS], _without_columns)}
    if tables == [VALUE] and VALUE not in data:
        return frame_of(result, VALUE, query)
    if not tables:
        return data.get(VALUE)
    frames = {name: frame_of(result, name, query) for name in tables}
    if isinstance(data.get(VALUE), list):  # a tuple, whose tables go by their places
        return tuple(frames.get(f"{VALUE}_{n}", each) for n, each in enumerate(data[VALUE]))
    return {**(data.get(VALUE) or {}), **frames}


def frame_of(result: Mapping[str, Any], name: str, query: Query | None) -> pandas.DataFrame:
    """One of the tables, whole. Blocks."""
    if query is None or not result.get("alias"):
        raise InputError(NO_HUB, name=name)
    told = (result.get("tables") or {}).get(name)
    types = told.get(TYPES) if isinstance(told, Mapping) else None
    return given_back(query(select_all(result["alias"], name)).df(), types or {})


def _without_columns(rows: int) -> pandas.DataFrame:
    import pandas

    return pandas.DataFrame(index=range(rows))


def select_all(alias: Any, name: str) -> str:
    """SQL for the rows of a task's table."""
    return f"SELECT * FROM {_quoted(alias)}.{_quoted(name)}"  # noqa: S608  # quoted


def _quoted(name: Any) -> str:
    escaped = str(name).replace('"', '""')
    return f'"{escaped}"'
