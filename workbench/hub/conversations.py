"""The list of conversations: create, change, find, follow, export, delete."""

from __future__ import annotations

from typing import Any

import msgspec

from workbench.core.chat import Conversation, Message
from workbench.core.chat_document import as_json, as_markdown, file_name
from workbench.core.chat_wire import (
    ConversationCreate,
    ConversationDelete,
    ConversationExport,
    ConversationFollow,
    ConversationList,
    ConversationUnfollow,
    ConversationUpdate,
    Settings,
    Wanted,
)
from workbench.core.hub_wire import message
from workbench.errors import InputError
from workbench.hub.chat import ChatDesk
from workbench.hub.chat_rows import Journal, conversation_of, message_of
from workbench.hub.instants import instant
from workbench.listener import Connection

FOLLOWED_MESSAGES = 2000
"""A viewer scrolls through the whole of nearly every conversation."""
EXPORT_CHARACTERS = 3_000_000


class Conversations:
    """What `conversation:*` asks of the desk and of the store."""

    def __init__(self, desk: ChatDesk, journal: Journal) -> None:
        self._desk, self._journal = desk, journal

    async def create(self, connection: Connection, request: ConversationCreate) -> None:
        """Begin a conversation; from now on the connection looks at it."""
        fresh = _with(Conversation(id=await self._desk.new_id()), request.data or Settings())
        conversation = await self._desk.save(fresh)
        self._desk.audience.look(connection, conversation.id)
        self._tell(connection, conversation, request.request_id)

    async def update(self, connection: Connection, request: ConversationUpdate) -> None:
        """Change its title, model, system prompt or sampling."""
        known = (await self._desk.existing(request.data.conversation_id)).conversation
        conversation = await self._desk.save(_with(known, request.data))
        self._tell(connection, conversation, request.request_id)

    async def page(self, connection: Connection, request: ConversationList) -> None:
        """A page of conversations, newest first."""
        wanted = request.data or Wanted()
        rows = await self._journal.read(
            "conversation_list",
            search=wanted.search.strip(),
            before=_before(wanted.before),
            limit=wanted.limit + 1,
        )
        found = [
            {**msgspec.to_builtins(conversation_of(row)), "found": row["found"]}
            for row in rows[: wanted.limit]
        ]
        self._desk.audience.watch_list(connection)
        data = {"conversations": found, "more": len(rows) > wanted.limit}
        connection.send(message("conversation:list", data, request.request_id))

    async def follow(self, connection: Connection, request: ConversationFollow) -> None:
        """The conversation as it stands, then everything that happens in it, without a gap."""
        asked = request.data
        given = asked.conversation_id if asked else None
        conversation_id = given if given is not None else await self._desk.latest()
        data: dict[str, Any] = {"conversation": None, "messages": [], "streaming": None}
        if conversation_id is not None:
            conversation = await self._desk.conversation(conversation_id)
            limit = (asked.limit if asked else None) or FOLLOWED_MESSAGES
            messages = await self._desk.messages(conversation_id, limit)
            self._desk.audience.follow(connection, conversation_id)
            data = {
                "conversation": msgspec.to_builtins(
                    conversation or Conversation(id=conversation_id)
                ),
                "messages": messages,
                "streaming": self._desk.streaming(conversation_id),
            }
        connection.send(message("conversation:snapshot", data, request.request_id))

    async def unfollow(self, connection: Connection, request: ConversationUnfollow) -> None:
        """Send no more of it."""
        self._desk.audience.unfollow(connection, request.data.conversation_id)

    async def delete(self, connection: Connection, request: ConversationDelete) -> None:
        """Delete it for good."""
        conversation_id = request.data.conversation_id
        await self._desk.existing(conversation_id)
        await self._desk.forget(conversation_id)
        data = {"conversationId": conversation_id}
        connection.send(message("conversation:deleted", data, request.request_id))
        self._desk.audience.tell_listing(
            conversation_id, "conversation:deleted", data, besides=connection
        )

    async def export(self, connection: Connection, request: ConversationExport) -> None:
        """One document, for a file."""
        conversation = (await self._desk.existing(request.data.conversation_id)).conversation
        messages = await self._whole(conversation)
        if request.data.format == "json":
            content, media_type = as_json(conversation, messages), "application/json"
        else:
            content, media_type = as_markdown(conversation, messages), "text/markdown"
        name = file_name(conversation, request.data.format)
        data = {"name": name, "mediaType": media_type, "content": content}
        connection.send(message("conversation:export", data, request.request_id))

    async def _whole(self, conversation: Conversation) -> list[Message]:
        rows = await self._journal.read(
            "chat_history",
            conversation_id=conversation.id,
            limit=1_000_000,
            characters=EXPORT_CHARACTERS,
        )
        if len(rows) < conversation.messages:
            raise InputError(
                "the conversation is longer than {limit} characters, too long for one frame: "
                "read chat_messages with a query, or `workbench export` it",
                limit=EXPORT_CHARACTERS,
            )
        return [message_of(row) for row in rows]

    def _tell(self, connection: Connection, conversation: Conversation, request_id: Any) -> None:
        data = {"conversation": msgspec.to_builtins(conversation)}
        connection.send(message("conversation:changed", data, request_id))
        self._desk.audience.tell_listing(
            conversation.id, "conversation:changed", data, besides=connection
        )


def _with(conversation: Conversation, settings: Settings) -> Conversation:
    names = ("title", "model", "system", "parameters")
    given = {name: getattr(settings, name) for name in names}
    changes = {name: value for name, value in given.items() if value is not msgspec.UNSET}
    if isinstance(changes.get("title"), str):
        changes["title"] = changes["title"].strip()
    return msgspec.structs.replace(conversation, **changes)


def _before(text: str | None) -> Any:
    try:
        return None if text is None else instant(text)
    except ValueError:
        raise InputError.field("before", text, "an instant in ISO 8601") from None
