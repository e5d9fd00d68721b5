"""How much of a model's context the next request would take, counted once nobody types."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.clients.llm import LanguageClient
from workbench.core.chat import CONTEXT_MESSAGES
from workbench.errors import WorkbenchError

DEBOUNCE_S = 0.3
COUNTED_CHARS = 1_900_000
"""What a hub counts in one request, less some air."""


class Budget:
    """`told({used, context, exact})` in tokens, `context` None where it is not known.

    On the client's loop. The conversation is counted once for each of its states, the draft
    anew each time.
    """

    def __init__(
        self,
        llm: LanguageClient,
        told: Callable[[dict[str, Any]], None],
        debounce_s: float = DEBOUNCE_S,
    ) -> None:
        self.models: Sequence[Mapping[str, Any]] = ()
        self._llm, self._told, self._debounce_s = llm, told, debounce_s
        self._counting: asyncio.Task[None] | None = None
        self._base: tuple[tuple[str | None, str], int, bool] | None = None

    def ask(
        self,
        conversation: Mapping[str, Any],
        messages: Sequence[Mapping[str, Any]],
        texts: Sequence[str],
    ) -> None:
        """Count the conversation with `texts` added to it, unless asked again at once."""
        self.close()
        work = self._count(conversation, messages, texts)
        self._counting = asyncio.get_running_loop().create_task(work, name="budget")

    def close(self) -> None:
        if self._counting is not None:
            self._counting.cancel()

    async def _count(
        self,
        conversation: Mapping[str, Any],
        messages: Sequence[Mapping[str, Any]],
        texts: Sequence[str],
    ) -> None:
        await asyncio.sleep(self._debounce_s)
        model = conversation.get("model") or None
        with contextlib.suppress(WorkbenchError):  # the last count stands until the next
            base, base_exact = await self._of(model, _context(conversation, messages))
            draft = await self._llm.count(_cut("\n".join(texts)), model=model)
            self._told(
                {
                    "used": base + draft.tokens,
                    "context": self._context_size(draft.model or model),
                    "exact": base_exact and draft.exact,
                }
            )

    async def _of(self, model: str | None, text: str) -> tuple[int, bool]:
        key = (model, text)
        if self._base is None or self._base[0] != key:
            found = await self._llm.count(_cut(text), model=model)
            self._base = (key, found.tokens, found.exact)
        return self._base[1], self._base[2]

    def _context_size(self, model: str | None) -> int | None:
        for each in self.models:
            if model in (each.get("id"), f"{each.get('id')}@{each.get('backend')}"):
                return each.get("contextSize")
        loaded = [each for each in self.models if each.get("loaded")]
        return loaded[0].get("contextSize") if model is None and loaded else None


def _context(conversation: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> str:
    """What goes to the model besides the draft: the system prompt and the last messages."""
    parts = [str(conversation.get("system") or "")]
    for message in messages[-CONTEXT_MESSAGES:]:
        parts += [str(each.get("text") or "") for each in message.get("attachments") or ()]
        parts.append(str(message.get("content") or ""))
    return "\n".join(parts)


def _cut(text: str) -> str:
    return text[-COUNTED_CHARS:]
