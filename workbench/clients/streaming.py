"""One answer as it comes: pieces of text, then the whole message."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractContextManager, aclosing
from typing import TYPE_CHECKING, NamedTuple

from workbench.clients.faults import fault
from workbench.clients.reading import read
from workbench.core.chat import Message
from workbench.core.chat_view import ChatView, Wire
from workbench.core.link import Event
from workbench.errors import LinkError

if TYPE_CHECKING:
    from workbench.clients.hub import Answering, HubClient

RESUME_S = 60.0

Heard = Callable[[str, Wire], None]


class Asked(NamedTuple):
    """What is asked of the hub. The answer is the first one after the message `after`; None
    for after the user's message that comes back. `held` is open as long as the answer runs."""

    kind: str
    data: Wire
    conversation_id: int
    after: int | None
    held: AbstractContextManager[None]


Begin = Callable[[], Awaitable[Asked]]


class AnswerStream:
    """`async for text in stream`: the answer's text, piece by piece. For the client's loop.

    Afterwards `answer` is the whole message. Whoever leaves before the end (`break`,
    `aclose`, cancelled) stops the answer at the hub. A lost connection is awaited for a
    minute and the answer taken up where it was: the hub goes on with it meanwhile.

    Raises what the hub refuses; of a broken answer its fault, `answer` then holds what came.
    """

    def __init__(self, client: HubClient, begin: Begin, heard: Heard | None = None) -> None:
        self._reading = _Reading(client, begin, heard or (lambda _kind, _data: None))
        # Only this object holds the generator: dropped by a `break`, it ends.
        self._pieces = self._reading.run()

    @property
    def conversation_id(self) -> int | None:
        return self._reading.conversation_id

    @property
    def message_id(self) -> int | None:
        """The answer's; known from its first sign of life."""
        return self._reading.message_id

    @property
    def question(self) -> Message | None:
        """The user's message as it is kept; None where the answer is generated anew."""
        return self._reading.question

    @property
    def answer(self) -> Message | None:
        """The answer as it is kept, once it has ended."""
        return self._reading.answer

    @property
    def text(self) -> str:
        """What was handed out so far."""
        return self._reading.text

    def __aiter__(self) -> AnswerStream:
        return self

    async def __anext__(self) -> str:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        """Stop the answer, unless it has ended."""
        await self._pieces.aclose()

    def stop(self) -> None:
        """Stop the model and go on reading: the stream ends soon, `answer` is marked stopped."""
        self._reading.stop()

    async def whole(self) -> Message:
        """Wait for the end."""
        async for _ in self:
            pass
        if self.answer is None:
            raise LinkError("this stream was closed before its end")
        return self.answer


class _Reading:
    """What is heard of one answer, folded."""

    def __init__(self, client: HubClient, begin: Begin, heard: Heard) -> None:
        self._client, self._begin, self._heard = client, begin, heard
        self.conversation_id: int | None = None
        self.message_id: int | None = None
        self.question: Message | None = None
        self.answer: Message | None = None
        self.text = ""
        self._view = ChatView()
        self._after: int | None = None
        self._followed = False

    async def run(self) -> AsyncGenerator[str]:
        asked = await self._begin()
        self.conversation_id, self._after = asked.conversation_id, asked.after
        base = {"conversation": {"id": asked.conversation_id}, "messages": []}
        self._view.apply("conversation:snapshot", base)
        with asked.held:
            async with (
                self._client.asking(asked.kind, asked.data) as answers,
                aclosing(self._listen(answers)) as pieces,
            ):
                async for piece in pieces:
                    yield piece
        if self.answer is not None and self.answer.status == "broken":
            raise fault(self.answer.error or {}, "message")

    def stop(self) -> None:
        if self.conversation_id is not None and self._client.connected:
            self._client.tell("chat:stop", {"conversationId": self.conversation_id})

    async def _listen(self, answers: Answering) -> AsyncGenerator[str]:
        leave = self._client.on("chat", lambda message: answers.put(Event("chat", message)))
        try:
            while self.answer is None:
                piece = self._take(await self._next(answers))
                if piece:
                    self.text += piece
                    yield piece
            answers.settled = True
        finally:
            leave()
            self._give_up(answers.settled)

    def _give_up(self, ended: bool) -> None:
        if not ended:
            self.stop()
        if self._followed and self.conversation_id is not None:
            self._client.leave_conversation(self.conversation_id)

    async def _next(self, answers: Answering) -> Event:
        """The next word of the hub; over a lost connection when it had taken the question."""
        try:
            return await answers.get()
        except LinkError:
            if not answers.lost or self._after is None:
                raise
        await self._client.until_connected(RESUME_S)
        if not self._followed and self.conversation_id is not None:
            self._followed = True
            self._client.follow_conversation(self.conversation_id)
        return Event("resumed", {})

    def _take(self, event: Event) -> str:
        """Fold one message of the hub; the text that it adds."""
        kind, data = str(event.data.get("type")), event.data.get("data")
        if event.name == "answer" and kind == "chat:message" and self._after is None:
            self.question = read(data, Message)
            self._after = self.question.id
        if event.name != "chat" or self._after is None:
            return ""
        if kind == "chat:replaced" or not self._view.apply(kind, data):
            return ""
        if isinstance(data, dict):
            self._heard(kind, data)
        return self._grown()

    def _grown(self) -> str:
        """What the answer has beyond the text that was handed out."""
        after = self._after or 0
        for message in self._view.messages:
            if message.get("role") == "assistant" and message["id"] > after:
                self.message_id = message["id"]
                if message.get("status") != "streaming":
                    self.answer = read(message, Message)
                content = str(message.get("content") or "")
                return content[len(self.text) :]
        return ""
