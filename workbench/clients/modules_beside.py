"""The modules beside a notebook that a function uses, and what is in them.

They are imported where a task runs, by a process that keeps them: so what is in them is part of
the function, and a changed one makes another of it, with a process of its own.
"""

from __future__ import annotations

import ast
import hashlib
import site
import sys
import sysconfig
import types
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from workbench.clients.variables import names_in, used_by

OURS = Path(__file__).parents[1]


def modules_beside(function: Callable[..., Any]) -> dict[str, str]:
    """The SHA-256 of the source of each module that `function` uses, itself or through another,
    and that is not installed; by name. Its own module is not among them: it travels."""
    found: dict[str, str] = {}
    seen: set[int] = set()
    waiting: list[Any] = [function]
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, types.FunctionType):
            waiting.extend(used_by(value).values())
            waiting.extend(_imported_inside(value))
        module = value if isinstance(value, types.ModuleType) else _home(value)
        if module is None or module.__name__ in (*found, function.__module__):
            continue
        if not _is_beside(module):
            continue
        text = _source(module)
        found[module.__name__] = hashlib.sha256(text).hexdigest()
        waiting.extend(_imported(module, text))
    return dict(sorted(found.items()))


def _imported_inside(function: types.FunctionType) -> Iterator[types.ModuleType]:
    """Modules that its body names and that are loaded here, too."""
    for name in names_in(function.__code__):
        module = sys.modules.get(name)
        if module is not None:
            yield module


def _home(value: Any) -> types.ModuleType | None:
    name = getattr(value, "__module__", None)
    return sys.modules.get(name) if isinstance(name, str) else None


def _is_beside(module: types.ModuleType) -> bool:
    path = getattr(module, "__file__", None)
    if module.__name__ == "__main__" or not isinstance(path, str) or not path.endswith(".py"):
        return False
    place = Path(path).resolve()
    return not any(place.is_relative_to(root) for root in _installed())


@cache
def _installed() -> frozenset[Path]:
    """Where Python, packages and we ourselves lie: the same as long as this process lives."""
    roots = {*sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()}
    bases = {sysconfig.get_path("stdlib", vars={"installed_base": sys.base_prefix})}
    return frozenset(Path(each).resolve() for each in roots | bases) | {OURS}


def _source(module: types.ModuleType) -> bytes:
    try:
        return Path(str(module.__file__)).read_bytes()
    except OSError:
        return b""


def _imported(module: types.ModuleType, text: bytes) -> Iterator[types.ModuleType]:
    """The modules that a module's text imports, as far as they are loaded."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):  # saved half-way: it runs as it was
        return
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            parts = (module.__package__ or "").split(".") if node.level else []
            above = parts[: len(parts) + 1 - node.level] if node.level else []
            base = ".".join(filter(None, (*above, node.module)))
            names = [base, *(f"{base}.{each.name}" for each in node.names)]
        yield from (sys.modules[name] for name in names if name in sys.modules)
