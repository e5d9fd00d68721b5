"""ModelContext: a conversation that its owner keeps, turn by turn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from workbench.core.llm import Busy, Turn
from workbench.core.llm_results import Answer


class ModelContext:
    """The turns of one conversation. They are sent with each question and kept nowhere else: the
    hub remembers none of it, and what is put into `turns` counts from the next question on."""

    def __init__(self, system: str | None = None) -> None:
        self.turns: list[Turn] = [] if system is None else [Turn(role="system", content=system)]
        self._answering = False

    @contextmanager
    def answering(self) -> Iterator[None]:
        """While an answer is under way. Raises Busy where one is already."""
        if self._answering:
            raise Busy(
                "this conversation is being answered already: wait for that answer, or make "
                "another context"
            )
        self._answering = True
        try:
            yield
        finally:
            self._answering = False

    def add(self, said: Sequence[Turn], answer: Answer) -> None:
        """What was said and what was answered. Without a text nothing was answered."""
        if answer.text:
            self.turns += [*said, Turn(role="assistant", content=answer.text)]

    def __repr__(self) -> str:
        return f"ModelContext({len(self.turns)} turns)"
