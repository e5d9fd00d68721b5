"""How the language models do: counted as they answer, read by whoever samples.

A token costs an addition. Where in time it belongs is settled when somebody reads, and when
its answer ends: as if it had been written evenly since it was settled last.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from types import TracebackType
from typing import Self

from workbench.core.llm import ContextOverflow, Event, Reasoning, Token, ToolCall, Usage
from workbench.core.metrics import LlmReading
from workbench.errors import InputError

WINDOW_S = 60
MODELS = 256
FIRST_TOKENS = 1024
"""At most so many, the newest, does a median look at."""


class Meter:
    """For one event loop. Holds the last minute, in seconds, of at most MODELS models."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.total = Line()
        self.answering: set[Call] = set()
        self._lines: dict[str, Line] = {}

    def request(self) -> Request:
        """A request that was made just now; `with` it until it ends."""
        return Request(self)

    def line(self, ref: str) -> Line:
        """What is counted of a model, `id@backend`. One that is idle may make room for it."""
        if (line := self._lines.get(ref)) is None:
            if len(self._lines) >= MODELS:
                idle = next((r for r, each in self._lines.items() if each.is_idle), None)
                self._lines.pop(idle or "", None)
            line = self._lines[ref] = Line()
        return line

    def readings(self) -> tuple[LlmReading, ...]:
        """All together first, then each model that was ever asked."""
        now = self.clock()
        for call in self.answering:
            call.settle(now)
        lines = {"": self.total, **self._lines}
        return tuple(line.reading(ref, now) for ref, line in lines.items())


class Request:
    """One request from the moment at which it was made, whichever models it is given to.

    A stop by its asker is no error, nor is what the asker has to mend.
    """

    def __init__(self, meter: Meter) -> None:
        self.asked_at = meter.clock()
        self._meter = meter
        self._queued: list[Line] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.goes_on()
        self._meter.total.ended(self._meter.clock(), is_failure(error))

    def waits(self, refs: Sequence[str]) -> None:
        """It stands in the queue, for whichever of these models is free first."""
        if not self._queued:
            self._queued = [self._meter.total, *map(self._meter.line, dict.fromkeys(refs))]
            for line in self._queued:
                line.queued += 1

    def goes_on(self) -> None:
        """It stands in the queue no more."""
        for line in self._queued:
            line.queued -= 1
        self._queued = []

    def call(self, ref: str) -> Call:
        """A model is asked now; `with` it until it ended, in whichever way."""
        return Call(self._meter, self._meter.line(ref), self.asked_at)


class Call:
    """One answer of one model. Fed with its events, in order."""

    __slots__ = ("_asked_at", "_lines", "_meter", "_settled", "_settled_at", "_spoke_at", "_tokens")

    def __init__(self, meter: Meter, line: Line, asked_at: float) -> None:
        self._meter, self._lines, self._asked_at = meter, (line, meter.total), asked_at
        self._tokens = self._settled = 0
        """Those that came since the last settling, and those before."""
        self._spoke_at: float | None = None
        self._settled_at = 0.0

    def __enter__(self) -> Self:
        self._meter.answering.add(self)
        for line in self._lines:
            line.in_flight += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        now = self._meter.clock()
        self.settle(now)
        self._meter.answering.discard(self)
        for line in self._lines:
            line.in_flight -= 1
            if self._spoke_at is not None:
                line.falls_silent(now)
        self._lines[0].ended(now, is_failure(error))

    def take(self, event: Event) -> None:
        """One event."""
        if isinstance(event, (Token, Reasoning)):
            self._tokens += event.tokens
            if self._spoke_at is None:
                self._speaks()
        elif isinstance(event, ToolCall) and self._spoke_at is None:
            self._speaks()
        elif isinstance(event, Usage) and event.completion_tokens is not None:
            self._told(event.completion_tokens)

    def _speaks(self) -> None:
        """The first token is there; only those after it took time that is known."""
        now = self._spoke_at = self._settled_at = self._meter.clock()
        self._tokens = max(0, self._tokens - 1)
        for line in self._lines:
            line.speaks(now, 1000 * (now - self._asked_at))

    def _told(self, all_tokens: int) -> None:
        """The server's own count: some send several tokens as one piece."""
        now = self._meter.clock()
        self.settle(now)
        missed = all_tokens - 1 - self._settled
        if missed > 0 and self._spoke_at is not None:
            self._settled += missed
            for line in self._lines:
                line.wrote(missed, self._spoke_at, now)

    def settle(self, now: float) -> None:
        """Let the lines know what was written since."""
        if self._spoke_at is None:
            return
        for line in self._lines:
            line.wrote(self._tokens, self._settled_at, now)
        self._settled += self._tokens
        self._tokens, self._settled_at = 0, now


