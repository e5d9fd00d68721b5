"""Reusable prompts: instructions and templates, each save a new version."""

from __future__ import annotations

from typing import Any

import msgspec

from workbench.core.chat import Prompt
from workbench.core.chat_wire import PROMPT_KINDS, PromptDelete, PromptList, PromptSave
from workbench.core.hub_wire import message
from workbench.core.template import variables_of
from workbench.errors import InputError
from workbench.hub.chat_rows import Journal, prompt_of
from workbench.hub.instants import now
from workbench.listener import Connection


class Prompts:
    """What `instruction:*` and `template:*` ask of the store."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def save(self, connection: Connection, request: PromptSave) -> None:
        """Keep a prompt; under a known name it is the next version of it."""
        kind, draft = PROMPT_KINDS[type(request)], request.data
        variables = variables_of(draft.content) if kind == "template" else ()
        earlier = await self._versions(kind, draft.name)
        entry = {
            "kind": kind,
            "name": draft.name,
            "version": (earlier[0]["version"] if earlier else 0) + 1,
            "title": draft.title,
            "content": draft.content,
            "deleted": False,
            "updated_at": now(),
        }
        await self._journal.append({"prompt_entries": [tuple(entry.values())]})
        data = {"prompt": msgspec.to_builtins(prompt_of(entry, variables))}
        connection.send(message(f"{kind}:saved", data, request.request_id))

    async def known(self, connection: Connection, request: PromptList) -> None:
        """The newest version of each; of one name, every version, newest first."""
        kind, name = PROMPT_KINDS[type(request)], request.data.name if request.data else ""
        if name:
            rows = [row for row in await self._versions(kind, name) if not row["deleted"]]
        else:
            rows = await self._journal.read("prompts", kind=kind)
        found = [msgspec.to_builtins(self._prompt(row)) for row in rows]
        connection.send(message(f"{kind}:list", {"prompts": found}, request.request_id))

    async def delete(self, connection: Connection, request: PromptDelete) -> None:
        """Offer it no longer; its versions stay where they are."""
        kind, name = PROMPT_KINDS[type(request)], request.data.name
        rows = await self._versions(kind, name)
        if not rows or rows[0]["deleted"]:
            raise InputError.field("name", name, f"the name of a kept {kind}")
        newest = rows[0]
        entry = (kind, name, newest["version"], newest["title"], "", True, now())
        await self._journal.append({"prompt_entries": [entry]})
        connection.send(message(f"{kind}:deleted", {"name": name}, request.request_id))

    async def _versions(self, kind: str, name: str) -> list[dict[str, Any]]:
        return await self._journal.read("prompt_versions", kind=kind, name=name)

    def _prompt(self, row: dict[str, Any]) -> Prompt:
        variables = variables_of(row["content"]) if row["kind"] == "template" else ()
        return prompt_of(row, variables)
