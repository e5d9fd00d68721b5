"""What a typed field of a document allows, in words: for a fault that a person reads."""

from __future__ import annotations

import re
from typing import Any

import msgspec.inspect as types

from workbench.runes.tables import TABLES

STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
RULES = {
    column.kind.json["pattern"]: column.kind.rule
    for columns in TABLES.values()
    for column in columns
    if "pattern" in column.kind.json
}


def allowed_at(model: Any, path: str) -> str | None:
    """What stands at a path such as `$.location.vout` of a model; None where that is not known."""
    found: Any = types.type_info(model)
    for name, _ in STEP.findall(path):
        found = _inside(found, name)
    return None if found is None else _words(found)


def _inside(of: Any, name: str) -> Any:
    """The type of a field, or of the elements of a list where no name is given."""
    for one in of.types if isinstance(of, types.UnionType) else (of,):
        if isinstance(one, types.StructType) and name:
            return next((each.type for each in one.fields if each.encode_name == name), None)
        if isinstance(one, types.ListType) and not name:
            return one.item_type
    return None


def _words(of: Any) -> str | None:
    if isinstance(of, types.UnionType):
        parts = [_words(one) for one in of.types]
        return None if None in parts else " or ".join(dict.fromkeys(filter(None, parts)))
    if isinstance(of, types.LiteralType):
        return ", ".join(dict.fromkeys(str(value) or "an empty text" for value in of.values))
    if isinstance(of, types.StrType):
        if of.pattern is not None:
            return RULES.get(of.pattern)
        return "text" if of.max_length is None else f"text of at most {of.max_length} characters"
    if isinstance(of, types.IntType):
        return "integer" if of.le is None else f"integer from {of.ge or 0} to {of.le}"
    return next((words for kind, words in _PLAIN.items() if isinstance(of, kind)), None)


_PLAIN: dict[type, str] = {
    types.BoolType: "true or false",
    types.NoneType: "null",
    types.ListType: "a list",
    types.DictType: "an object",
    types.StructType: "an object",
}
