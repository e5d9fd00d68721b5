"""A function typed into a notebook, made into a definition that a mesh node takes.

What is made here is loaded by a task's process alone (engines/own.py). The same function with
the same values that it uses gives the same bytes, as far as cloudpickle lets it.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import types
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from workbench.clients.by_value import dumps, dumps_function, with_its_module
from workbench.clients.modules_beside import modules_beside
from workbench.clients.variables import used_by
from workbench.core.mesh_wire import DESCRIPTION_CHARS, FUNCTION_BYTES, SOURCE_CHARS
from workbench.core.model import MeshModel
from workbench.core.own_function import Definition
from workbench.core.signature import hints_of
from workbench.errors import InputError

NO_SOURCE = (
    "{model} has no source that could be recorded: define it in a notebook's cell or in a file"
)
LONG = "the source of {model} has {count} characters; allowed: at most {limit}"
UNSENDABLE = (
    "{model} uses {variable}, which cannot be sent: {reason}. Make it inside the function, or "
    "hand over what it holds as a parameter"
)
TOO_LARGE = (
    "{model} takes {size_mb} MB with what it uses; allowed: {limit_mb} MB. The largest is "
    "{variable}: give it as the batch"
)


def definition_of(model: MeshModel) -> Definition:
    """A model's function with everything that it uses, by value.

    Its own module, where it has one, travels with it; other modules are imported where it runs,
    and of those that are not installed a digest makes another function where one was changed.
    Raises InputError, with the name of the variable, for what cannot be sent.
    """
    source = source_of(model)
    with with_its_module(model.function):
        body = _pickled(model)
    return Definition(
        name=model.name,
        version=model.version,
        title=model.title,
        description=model.description[:DESCRIPTION_CHARS],
        pure=model.pure,
        gpu_memory_mb=model.gpu_memory_mb,
        parameters_schema=model.parameters_schema(),
        batch_kind=model.batch,
        needs_batch=model.needs_batch,
        source=source,
        source_sha256=hashlib.sha256(source.encode()).hexdigest(),
        body=body,
        sha256=hashlib.sha256(body).hexdigest(),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        cloudpickle=version("cloudpickle"),
    )


def source_of(model: MeshModel) -> str:
    """What its author wrote, decorators and all."""
    try:
        source = inspect.getsource(model.function)
    except (OSError, TypeError):
        raise InputError(NO_SOURCE, model=model.name) from None
    if len(source) > SOURCE_CHARS:
        raise InputError(LONG, model=model.name, count=len(source), limit=SOURCE_CHARS)
    return source


def _pickled(model: MeshModel) -> bytes:
    hints = hints_of(model.name, model.function)
    try:
        body = dumps_function(model.function, hints, modules_beside(model.function))
    except Exception as error:
        found = culprit(model.function) or first_fault(hints)
        variable, reason = found or ("something", why(error))
        raise InputError(UNSENDABLE, model=model.name, variable=variable, reason=reason) from None
    if len(body) > FUNCTION_BYTES:
        raise _too_large(model, len(body))
    return body


def why(error: Exception) -> str:
    """Why something cannot be sent, in one line."""
    return str(error).partition("\n")[0] or type(error).__name__


def culprit(function: Callable[..., Any]) -> tuple[str, str] | None:
    """The first variable that a function uses and that cannot be sent, and why not."""
    return first_fault(used_by(function))


def first_fault(values: Mapping[str, Any]) -> tuple[str, str] | None:
    """The name of the first value that cannot be sent, and why not."""
    for name, value in values.items():
        try:
            dumps(value)
        except Exception as error:
            inner = culprit(value) if isinstance(value, types.FunctionType) else None
            return (f"{name} -> {inner[0]}", inner[1]) if inner else (name, why(error))
    return None


def _too_large(model: MeshModel, size: int) -> InputError:
    def weight(value: Any) -> int:
        try:
            return len(dumps(value))
        except Exception:
            return 0

    used = used_by(model.function)
    largest = max(used, key=lambda name: weight(used[name]), default="its code")
    return InputError(
        TOO_LARGE,
        model=model.name,
        variable=largest,
        size_mb=round(size / 1e6, 1),
        limit_mb=FUNCTION_BYTES // 1_000_000,
    )
