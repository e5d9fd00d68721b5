"""Conversations: what is said is saved, then shown to all who look, then answered."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from workbench.core.chat import Conversation, Message
from workbench.core.chat_context import turns_of
from workbench.core.chat_wire import (
    ChatEdit,
    ChatHistory,
    ChatRegenerate,
    ChatSend,
    ChatStop,
    Edited,
    Said,
    Which,
)
from workbench.core.hub_wire import Busy, RequestId, message
from workbench.core.llm import ChatRequest, Sampling, Tool
from workbench.core.wire import error_message
from workbench.errors import InputError, WorkbenchError
from workbench.hub.answering import STOPPED_WITH_THE_HUB, Answer, Models
from workbench.hub.audience import Audience
from workbench.hub.chat_rows import (
    Journal,
    conversation_entry,
    message_entry,
    message_of,
    on_the_wire,
)
from workbench.hub.chat_threads import Thread, Threads
from workbench.hub.instants import iso, now
from workbench.listener import Connection

HISTORY_MESSAGES = 100
HISTORY_CHARACTERS = 1_000_000
"""Of one answer: even in the longest encoding they fit into a connection's send buffer."""
TITLE_CHARS = 60
ANSWERS_AT_ONCE = 64
OWN_NUMBERS = 2**31
"""Clients may name a conversation by any number, such as an instant in ms; ours count from 1."""
ANSWER_TOKENS = 8192
"""A model that never ends by itself is not to work for hours."""


