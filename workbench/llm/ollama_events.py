"""What the lines of a streamed Ollama answer mean: pure, one reader for each answer.

Source: ChatResponse, GenerateResponse and Metrics in Ollama's api/types.go; durations are ns.
"""

from __future__ import annotations

import msgspec

from workbench.core.llm import (
    BackendBroken,
    Done,
    Event,
    Finish,
    Reasoning,
    Token,
    ToolCall,
    Usage,
)
from workbench.llm.refusals import fault_of, refusal
from workbench.llm.streams import NOTHING, ServerEvent, decoded
from workbench.llm.thinking import Thinking

_NS_PER_MS = 1e6


class _Function(msgspec.Struct):
    name: str
    arguments: msgspec.Raw = msgspec.Raw()


class _Call(msgspec.Struct):
    function: _Function
    id: str = ""


class _Message(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[_Call] | None = None


class _Line(msgspec.Struct):
    message: _Message | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool = False
    done_reason: str | None = None
    error: msgspec.Raw = msgspec.Raw()
    prompt_eval_count: int | None = None
    prompt_eval_duration: int | None = None
    eval_count: int | None = None
    eval_duration: int | None = None


_LINE = msgspec.json.Decoder(_Line)


class OllamaReader:
    """Reads the lines of one answer, a conversation's or a completion's."""

    def __init__(self, backend: str, model: str) -> None:
        self._backend, self._model = backend, model
        self._thinking = Thinking()
        self._calls = 0
        self._answering = False
        self._last: _Line | None = None

    @property
    def ended(self) -> bool:
        """The server has said that nothing follows."""
        return self._last is not None

    def read(self, event: ServerEvent) -> list[Event]:
        """What one line means."""
        data = event[1]
        said = decoded(data, _LINE, self._backend)
        if bytes(said.error) not in NOTHING and (fault := fault_of(data)):
            raise refusal(self._backend, self._model, 500, fault, answering=self._answering)
        events: list[Event] = []
        if said.message is not None:
            self._message(said.message, events)
        if said.thinking:
            events.append(Reasoning(text=said.thinking))
        if said.response:
            events.append(Token(text=said.response))
        self._answering = self._answering or bool(events)
        if said.done:
            self._last = said
        return events

    def end(self) -> list[Event]:
        """The last events; BackendBroken where the answer just stopped."""
        last = self._last
        if last is None:
            raise BackendBroken(
                "{backend} ended its answer without saying that it is finished",
                backend=self._backend,
            )
        usage = Usage(
            prompt_tokens=last.prompt_eval_count,
            completion_tokens=last.eval_count,
            prompt_ms=_ms(last.prompt_eval_duration),
            completion_ms=_ms(last.eval_duration),
        )
        return [*self._thinking.end(), usage, Done(finish=self._finish(last))]

    def _message(self, message: _Message, events: list[Event]) -> None:
        if message.thinking:
            events.append(Reasoning(text=message.thinking))
        if message.content:
            events += self._thinking.feed(message.content)
        for call in message.tool_calls or ():
            raw = bytes(call.function.arguments)
            arguments = "{}" if raw in NOTHING else raw.decode()
            events.append(ToolCall(id=call.id, name=call.function.name, arguments=arguments))
            self._calls += 1

    def _finish(self, last: _Line) -> Finish:
        if self._calls:
            return "tool_calls"
        return "length" if last.done_reason == "length" else "stop"


def _ms(duration_ns: int | None) -> float | None:
    return None if duration_ns is None else duration_ns / _NS_PER_MS
