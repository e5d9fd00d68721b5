"""An answer gathered from its events: text, reasoning, tools, and what it took."""

from __future__ import annotations

from workbench.core import llm
from workbench.core.llm_results import Answer


class Gathered:
    """Fed with the events of one answer, in order; time is an argument, in seconds."""

    def __init__(self, began: float) -> None:
        self.pieces: list[str] = []
        self.thoughts: list[str] = []
        self.tools: list[llm.ToolCall] = []
        self.usage: llm.Usage | None = None
        self.finish: llm.Finish | None = None
        self.model: str | None = None
        self.backend: str | None = None
        self.tokens = 0
        """Counted as they came: a back end's own count is in `usage`."""
        self.first_at: float | None = None
        self._began = began

    def take(self, event: llm.Event, now: float) -> None:
        """One event."""
        match event:
            case llm.Token():
                self._heard(event.tokens, now)
                self.pieces.append(event.text)
            case llm.Reasoning():
                self._heard(event.tokens, now)
                self.thoughts.append(event.text)
            case llm.ToolCall():
                self._heard(0, now)
                self.tools.append(event)
            case llm.Usage():
                self.usage = event
            case llm.Done():
                self.finish = event.finish
            case llm.Chosen():
                self.model, self.backend = event.model, event.backend

    def _heard(self, tokens: int, now: float) -> None:
        self.tokens += tokens
        if self.first_at is None:
            self.first_at = now

    @property
    def completion_tokens(self) -> int | None:
        """As the back end says, else as counted; None where nothing came."""
        told = self.usage.completion_tokens if self.usage else None
        return (self.tokens or None) if told is None else told

    @property
    def ttft_ms(self) -> float | None:
        """From the beginning to the first token, of the answer or of its reasoning."""
        return None if self.first_at is None else round((self.first_at - self._began) * 1000, 3)

    def elapsed_ms(self, now: float) -> float:
        return round((now - self._began) * 1000, 3)

    def speed(self, now: float) -> float | None:
        """Tokens per second after the first; None before there are two."""
        tokens = self.completion_tokens or 0
        if self.first_at is None or tokens < 2 or now <= self.first_at:
            return None
        return round((tokens - 1) / (now - self.first_at), 2)

    def answer(self, now: float) -> Answer:
        """The whole."""
        return Answer(
            text="".join(self.pieces),
            reasoning="".join(self.thoughts),
            tool_calls=tuple(self.tools),
            usage=self.usage,
            finish=self.finish or "stop",
            model=self.model,
            backend=self.backend,
            elapsed_ms=self.elapsed_ms(now),
            ttft_ms=self.ttft_ms,
            tokens_per_second=self.speed(now),
        )
