"""What JSON cannot say of a plain value, as marks beside it: NaN, infinities, keys of no text."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from uuid import UUID

MARKS = "marks"
"""They stand under this name beside the value: `[path, kind]` of a number, and `[path, "keys",
kinds]` of a dictionary, one kind for all of its keys or one for each; `[path, "table", rows]` of
a table without columns. Inner ones come first."""
KEYS, TABLE = "keys", "table"

_SCALARS = frozenset((int, str, bool, type(None)))
_NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_KEYS: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": "true".__eq__,
    "None": lambda _: None,
    "date": datetime.date.fromisoformat,
    "datetime": datetime.datetime.fromisoformat,
}

Path = tuple[str | int, ...]


class NoColumns(NamedTuple):
    """A table without columns, which no store keeps: only its mark travels."""

    rows: int


class KeyFault(TypeError):
    """A key that no text stands for, or one that another key has for its text."""


def marked(value: Any) -> tuple[Any, list[list[Any]]]:
    """The value with texts for keys, itself where they are, and the marks that `restored` takes.

    Raises KeyFault, and RecursionError where it is nested too deeply.
    """
    marks: list[list[Any]] = []
    return _walk(value, (), marks), marks


def restored(value: Any, marks: Sequence[Any], table: Callable[[int], Any] = NoColumns) -> Any:
    """A copy of what came as JSON, with what its marks say. `table` makes one without columns."""
    whole: Any = [copy.deepcopy(value)]
    for path, kind, *more in marks:
        steps: list[Any] = [0, *path]
        last, place = steps.pop(), whole
        for each in steps:
            place = place[each]
        if kind == KEYS:
            place[last] = _with_keys(place[last], more[0])
        elif kind == TABLE:
            place[last] = table(more[0])
        elif kind in _NUMBERS:
            place[last] = _NUMBERS[kind]
    return whole[0]


def key_text(key: Any) -> tuple[str, str]:
    """A dictionary's key as a text, and its kind. Raises KeyFault."""
    if isinstance(key, Enum):
        key = key.value
    if isinstance(key, str):
        return str.__str__(key), "str"
    if getattr(getattr(key, "dtype", None), "kind", "") in tuple("biuf"):
        key = key.item()  # a number of NumPy's
    if key is None:
        return "null", "None"
    if isinstance(key, bool):
        return ("true" if key else "false"), "bool"
    for kind in (int, float):
        if isinstance(key, kind):
            return kind.__repr__(key), kind.__name__
    if isinstance(key, datetime.date):
        whole = isinstance(key, datetime.datetime)
        return key.isoformat(), "datetime" if whole else "date"
    if isinstance(key, UUID | Decimal):
        return str(key), "str"
    raise KeyFault


def _walk(value: Any, path: Path, marks: list[list[Any]]) -> Any:
    if type(value) in _SCALARS:
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            marks.append([list(path), str(float(value))])
        return value
    if isinstance(value, Mapping):
        return _mapping(value, path, marks)
    if isinstance(value, NoColumns):
        return marks.append([list(path), TABLE, value.rows])
    if isinstance(value, list | tuple | set | frozenset):
        if set(map(type, value)) <= _SCALARS:
            return value
        parts = [_walk(each, (*path, at), marks) for at, each in enumerate(value)]
        same = all(one is other for one, other in zip(parts, value, strict=True))
        return value if same else parts
    if hasattr(value, "tolist") and hasattr(value, "dtype"):  # NumPy's and pandas' arrays
        return _walk(value.tolist(), path, marks)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            each.name: getattr(value, each.name)
            for each in dataclasses.fields(value)
            if hasattr(value, each.name)
        }
        return _walk(fields, path, marks)
    return value


def _mapping(value: Mapping[Any, Any], path: Path, marks: list[list[Any]]) -> Any:
    texts = [key_text(key) for key in value]
    parts: dict[str, Any] = {}
    for (text, _), each in zip(texts, value.values(), strict=True):
        if text in parts:
            raise KeyFault
        parts[text] = _walk(each, (*path, text), marks)
    kinds = [kind for _, kind in texts]
    if set(kinds) - {"str"}:
        one = len(set(kinds)) == 1
        marks.append([list(path), KEYS, kinds[0] if one else kinds])
    return parts


def _with_keys(value: Any, kinds: str | list[str]) -> Any:
    each = [kinds] * len(value) if isinstance(kinds, str) else kinds
    return {_KEYS[kind](key): part for kind, (key, part) in zip(each, value.items(), strict=True)}
