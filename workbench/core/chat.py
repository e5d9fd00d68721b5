"""Conversations in nouns: messages, what was attached to them, how far an answer is."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from workbench.core.llm import TEXT_LIMIT, Image, Role, Sampling, ToolCall
from workbench.core.sentence import Sentence

Status = Literal["streaming", "done", "stopped", "broken"]
Phase = Literal["queued", "loading", "prompt", "thinking", "answering"]

CONTEXT_MESSAGES = 10
TITLE_CHARS = 200
ATTACHMENT_LIMIT = 8

Title = Annotated[str, msgspec.Meta(max_length=TITLE_CHARS, pattern=r"^[^\x00-\x1f]*$")]
ConversationId = Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]
MessageId = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class Attachment(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Text sent along with a message, such as the schema and a sample of a DataFrame."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    text: Annotated[str, msgspec.Meta(max_length=200_000)]


class AnswerUsage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What an answer took. Durations are ms; None where nobody could tell."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    ttft_ms: float | None = None
    """From the request to the first token, of the answer or of its reasoning."""
    tokens_per_second: float | None = None
    elapsed_ms: float | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One message, as it is kept and as `chat:message` carries it."""

    id: int
    conversation_id: int
    role: Role
    content: str
    timestamp: str
    """ISO 8601, UTC."""
    status: Status = "done"
    model: str | None = None
    backend: str | None = None
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    images: tuple[Image, ...] = ()
    parameters: Sampling | None = None
    usage: AnswerUsage | None = None
    finish: str | None = None
    error: dict[str, Any] | None = None
    """{message, code, template, values} of a broken answer."""
    left_out: int = 0
    """So many earlier messages did not fit into the model's context: it answered without them."""
    replaced: bool = False
    """Edited or generated anew since: kept, and no longer part of the conversation."""


class Conversation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A conversation, without its messages."""

    id: int
    title: str = ""
    model: str | None = None
    """The model that answers next; None for whichever runs."""
    system: str = ""
    parameters: Sampling = Sampling()
    created_at: str = ""
    updated_at: str = ""
    messages: int = 0


class Streaming(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How far an answer is: sent with a snapshot, and whenever its phase changes."""

    conversation_id: int
    message_id: int
    phase: Phase
    position: int | None = None
    """Place in the queue, from 1."""
    progress: float | None = None
    """0 to 1 while loading or reading the prompt, where known."""
    waiting: Sentence | None = None
    """What a load waits for, such as memory of a GPU."""
    tokens: int = 0
    tokens_per_second: float | None = None
    elapsed_ms: float = 0.0


class Prompt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A reusable system prompt (an instruction) or a prompt with variables (a template)."""

    kind: Literal["instruction", "template"]
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    content: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_LIMIT)]
    title: Title = ""
    version: int = 1
    variables: tuple[str, ...] = ()
    """The {{names}} in a template's content, in order."""
    updated_at: str = ""
