"""The conversations in use: their settings and newest messages, so that an answer begins at once.

The hub is the only writer of conversations, so what stands here is what stands in the store.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from workbench.core.chat import CONTEXT_MESSAGES, Conversation, Message
from workbench.hub.chat_rows import Journal, conversation_of, message_of
from workbench.hub.instants import iso

THREADS = 256
CONTEXT_CHARACTERS = 1_500_000


@dataclass(slots=True)
class Thread:
    """One conversation; `recent` are its newest messages, oldest first, less the replaced."""

    conversation: Conversation
    revision: int
    created_at: datetime
    recent: list[Message] = field(default_factory=list)

    def said(self, message: Message, at: datetime) -> None:
        """A message was kept."""
        changed = {"updated_at": iso(at), "messages": self.conversation.messages + 1}
        self.conversation = msgspec.structs.replace(self.conversation, **changed)
        self.recent = [*self.recent, message][-CONTEXT_MESSAGES:]


class Threads:
    """Loads a conversation when it is first asked for, and remembers those used last."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._known: OrderedDict[int, Thread] = OrderedDict()

    async def get(self, conversation_id: int) -> Thread | None:
        """A conversation, if there is one of this number."""
        known = self._known.get(conversation_id)
        if known is not None:
            self._known.move_to_end(conversation_id)
            return known
        rows = await self._journal.read("conversation", conversation_id=conversation_id)
        if not rows:
            return None
        messages = await self._journal.read(
            "chat_history",
            conversation_id=conversation_id,
            limit=CONTEXT_MESSAGES,
            characters=CONTEXT_CHARACTERS,
        )
        (row,) = rows
        found = Thread(conversation_of(row), row["revision"], row["created_at"])
        found.recent = [message_of(each) for each in messages]
        return self._known.get(conversation_id) or self.keep(found)

    def keep(self, thread: Thread) -> Thread:
        """Remember a conversation that was just saved."""
        self._known[thread.conversation.id] = thread
        while len(self._known) > THREADS:
            self._known.popitem(last=False)
        return thread

    def drop(self, conversation_id: int) -> None:
        """Forget it here; the store has it, or it is gone."""
        self._known.pop(conversation_id, None)
