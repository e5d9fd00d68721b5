"""How much a call does, counted in calls of functions: the same number on every machine."""

from __future__ import annotations

import cProfile
from collections.abc import Callable


def work(call: Callable[[], object]) -> int:
    """Calls that `call` makes, of Python's functions and of C's. What one call of C does inside
    is not seen: against a pattern that goes back and forth helps a long text, which never ends."""
    profile = cProfile.Profile(subcalls=False)
    profile.runcall(call)
    return sum(entry.callcount for entry in profile.getstats())
