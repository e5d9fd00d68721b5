"""Writes the tables of docs/reference that the code states already; run it to write them anew.

In a page a made table stands between `<!-- made: NAME -->` and `<!-- end -->`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec

from workbench.clients.mesh import EVENTS
from workbench.core import hub_kinds, mesh_wire
from workbench.core.mesh_config import MeshConfig
from workbench.core.mesh_metrics import MeshMetrics
from workbench.core.metrics import CATALOGUE
from workbench.hub import handlers
from workbench.runes.schema import TABLE_SAYS, unique_words
from workbench.runes.tables import TABLES, Column
from workbench.settings import PREFIX, Settings

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
MADE = re.compile(r"(<!-- made: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
SQL_TYPES = {
    "string": "VARCHAR",
    "int64": "BIGINT",
    "uint64": "UBIGINT",
    "bool": "BOOLEAN",
    "double": "DOUBLE",
    "timestamp[s]": "TIMESTAMP_S",
}

Row = tuple[str, ...]


def table(head: Row, rows: Sequence[Row]) -> str:
    """A Markdown table."""
    lines: list[Row] = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in lines)


def batch_tables() -> str:
    """Every table of `runes-batch/1`, in order."""
    return "\n".join(_batch_table(name, columns) for name, columns in TABLES.items())


def _batch_table(name: str, columns: tuple[Column, ...]) -> str:
    rows = [
        (
            f"`{column.name}`" + (" ?" if column.optional else ""),
            "<br>".join(f"`{field.name}` {SQL_TYPES[str(field.type)]}" for field in column.fields)
            if column.kind.is_amount
            else SQL_TYPES[str(column.kind.arrow)],
            column.kind.rule,
            column.says,
        )
        for column in columns
    ]
    head = ("column", "SQL", "allowed", "meaning and unit")
    return f"### {name}\n\n{TABLE_SAYS[name]}{unique_words(name)}\n\n{table(head, rows)}"


def settings() -> str:
    """Every setting with its variable, its default and what it means."""
    says = dict(_field_words(Settings))
    rows = [
        (f"`{PREFIX}{name.upper()}`", _default(name, field), says[name])
        for name, field in Settings.model_fields.items()
    ]
    return table(("variable", "default", "meaning"), rows)


def _default(name: str, field: Any) -> str:
    value = field.default
    if name == "data":
        return "the user's data folder"
    if value is None or value in ("", ()):
        return "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _field_words(settings_class: type) -> Iterator[tuple[str, str]]:
    """The string below each field of a class."""
    (body,) = ast.parse(inspect.getsource(settings_class)).body
    assert isinstance(body, ast.ClassDef)
    for field, words in zip(body.body, body.body[1:], strict=False):
        is_words = isinstance(words, ast.Expr) and isinstance(words.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_words:
            assert isinstance(words, ast.Expr) and isinstance(words.value, ast.Constant)
            yield field.target.id, " ".join(str(words.value.value).split())


def mesh_messages() -> str:
    """Every message that a mesh client may send."""
    rows = [(f"`{kind}`", _fields(struct)) for kind, struct in mesh_wire.KINDS.items()]
    return table(("type", "fields"), rows)


def hub_messages() -> str:
    """Every message that a hub client may send, less those of features still to come."""
    rows = []
    for kind, struct in hub_kinds.KINDS.items():
        if struct not in handlers.LATER:
            data = get_type_hints(struct).get("data", type(None))
            structs = [
                each for each in (data, *get_args(data)) if hasattr(each, "__struct_fields__")
            ]
            fields = _fields(structs[0]) if structs else "none"
            rows.append((f"`{kind}`", fields, f"`{handlers.SCOPES[struct]}`"))
    return table(("type", "data", "scope"), rows)


def metrics() -> str:
    """Every metric with its unit, what it is of, and its source."""
    of = {"gpu": "each GPU", "host": "this machine", "model": "all models, each model"}
    rows = [
        (f"`{each.name}`", each.unit or "number", of[each.of], each.title, each.source)
        for each in CATALOGUE.values()
    ]
    return table(("metric", "unit", "of", "what", "source"), rows)


def _fields(struct: type[msgspec.Struct]) -> str:
    fields = [field for field in msgspec.structs.fields(struct) if field.name != "request_id"]
    named = (f"`{field.encode_name}`" + ("" if field.required else " ?") for field in fields)
    return ", ".join(named) or "none"


EVENT_SAYS = {
    "connected": "new tasks have a connection: `endpoint`",
    "disconnected": "and have none now: `endpoint`, `reason`",
    "reconnecting": "before each attempt: `attempt`, `maxAttempts`, `delayS`, `reason`",
    "reconnect_failed": "the attempts are spent, or would not help: `attempts`, `reason`",
    "endpoint_changed": "new tasks go elsewhere from now on: `endpoint`, `before`",
    "task_sent": "`taskId`, `model`, `endpoint`",
    "task_accepted": "the node will not lose it: `taskId`, `state`, `duplicate`",
    "task_progress": "`taskId`, `progress` from 0 to 1, `statusText`",
    "task_completed": "`taskId`, `result`",
    "task_error": "it ended otherwise: `taskId`, `code`, `error`",
    "task_timeout": "nothing was heard of it for `task_timeout`: `taskId`, `silentS`",
    "batch_processed": "the end of a `process_batch`: `batchId`, `taskId`, `model`, `success`, "
    "and `result`, or `error` and `code`",
    "log": "one line: `taskId`, `content`, `level`, `timestamp`",
    "message": "every message of the node, as it came",
    "console": "one line of the console: `at`, `level`, `text`",
}
"""What each event of a MeshClient says."""


def mesh_events() -> str:
    """Every event of a MeshClient with the name that the existing client has for it."""
    rows = [(f"`{name}`", f"`{_camel(name)}`", EVENT_SAYS[name]) for name in EVENT_SAYS]
    assert set(EVENT_SAYS) == set(EVENTS)
    return table(("event", "alias", "when, and what is in it"), rows)


def client_metrics() -> str:
    """What a MeshClient counts."""
    says = dict(_field_words(MeshMetrics))
    return table(("field", "what"), [(f"`{name}`", says[name]) for name in says])


def mesh_config() -> str:
    """What may be set on a MeshClient."""
    says = dict(_field_words(MeshConfig))
    rows = [
        (
            f"`{field.name}`",
            f"`{field.default}`" if field.default is not None else "none",
            says[field.name],
        )
        for field in msgspec.structs.fields(MeshConfig)
    ]
    return table(("setting", "default", "meaning"), rows)


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


MAKERS: dict[str, Callable[[], str]] = {
    "batch-tables": batch_tables,
    "settings": settings,
    "mesh-messages": mesh_messages,
    "hub-messages": hub_messages,
    "mesh-events": mesh_events,
    "mesh-config": mesh_config,
    "client-metrics": client_metrics,
    "metrics": metrics,
}


def written(page: str) -> str:
    """The text of a page with every made table as the code has it now."""
    return MADE.sub(lambda found: f"{found[1]}\n{MAKERS[found['name']]()}\n{found[3]}", page)


def main() -> None:
    """Write them anew."""
    for path in sorted(REFERENCE.glob("*.md")):
        path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
