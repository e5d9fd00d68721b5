"""Integers beyond 64 bits, such as amounts of Runes, in a table that has no room for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

TOO_WIDE = (
    "column {column} holds integers beyond 64 bits, and the columns of a table end there: hand "
    "them over as text, frame[{column}] = frame[{column}].astype(str)"
)
BITS = 63


def wide_column(columns: Iterable[tuple[Any, Iterable[Any]]]) -> str | None:
    """The first column, as a person writes its name, in which an integer is too wide; or None."""
    for name, values in columns:
        if any(type(each) is int and each.bit_length() > BITS for each in values):
            return repr(name)
    return None