class ChatDesk:
    """All conversations of a hub. At most one answer is under way in each."""

    def __init__(
        self, journal: Journal, models: Models, *, answer_tokens: int = ANSWER_TOKENS
    ) -> None:
        self.audience = Audience()
        self._answer_tokens = answer_tokens
        self._journal, self._models = journal, models
        self._threads = Threads(journal)
        self._answers: dict[int, Answer | None] = {}
        self._stopped_early: set[int] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns = 0
        self._last_message = 0
        self._last_conversation = 0

    async def start(self) -> None:
        """What was being answered when the last hub ended is broken, with what was saved of it."""
        (numbers,) = await self._journal.read("chat_numbers", own=OWN_NUMBERS)
        self._last_message = numbers["message_id"]
        self._last_conversation = numbers["conversation_id"]
        broken = error_message(WorkbenchError(STOPPED_WITH_THE_HUB), key="message")
        entries = []
        for row in await self._journal.read("chat_unfinished"):
            kept = msgspec.structs.replace(message_of(row), status="broken", error=broken)
            entries.append(message_entry(kept, 1, row["created_at"]))
        if entries:
            await self._journal.append({"message_entries": entries})
        await self._journal.change("erase_pieces")

    async def close(self) -> None:
        """End every answer; each is kept as far as it came."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # What a person does

    async def send(self, connection: Connection, request: ChatSend) -> None:
        """Save what is said, show it, and have it answered."""
        said = request.data
        conversation_id = await self._conversation_id(connection, said.conversation_id)
        self._reserve(conversation_id)
        try:
            thread = await self._say(conversation_id, said, connection, request.request_id)
        except BaseException:
            self._release(conversation_id)
            raise
        self._answer(
            thread,
            model=said.model,
            sampling=said.parameters,
            tools=said.tools,
            asker=connection,
            request_id=request.request_id,
        )

    async def history(self, connection: Connection, request: ChatHistory) -> None:
        """The messages of a conversation; from now on the connection looks at it."""
        asked = request.data
        given = asked.conversation_id if asked else None
        conversation_id = given if given is not None else await self.latest()
        messages: list[dict[str, Any]] = []
        if conversation_id is not None:
            limit = (asked.limit if asked else None) or HISTORY_MESSAGES
            messages = await self.messages(conversation_id, limit)
            self.audience.look(connection, conversation_id)
        connection.send(message("chat:history", messages, request.request_id))

    async def stop(self, connection: Connection, request: ChatStop) -> None:
        """Stop the answer; said at once, and the answer ends with what there is."""
        asked = request.data or Which()
        conversation_id = await self._conversation_id(connection, asked.conversation_id)
        answer = self._answers.get(conversation_id)
        if answer is not None and asked.message_id not in (None, answer.message.id):
            answer = None  # the one that was meant has ended meanwhile
        if answer is not None:
            answer.stop()
        elif conversation_id in self._answers and asked.message_id is None:
            self._stopped_early.add(conversation_id)
        data = {
            "conversationId": conversation_id,
            "messageId": answer.message.id if answer else None,
        }
        connection.send(message("chat:stopped", data, request.request_id))

    async def regenerate(self, connection: Connection, request: ChatRegenerate) -> None:
        """Answer once more, from the person's message before the answer."""
        asked = request.data
        given = asked.conversation_id if asked else None
        conversation_id = await self._conversation_id(connection, given)
        self._reserve(conversation_id)
        try:
            first = await self._answer_to_replace(
                conversation_id, asked.message_id if asked else None
            )
            if first is not None:
                await self._replace(conversation_id, first, connection, request.request_id)
            thread = await self.existing(conversation_id)
        except BaseException:
            self._release(conversation_id)
            raise
        self.audience.look(connection, conversation_id)
        self._answer(
            thread,
            model=asked.model if asked else None,
            sampling=asked.parameters if asked else None,
            asker=connection,
            request_id=request.request_id,
        )

    async def edit(self, connection: Connection, request: ChatEdit) -> None:
        """Put a message differently, and have that answered."""
        edited = request.data
        conversation_id = await self._conversation_id(connection, edited.conversation_id)
        self._reserve(conversation_id)
        try:
            earlier = await self._message(conversation_id, edited.message_id, "user")
            await self._replace(conversation_id, earlier.id, connection, None)
            said = _said_differently(edited, earlier)
            thread = await self._say(conversation_id, said, connection, request.request_id)
        except BaseException:
            self._release(conversation_id)
            raise
        self._answer(
            thread,
            model=edited.model,
            sampling=edited.parameters,
            asker=connection,
            request_id=request.request_id,
        )

    # What others ask of it

    async def latest(self) -> int | None:
        """The conversation that changed last."""
        rows = await self._journal.read("conversation_latest")
        return rows[0]["conversation_id"] if rows else None

    async def conversation(self, conversation_id: int) -> Conversation | None:
        """One conversation, if there is one of this number."""
        thread = await self._threads.get(conversation_id)
        return thread.conversation if thread else None

    async def existing(self, conversation_id: int) -> Thread:
        """A conversation that has to be there. Raises InputError."""
        found = await self._threads.get(conversation_id)
        if found is None:
            raise InputError.field("conversationId", conversation_id, "a conversation that exists")
        return found

    async def new_id(self) -> int:
        """A number that no conversation has yet; those that clients chose do not lead it."""
        while True:
            self._last_conversation += 1
            number = self._last_conversation
            if await self.conversation(number) is None:
                return number

    async def save(self, conversation: Conversation) -> Conversation:
        """Keep a conversation's settings, and give it as it stands then."""
        thread = await self._threads.get(conversation.id)
        await self._keep(conversation, thread, now(), {})
        return await self.conversation(conversation.id) or conversation

    async def _keep(
        self,
        conversation: Conversation,
        thread: Thread | None,
        at: datetime,
        rows: dict[str, list[tuple[Any, ...]]],
    ) -> Thread:
        """Make a conversation's settings durable, together with other rows."""
        revision, created_at = (thread.revision + 1, thread.created_at) if thread else (0, at)
        stamped = msgspec.structs.replace(
            conversation, created_at=iso(created_at), updated_at=iso(at)
        )
        entry = conversation_entry(stamped, revision, created_at)
        await self._journal.append({**rows, "conversation_entries": [entry]})
        if thread is None:
            return self._threads.keep(Thread(stamped, revision, created_at))
        thread.conversation, thread.revision = stamped, revision
        return thread

    async def messages(self, conversation_id: int, limit: int) -> list[dict[str, Any]]:
        """The newest messages, oldest first; an answer under way as far as it is."""
        while True:
            turns = self._turns
            rows = await self._journal.read(
                "chat_history",
                conversation_id=conversation_id,
                limit=limit,
                characters=HISTORY_CHARACTERS,
            )
            if turns == self._turns:  # else something was said or ended while we read
                break
        found = [message_of(row) for row in rows]
        answer = self._answers.get(conversation_id)
        if answer is not None:  # the store is up to a second behind
            found = [each for each in found if each.id != answer.message.id] + [answer.so_far]
        return [on_the_wire(each) for each in found]

    def streaming(self, conversation_id: int) -> dict[str, Any] | None:
        """How far the answer of a conversation is; None while none is under way."""
        answer = self._answers.get(conversation_id)
        return None if answer is None else dict(msgspec.to_builtins(answer.streaming))

    async def forget(self, conversation_id: int) -> None:
        """Delete a conversation with everything in it."""
        answer = self._answers.get(conversation_id)
        if answer is not None:
            answer.stop()
            raise Busy("the model is still answering in this conversation: it is being stopped")
        await self._journal.change("erase_conversation", conversation_id=conversation_id)
        self._threads.drop(conversation_id)

    # Inside

    def _reserve(self, conversation_id: int) -> None:
        """From here on nobody else speaks in this conversation, until the answer has ended."""
        if conversation_id in self._answers:
            raise Busy("an answer is under way in this conversation: wait for it, or stop it")
        if len(self._answers) >= ANSWERS_AT_ONCE:
            raise Busy("{limit} answers are under way: wait for one to end", limit=ANSWERS_AT_ONCE)
        self._answers[conversation_id] = None

    def _release(self, conversation_id: int) -> None:
        self._turns += 1
        self._answers.pop(conversation_id, None)
        self._stopped_early.discard(conversation_id)

    async def _conversation_id(self, connection: Connection, given: int | None) -> int:
        if given is not None:
            return given
        known = self.audience.looked_at(connection)
        if known is None:
            known = await self.latest()
        return await self.new_id() if known is None else known

    async def _say(
        self, conversation_id: int, said: Said, connection: Connection, request_id: RequestId
    ) -> Thread:
        """Keep a person's message, and the conversation where it is new; then show both."""
        thread = await self._threads.get(conversation_id)
        known = thread.conversation if thread else None
        conversation = _changed_by(known or Conversation(id=conversation_id), said)
        at = now()
        spoken = self._message_of(said, conversation_id, iso(at))
        rows = {"message_entries": [message_entry(spoken, 0, at)]}
        if thread is None or conversation != known:
            thread = await self._keep(conversation, thread, at, rows)
        else:
            await self._journal.append(rows)
        thread.said(spoken, at)
        self._turns += 1
        self.audience.look(connection, conversation_id)
        shown = on_the_wire(spoken)
        self.audience.tell(
            conversation_id, "chat:message", shown, asker=connection, request_id=request_id
        )
        self._show_conversation(thread)
        return thread

    def _message_of(self, said: Said, conversation_id: int, timestamp: str) -> Message:
        return Message(
            id=self._next_message(),
            conversation_id=conversation_id,
            role="user",
            content=said.message,
            timestamp=timestamp,
            attachments=said.attachments,
            images=said.images,
        )

    def _next_message(self) -> int:
        self._last_message += 1
        return self._last_message

    async def _message(self, conversation_id: int, message_id: int, role: str) -> Message:
        rows = await self._journal.read("chat_message", message_id=message_id)
        found = message_of(rows[0]) if rows else None
        fits = found is not None and found.conversation_id == conversation_id and found.role == role
        if found is None or not fits or found.replaced:
            raise InputError.field("messageId", message_id, f"a message of role {role} here")
        return found

    async def _answer_to_replace(self, conversation_id: int, message_id: int | None) -> int | None:
        """The answer to give anew; None where the last word is a person's, still unanswered."""
        if message_id is not None:
            return (await self._message(conversation_id, message_id, "assistant")).id
        recent = (await self.existing(conversation_id)).recent
        if not recent:
            raise InputError.field("conversationId", conversation_id, "one with a message")
        return recent[-1].id if recent[-1].role == "assistant" else None

    async def _replace(
        self, conversation_id: int, first: int, connection: Connection, request_id: RequestId
    ) -> None:
        """A message and all after it count no longer; they are kept."""
        rows = await self._journal.read(
            "chat_from", conversation_id=conversation_id, message_id=first
        )
        ids = [row["message_id"] for row in rows]
        replaced_at = now()
        await self._journal.append({"message_replacements": [(each, replaced_at) for each in ids]})
        self._threads.drop(conversation_id)
        self.audience.look(connection, conversation_id)
        data = {"conversationId": conversation_id, "messageIds": ids}
        self.audience.tell(
            conversation_id, "chat:replaced", data, asker=connection, request_id=request_id
        )

    def _answer(
        self,
        thread: Thread,
        *,
        model: str | None,
        sampling: Sampling | None,
        asker: Connection,
        request_id: RequestId,
        tools: Sequence[Tool] = (),
    ) -> None:
        """Have the conversation answered, as it stands now."""
        conversation = thread.conversation
        request = ChatRequest(
            model=model or conversation.model or "",
            turns=turns_of(conversation.system, thread.recent),
            sampling=self._bounded(sampling or conversation.parameters),
            tools=tuple(tools),
            session=str(conversation.id),
        )
        answer = self._answers[conversation.id] = self._begin(conversation.id, request)
        if conversation.id in self._stopped_early:
            answer.stop()
        task = asyncio.create_task(self._run(thread, answer, asker, request_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(
        self, thread: Thread, answer: Answer, asker: Connection, request_id: RequestId
    ) -> None:
        try:
            whole = await answer.run()
            thread.said(whole, now())
        finally:
            self._release(thread.conversation.id)
        self._show_end(whole, asker, request_id)
        self._show_conversation(thread)

    def _bounded(self, sampling: Sampling) -> Sampling:
        limit = sampling.max_tokens or self._answer_tokens
        return msgspec.structs.replace(sampling, max_tokens=limit)

    def _begin(self, conversation_id: int, request: ChatRequest) -> Answer:
        created_at = now()
        stub = Message(
            id=self._next_message(),
            conversation_id=conversation_id,
            role="assistant",
            content="",
            timestamp=iso(created_at),
            status="streaming",
            model=request.model or None,
            parameters=request.sampling,
        )
        return Answer(
            stub,
            created_at,
            request,
            models=self._models,
            journal=self._journal,
            publish=lambda kind, data: self.audience.tell(conversation_id, kind, data),
        )

    def _show_end(self, whole: Message, asker: Connection, request_id: RequestId) -> None:
        place = {"messageId": whole.id, "conversationId": whole.conversation_id}
        ending = {"chunk": "", "done": True, **place}
        self.audience.tell(whole.conversation_id, "chat:streaming", ending)
        self.audience.tell(whole.conversation_id, "chat:message", on_the_wire(whole))
        if whole.error is not None:
            asker.send(message("error", {**whole.error, **place}, request_id))

    def _show_conversation(self, thread: Thread) -> None:
        data = {"conversation": msgspec.to_builtins(thread.conversation)}
        self.audience.tell_listing(thread.conversation.id, "conversation:changed", data)


def _changed_by(conversation: Conversation, said: Said) -> Conversation:
    """A first message names the conversation; a system prompt said with one stays."""
    first_line = said.message.strip().partition("\n")[0]
    title = conversation.title or first_line[:TITLE_CHARS].strip()
    system = conversation.system if said.system is None else said.system
    return msgspec.structs.replace(conversation, title=title, system=system)


def _said_differently(edited: Edited, earlier: Message) -> Said:
    kept = earlier.attachments if edited.attachments is None else edited.attachments
    return Said(message=edited.message, attachments=kept, images=earlier.images)
