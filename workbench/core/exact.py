"""What JSON cannot say of a plain value, as marks beside it: NaN, infinities, keys of no text."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import math
from collections.abc import Callable, Collection, Mapping, Sequence
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
_NUMERIC = _SCALARS | {float}
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

Path = list[str | int]


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
    return _walk(value, [], marks), marks


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
    if key is None or (isinstance(key, datetime.date) and key != key):  # NaT
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
    """`path` is where it is, the same list all the way."""
    if type(value) is list:
        return _list(value, path, marks)
    if type(value) is dict:
        return _mapping(value, path, marks)
    if _is_said(value):
        return value
    if isinstance(value, float):
        marks.append([list(path), str(float(value))])
        return value
    if isinstance(value, NoColumns):
        return marks.append([list(path), TABLE, value.rows])
    if isinstance(value, bytes | bytearray | memoryview):
        raise TypeError("JSON would say them in a code that nobody expects")
    if isinstance(value, Mapping):
        return _mapping(value, path, marks)
    if isinstance(value, list | tuple | set | frozenset):
        return _list(value, path, marks)
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


def _is_said(value: Any) -> bool:
    """Whether JSON says it just so, by a glance."""
    return type(value) in _SCALARS or (type(value) is float and math.isfinite(value))


def _list(value: Collection[Any], path: Path, marks: list[list[Any]]) -> Any:
    if _all_said(value):
        return value
    parts: list[Any] | None = None
    for at, each in enumerate(value):
        if not _is_said(each):
            path.append(at)
            made = _walk(each, path, marks)
            path.pop()
            if made is not each:
                parts = list(value) if parts is None else parts
                parts[at] = made
    return value if parts is None else parts


def _mapping(value: Mapping[Any, Any], path: Path, marks: list[list[Any]]) -> Any:
    texts, kinds = _texts_of(value)
    if not kinds and type(value) is dict and _all_said(value.values()):
        return value
    parts = dict(zip(texts, value.values(), strict=True))
    if len(parts) < len(value):
        raise KeyFault
    for text, each in parts.items():
        if not _is_said(each):
            path.append(text)
            parts[text] = _walk(each, path, marks)
            path.pop()
    if kinds:
        one = len(set(kinds)) == 1
        marks.append([list(path), KEYS, kinds[0] if one else kinds])
    return parts


def _all_said(values: Collection[Any]) -> bool:
    kinds = set(map(type, values))
    if float not in kinds:
        return kinds <= _SCALARS
    return kinds <= _NUMERIC and all(math.isfinite(each) for each in values if type(each) is float)


def _texts_of(value: Mapping[Any, Any]) -> tuple[Collection[str], list[str]]:
    """Its keys as texts, and their kinds where any is no text."""
    if set(map(type, value)) <= {str}:
        return value.keys(), []
    told = [key_text(key) for key in value]
    kinds = [kind for _, kind in told]
    return [text for text, _ in told], kinds if set(kinds) - {"str"} else []


def _with_keys(value: Any, kinds: str | list[str]) -> Any:
    each = [kinds] * len(value) if isinstance(kinds, str) else kinds
    return {_KEYS[kind](key): part for kind, (key, part) in zip(each, value.items(), strict=True)}
