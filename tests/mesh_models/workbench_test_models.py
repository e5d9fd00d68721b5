"""Models that a test hub finds through their entry points, as a user's own would be found."""

from __future__ import annotations

import hashlib
import time
from typing import Annotated

import msgspec

from workbench.core.model import Context, Result, model


def _work(context: Context, units: int, unit_s: float) -> Result:
    digest = hashlib.sha256(context.inputs["batch"].read_bytes())
    for unit in range(units):
        time.sleep(unit_s)
        digest.update(str(unit).encode())
        context.progress(unit + 1, units, "unit {done} of {total}", done=unit + 1, total=units)
        context.log("unit {done} done", done=unit + 1)
    return Result(data={"digest": digest.hexdigest(), "units": units})


@model(name="steady", version="1", title="Steady work")
def steady(
    context: Context,
    *,
    units: Annotated[int, msgspec.Meta(ge=1, le=100_000, title="Units")] = 10,
    unit_s: Annotated[float, msgspec.Meta(ge=0, le=10, title="Seconds a unit")] = 0.01,
) -> Result:
    """Takes a known time, unit by unit; its result depends on its input alone."""
    return _work(context, units, unit_s)


@model(name="once", version="1", title="Work that must not be repeated", pure=False)
def once(
    context: Context,
    *,
    units: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 10,
    unit_s: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.01,
) -> Result:
    """The same, but never run again after a lost worker."""
    return _work(context, units, unit_s)
