"""cloudpickle as we use it: what must not leave is refused, and equal things give equal bytes.

Code travels under a name of its own, with the source of that function alone: a traceback shows
its lines where it runs, and nothing of this machine's paths.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import inspect
import io
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cloudpickle
import msgspec

from workbench.core.model import MeshModel
from workbench.core.own_function import MARK, bounds, plain
from workbench.errors import WorkbenchError

HOMES = frozenset({"core", "errors", "runes"})
"""Of our own package: where objects live that may travel. All others hold links or tokens."""
SECRETS = frozenset({("pydantic", "SecretStr"), ("pydantic", "SecretBytes"), ("os", "_Environ")})
HELD = "a {kind} holds a link or a secret of this machine"
STRUCT = "{name} is a msgspec.Struct of this notebook: make it a dataclass"
_TRACKER = re.compile(r"[0-9a-f]{32}")


class Held(WorkbenchError):
    """Something that must not leave this process."""


def dumps(value: Any) -> bytes:
    """Any value as bytes. Raises what cloudpickle raises, and Held."""
    stream = io.BytesIO()
    _Pickler(stream).dump(value)
    return stream.getvalue()


def dumps_function(
    function: Callable[..., Any], hints: dict[str, Any], modules: Mapping[str, str]
) -> bytes:
    """A function, the types of its parameters, the source of each function that travels, and what
    tells apart the modules that do not: with another digest they are another function's."""
    stream = io.BytesIO()
    pickler = _Pickler(stream)
    pickler.sources |= {f"<module {name}>": digest for name, digest in modules.items()}
    pickler.dump((MARK, function, hints, pickler.sources))  # filled by what comes before it
    return stream.getvalue()


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """`sources` maps the name under which code travels to its text."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream, protocol=5)
        self.sources: dict[str, str] = {}

    def reducer_override(self, value: Any) -> Any:
        _refuse(value)
        if isinstance(value, MeshModel):  # inside another function a model is its function
            return plain, (value.function,)
        if isinstance(value, msgspec.Meta):  # bounds and titles: it cannot be pickled by itself
            return bounds, (dict(value.__rich_repr__()),)
        if value is dataclasses.MISSING:  # known by what it is, and a copy of it is not
            return getattr, (dataclasses, "MISSING")
        if isinstance(value, types.CodeType):
            return self.dispatch_table[types.CodeType](self._named(value))
        reduced = super().reducer_override(value)
        return _class_alone(value, reduced) if isinstance(value, type) else reduced

    def _named(self, code: types.CodeType) -> types.CodeType:
        if code.co_filename.startswith("<own "):
            return code  # inside one that was named before
        try:
            lines, first = inspect.getsourcelines(code)
        except (OSError, TypeError, IndexError):
            return _moved(code, f"<own {code.co_name}>", 0)
        text = "".join(lines)
        name = f"<own {code.co_name} {hashlib.sha256(text.encode()).hexdigest()[:8]}>"
        self.sources[name] = text
        return _moved(code, name, first - 1)


def _refuse(value: Any) -> None:
    kind = type(value)
    home, _, rest = str(kind.__module__).partition(".")
    ours = home == "workbench" and rest.partition(".")[0] not in HOMES
    if ours or (home, kind.__name__) in SECRETS:
        raise Held(HELD, kind=kind.__name__)


def _moved(code: types.CodeType, name: str, lines: int) -> types.CodeType:
    """The same code as if it stood at the top of a file of this name."""
    inner = tuple(
        _moved(each, name, lines) if isinstance(each, types.CodeType) else each
        for each in code.co_consts
    )
    first = max(1, code.co_firstlineno - lines)
    return code.replace(co_filename=name, co_firstlineno=first, co_consts=inner)


def _class_alone(value: type, reduced: Any) -> Any:
    """A class without what this process noted on it: the number by which cloudpickle would know it
    again, which it takes by chance, and what msgspec worked out about it."""
    if not isinstance(reduced, tuple) or "skeleton" not in getattr(reduced[0], "__name__", ""):
        return reduced
    if isinstance(value, msgspec.StructMeta):  # its fields stand where no class has them
        raise Held(STRUCT, name=value.__name__)
    arguments = tuple(
        None if isinstance(each, str) and _TRACKER.fullmatch(each) else each for each in reduced[1]
    )
    names, *slots = reduced[2]
    kept = {name: each for name, each in names.items() if not name.startswith("__msgspec")}
    return (reduced[0], arguments, (kept, *slots), *reduced[3:])


@contextlib.contextmanager
def with_its_module(function: Callable[..., Any]) -> Iterator[None]:
    """Inside, the module in which it was written travels too; others are imported where it runs."""
    module = sys.modules.get(function.__module__)
    named = module is not None and function.__module__ != "__main__"
    if not named or function.__module__ in cloudpickle.list_registry_pickle_by_value():
        yield
        return
    cloudpickle.register_pickle_by_value(module)
    try:
        yield
    finally:
        cloudpickle.unregister_pickle_by_value(module)
