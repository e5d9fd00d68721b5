"""What the events of a streamed OpenAI answer mean: pure, one reader for each answer.

Sources: OpenAI's "chat completion chunk" object; `reasoning_content` as llama.cpp, vLLM and
LM Studio have it, `reasoning` as LM Studio has it for gpt-oss; llama.cpp's `timings` and
`prompt_progress`.
"""

from __future__ import annotations

import msgspec

from workbench.core.llm import (
    BackendBroken,
    Done,
    Event,
    Finish,
    PromptProgress,
    Reasoning,
    Token,
    ToolCall,
    Usage,
)
from workbench.errors import WorkbenchError
from workbench.llm.refusals import Fault, fault_of, line, refusal
from workbench.llm.streams import NOTHING, ServerEvent, decoded
from workbench.llm.thinking import Thinking

CALL_LIMIT = 128
_END = b"[DONE]"
_FINISHES: dict[str, Finish] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}
_FAILURES = frozenset({"error", "abort"})


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _CallPart(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_CallPart] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None


class _Timings(msgspec.Struct):
    prompt_ms: float | None = None
    predicted_ms: float | None = None
    cache_n: int | None = None


class _Progress(msgspec.Struct):
    total: int
    processed: int


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    timings: _Timings | None = None
    prompt_progress: _Progress | None = None
    error: msgspec.Raw = msgspec.Raw()


_CHUNK = msgspec.json.Decoder(_Chunk)


class AnswerReader:
    """Reads the events of one answer, a conversation's or a completion's.

    A tool call is given when it is whole, that is at the end, for servers may write the parts
    of several at a time.
    """

    def __init__(self, backend: str, model: str) -> None:
        self._backend, self._model = backend, model
        self._thinking = Thinking()
        self._calls: dict[int, _Call] = {}
        self._usage: _Usage | None = None
        self._timings: _Timings | None = None
        self._finish: str | None = None
        self._answering = False
        self.ended = False
        """The server has said that nothing follows."""

    @property
    def answering(self) -> bool:
        """Whether anything of the answer was heard yet."""
        return self._answering

    @property
    def prompt_tokens(self) -> int | None:
        """As the server counted them, at the end."""
        return self._usage.prompt_tokens if self._usage else None

    def read(self, event: ServerEvent) -> list[Event]:
        """What one event means."""
        name, data = event
        if data == _END:
            self.ended = True
            return []
        chunk = decoded(data, _CHUNK, self._backend)
        if name == "error" or bytes(chunk.error) not in NOTHING:
            raise self._fault(data)
        events: list[Event] = []
        if chunk.choices:
            self._choice(chunk.choices[0], events)
        if chunk.prompt_progress is not None:
            progress = chunk.prompt_progress
            events.append(PromptProgress(done=progress.processed, total=progress.total))
        self._usage = chunk.usage or self._usage
        self._timings = chunk.timings or self._timings
        return events

    def end(self) -> list[Event]:
        """The last events; BackendBroken where the answer just stopped."""
        if self._finish is None and not self.ended:
            raise BackendBroken(
                "{backend} ended its answer without saying that it is finished",
                backend=self._backend,
            )
        if self._finish in _FAILURES:
            raise BackendBroken(
                "{backend} broke off in the midst of its answer: {reason}",
                backend=self._backend,
                reason=self._finish,
            )
        calls = [call.whole() for _, call in sorted(self._calls.items())]
        events: list[Event] = [*self._thinking.end(), *calls]
        if self._usage or self._timings:
            events.append(self._took())
        return [*events, Done(finish="tool_calls" if calls else self._finished())]

    def _choice(self, choice: _Choice, events: list[Event]) -> None:
        delta = choice.delta
        if delta is not None:
            if thought := delta.reasoning_content or delta.reasoning:
                events.append(Reasoning(text=thought))
            if delta.content:
                events += self._thinking.feed(delta.content)
            if delta.tool_calls:
                self._answering = True
                for part in delta.tool_calls:
                    self._part(part)
        elif choice.text:
            events.append(Token(text=choice.text))
        if events:
            self._answering = True
        if choice.finish_reason:
            self._finish = choice.finish_reason

    def _part(self, part: _CallPart) -> None:
        """Add to the call that it belongs to.

        Servers that write every call with the same index tell them apart by their ids.
        """
        index = part.index
        known = self._calls.get(index)
        if known and part.id and known.id and part.id != known.id:
            found = (i for i, call in self._calls.items() if call.id == part.id)
            index = next(found, max(self._calls) + 1)
            known = self._calls.get(index)
        if known is None:
            if len(self._calls) >= CALL_LIMIT:
                raise BackendBroken(
                    "{backend} calls more than {limit} tools at once",
                    backend=self._backend,
                    limit=CALL_LIMIT,
                )
            known = self._calls[index] = _Call()
        known.add(part)

    def _fault(self, data: bytes) -> WorkbenchError:
        fault = fault_of(data) or Fault(line(data.decode(errors="replace")))
        status = fault.status if fault.status and 400 <= fault.status < 600 else 500
        return refusal(self._backend, self._model, status, fault, answering=self._answering)

    def _took(self) -> Usage:
        usage, timings = self._usage or _Usage(), self._timings or _Timings()
        details = usage.prompt_tokens_details or _Details()
        cached = timings.cache_n if details.cached_tokens is None else details.cached_tokens
        return Usage(
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=cached,
            prompt_ms=timings.prompt_ms,
            completion_ms=timings.predicted_ms,
        )

    def _finished(self) -> Finish:
        return _FINISHES.get(self._finish or "", "stop")


class _Call:
    """A tool call as far as its parts have come."""

    def __init__(self) -> None:
        self.id = ""
        self._name = ""
        self._arguments: list[str] = []

    def add(self, part: _CallPart) -> None:
        self.id = self.id or part.id or ""
        if part.function is not None:
            self._name = self._name or part.function.name or ""
            self._arguments.append(part.function.arguments or "")

    def whole(self) -> ToolCall:
        return ToolCall(id=self.id, name=self._name, arguments="".join(self._arguments) or "{}")
