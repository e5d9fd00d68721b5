"""What one mesh client counts and measures about itself, from its own events."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import msgspec

KEPT = 512


class Spread(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Seconds, over the newest `count` measurements, at most 512; None where there is none."""

    count: int = 0
    p50_s: float | None = None
    p90_s: float | None = None
    p99_s: float | None = None
    most_s: float | None = None


class MeshMetrics(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Counts since the client was made, over all endpoints. What is said of tasks counts also
    for those that were only attached to."""

    sent: int = 0
    """Tasks sent by this client."""
    accepted: int = 0
    """Tasks that a node made durable."""
    completed: int = 0
    """Tasks that ended well."""
    failed: int = 0
    """Tasks that ended as `failed`, `timeout`, `rejected` or `lost`."""
    cancelled: int = 0
    """Tasks that ended as `cancelled`."""
    refused: int = 0
    """Tasks that a node would not have."""
    pending: int = 0
    """Tasks that have not ended."""
    timeouts: int = 0
    """How often a task was silent for `task_timeout`; it goes on all the same."""
    connects: int = 0
    """Connections made."""
    reconnects: int = 0
    """Attempts to be made after a lost connection or a failed attempt."""
    messages: int = 0
    """Messages received."""
    round_trip_s: float | None = None
    """The newest ping to the endpoint of new tasks, in seconds; None before one came back."""
    acceptance: Spread = Spread()
    """Sending to acceptance: `count` (the newest 512), `p50_s`, `p90_s`, `p99_s`, `most_s`."""
    whole: Spread = Spread()
    """Sending to the end, in the same manner."""


class Meter:
    """Hears every event of a client. `now` is any clock that never goes back."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._sent: dict[str, float] = {}
        self._waiting: set[str] = set()
        self._acceptance: deque[float] = deque(maxlen=KEPT)
        self._whole: deque[float] = deque(maxlen=KEPT)

    def heard(
        self, name: str, data: Mapping[str, Any], now: float, *, refused: bool
    ) -> float | None:
        """Take note of one event; the seconds to acceptance where it was one."""
        counted = _counted(name, data, refused)
        if counted is None:
            return None
        self._counts[counted] = self._counts.get(counted, 0) + 1
        if name not in _OF_TASKS:
            return None
        task_id = str(data.get("taskId"))
        if name == "task_sent":
            self._sent[task_id] = now
            self._waiting.add(task_id)
        if name in ("task_completed", "task_error"):
            self._ended(task_id, now, refused)
        return self._accepted(task_id, now) if name == "task_accepted" else None

    def read(self, *, pending: int, round_trip_s: float | None) -> MeshMetrics:
        """Everything as it is now."""
        return MeshMetrics(
            **self._counts,
            pending=pending,
            round_trip_s=round_trip_s,
            acceptance=_spread(self._acceptance),
            whole=_spread(self._whole),
        )

    def _accepted(self, task_id: str, now: float) -> float | None:
        if task_id not in self._waiting:
            return None
        self._waiting.discard(task_id)
        self._acceptance.append(now - self._sent[task_id])
        return self._acceptance[-1]

    def _ended(self, task_id: str, now: float, refused: bool) -> None:
        self._waiting.discard(task_id)
        sent_at = self._sent.pop(task_id, None)
        if sent_at is not None and not refused:
            self._whole.append(now - sent_at)


_COUNTED = {
    "task_sent": "sent",
    "task_accepted": "accepted",
    "task_completed": "completed",
    "task_timeout": "timeouts",
    "connected": "connects",
    "reconnecting": "reconnects",
    "message": "messages",
}


_OF_TASKS = frozenset({"task_sent", "task_accepted", "task_completed", "task_error"})


def _counted(name: str, data: Mapping[str, Any], refused: bool) -> str | None:
    if name != "task_error":
        return _COUNTED.get(name)
    if refused:
        return "refused"
    return "cancelled" if data.get("code") == "cancelled" else "failed"


def _spread(measured: deque[float]) -> Spread:
    if not measured:
        return Spread()
    ordered = sorted(measured)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return Spread(
        count=len(ordered), p50_s=at(0.5), p90_s=at(0.9), p99_s=at(0.99), most_s=ordered[-1]
    )
