"""What a language model said, as a notebook and a terminal show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.core import markup
from workbench.core.chat import AnswerUsage, Message, Prompt
from workbench.core.llm_results import Answer as Given
from workbench.core.sentence import Sentence, Speech, spoken
from workbench.errors import InputError
from workbench.session.harmless import harmless
from workbench.session.run_metrics import Measure, RunMetrics

TITLES = {"stopped": "stopped", "broken": "broken off", "length": "cut off at its limit"}


class Answer:
    """One answer. As the last line of a cell it draws itself as Markdown; `str` is its text."""

    def __init__(self, message: Message, measure: Measure | None = None) -> None:
        self.message = message
        """All that is kept of it."""
        self._measure = measure

    @classmethod
    def of(cls, given: Given) -> Answer:
        """The answer of a call that nobody keeps: it has no number."""
        usage = given.usage
        took = AnswerUsage(
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            ttft_ms=given.ttft_ms,
            tokens_per_second=given.tokens_per_second,
            elapsed_ms=given.elapsed_ms,
        )
        return cls(
            Message(
                id=0,
                conversation_id=0,
                role="assistant",
                content=given.text,
                timestamp="",
                model=given.model,
                backend=given.backend,
                reasoning=given.reasoning,
                tool_calls=given.tool_calls,
                usage=took,
                finish=given.finish,
            )
        )

    @property
    def text(self) -> str:
        return self.message.content

    @property
    def reasoning(self) -> str:
        """What the model thought before it answered, where it says so."""
        return self.message.reasoning

    @property
    def model(self) -> str | None:
        return self.message.model

    @property
    def usage(self) -> AnswerUsage:
        """Tokens and times; None where nobody could tell."""
        return self.message.usage or AnswerUsage()

    @property
    def conversation_id(self) -> int | None:
        """The conversation that keeps it; None where nobody does."""
        return self.message.conversation_id or None

    def metrics(self) -> RunMetrics:
        """What it used: GPU memory, energy, cost; None where nobody knows. Blocks.

        Raises InputError for an answer that no conversation keeps.
        """
        if self._measure is None or not self.message.id:
            raise InputError("no conversation keeps this answer: ask with bench.chat for metrics")
        return self._measure(self.message.id)

    @property
    def stopped(self) -> bool:
        """Whether it ended at the user's word."""
        return self.message.status == "stopped" or self.message.finish == "stopped"

    @property
    def caption(self) -> str:
        """Model, tokens, tokens per second, time to the first token; and how it ended."""
        return self._caption(Speech())

    def _caption(self, speech: Speech) -> str:
        usage = self.usage
        ended = "stopped" if self.stopped else TITLES.get(self.message.status, "")
        cut = "" if self.stopped else TITLES.get(self.message.finish or "", "")
        parts = [speech.say(ended), speech.say(cut), self.model or ""]
        if (tokens := usage.completion_tokens) is not None:
            parts.append(speech.say(Sentence("{count} tokens", {"count": f"{tokens:,}"})))
        if (speed := usage.tokens_per_second) is not None:
            parts.append(f"{speech.digits(f'{speed:,.1f}')} tokens/s")
        if (first := usage.ttft_ms) is not None:
            after = {"milliseconds": f"{first:,.0f}"}
            parts.append(speech.say(Sentence("first token after {milliseconds} ms", after)))
        return " · ".join(filter(None, parts))

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"{self.text}\n[{self.caption}]" if self.caption else self.text

    def _repr_markdown_(self) -> str:
        return harmless(self.text)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {
            "text/markdown": self._repr_markdown_(),
            "text/plain": repr(self),
            markup.LASTING: self.text,
        }

    def _ipython_display_(self) -> None:
        """The answer, and below it its caption."""
        from IPython.display import display

        drawn = {"text/markdown": self._repr_markdown_(), "text/plain": self.text}
        display(drawn, raw=True)  # type: ignore[no-untyped-call]
        if self.caption:
            note = {
                "text/html": markup.note(self._caption(spoken())),
                "text/plain": f"[{self.caption}]",
                markup.LASTING: "",
            }
            display(note, raw=True)  # type: ignore[no-untyped-call]


class Conversations(list[dict[str, Any]]):
    """Conversations, newest first, which draw themselves as a table."""

    def _repr_html_(self) -> str:
        found = any(each.get("found") for each in self)
        columns = ("id", "title", "messages", "changed", *(("found",) if found else ()))
        speech = spoken()
        count = speech.say(Sentence("{count} conversations", {"count": len(self)}))
        return markup.table(speech.each(*columns), map(_row, self), count)


def _row(conversation: Mapping[str, Any]) -> Sequence[Any]:
    names = ("id", "title", "messages", "updatedAt", "found")
    return [conversation.get(name) for name in names if name != "found" or conversation.get(name)]


class Messages(list[Message]):
    """The messages of a conversation, oldest first, which draw themselves."""

    def _repr_markdown_(self) -> str:
        return "\n\n".join(f"**{each.role}**\n\n{harmless(each.content)}" for each in self)

    def __repr__(self) -> str:
        return "\n".join(f"{each.role}: {each.content}" for each in self)


class Prompts(list[Prompt]):
    """Instructions or templates, which draw themselves as a table."""

    def _repr_html_(self) -> str:
        rows = [(e.name, e.version, e.title, ", ".join(e.variables), e.content) for e in self]
        names = ("name", "version", "title", "variables", "content")
        return markup.table(spoken().each(*names), rows)
