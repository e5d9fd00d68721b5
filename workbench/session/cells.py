"""A notebook's cell as an own function: its code, and the names that it takes from the kernel."""

from __future__ import annotations

import ast
import builtins
import dis
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType
from typing import Any

import msgspec

from workbench.clients.by_value import dumps
from workbench.clients.own_functions import definition_of, why
from workbench.core.mesh_wire import FUNCTION_BYTES
from workbench.core.model import model
from workbench.core.own_function import Definition
from workbench.errors import InputError

CELL = "cell"
"""The name under which every cell is kept; its version tells which."""
FILE = "<cell>"
UNSENDABLE = "{name} cannot be sent to the mesh: {reason}. Make it inside the cell"
TOO_LARGE = (
    "{name} takes {size_mb} MB, and all that this cell takes from the notebook {all_mb} MB; "
    "allowed: {limit_mb} MB. Save it to a file and read that in the cell, or submit a function "
    "with it as the batch"
)
NOTHING_SET = "no name: the cell sets none"

MAGIC = (
    "a line of the cell begins with {sign}: magics and shell commands do not travel to the mesh; "
    "write it in Python, or run it in a cell of its own"
)
AWAITS = (
    "the cell awaits something at its top level, and await does not travel to the mesh: use "
    "asyncio.run(...) in it"
)

_LOADS = ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS")
_DELETES = ("DELETE_NAME", "DELETE_GLOBAL")
_SOMETIMES = (ast.If, ast.For, ast.While, ast.Try, ast.Match)
"""Statements after which a name that they set may not be there."""


def definition_of_cell(source: str, space: Mapping[str, Any], give: Sequence[str]) -> Definition:
    """The cell with everything that it takes of `space`, by value; it gives the names in `give`,
    or the value of its last expression.

    Raises SyntaxError for what is no Python, InputError that names the variable for what cannot
    be sent, and for a name in `give` that the cell never sets.
    """
    used, defined = used_and_set(_tree(source))
    for name in give:
        if name not in defined:
            raise InputError.field("-o", name, ", ".join(sorted(defined)) or NOTHING_SET)
    taken = {name: space[name] for name in used if name in space}
    _check_sendable(taken)
    make = model(name=CELL, title="Notebook cell", pure=False)
    made = definition_of(make(_function(source, taken, list(give))))
    digest = hashlib.sha256(source.encode()).hexdigest()
    return msgspec.structs.replace(made, source=source, source_sha256=digest)


def _tree(source: str) -> ast.Module:
    """The cell as Python. Raises InputError for what only a notebook understands."""
    try:
        tree = ast.parse(source, FILE)
    except SyntaxError as error:
        line = (error.text or "").lstrip()
        if line[:1] in ("!", "%"):
            raise InputError(MAGIC, sign=line[0]) from None
        raise
    try:
        compile(tree, FILE, "exec")
    except SyntaxError:
        try:
            compile(tree, FILE, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        except SyntaxError:
            return tree  # said with its line below
        raise InputError(AWAITS) from None
    return tree


def used_and_set(tree: ast.Module) -> tuple[list[str], set[str]]:
    """The names that a cell takes from around it, in order, and those that it sets.

    A name that is set before it is used is not taken; one that a function of the cell uses is
    not, where the cell sets it at all.
    """
    used: dict[str, None] = {}
    later: dict[str, None] = {}
    certain: set[str] = set()
    anyhow: set[str] = set()
    for statement in tree.body:
        code = compile(ast.Module([statement], []), FILE, "exec")
        used |= dict.fromkeys(each for each in _loaded(code) if each not in certain)
        later |= dict.fromkeys(each for inner in _inner(code) for each in _loaded(inner))
        anyhow |= set(_stored(code))
        if not isinstance(statement, _SOMETIMES):
            certain |= set(_stored(code))
    used |= dict.fromkeys(each for each in later if each not in anyhow)
    return [name for name in used if not hasattr(builtins, name)], anyhow


def _loaded(code: CodeType) -> Iterator[str]:
    """What it reads, or deletes without having set it: `except ... as e` deletes its own e."""
    own = set(_stored(code))
    for each in dis.get_instructions(code):
        if each.opname in _LOADS or (each.opname in _DELETES and each.argval not in own):
            yield each.argval


def _stored(code: CodeType) -> Iterator[str]:
    return (
        each.argval
        for each in dis.get_instructions(code)
        if each.opname in ("STORE_NAME", "STORE_GLOBAL")
    )


def _inner(code: CodeType) -> Iterator[CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _inner(constant)


def _check_sendable(taken: Mapping[str, Any]) -> None:
    sizes = {name: _size(name, value) for name, value in taken.items()}
    whole = sum(sizes.values())
    if whole > FUNCTION_BYTES:
        name = max(sizes, key=lambda each: sizes[each])
        raise InputError(
            TOO_LARGE,
            name=name,
            size_mb=round(sizes[name] / 1e6, 1),
            all_mb=round(whole / 1e6, 1),
            limit_mb=FUNCTION_BYTES // 1_000_000,
        )


def _size(name: str, value: Any) -> int:
    try:
        return len(dumps(value))
    except Exception as error:  # anything may refuse to be pickled, in its own way
        raise InputError(UNSENDABLE, name=name, reason=why(error)) from None


def _function(source: str, taken: dict[str, Any], give: list[str]) -> Callable[[], Any]:
    """The function that runs where the task does."""

    def cell():  # type: ignore[no-untyped-def]  # its signature becomes a form: it has no field
        from workbench.engines.cell import run_cell

        return run_cell(source, taken, give)

    return cell
