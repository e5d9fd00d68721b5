"""What a function's signature says: its context, its batch, and the parameters of its form."""

from __future__ import annotations

import copy
import inspect
import typing
from collections.abc import Callable, Mapping
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal, get_args

import msgspec

from workbench.core.wire import not_finite
from workbench.errors import WorkbenchError, shown

CONTEXT, BATCH = "context", "batch"
TAKEN = frozenset(("self", "model", "batches", "task_id", "timeout_s", "priority", "use_cache"))
"""What `submit` and `map` take themselves: a parameter of this name would never get its value."""
PLAIN = (bool, int, float, str)
"""A default of one of these types says the type of a parameter that has none."""

BatchKind = Literal["path", "bytes", "pandas", "arrow", "polars", "dict", "list", "any"]
BATCH_KINDS: tuple[BatchKind, ...] = get_args(BatchKind)
"""As what a function takes its batch: its file's path, its bytes, a table, or what JSON holds.
`any` is a pandas.DataFrame where the content is a table, else the parsed JSON."""

_TYPES: dict[tuple[str, str], BatchKind] = {
    ("pathlib", "Path"): "path",
    ("builtins", "bytes"): "bytes",
    ("builtins", "dict"): "dict",
    ("builtins", "list"): "list",
    ("pandas", "DataFrame"): "pandas",
    ("pyarrow", "Table"): "arrow",
    ("polars", "DataFrame"): "polars",
}

_ODD_KEYS = (
    msgspec.inspect.BoolType,
    msgspec.inspect.NoneType,
    msgspec.inspect.CollectionType,
    msgspec.inspect.TupleType,
    msgspec.inspect.BytesType,
)


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """`context` names the parameter that gets the context; `batch` says as what the parameter of
    that name gets the batch. None: the function has no such parameter."""

    context: str | None
    batch: BatchKind | None
    needs_batch: bool
    """Whether its batch has no default."""
    parameters: type[msgspec.Struct]


def signature_of(
    model: str, function: Callable[..., Any], hints: Mapping[str, Any], context: type
) -> Signature:
    """Read a function's signature. Raises WorkbenchError for what no form can be made of.

    `context` is the type by which a context may be annotated, whatever its name.
    """
    fields: list[Any] = []
    found: dict[str, Any] = {"context": None, "batch": None, "needs_batch": False}
    for parameter in inspect.signature(function).parameters.values():
        name, kind = parameter.name, hints.get(parameter.name)
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise WorkbenchError(
                "{model}: parameter {name} takes any number of values: name each one",
                model=model,
                name=str(parameter).partition(":")[0],
            )
        if name in TAKEN and kind is not context:
            raise WorkbenchError(
                "{model}: parameter {name} has a name that submit and map take themselves: "
                "choose another one",
                model=model,
                name=name,
            )
        if name == CONTEXT or kind is context:
            found["context"] = name
        elif name == BATCH:
            found["batch"] = batch_kind(model, kind)
            found["needs_batch"] = parameter.default is parameter.empty
        else:
            fields.append(_field(model, parameter, kind))
    return Signature(**found, parameters=_struct(fields))


def hints_of(model: str, function: Callable[..., Any]) -> dict[str, Any]:
    """The types of a function's parameters; what it returns is nobody's business here."""
    written = dict(getattr(function, "__annotations__", {}))
    written.pop("return", None)
    shim = SimpleNamespace(
        __annotations__=written, __globals__=getattr(function, "__globals__", {})
    )
    try:
        return typing.get_type_hints(shim, include_extras=True)
    except (NameError, AttributeError, SyntaxError, TypeError) as error:
        raise WorkbenchError(
            "{model}: the types of its parameters cannot be read: {reason}",
            model=model,
            reason=str(error),
        ) from None


def batch_kind(model: str, kind: Any) -> BatchKind:
    """As what a batch of this type is handed over. Raises WorkbenchError for another type."""
    if kind is None or kind is Any:
        return "any"
    options = [each for each in get_args(kind) if each is not type(None)]
    if typing.get_origin(kind) not in (dict, list) and len(options) == 1:  # `bytes | None`
        kind = options[0]
    kind = typing.get_origin(kind) or kind
    home = str(getattr(kind, "__module__", "")).partition(".")[0]
    found = _TYPES.get((home, getattr(kind, "__name__", "")))
    if found is None:
        raise WorkbenchError(
            "{model}: its batch has the type {type}; allowed: {allowed}, or none. An array or a "
            "Series comes as a pandas.DataFrame",
            model=model,
            type=_words(kind),
            allowed=", ".join(name if at == "builtins" else f"{at}.{name}" for at, name in _TYPES),
        )
    return found


