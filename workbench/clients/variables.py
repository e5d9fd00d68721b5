"""The variables that a function takes from around it."""

from __future__ import annotations

import contextlib
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any


def used_by(function: Callable[..., Any]) -> dict[str, Any]:
    """What a function takes from around it: of its module, its closure and its defaults."""
    code, found = function.__code__, {}
    for name in names_in(code):
        if name in function.__globals__:
            found[name] = function.__globals__[name]
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # not filled yet
            found[name] = cell.cell_contents
    for parameter in inspect.signature(function).parameters.values():
        if parameter.default is not parameter.empty:
            found[parameter.name] = parameter.default
    return found


def names_in(code: types.CodeType) -> Iterator[str]:
    """Every name that a piece of code asks for, inner functions included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from names_in(constant)
