"""An own function brought to life in its task's process, the only one that ever loads its bytes."""

from __future__ import annotations

import hashlib
import linecache
import re
from collections.abc import Mapping
from pathlib import Path

from workbench.core.job import FUNCTION
from workbench.core.model import MeshModel, model
from workbench.core.own_function import MARK
from workbench.errors import WorkbenchError

OWN = re.compile(r"^own:([0-9a-f]{64})$")


def is_own(target: str) -> bool:
    """Whether a target names an own function."""
    return OWN.match(target) is not None


def load(target: str, inputs: Mapping[str, str]) -> MeshModel:
    """The function of an order. Raises WorkbenchError for bytes that are not what was promised.

    It is loaded anew for each task: what one run leaves in its globals the next must not see.
    """
    body = _bytes(inputs.get(FUNCTION, ""))
    if f"own:{hashlib.sha256(body).hexdigest()}" != target:
        raise WorkbenchError("the bytes of the function are not those that were defined")
    import cloudpickle  # most tasks run installed models

    try:
        mark, function, hints, sources = cloudpickle.loads(body)
    except ModuleNotFoundError as error:
        raise WorkbenchError(
            "the function needs the module {module}, which is not installed where tasks run: "
            "install it there, or define what it holds in the notebook",
            module=error.name,
        ) from None
    except Exception as error:
        raise WorkbenchError(
            "the function cannot be loaded where tasks run: {kind}: {reason}",
            kind=type(error).__name__,
            reason=str(error)[:1000],
        ) from None
    if mark != MARK:
        raise WorkbenchError("the function was made by another workbench: define it again")
    for name, text in sources.items():
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    function.__annotations__ = hints
    return model(function)


def _bytes(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise WorkbenchError(
            "the bytes of the function are gone ({reason}): define it again",
            reason=error.strerror or str(error),
        ) from None
