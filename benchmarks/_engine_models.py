"""The models that benchmarks/engine.py runs: next to nothing, so that the engine is measured."""

from __future__ import annotations

import time

from workbench.core.model import Context, Result


def nothing(context: Context) -> Result:
    """Returns at once."""
    return Result(data={})


def wait(context: Context) -> Result:
    """Says that it runs, then sleeps until it is ended."""
    context.log("running")
    time.sleep(60)
    return Result(data={})
