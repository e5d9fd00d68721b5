"""Functions as a person types them into cells, for the tests of own functions."""

from __future__ import annotations

import hashlib
import time
from typing import Annotated, Any

import msgspec
import pandas

from workbench.clients.own_functions import definition_of
from workbench.core.model import Context, MeshModel, model
from workbench.core.own_function import Definition

RATE = 3


@model
def widen(batch: pandas.DataFrame, by: Annotated[int, msgspec.Meta(ge=1, le=9)] = 2, context=None):  # type: ignore[no-untyped-def]
    """Widens a table."""
    print("rows", len(batch))
    context.progress(1, 2, "half of {n}", n=by)
    return {"wide": batch * by * RATE, "rows": len(batch), "total": batch["a"].sum()}


@model
def fails(n=0):  # type: ignore[no-untyped-def]
    share = 1
    return share / n


@model
def anything(batch):  # type: ignore[no-untyped-def]
    return {"kind": type(batch).__name__, "size": len(batch)}


@model
def grind(rounds: int = 1_000_000_000, context: Context | None = None):  # type: ignore[no-untyped-def]
    """Ten minutes inside one call of C."""
    assert context is not None
    context.log("grinding")
    return hashlib.pbkdf2_hmac("sha512", b"x", b"y", rounds).hex()


@model(pure=False)
def ticking(seconds: float = 60.0, context: Context | None = None):  # type: ignore[no-untyped-def]
    assert context is not None
    context.log("ticking")
    time.sleep(seconds)


def defining(made: MeshModel | Definition, **changes: Any) -> dict[str, Any]:
    """The `define` message of a function."""
    definition = made if isinstance(made, Definition) else definition_of(made)
    return {**definition.message(), "requestId": 1, **changes}
