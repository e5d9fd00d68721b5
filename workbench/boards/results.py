"""A task's result as the page draws it: its tables' first rows are asked of the hub by SQL."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from workbench.core.exact import MARKS
from workbench.core.sentence import filled, of_document
from workbench.errors import WorkbenchError
from workbench.widgets.tables import SHOWN_ROWS, nested, table_view

SHOWN_ENTRIES = 100
"""Of a long list in the answer; the rest is asked for by SQL or through the session."""

Query = Callable[[str], Any]
"""Blocking; returns something with `.arrow()`. Called in a worker thread."""

log = logging.getLogger("workbench.boards")


def drawn(result: Mapping[str, Any], query: Query | None) -> dict[str, Any]:
    """`taskResult.result` ready to be drawn. Without `query` (a foreign node) tables are
    named in a note only."""
    data = result.get("data") or {}
    names = ("model", "version", "batch", "elapsedMs", "device", "alias")
    said = filter(None, map(of_document, data.get("notes") or []))
    notes = [_note(each.template, each.values) for each in said]
    shown = {name: nested(result.get(name)) for name in names}
    tables, faults = _tables(result, query)
    return {
        **shown,
        "data": nested(
            {each: part for each, part in _shortened(data).items() if each not in ("notes", MARKS)}
        ),
        "figures": nested(result.get("figures") or []),
        "tables": tables,
        "notes": [*notes, *faults],
    }


def _tables(
    result: Mapping[str, Any], query: Query | None
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    alias = result.get("alias")
    views, faults = [], []
    for name, told in (result.get("tables") or {}).items():
        if not told.get("rows"):
            continue
        if query is None or not alias:
            template = "the rows of table {name} stay at the node that ran the task"
            faults.append(_note(template, {"name": name}))
            continue
        try:
            table = query(_first_rows(alias, name)).arrow()
            amounts = (result.get("data") or {}).get("amounts") or ()
            views.append(table_view(name, table, int(told["rows"]), amounts))
        except WorkbenchError as error:
            log.warning("result.table table=%s.%s error=%s", alias, name, error)
            faults.append(_note(error.template, error.values))
    return views, faults


def _first_rows(alias: str, table: str) -> str:
    quoted = ".".join('"' + name.replace('"', '""') + '"' for name in (alias, table))
    return f"SELECT * FROM {quoted} LIMIT {SHOWN_ROWS}"  # noqa: S608  # quoted, and only read


def _shortened(data: Mapping[str, Any]) -> dict[str, Any]:
    """Long lists at the top level cut to their first entries: a page is not an archive."""
    return {
        name: [*part[:SHOWN_ENTRIES], f"… {len(part) - SHOWN_ENTRIES} more"]
        if isinstance(part, list) and len(part) > SHOWN_ENTRIES
        else part
        for name, part in data.items()
    }


def _note(template: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "text": filled(template, values),
        "template": template,
        "values": nested(dict(values)),
    }
