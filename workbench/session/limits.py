"""How long a task may run, in the seconds that a person gives and the milliseconds on the wire."""

from __future__ import annotations

from typing import Any

from workbench.core.mesh_wire import TIMEOUT_MOST_MS
from workbench.errors import InputError

ALLOWED = f"seconds, from 0.001 to {TIMEOUT_MOST_MS // 1000}"


def limit_ms(timeout_s: Any, name: str = "timeout_s") -> int | None:
    """None is the longest that a hub allows. Raises InputError under the name that was given."""
    if timeout_s is None:
        return None
    try:
        seconds = float("nan") if isinstance(timeout_s, bool | str) else float(timeout_s)
    except (TypeError, ValueError, OverflowError):
        seconds = float("nan")
    if not 0.001 <= seconds <= TIMEOUT_MOST_MS / 1000:
        raise InputError.field(name, timeout_s, ALLOWED)
    return round(seconds * 1000)
