"""What a model gets of a conversation: the system prompt, then the newest messages."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.core.chat import Attachment, Message
from workbench.core.llm import Turn


def turns_of(system: str, messages: Sequence[Message]) -> tuple[Turn, ...]:
    """The turns of a request, oldest first. An answer of which nothing came is left out.

    A model wants a person's message first: what was cut off before it goes, too.
    """
    said = [each for each in messages if each.content or each.tool_calls or each.images]
    while said and said[0].role == "assistant":
        said = said[1:]
    turns = [Turn(role="system", content=system)] if system.strip() else []
    return (*turns, *map(_turn, said))


def shortened(turns: Sequence[Turn]) -> tuple[Turn, ...] | None:
    """The turns less the older half of them; None where only the last question is left.

    The system prompt stays, and what is left begins with a person's turn.
    """
    system = tuple(turn for turn in turns if turn.role == "system")
    said = [turn for turn in turns if turn.role != "system"]
    if len(said) < 2:
        return None
    left = said[(len(said) + 1) // 2 :]
    while len(left) > 1 and left[0].role != "user":
        left = left[1:]
    return (*system, *left)


def _turn(message: Message) -> Turn:
    return Turn(
        role=message.role,
        content="\n\n".join([message.content, *map(_quoted, message.attachments)]),
        images=message.images,
        tool_calls=message.tool_calls,
    )


def _quoted(attachment: Attachment) -> str:
    """An attachment below the message, in a fence longer than any inside it."""
    longest = max((len(run) for run in attachment.text.split("\n") if set(run) == {"`"}), default=2)
    fence = "`" * max(3, longest + 1)
    return f"{attachment.name}:\n{fence}\n{attachment.text}\n{fence}"