def _field(model: str, parameter: inspect.Parameter, kind: Any) -> Any:
    """One parameter as a field of the struct that checks it."""
    name, default = parameter.name, parameter.default
    if hasattr(default, "dtype") and hasattr(default, "item") and not getattr(default, "ndim", 1):
        default = default.item()  # a number of NumPy's
    if kind is None and type(default) in PLAIN:
        kind = type(default)
    if kind is None:
        raise WorkbenchError(
            "{model}: parameter {name} has no type: annotate it", model=model, name=name
        )
    _check_kind(model, name, kind)
    if default is None and not _takes(kind, None):
        kind = typing.Optional[kind]  # noqa: UP045  # `x: int = None`; `|` takes no text
    if default is parameter.empty:
        return (name, kind)
    _check_default(model, name, kind, default)
    if isinstance(default, list | dict | set | msgspec.Struct):  # each call gets its own
        return (name, kind, msgspec.field(default_factory=partial(copy.deepcopy, default)))
    return (name, kind, default)


def _check_kind(model: str, name: str, kind: Any) -> None:
    try:
        schema = msgspec.json.schema(kind)
    except (TypeError, NotImplementedError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise WorkbenchError(
            "{model}: parameter {name} has the type {type}, of which no form can be made "
            "({reason}); allowed: numbers, texts, true or false, and what is made of them",
            model=model,
            name=name,
            type=_words(kind),
            reason="JSON has nothing like it" if reason.endswith(":") else reason,
        ) from None
    if _has_odd_keys(msgspec.inspect.type_info(kind)):
        raise WorkbenchError(
            "{model}: parameter {name} has the type {type}, of which no form can be made: the keys "
            "of a dictionary are texts, numbers or dates",
            model=model,
            name=name,
            type=_words(kind),
        )
    if b'"contentEncoding"' in msgspec.json.encode(schema):
        raise WorkbenchError(
            "{model}: parameter {name} has the type {type}, of which no form can be made; name it "
            "batch to get bytes",
            model=model,
            name=name,
            type=_words(kind),
        )


def _has_odd_keys(kind: msgspec.inspect.Type) -> bool:
    """Whether a dictionary in it has keys that no text stands for, such as tuples."""
    parts = [*getattr(kind, "types", ()), *getattr(kind, "item_types", ())]
    parts += [getattr(kind, name) for name in ("item_type", "value_type") if hasattr(kind, name)]
    odd = isinstance(kind, msgspec.inspect.DictType) and isinstance(kind.key_type, _ODD_KEYS)
    return odd or any(map(_has_odd_keys, parts))


def _takes(kind: Any, value: Any) -> bool:
    try:
        msgspec.convert(value, kind, str_keys=True)
    except msgspec.ValidationError:
        return False
    return True


def _check_default(model: str, name: str, kind: Any, default: Any) -> None:
    """Raises WorkbenchError for a default that is not of the parameter's own type, or that JSON
    has not."""
    try:
        plain = msgspec.to_builtins(default, str_keys=True)
        msgspec.convert(plain, kind, str_keys=True)
    except (TypeError, ValueError) as error:  # msgspec's ValidationError is a ValueError
        raise WorkbenchError(
            "{model}: parameter {name} has the default {value}, which is not of its own type "
            "({reason})",
            model=model,
            name=name,
            value=shown(default),
            reason=str(error).partition("\n")[0],
        ) from None
    if not_finite(plain) is not None:
        raise WorkbenchError(
            "{model}: parameter {name} has the default {value}; allowed: a finite number, for JSON "
            "has no other: let None stand for it",
            model=model,
            name=name,
            value=shown(default),
        )


def _struct(fields: list[Any]) -> type[msgspec.Struct]:
    return msgspec.defstruct(
        "Parameters", fields, kw_only=True, frozen=True, forbid_unknown_fields=True
    )


def _words(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind)
