"""How often a token may call an endpoint: a moving window for each pair of them.

`limits` counts; the entries stand in a storage of our own, because its storage in memory
goes by the wall clock, which may jump, and starts threads.
"""

from __future__ import annotations

import bisect
import math
import time
from collections.abc import Callable, Mapping

from limits import RateLimitItem, parse
from limits.storage import MovingWindowSupport, Storage
from limits.strategies import MovingWindowRateLimiter

from workbench.core.llm import Busy
from workbench.errors import SettingsError

KEYS_LIMIT = 10_000


class _Window(Storage, MovingWindowSupport):
    """Instants of each key, oldest first, by the clock that was handed in (seconds)."""

    STORAGE_SCHEME = None

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self._instants: dict[str, list[float]] = {}
        self._expiry: dict[str, float] = {}

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        now = self._clock()
        instants = self._live(key, now - expiry)
        if len(instants) + amount > limit:
            return False
        instants.extend([now] * amount)
        self._expiry[key] = now + expiry
        if len(self._instants) > KEYS_LIMIT:
            self._forget(now)
        return True

    def get_moving_window(self, key: str, limit: int, expiry: int) -> tuple[float, int]:
        now = self._clock()
        instants = self._live(key, now - expiry)
        return (instants[0], len(instants)) if instants else (now, 0)

    def _live(self, key: str, since: float) -> list[float]:
        instants = self._instants.setdefault(key, [])
        del instants[: bisect.bisect_right(instants, since)]
        return instants

    def _forget(self, now: float) -> None:
        for key in [key for key, until in self._expiry.items() if until <= now]:
            self.clear(key)

    def __len__(self) -> int:
        return len(self._instants)

    @property
    def base_exceptions(self) -> type[Exception]:
        return ValueError

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        raise NotImplementedError

    def get(self, key: str) -> int:
        return len(self._instants.get(key, ()))

    def get_expiry(self, key: str) -> float:
        return self._expiry.get(key, self._clock())

    def check(self) -> bool:
        return True

    def reset(self) -> int:
        count = len(self._instants)
        self._instants.clear()
        self._expiry.clear()
        return count

    def clear(self, key: str) -> None:
        self._instants.pop(key, None)
        self._expiry.pop(key, None)


class Rates:
    """`per_endpoint` maps an endpoint to a rate such as `30/minute`; others have `default`.

    Raises SettingsError for a rate that cannot be read.
    """

    def __init__(
        self,
        per_endpoint: Mapping[str, str] | None = None,
        *,
        default: str = "600/minute",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.window = _Window(clock)
        self._limiter = MovingWindowRateLimiter(self.window)
        self._default = _rate(default)
        self._rates = {name: _rate(text) for name, text in (per_endpoint or {}).items()}

    def check(self, token_name: str, endpoint: str) -> None:
        """Count one call. Raises Busy, which says when to try again; that call is not counted.

        `token_name` names a token and is not its secret.
        """
        rate = self._rates.get(endpoint, self._default)
        if self._limiter.hit(rate, token_name, endpoint):
            return
        free_at = self._limiter.get_window_stats(rate, token_name, endpoint).reset_time
        raise Busy(
            "{endpoint} may be called {limit} times in {window_s} s: try again in {wait_s} s",
            endpoint=endpoint,
            limit=rate.amount,
            window_s=rate.get_expiry(),
            wait_s=max(1, math.ceil(free_at - self._clock())),
        )


def _rate(text: str) -> RateLimitItem:
    try:
        return parse(text)
    except ValueError:
        raise SettingsError(
            "the rate {rate} cannot be read; allowed: such as 30/minute or 5/second", rate=text
        ) from None
