"""ChatClient: conversations at a hub, and answers as they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from workbench.clients.hub import HubClient
from workbench.clients.reading import given, read, read_list
from workbench.clients.streaming import AnswerStream, Asked, Heard
from workbench.core.chat import Attachment, Conversation, Message, Prompt
from workbench.core.llm import Image, Sampling, Tool
from workbench.errors import InputError

PromptKind = Literal["instruction", "template"]
LIST_LIMIT = 50


class ChatClient:
    """Asks and tells one hub about conversations. Async; on the loop of its HubClient.

    It goes on with one conversation, `current`, begun with the first message unless one is
    opened before; each call may name another.
    """

    def __init__(self, client: HubClient) -> None:
        self.client = client
        self.current: int | None = None
        """The conversation that messages without a conversation go to."""
        self._running: Counter[int] = Counter()
        self._followed: set[int] = set()

    # Answers

    def stream(
        self,
        message: str,
        conversation_id: int | None = None,
        *,
        model: str | None = None,
        parameters: Sampling | None = None,
        system: str | None = None,
        attachments: Sequence[Attachment] = (),
        images: Sequence[Image] = (),
        tools: Sequence[Tool] = (),
        heard: Heard | None = None,
    ) -> AnswerStream:
        """Say something; the answer comes piece by piece (see AnswerStream).

        `heard(kind, data)` is told of everything else of the answer, such as `chat:phase`.
        """
        said = given(message=message, model=model, parameters=parameters, system=system)
        many = {"attachments": attachments, "images": images, "tools": tools}
        said |= {name: given(all=list(each))["all"] for name, each in many.items() if each}

        async def begin() -> Asked:
            return self._asked("chat:send", said, await self._conversation(conversation_id))

        return AnswerStream(self.client, begin, heard)

    async def send(self, message: str, conversation_id: int | None = None, **more: Any) -> Message:
        """Say something and wait for the whole answer; `more` as for `stream`."""
        return await self.stream(message, conversation_id, **more).whole()

    def regenerate(
        self,
        conversation_id: int | None = None,
        message_id: int | None = None,
        *,
        model: str | None = None,
        parameters: Sampling | None = None,
        heard: Heard | None = None,
    ) -> AnswerStream:
        """Give an answer anew, the last one unless named; it and all after it are put aside."""
        asked = given(messageId=message_id, model=model, parameters=parameters)

        async def begin() -> Asked:
            at = self._known(conversation_id)
            last = await self.history(at, limit=1)
            return self._asked("chat:regenerate", asked, at, last[-1].id if last else 0)

        return AnswerStream(self.client, begin, heard)

    def edit(
        self,
        message_id: int,
        message: str,
        conversation_id: int | None = None,
        *,
        model: str | None = None,
        parameters: Sampling | None = None,
        attachments: Sequence[Attachment] | None = None,
        heard: Heard | None = None,
    ) -> AnswerStream:
        """Put a message of the user differently; all after it is put aside, and answered anew.

        Attachments stay unless given.
        """
        asked = given(messageId=message_id, message=message, model=model, parameters=parameters)
        asked |= given(attachments=None if attachments is None else list(attachments))

        async def begin() -> Asked:
            return self._asked("chat:edit", asked, self._known(conversation_id))

        return AnswerStream(self.client, begin, heard)

    async def stop(self, conversation_id: int | None = None, message_id: int | None = None) -> bool:
        """Stop the answer under way (only this one, where it is named); what there is of it is
        kept. Whether there was one."""
        asked = given(conversationId=self._known(conversation_id), messageId=message_id)
        answer = await self.client.ask("chat:stop", asked)
        return isinstance(answer, dict) and answer.get("messageId") is not None

    # Conversations

    async def history(
        self, conversation_id: int | None = None, limit: int | None = None
    ) -> list[Message]:
        """The messages of a conversation, oldest first, without replaced ones."""
        asked = given(conversationId=self._known(conversation_id), limit=limit)
        messages = await self.client.ask("chat:history", asked)
        return read_list({"messages": messages}, "messages", Message)

    async def create(
        self,
        title: str | None = None,
        *,
        model: str | None = None,
        system: str | None = None,
        parameters: Sampling | None = None,
    ) -> Conversation:
        """Begin a conversation, and go on with it."""
        asked = given(title=title, model=model, system=system, parameters=parameters)
        found = _one(await self.client.ask("conversation:create", asked))
        self.current = found.id
        return found

    async def update(self, conversation_id: int | None = None, **settings: Any) -> Conversation:
        """Change `title`, `model` (None for whichever runs), `system`, `parameters`."""
        unknown = settings.keys() - {"title", "model", "system", "parameters"}
        for name in sorted(unknown):
            raise InputError.field("settings", name, "title, model, system, parameters")
        fields = {name: given(value=value).get("value") for name, value in settings.items()}
        asked = {"conversationId": self._known(conversation_id), **fields}
        return _one(await self.client.ask("conversation:update", asked))

    async def conversations(
        self, search: str | None = None, *, limit: int = LIST_LIMIT, before: str | None = None
    ) -> list[dict[str, Any]]:
        """Conversations, newest first, as on the wire; `found` is an excerpt of what matched.

        `search` looks into titles and messages; `before` (ISO 8601) gives the next page.
        """
        asked = given(search=search, limit=limit, before=before)
        answer = await self.client.ask("conversation:list", asked)
        read_list(answer, "conversations", Conversation)
        return list(answer["conversations"])

    async def export(
        self,
        conversation_id: int | None = None,
        format: Literal["markdown", "json"] = "markdown",
    ) -> Mapping[str, str]:
        """The conversation as one document: `name`, `mediaType`, `content`."""
        asked = {"conversationId": self._known(conversation_id), "format": format}
        return dict(await self.client.ask("conversation:export", asked))

    async def delete(self, conversation_id: int) -> None:
        """Delete a conversation with all its messages, for good."""
        await self.client.ask("conversation:delete", {"conversationId": conversation_id})
        if self.current == conversation_id:
            self.current = None

    def follow(self, conversation_id: int) -> None:
        """Hear of it by `client.on("chat", ...)`: a snapshot first, now and after every
        reconnection. Ended by `leave`."""
        self.client.follow_conversation(conversation_id)

    def leave(self, conversation_id: int) -> None:
        """End one `follow`."""
        self.client.leave_conversation(conversation_id)

    # Prompts

    async def prompts(self, kind: PromptKind, name: str | None = None) -> list[Prompt]:
        """The newest version of each instruction or template; of a name, every version."""
        return read_list(await self.client.ask(f"{kind}:list", given(name=name)), "prompts", Prompt)

    async def save_prompt(
        self, kind: PromptKind, name: str, content: str, title: str | None = None
    ) -> Prompt:
        """Keep a system prompt or a prompt with {{variables}}; each save is a new version."""
        asked = given(name=name, content=content, title=title)
        answer = await self.client.ask(f"{kind}:save", asked)
        return read(answer.get("prompt") if isinstance(answer, dict) else answer, Prompt)

    async def delete_prompt(self, kind: PromptKind, name: str) -> None:
        """Offer it no longer."""
        await self.client.ask(f"{kind}:delete", {"name": name})

    # Inside

    async def _conversation(self, conversation_id: int | None) -> int:
        if conversation_id is None and self.current is None:
            return (await self.create()).id
        return self._known(conversation_id)

    def _known(self, conversation_id: int | None) -> int:
        found = self.current if conversation_id is None else conversation_id
        if found is None:
            raise InputError("there is no conversation yet: say something, or name one")
        return found

    def _asked(
        self, kind: str, fields: dict[str, Any], conversation_id: int, after: int | None = None
    ) -> Asked:
        data = {**fields, "conversationId": conversation_id}
        return Asked(kind, data, conversation_id, after, self._held(conversation_id))

    @contextmanager
    def _held(self, conversation_id: int) -> Iterator[None]:
        """A hub shows a connection the conversation that it spoke in last: where several are
        answered at once, each has to be followed."""
        self._running[conversation_id] += 1
        if len(self._running) > 1:
            for each in self._running.keys() - self._followed:
                self._followed.add(each)
                self.client.follow_conversation(each)
        try:
            yield
        finally:
            self._running[conversation_id] -= 1
            if not self._running[conversation_id]:
                del self._running[conversation_id]
                if conversation_id in self._followed:
                    self._followed.discard(conversation_id)
                    self.client.leave_conversation(conversation_id)


def _one(answer: Any) -> Conversation:
    return read(answer.get("conversation") if isinstance(answer, dict) else answer, Conversation)
