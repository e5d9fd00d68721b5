"""Tells what a model thinks from what it says, where its server leaves `<think>` in the text."""

from __future__ import annotations

from collections.abc import Callable

from workbench.core.llm import Reasoning, Token

OPENING, CLOSING = "<think>", "</think>"

Said = Token | Reasoning


class Thinking:
    """Splits one answer, fed in pieces cut anywhere; no tag is ever shown, not even a part of it.

    Only a block at the very beginning counts: further on, the tag is something that the model
    writes about. The tokens of a piece that is held back are counted with the next one.
    """

    def __init__(self) -> None:
        self._held = ""
        self._tokens = 0
        self._step: Callable[[], list[Said]] | None = self._before

    def feed(self, text: str, tokens: int = 1) -> list[Said]:
        """What is certain now."""
        if self._step is None:
            return [Token(text=text, tokens=tokens)]
        self._held += text
        self._tokens += tokens
        return self._step()

    def end(self) -> list[Said]:
        """What was held back, now that nothing follows."""
        inside = self._step == self._inside
        return [*self._emit(Reasoning if inside else Token, len(self._held))]

    def _before(self) -> list[Said]:
        start = self._held.lstrip()
        if start.startswith(OPENING):
            self._held = start.removeprefix(OPENING)
            self._step = self._opened
            return self._opened()
        if OPENING.startswith(start):
            return []
        self._step = None
        return self._emit(Token, len(self._held))

    def _opened(self) -> list[Said]:
        self._held = self._held.lstrip()
        if not self._held:
            return []
        self._step = self._inside
        return self._inside()

    def _inside(self) -> list[Said]:
        end = self._held.find(CLOSING)
        if end < 0:
            return self._emit(Reasoning, len(self._held) - _overlap(self._held))
        thought = self._emit(Reasoning, end)
        self._held = self._held.removeprefix(CLOSING)
        self._step = self._closed
        return thought + self._closed()

    def _closed(self) -> list[Said]:
        self._held = self._held.lstrip()
        if not self._held:
            return []
        self._step = None
        return self._emit(Token, len(self._held))

    def _emit(self, kind: type[Token] | type[Reasoning], length: int) -> list[Said]:
        text, self._held = self._held[:length], self._held[length:]
        if not text:
            return []
        tokens, self._tokens = self._tokens, 0
        return [kind(text=text, tokens=tokens)]


def _overlap(text: str) -> int:
    """How many characters at the end of `text` may be the beginning of the closing tag."""
    longest = min(len(text), len(CLOSING) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(CLOSING[:n])), 0)
