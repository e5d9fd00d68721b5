"""Runs a notebook's cell in a task's process, as a notebook would: a module of its own."""

from __future__ import annotations

import ast
import linecache
import sys
from collections.abc import Mapping, Sequence
from typing import Any

FILE = "<cell>"


def display(*objects: Any, **_: Any) -> None:
    """What a notebook's own `display` shows of objects as text, as lines of the task's log."""
    for each in objects:
        sys.stdout.write(f"{each!r}\n")


def run_cell(source: str, taken: Mapping[str, Any], give: Sequence[str]) -> Any:
    """The values of `give` by name, or the value of the last expression; None without one.

    `taken` are the names that it has from the start.
    """
    lines = source.splitlines(keepends=True)
    linecache.cache[FILE] = (len(source), None, lines, FILE)  # a traceback shows its lines
    tree = ast.parse(source, FILE)
    last = tree.body[-1] if tree.body else None
    asked = ast.Expression(last.value) if isinstance(last, ast.Expr) and not give else None
    if asked is not None:
        tree.body.pop()
    space: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    space |= {"display": display, **taken}
    exec(compile(tree, FILE, "exec"), space)  # noqa: S102  # what this is for
    if asked is not None:
        return eval(compile(asked, FILE, "eval"), space)  # noqa: S307
    return {name: space[name] for name in give} if give else None
