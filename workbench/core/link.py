"""What the sessions of both protocols share: their events, and when a lost link is tried again."""

from __future__ import annotations

from typing import Any, NamedTuple

from workbench.errors import LinkError, ProtocolError

GROWTH = 1.5
STABLE_S = 60.0
SLOW_RETRY_S = 60.0
"""Where the waits stop growing, and how long they are after the attempts are spent."""
SPREAD = 0.2


class Event(NamedTuple):
    """Something that happened: its name in `protocol.md`, and plain data, keys as on the wire."""

    name: str
    data: dict[str, Any]


def reason_of(error: LinkError) -> dict[str, Any]:
    """Why a link is gone, for an event: the sentence, its template and its values."""
    return {"reason": str(error), "template": error.template, "values": error.values}


BY_THE_USER = reason_of(LinkError("disconnected by the user"))


class Reconnects:
    """Counts lost connections and failed attempts; the count starts anew after a stable minute.

    A server that accepts and closes at once is therefore not hammered: such a connection
    does not count as a success.
    """

    def __init__(self) -> None:
        self.retry_at: float | None = None
        """When to try again, on the caller's clock; None for never."""
        self._attempts = 0
        self._opened_at: float | None = None
        self._failure_told = False

    def opened(self, now: float) -> None:
        """A connection stands."""
        self._opened_at = now
        self.retry_at = None
        self._failure_told = False

    def closed(
        self,
        error: LinkError,
        now: float,
        *,
        delay_s: float,
        max_attempts: int,
        keep_trying: bool,
        jitter: float,
    ) -> list[Event]:
        """A connection is gone or was not made: `reconnecting`, or once `reconnect_failed`.

        `jitter` from 0 to 1 spreads the wait over 80 to 120 percent, so that the clients of
        one hub do not all come back in the same instant. A ProtocolError is final; after
        other failures `keep_trying` tries on each minute.
        """
        if self._opened_at is not None and now - self._opened_at >= STABLE_S:
            self._attempts = 0
        self._opened_at, self.retry_at = None, None
        final = isinstance(error, ProtocolError)
        if self._attempts < max_attempts and not final:
            return [self._next(error, now, delay_s, max_attempts, jitter)]
        if keep_trying and not final:
            self.retry_at = now + SLOW_RETRY_S
        if self._failure_told:
            return []
        self._failure_told = True
        return [Event("reconnect_failed", {"attempts": self._attempts, **reason_of(error)})]

    def start_anew(self) -> None:
        """Somebody asked for a connection now, or for none: the count begins at nothing."""
        self._attempts = 0
        self._opened_at, self.retry_at = None, None
        self._failure_told = False

    def _next(
        self, error: LinkError, now: float, delay_s: float, max_attempts: int, jitter: float
    ) -> Event:
        grown_s = min(delay_s * GROWTH**self._attempts, max(delay_s, SLOW_RETRY_S))
        wait_s = grown_s * (1 - SPREAD + 2 * SPREAD * jitter)
        self._attempts += 1
        self.retry_at = now + wait_s
        told = {"attempt": self._attempts, "delayS": wait_s, "maxAttempts": max_attempts}
        return Event("reconnecting", {**told, **reason_of(error)})
