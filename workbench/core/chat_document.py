"""A conversation as a document that people keep: Markdown to read, JSON to read in again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from workbench.core.chat import Conversation, Message

FORMAT = "workbench-conversation/1"
ENDINGS = {"markdown": "md", "json": "json"}
NAMES = {"user": "You", "assistant": "Assistant", "system": "System", "tool": "Tool"}
MARKS = {
    "stopped": "*(stopped)*",
    "broken": "*(broken off: {message})*",
    "streaming": "*(still being written)*",
}


def file_name(conversation: Conversation, form: str) -> str:
    """A name that every file system takes: letters, digits and dashes of the title."""
    words = re.sub(r"[^\w]+", "-", conversation.title, flags=re.UNICODE).strip("-_")[:60]
    return f"{words or f'conversation-{conversation.id}'}.{ENDINGS[form]}"


def as_json(conversation: Conversation, messages: Sequence[Message]) -> str:
    """Everything that is kept, as one JSON object."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "conversation": conversation,
        "messages": list(messages),
    }
    return msgspec.json.format(msgspec.json.encode(document)).decode()


def as_markdown(conversation: Conversation, messages: Sequence[Message]) -> str:
    """Headings for who speaks, below each the text as it was written."""
    parts = [f"# {conversation.title or f'Conversation {conversation.id}'}"]
    if conversation.system:
        parts.append(f"> System: {conversation.system}".replace("\n", "\n> "))
    for message in messages:
        parts += _message(message)
    return "\n\n".join(parts) + "\n"


def _message(message: Message) -> list[str]:
    model = f" ({message.model})" if message.model else ""
    parts = [f"## {NAMES[message.role]}{model}, {message.timestamp}"]
    if message.reasoning:
        parts.append(f"<details><summary>Reasoning</summary>\n\n{message.reasoning}\n\n</details>")
    if message.content:
        parts.append(message.content)
    parts += [f"```json\n{call.name}({call.arguments})\n```" for call in message.tool_calls]
    parts += [f"*attached: {each.name}*" for each in message.attachments]
    parts += [f"*image: {each.media_type}, {len(each.data)} bytes*" for each in message.images]
    if message.status in MARKS:
        reason = str((message.error or {}).get("message", "")) or "the model failed"
        parts.append(MARKS[message.status].format(message=reason))
    return parts
