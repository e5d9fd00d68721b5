"""Models that a test hub finds through their entry points, as a user's own would be found."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
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


@contextmanager
def _alone(name: str) -> Iterator[str]:
    """Marks in a file beside the work when it began and ended, and whether another attempt was
    at it: the kernel takes a lock from its holder in the moment in which that dies."""
    folder, run = Path(os.environ["FAULT_MARKS"]), uuid.uuid4().hex[:8]
    marks = os.open(folder / "marks", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    lock = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)

    def mark(what: str) -> None:
        os.write(marks, f"{what} {name} {run} {os.getpid()}\n".encode())

    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            mark("overlap")
        mark("start")
        yield run
        mark("end")
    finally:
        os.close(lock)
        os.close(marks)


def _marked(context: Context, name: str, units: int, unit_s: float) -> Result:
    given = context.inputs["batch"].read_text()
    with _alone(name) as run:
        for unit in range(1, units + 1):
            time.sleep(unit_s)
            context.log("run {run} unit {unit}", run=run, unit=unit)
            context.progress(unit, units)
    return Result(data={"run": run, "input": given})


@model(name="marked", version="1", title="Work that leaves marks")
def marked(
    context: Context,
    *,
    name: str,
    units: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 5,
    unit_s: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.01,
) -> Result:
    """Says in the folder FAULT_MARKS which of its runs began, ended, and met another one."""
    return _marked(context, name, units, unit_s)


@model(name="marked-once", version="1", title="Work that leaves marks once", pure=False)
def marked_once(
    context: Context,
    *,
    name: str,
    units: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 5,
    unit_s: Annotated[float, msgspec.Meta(ge=0, le=10)] = 0.01,
) -> Result:
    """The same, but never run again after a lost worker."""
    return _marked(context, name, units, unit_s)
