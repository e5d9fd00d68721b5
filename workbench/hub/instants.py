"""Instants of the hub: in the store UTC without a zone, on the wire ms or ISO 8601."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """This instant, as the store keeps it: UTC without a zone."""
    return datetime.now(UTC).replace(tzinfo=None)


def iso(instant: datetime) -> str:
    """An instant of the store on the wire: ISO 8601, UTC, to the millisecond."""
    return instant.isoformat(timespec="milliseconds") + "Z"


def instant(text: str) -> datetime:
    """The instant of an ISO 8601 text, as the store keeps it. Raises ValueError."""
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def from_ms(ms: float) -> datetime:
    """Milliseconds since the epoch, as the store keeps an instant."""
    return datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None)


def to_ms(instant: datetime) -> int:
    """An instant of the store as milliseconds since the epoch."""
    return round(instant.replace(tzinfo=UTC).timestamp() * 1000)
