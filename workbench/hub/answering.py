"""One answer under way: it goes on without its viewers, and what was said of it is kept."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

import msgspec

from workbench.core import llm
from workbench.core.chat import AnswerUsage, Message, Phase, Streaming
from workbench.core.chat_context import shortened
from workbench.core.llm import ChatRequest, ContextOverflow, Event
from workbench.core.llm_gathering import Gathered
from workbench.core.sentence import Sentence
from workbench.core.wire import error_message
from workbench.errors import WorkbenchError
from workbench.hub.chat_rows import Journal, message_entry
from workbench.hub.instants import now

SAVE_S = 0.25
PHASE_S = 0.25
STOPPED_WITH_THE_HUB = "the hub was stopped while the model was answering: generate it again"
BROKEN = "the hub failed while the model was answering: its log says why"

Publish = Callable[[str, dict[str, Any]], None]

log = logging.getLogger("workbench.hub")


class Models(Protocol):
    """The language models, as far as an answer needs them."""

    def chat(
        self, request: ChatRequest, *, fallbacks: Sequence[str] = ()
    ) -> AsyncGenerator[Event]: ...


class Answer:
    """Reads one stream of events, publishes them, saves them every second and at the end.

    `stub` is the message without its content; `run` gives the whole one, which is durable.
    """

    def __init__(
        self,
        stub: Message,
        created_at: datetime,
        request: ChatRequest,
        *,
        models: Models,
        journal: Journal,
        publish: Publish,
    ) -> None:
        self.message = stub
        self._created_at, self._request = created_at, request
        self._models, self._journal, self._publish = models, journal, publish
        self._gathered = Gathered(time.monotonic())
        self._lengths = (0, 0)
        """Characters so far of the answer and of its reasoning."""
        self._saved = (0, 0)
        self._numbered = 0
        self._phase: Phase = "queued"
        self._position: int | None = None
        self._progress: float | None = None
        self._waiting: Sentence | None = None
        self._told_at = 0.0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    @property
    def streaming(self) -> Streaming:
        """How far it is."""
        return Streaming(
            conversation_id=self.message.conversation_id,
            message_id=self.message.id,
            phase=self._phase,
            position=self._position,
            progress=self._progress,
            waiting=self._waiting,
            tokens=self._gathered.tokens,
            tokens_per_second=self._gathered.speed(time.monotonic()),
            elapsed_ms=self._gathered.elapsed_ms(time.monotonic()),
        )

    @property
    def so_far(self) -> Message:
        """The message as it stands, for somebody who comes to it now."""
        return msgspec.structs.replace(
            self.message,
            status="streaming",
            content="".join(self._gathered.pieces),
            reasoning="".join(self._gathered.thoughts),
            tool_calls=tuple(self._gathered.tools),
            model=self._gathered.model or self.message.model,
            backend=self._gathered.backend,
        )

    def stop(self) -> None:
        """Stop it at the user's word: `run` ends soon, with what there is."""
        self._stopping = True
        if self._task is not None:
            self._task.cancel()

    async def run(self) -> Message:
        """Until the last event, a failure or a stop. Cancelled (the hub ends), it is broken."""
        self._tell_phase()
        saver = asyncio.create_task(self._save_regularly())
        self._task = asyncio.create_task(self._read())
        if self._stopping:
            self._task.cancel()
        fault: WorkbenchError | None = None
        try:
            await self._task
        except asyncio.CancelledError:
            if not self._stopping:
                fault = WorkbenchError(STOPPED_WITH_THE_HUB)
        except WorkbenchError as error:
            fault = error
        except Exception:
            log.exception("answer.failed message=%d", self.message.id)
            fault = WorkbenchError(BROKEN)
        finally:
            self._task.cancel()
            saver.cancel()
        return await self._ended(fault)

    async def _ended(self, fault: WorkbenchError | None) -> Message:
        whole = self._whole(fault)
        try:
            await self._journal.append(
                {"message_entries": [message_entry(whole, 1, self._created_at)]}
            )
        except WorkbenchError as unkept:  # a full disk: what is shown says that it is not kept
            whole = self._whole(fault or unkept)
        return whole

    def _whole(self, fault: WorkbenchError | None) -> Message:
        stopped = self._stopping and fault is None
        return msgspec.structs.replace(
            self.so_far,
            status="broken" if fault else "stopped" if stopped else "done",
            usage=self._measured(),
            finish="stopped" if stopped else None if fault else self._gathered.finish,
            error=error_message(fault, key="message") if fault else None,
        )

    def _measured(self) -> AnswerUsage:
        gathered, ended = self._gathered, time.monotonic()
        return AnswerUsage(
            prompt_tokens=gathered.usage.prompt_tokens if gathered.usage else None,
            completion_tokens=gathered.completion_tokens,
            ttft_ms=gathered.ttft_ms,
            tokens_per_second=gathered.speed(ended),
            elapsed_ms=gathered.elapsed_ms(ended),
        )

    # The stream

    async def _read(self) -> None:
        """Where the conversation is too long for the model, its oldest turns are left out: that
        is said with the answer, and happens only before anything of it was shown."""
        while True:
            try:
                await self._read_once()
                return
            except ContextOverflow:
                shorter = shortened(self._request.turns)
                if shorter is None or self._gathered.first_at is not None:
                    raise
                left_out = self.message.left_out + len(self._request.turns) - len(shorter)
                self._request = msgspec.structs.replace(self._request, turns=shorter)
                self.message = msgspec.structs.replace(self.message, left_out=left_out)

    async def _read_once(self) -> None:
        async with contextlib.aclosing(self._models.chat(self._request)) as events:
            async for event in events:
                self._take(event)

    def _take(self, event: Event) -> None:
        first = self._gathered.first_at is None
        at = self._lengths
        self._gathered.take(event, time.monotonic())
        match event:
            case llm.Token():
                self._spoke("answering", first)
                self._tell("chat:streaming", chunk=event.text, done=False, at=at[0])
                self._lengths = (at[0] + len(event.text), at[1])
            case llm.Reasoning():
                self._spoke("thinking", first)
                self._tell("chat:reasoning", chunk=event.text, at=at[1])
                self._lengths = (at[0], at[1] + len(event.text))
            case llm.ToolCall():
                self._spoke("answering", first)
                call = {"name": event.name, "arguments": event.arguments, "id": event.id}
                self._tell("chat:tool", **call)
            case llm.Queued():
                self._enter("queued", position=event.position)
            case llm.LoadProgress():
                self._enter("loading", progress=event.done, waiting=event.waiting)
            case llm.PromptProgress():
                self._enter("prompt", progress=event.done / event.total if event.total else None)

    def _spoke(self, phase: Phase, first: bool) -> None:
        if first:
            self._keep([message_entry(self.so_far, 0, self._created_at)], [])
        if phase != self._phase:
            self._enter(phase)
        elif time.monotonic() - self._told_at >= PHASE_S:
            self._tell_phase()

    def _enter(
        self,
        phase: Phase,
        *,
        position: int | None = None,
        progress: float | None = None,
        waiting: Sentence | None = None,
    ) -> None:
        changed = (phase, position, waiting) != (self._phase, self._position, self._waiting)
        self._phase, self._position, self._progress = phase, position, progress
        self._waiting = waiting
        if changed or time.monotonic() - self._told_at >= PHASE_S:
            self._tell_phase()

    def _tell_phase(self) -> None:
        self._told_at = time.monotonic()
        self._publish("chat:phase", msgspec.to_builtins(self.streaming))

    def _tell(self, kind: str, **data: Any) -> None:
        place = {
            "messageId": self.message.id,
            "conversationId": self.message.conversation_id,
        }
        self._publish(kind, {**data, **place})

    # What is kept of it meanwhile

    async def _save_regularly(self) -> None:
        while True:
            await asyncio.sleep(SAVE_S)
            gathered = self._gathered
            text, thoughts = len(gathered.pieces), len(gathered.thoughts)
            if (text, thoughts) == self._saved:
                continue
            piece = (
                self.message.id,
                self._numbered,
                "".join(gathered.pieces[self._saved[0] :]),
                "".join(gathered.thoughts[self._saved[1] :]),
                now(),
            )
            self._saved, self._numbered = (text, thoughts), self._numbered + 1
            self._keep([], [piece])

    def _keep(self, entries: list[tuple[Any, ...]], pieces: list[tuple[Any, ...]]) -> None:
        """Without waiting: the whole answer is saved at its end in any case."""
        rows = {"message_entries": entries, "message_pieces": pieces}
        kept = self._journal.append({name: found for name, found in rows.items() if found})
        kept.add_done_callback(_log_unkept)


def _log_unkept(kept: asyncio.Future[None]) -> None:
    if not kept.cancelled() and kept.exception() is not None:
        log.warning("answer.unsaved reason=%s", kept.exception())
