"""Data frames of the notebook, and what of one a model gets to see: a bounded description.

Nothing is executed here: names are looked up, and frames are read. What `described` gives
is exactly what is sent, never more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from workbench.errors import InputError

TEXT_CHARS = 8_000
ROWS, CATEGORIES, CATEGORY_CHARS, CELL_CHARS = 5, 5, 40, 80
COLUMNS = 60
LOOKED_AT = 100_000
"""Rows that minima, maxima and categories are taken from: a huge frame costs no seconds."""

_SECRET = re.compile(
    r"pass(word|wd|phrase)|secret|token|api[_-]?key|credential|private[_-]?key|mnemonic|seed[_-]?"
    r"phrase|xprv|auth",
    re.I,
)
_SECRET_VALUE = re.compile(
    r"(^sk-|^gh[pousr]_|^xox[abp]-|^AKIA|^eyJ[\w-]{10,}\.|^[xyz]prv|-----BEGIN )"
    r"|^[5KL][1-9A-HJ-NP-Za-km-z]{50,51}$"
)
HIDDEN = "(hidden)"


class Described(NamedTuple):
    """A frame in words. `hidden` are the columns whose values look like secrets."""

    name: str
    text: str
    rows: int
    columns: int
    hidden: tuple[str, ...] = ()


def frames_of(names: Mapping[str, Any]) -> dict[str, Any]:
    """The data frames among a notebook's variables, less IPython's own."""
    return {
        name: value
        for name, value in list(names.items())
        if not name.startswith("_") and kind_of(value) is not None
    }


def listed(names: Mapping[str, Any]) -> list[dict[str, Any]]:
    """[{name, rows, columns}] for a picker, by name."""
    found = frames_of(names)
    return [
        {"name": name, "rows": int(found[name].shape[0]), "columns": int(found[name].shape[1])}
        for name in sorted(found)
    ]


def kind_of(value: Any) -> str | None:
    """pandas or polars, told by its class without importing either."""
    for each in type(value).__mro__:
        if each.__name__ == "DataFrame" and each.__module__.partition(".")[0] in (
            "pandas",
            "polars",
        ):
            return each.__module__.partition(".")[0]
    return None


def pick(names: Mapping[str, Any], name: str) -> Any:
    """The data frame of this name. Raises InputError that lists those there are."""
    value = names.get(name)
    if kind_of(value) is None:
        known = ", ".join(sorted(frames_of(names))) or "none: this notebook has no data frame"
        raise InputError.field("@", name, known)
    return value


def described(name: str, frame: Any) -> Described:
    """Schema, extent and a few rows of a pandas or polars frame, at most 8,000 characters.

    Of a column: its type, how many values it has, minimum and maximum of numbers and
    instants, up to five distinct short values of text. Values of columns that look like
    secrets are left out.
    """
    kind = kind_of(frame)
    if kind is None:
        raise InputError.field("@", name, "a pandas or polars data frame")
    rows, columns = int(frame.shape[0]), int(frame.shape[1])
    shown = _Pandas(frame) if kind == "pandas" else _Polars(frame)
    names = shown.names()[:COLUMNS]
    hidden = tuple(each for at, each in enumerate(names) if _secret(each, shown.sample(at)))
    head = f"{kind} DataFrame `{name}`: {rows:,} rows, {columns:,} columns"
    lines = [head, "", "columns:"]
    lines += [_column(shown, at, each, each in hidden) for at, each in enumerate(names)]
    if columns > len(names):
        lines.append(f"- ... and {columns - len(names):,} more columns")
    if hidden:
        lines.append(f"values hidden, for they look like secrets: {', '.join(hidden)}")
    lines += ["", f"first {min(ROWS, rows)} rows:", *_rows(shown, names, hidden)]
    return Described(name, _bounded(lines), rows, columns, hidden)


class _Pandas:
    """A pandas frame, as far as it is described."""

    def __init__(self, frame: Any) -> None:
        self._frame, self._part = frame, frame.head(LOOKED_AT)
        self.whole = len(frame) <= LOOKED_AT

    def names(self) -> list[str]:
        return [str(each) for each in self._frame.columns]

    def kind(self, at: int) -> str:
        return str(self._frame.dtypes.iloc[at])

    def filled(self, at: int) -> int:
        return int(self._frame.iloc[:, at].notna().sum())

    def sample(self, at: int) -> list[Any]:
        return list(self._frame.iloc[:ROWS, at])

    def extent(self, at: int) -> tuple[Any, Any] | None:
        column = self._part.iloc[:, at].dropna()
        if not len(column) or column.dtype.kind not in "iufM":
            return None
        return column.min(), column.max()

    def distinct(self, at: int) -> list[str] | None:
        column = self._part.iloc[:, at].dropna()
        if column.dtype.kind in "iufMmbc":
            return None
        return _few(column)


class _Polars:
    """A polars frame, as far as it is described."""

    def __init__(self, frame: Any) -> None:
        self._frame, self._part = frame, frame.head(LOOKED_AT)
        self.whole = frame.height <= LOOKED_AT

    def names(self) -> list[str]:
        return list(self._frame.columns)

    def kind(self, at: int) -> str:
        return str(self._frame.dtypes[at])

    def filled(self, at: int) -> int:
        column = self._frame.to_series(at)
        return int(len(column) - column.null_count())

    def sample(self, at: int) -> list[Any]:
        return list(self._frame.to_series(at).head(ROWS))

    def extent(self, at: int) -> tuple[Any, Any] | None:
        column = self._part.to_series(at).drop_nulls()
        kind = column.dtype
        if not len(column) or not (kind.is_numeric() or kind.is_temporal()):
            return None
        return column.min(), column.max()

    def distinct(self, at: int) -> list[str] | None:
        column = self._part.to_series(at).drop_nulls()
        if column.dtype.is_numeric() or column.dtype.is_temporal() or column.dtype.is_nested():
            return None
        return _few(column)


def _few(column: Any) -> list[str] | None:
    """Up to five distinct values in order of appearance; None where there are more, or long."""
    found: dict[str, None] = {}
    for value in column:
        if not isinstance(value, str | bool) or len(str(value)) > CATEGORY_CHARS:
            return None
        if _SECRET_VALUE.search(str(value)):
            return None
        found[str(value)] = None
        if len(found) > CATEGORIES:
            return None
    return list(found)


def _column(shown: _Pandas | _Polars, at: int, name: str, hidden: bool) -> str:
    said = f"- {_cut(name)}: {shown.kind(at)}, {shown.filled(at):,} non-null"
    if hidden:
        return f"{said}, {HIDDEN}"
    extent = shown.extent(at)
    if extent is not None:
        said += f", {_cut(extent[0])} to {_cut(extent[1])}"
    distinct = shown.distinct(at) if extent is None else None
    if distinct:
        said += ", values: " + ", ".join(map(_cut, distinct))
    partly = (extent is not None or distinct) and not shown.whole
    return f"{said} (of the first {LOOKED_AT:,} rows)" if partly else said


def _rows(shown: _Pandas | _Polars, names: list[str], hidden: tuple[str, ...]) -> Iterator[str]:
    yield " | ".join(map(_cut, names))
    columns = [
        [HIDDEN] * ROWS if name in hidden else shown.sample(at) for at, name in enumerate(names)
    ]
    for row in range(max((len(shown.sample(0)) if names else 0), 0)):
        yield " | ".join(_cut(column[row]) for column in columns)


def _secret(name: str, sample: list[Any]) -> bool:
    return bool(_SECRET.search(name)) or any(
        isinstance(each, str) and _SECRET_VALUE.search(each) for each in sample
    )


def _cut(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= CELL_CHARS else text[: CELL_CHARS - 1] + "…"


def _bounded(lines: list[str]) -> str:
    text = "\n".join(lines)
    end = "\n(cut off here)"
    return text if len(text) <= TEXT_CHARS else text[: TEXT_CHARS - len(end)] + end
