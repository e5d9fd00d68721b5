"""What may be done with a download in each state, what ends it, and how fast it is."""

from __future__ import annotations

import math
from typing import Literal

from workbench.core.downloads import ACTIVE, State
from workbench.errors import InputError, LinkError, StoreError, WorkbenchError

Verb = Literal["pause", "resume", "cancel", "verify", "forget"]
Remedy = Literal["retry", "resume", "free-space", "token", "none"]

SMOOTH_S = 5.0
_BUSY: frozenset[State] = ACTIVE | {"queued"}
ALLOWED: dict[Verb, frozenset[State]] = {
    "pause": _BUSY,
    "resume": frozenset({"paused", "failed", "cancelled"}),
    "cancel": _BUSY | {"paused", "failed", "cancelled"},
    "verify": frozenset({"done", "failed"}),
    "forget": frozenset({"done", "failed", "cancelled", "paused"}),
}
"""Cancelling one that is cancelled already deletes what was kept."""


def check(verb: Verb, model: str, state: State) -> None:
    """Raises InputError where `verb` cannot be done in `state`."""
    if state not in ALLOWED[verb]:
        raise InputError(
            "the download of {model} is {state}; {verb} is for one that is {allowed}",
            model=model,
            state=state,
            verb=verb,
            allowed=", ".join(sorted(ALLOWED[verb])),
        )


def after_restart(state: State) -> State:
    """What was under way goes on in its turn; paused, cancelled and ended ones stay so."""
    return "queued" if state in ACTIVE else state


def ended_by(error: WorkbenchError) -> tuple[State, Remedy]:
    """The state that an error leads to, and what mends it."""
    if error.code == "no-space":
        return "paused", "free-space"
    if error.code == "stopped":
        return "paused", "resume"
    if isinstance(error, InputError):
        return "failed", "token" if error.values.get("status") in (401, 403) else "none"
    return "failed", "retry" if isinstance(error, LinkError | StoreError) else "none"


class Speed:
    """Bytes per second over about the last five: recent seconds weigh more, none is left out."""

    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None
        self._bytes = self._seconds = 0.0

    def look(self, now: float, done: int) -> None:
        """So many bytes are done by now. Fewer than before means that it began anew."""
        if self._last is not None and now > self._last[0]:
            passed = now - self._last[0]
            kept = math.exp(-passed / SMOOTH_S)
            self._bytes = self._bytes * kept + max(0, done - self._last[1])
            self._seconds = self._seconds * kept + passed
        self._last = (now, done)

    @property
    def bytes_s(self) -> float | None:
        """None until there is something to go by."""
        return self._bytes / self._seconds if self._seconds >= 0.5 else None

    def eta_s(self, left: int | None) -> float | None:
        """How long `left` bytes take; None where nobody can say."""
        speed = self.bytes_s
        return left / speed if left is not None and speed else None


def total_bytes(sizes: tuple[int | None, ...]) -> int | None:
    """All files together; None while one size is unknown."""
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None
