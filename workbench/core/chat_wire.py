"""The messages of `/ws` about conversations and prompts, typed and bounded.

`chat:send` and `chat:history` with `message`, `conversationId` and `limit` are those of
existing clients; the rest is ours.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from workbench.core.chat import (
    ATTACHMENT_LIMIT,
    Attachment,
    ConversationId,
    MessageId,
    Title,
)
from workbench.core.hub_wire import HubMessage, Text
from workbench.core.llm import TEXT_LIMIT, Image, Sampling, Tool

LIST_LIMIT = 50

Content = Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_LIMIT, pattern=r"\S")]
System = Annotated[str, msgspec.Meta(max_length=100_000)]
Attachments = Annotated[tuple[Attachment, ...], msgspec.Meta(max_length=ATTACHMENT_LIMIT)]
Images = Annotated[tuple[Image, ...], msgspec.Meta(max_length=ATTACHMENT_LIMIT)]
Tools = Annotated[tuple[Tool, ...], msgspec.Meta(max_length=64)]


class Said(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a person says, and to which model."""

    message: Content
    conversation_id: ConversationId | None = None
    model: Text | None = None
    parameters: Sampling | None = None
    system: System | None = None
    attachments: Attachments = ()
    images: Images = ()
    tools: Tools = ()


class ChatSend(HubMessage, frozen=True):
    """Say something in a conversation."""

    data: Said


class HistoryOf(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which conversation, and how much of it."""

    conversation_id: ConversationId | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None


class ChatHistory(HubMessage, frozen=True):
    """Send the messages of a conversation, oldest first; without an id the latest one's."""

    data: HistoryOf | None = None


class Which(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An answer; without ids the one under way in what this connection looks at."""

    conversation_id: ConversationId | None = None
    message_id: MessageId | None = None


class ChatStop(HubMessage, frozen=True):
    """Stop the answer that is under way; what there is of it is kept."""

    data: Which | None = None


class Again(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which answer to give anew, and by which model; without an id the last one."""

    conversation_id: ConversationId | None = None
    message_id: MessageId | None = None
    model: Text | None = None
    parameters: Sampling | None = None


class ChatRegenerate(HubMessage, frozen=True):
    """Answer once more; the earlier answer and all after it are kept apart."""

    data: Again | None = None


class Edited(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A person's message, put differently. Attachments and images stay unless given."""

    message_id: MessageId
    message: Content
    conversation_id: ConversationId | None = None
    model: Text | None = None
    parameters: Sampling | None = None
    attachments: Attachments | None = None


class ChatEdit(HubMessage, frozen=True):
    """Say it differently; the earlier message and all after it are kept apart."""

    data: Edited


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a conversation is called and how it is answered. Absent fields stay as they are."""

    title: Title | msgspec.UnsetType = msgspec.UNSET
    model: Text | msgspec.UnsetType | None = msgspec.UNSET
    system: System | msgspec.UnsetType = msgspec.UNSET
    parameters: Sampling | msgspec.UnsetType = msgspec.UNSET


class SettingsOf(Settings, frozen=True, kw_only=True):
    """The settings of one conversation."""

    conversation_id: ConversationId


class ConversationCreate(HubMessage, frozen=True):
    """Begin a conversation; answered by `conversation:changed`."""

    data: Settings | None = None


class ConversationUpdate(HubMessage, frozen=True):
    """Rename a conversation or change how it is answered."""

    data: SettingsOf


class Wanted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A page of conversations, newest first; `search` looks into titles and messages."""

    search: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = LIST_LIMIT
    before: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    """ISO 8601: only conversations that changed before."""


class ConversationList(HubMessage, frozen=True):
    """Send a page of conversations, and from now on what changes among them."""

    data: Wanted | None = None


class ConversationFollow(HubMessage, frozen=True):
    """Send a conversation as it stands, and from now on what happens in it."""

    data: HistoryOf | None = None


class One(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One conversation."""

    conversation_id: ConversationId


class ConversationUnfollow(HubMessage, frozen=True):
    """Send no more of a conversation."""

    data: One


class ConversationDelete(HubMessage, frozen=True):
    """Delete a conversation with all its messages, for good."""

    data: One


class Exported(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One conversation as a document."""

    conversation_id: ConversationId
    format: Literal["markdown", "json"] = "markdown"


class ConversationExport(HubMessage, frozen=True):
    """Send a conversation as one document."""

    data: Exported


class Draft(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A prompt to be kept; saved again under its name it is a new version."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^\S(.*\S)?$")]
    content: Content
    title: Title = ""


class Named(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A prompt by its name; without one all of them."""

    name: Annotated[str, msgspec.Meta(max_length=100)] = ""


class PromptSave(HubMessage, frozen=True):
    """Keep an instruction or a template."""

    data: Draft


class PromptList(HubMessage, frozen=True):
    """Send the newest version of each; of one name, every version."""

    data: Named | None = None


class PromptDelete(HubMessage, frozen=True):
    """Offer a prompt no longer; its versions are kept."""

    data: Named


class InstructionSave(PromptSave, frozen=True):
    """A system prompt."""


class InstructionList(PromptList, frozen=True):
    """System prompts."""


class InstructionDelete(PromptDelete, frozen=True):
    """A system prompt."""


class TemplateSave(PromptSave, frozen=True):
    """A prompt with {{variables}}."""


class TemplateList(PromptList, frozen=True):
    """Prompts with {{variables}}."""


class TemplateDelete(PromptDelete, frozen=True):
    """A prompt with {{variables}}."""


CHAT_KINDS: dict[str, type[HubMessage]] = {
    "chat:send": ChatSend,
    "chat:history": ChatHistory,
    "chat:stop": ChatStop,
    "chat:regenerate": ChatRegenerate,
    "chat:edit": ChatEdit,
    "conversation:create": ConversationCreate,
    "conversation:update": ConversationUpdate,
    "conversation:list": ConversationList,
    "conversation:follow": ConversationFollow,
    "conversation:unfollow": ConversationUnfollow,
    "conversation:delete": ConversationDelete,
    "conversation:export": ConversationExport,
    "instruction:save": InstructionSave,
    "instruction:list": InstructionList,
    "instruction:delete": InstructionDelete,
    "template:save": TemplateSave,
    "template:list": TemplateList,
    "template:delete": TemplateDelete,
}

PROMPT_KINDS: dict[type[HubMessage], str] = {
    InstructionSave: "instruction",
    InstructionList: "instruction",
    InstructionDelete: "instruction",
    TemplateSave: "template",
    TemplateList: "template",
    TemplateDelete: "template",
}
