"""Conversations and messages as the store keeps them, and back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

import msgspec

from workbench.core.chat import AnswerUsage, Attachment, Conversation, Message, Prompt
from workbench.core.llm import Image, Sampling, ToolCall
from workbench.hub.instants import iso, now

T = TypeVar("T")

Row = Mapping[str, Any]


class Journal(Protocol):
    """The store, as far as conversations are kept in it."""

    def append(self, rows: Mapping[str, Sequence[tuple[Any, ...]]]) -> asyncio.Future[None]: ...

    async def read(self, query: str, **params: Any) -> list[dict[str, Any]]: ...

    async def change(self, query: str, **params: Any) -> None: ...


def message_entry(message: Message, revision: int, created_at: datetime) -> tuple[Any, ...]:
    """A row of `message_entries`."""
    usage = message.usage or AnswerUsage()
    return (
        message.id,
        revision,
        message.conversation_id,
        message.role,
        message.content,
        message.reasoning,
        message.status,
        message.model,
        message.backend,
        _json(message.parameters),
        _json(message.tool_calls or None),
        _json(message.attachments or None),
        _json(message.images or None),
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.ttft_ms,
        usage.tokens_per_second,
        usage.elapsed_ms,
        message.finish,
        message.left_out,
        _json(message.error),
        created_at,
        now(),
    )


def message_of(row: Row) -> Message:
    """A row of `chat_messages`."""
    return Message(
        id=row["message_id"],
        conversation_id=row["conversation_id"],
        role=row["role"],
        content=row["content"],
        timestamp=iso(row["created_at"]),
        status=row["status"],
        model=row["model"],
        backend=row["backend"],
        reasoning=row["reasoning"],
        tool_calls=_read(row["tool_calls"], tuple[ToolCall, ...], ()),
        attachments=_read(row["attachments"], tuple[Attachment, ...], ()),
        images=_read(row["images"], tuple[Image, ...], ()),
        parameters=_read(row["parameters"], Sampling | None, None),
        usage=_usage(row) if row["role"] == "assistant" else None,
        finish=row["finish"],
        left_out=row["left_out"],
        error=_read(row["error"], dict[str, Any] | None, None),
        replaced=row["replaced_at"] is not None,
    )


def _usage(row: Row) -> AnswerUsage:
    return AnswerUsage(
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        ttft_ms=row["ttft_ms"],
        tokens_per_second=row["tokens_per_s"],
        elapsed_ms=row["elapsed_ms"],
    )


def conversation_entry(
    conversation: Conversation, revision: int, created_at: datetime
) -> tuple[Any, ...]:
    """A row of `conversation_entries`."""
    return (
        conversation.id,
        revision,
        conversation.title,
        conversation.model,
        conversation.system,
        _json(conversation.parameters),
        created_at,
        now(),
    )


def conversation_of(row: Row) -> Conversation:
    """A row of `conversations`."""
    return Conversation(
        id=row["conversation_id"],
        title=row["title"],
        model=row["model"],
        system=row["system"],
        parameters=_read(row["parameters"], Sampling, Sampling()),
        created_at=iso(row["created_at"]),
        updated_at=iso(row["updated_at"]),
        messages=row["messages"],
    )


def prompt_of(row: Row, variables: tuple[str, ...]) -> Prompt:
    """A row of `prompts`."""
    return Prompt(
        kind=row["kind"],
        name=row["name"],
        content=row["content"],
        title=row["title"],
        version=row["version"],
        variables=variables,
        updated_at=iso(row["updated_at"]),
    )


def on_the_wire(message: Message) -> dict[str, Any]:
    """A message as `chat:message` carries it: of its images only what they are."""
    document: dict[str, Any] = msgspec.to_builtins(message)
    pictures = [{"mediaType": each.media_type, "bytes": len(each.data)} for each in message.images]
    return {**document, "images": pictures}


def _json(value: Any) -> str | None:
    return None if value is None else msgspec.json.encode(value).decode()


def _read(text: str | None, kind: Any, absent: Any) -> Any:
    return absent if text is None else msgspec.json.decode(text, type=kind)