class Second:
    """What happened within one second of the clock."""

    __slots__ = ("at", "ended", "failed", "tokens", "written_s")

    def __init__(self, at: int) -> None:
        self.at = at
        self.ended = self.failed = 0
        self.tokens = self.written_s = 0.0


class Line:
    """What is counted of one model, or of all. Time is an argument, in seconds."""

    def __init__(self) -> None:
        self.in_flight = self.queued = 0
        self.tokens = 0.0
        """All that were ever written."""
        self._requests = self._errors = 0
        self._speaking = 0
        self._marked_at = 0.0
        self._seconds: list[Second | None] = [None] * WINDOW_S
        """Each in the place of its number modulo their count."""
        self._first_tokens: deque[tuple[float, float]] = deque(maxlen=FIRST_TOKENS)

    @property
    def is_idle(self) -> bool:
        return not (self.in_flight or self.queued)

    def speaks(self, now: float, ttft_ms: float) -> None:
        """One more answer is being written: its first token came."""
        self._mark(now)
        self._speaking += 1
        self.tokens += 1
        self._first_tokens.append((now, ttft_ms))

    def wrote(self, tokens: int, since: float, now: float) -> None:
        """So many tokens, evenly between the two."""
        self._mark(now)
        self.tokens += tokens
        for second, part_s in self._between(since, now):
            second.tokens += tokens * part_s / (now - since)

    def falls_silent(self, now: float) -> None:
        """One answer less is being written."""
        self._mark(now)
        self._speaking -= 1

    def ended(self, now: float, failed: bool) -> None:
        """A request ended."""
        self._mark(now)
        self._requests += 1
        self._errors += failed
        second = self._second(now)
        second.ended += 1
        second.failed += failed

    def reading(self, ref: str, now: float) -> LlmReading:
        """The last minute up to now."""
        self._mark(now)
        since = int(now) - WINDOW_S
        seconds = [second for second in self._seconds if second and second.at > since]
        first = [ttft_ms for at, ttft_ms in self._first_tokens if at > now - WINDOW_S]
        written_s = sum(second.written_s for second in seconds)
        tokens = sum(second.tokens for second in seconds)
        return LlmReading(
            model=ref,
            in_flight=self.in_flight,
            queued=self.queued,
            requests=self._requests,
            errors=self._errors,
            requests_per_min=float(sum(second.ended for second in seconds)),
            errors_per_min=float(sum(second.failed for second in seconds)),
            ttft_ms=round(median(first), 3) if first else None,
            tokens_per_s=round(tokens / written_s, 2) if tokens and written_s else None,
        )

    def _mark(self, now: float) -> None:
        """Since the last mark somebody wrote, or nobody; two at a time count once."""
        if self._speaking:
            for second, part_s in self._between(self._marked_at, now):
                second.written_s += part_s
        self._marked_at = now

    def _between(self, since: float, now: float) -> Iterator[tuple[Second, float]]:
        """Each second of a span, and how much of it; not what is older than the minute."""
        since = max(since, now - WINDOW_S + 1)
        while since < now:
            until = min(now, int(since) + 1.0)
            yield self._second(since), until - since
            since = until

    def _second(self, at: float) -> Second:
        number = int(at)
        place = number % WINDOW_S
        second = self._seconds[place]
        if second is None or second.at != number:
            second = self._seconds[place] = Second(number)
        return second


def is_failure(error: BaseException | None) -> bool:
    """Whether it is one of the model or its server: a cancel is none, nor a bad request."""
    return isinstance(error, Exception) and not isinstance(error, InputError | ContextOverflow)
