"""What the chat console asks of a hub, on the runtime's thread; what comes of it is told home."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

import msgspec

from workbench.boards.chat_budget import Budget
from workbench.boards.frames import Described
from workbench.boards.hub_watch import said, tried
from workbench.clients.chat import ChatClient, PromptKind
from workbench.clients.hub import HubClient
from workbench.clients.llm import LanguageClient
from workbench.clients.metrics import MetricsClient
from workbench.core.llm import LoadOptions
from workbench.errors import InputError, WorkbenchError

LISTED = 50
REFUSAL_S = 5.0
DRAFT = ("title", "model", "system", "parameters")

Tell = Callable[[str, Any], None]
Reply = Callable[[str, Mapping[str, Any]], None]


class ChatDesk:
    """One board's conversation, lists and models at a hub.

    `tell(name, value)` sets what is shown: `models`, `conversations`, ..., `opened`;
    `reply(kind, said)` answers an intent.
    """

    def __init__(self, client: HubClient, tell: Tell, reply: Reply) -> None:
        self.client = client
        self.search = ""
        """What the list is searched for; empty shows the newest."""
        self._chat, self._llm = ChatClient(client), LanguageClient(client)
        self._metrics = MetricsClient(client)
        self._tell, self._reply = tell, reply
        self._shown: int | None = None
        self._begun = False
        self._conversations: list[dict[str, Any]] = []
        self.budget = Budget(self._llm, lambda found: tell("budget", found))
        """Counts what the next request would hold."""
        self._beginning = asyncio.Lock()
        self._sent_to: int | None = None

    async def close(self) -> None:
        """Close the connection."""
        self.budget.close()
        await self.client.disconnect()

    async def catch_up(self) -> None:
        """After each connection: the list, the newest conversation, models, prompts."""
        await self.list_conversations()
        if not self._begun and self._conversations:
            await self.open(self._conversations[0]["id"])
        self._begun = True
        await self._list_prompts()
        await self.list_models()
        self._tell("problem", None)

    async def open(self, conversation_id: int | None) -> None:
        """Follow this conversation instead of the one before; None for one that is to begin."""
        if self._shown is not None:
            self._chat.leave(self._shown)
        self._begun, self._shown, self._chat.current = True, conversation_id, conversation_id
        self._tell("opened", conversation_id)
        if conversation_id is not None:
            self._chat.follow(conversation_id)

    async def follow_anew(self) -> None:
        """Something was missed: ask for a snapshot."""
        if self._shown is not None and self.client.connected:
            self.client.tell("conversation:follow", {"conversationId": self._shown})

    async def send(
        self,
        content: Mapping[str, Any],
        attachments: Sequence[Mapping[str, str]],
        conversation_id: int | None,
        draft: Mapping[str, Any],
    ) -> None:
        """Say something; told are the number of the message, or why it was refused."""
        client_id = content.get("clientId")
        try:
            if conversation_id is None:
                conversation_id = await self._begin(draft)
            self._sent_to = conversation_id
            asked = {"message": content.get("message"), "conversationId": conversation_id}
            asked |= {name: content[name] for name in DRAFT[1:] if content.get(name) is not None}
            asked |= {"attachments": list(attachments)} if attachments else {}
            asked |= {"images": content["images"]} if content.get("images") else {}
            message = await self.client.ask("chat:send", asked)
        except WorkbenchError as error:
            self._reply("refused", {"clientId": client_id, "error": said(error)})
        else:
            self._reply("sent", {"clientId": client_id, "messageId": message.get("id")})

    async def preview(self, frame: Described, model: str | None) -> None:
        """What would be sent of a data frame, and how many tokens that is."""
        shown = {"name": frame.name, "text": frame.text, "rows": frame.rows}
        tokens = None
        with contextlib.suppress(WorkbenchError):  # the preview stands without the number
            tokens = (await self._llm.count(frame.text, model=model)).tokens
        self._reply("preview", {**shown, "tokens": tokens})

    def do(
        self, kind: str, content: Mapping[str, Any], conversation_id: int | None
    ) -> Coroutine[Any, Any, None]:
        """The work for any other intent."""
        works: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "stop": lambda: self._stop(conversation_id, content.get("messageId")),
            "regenerate": lambda: self._again("chat:regenerate", content, conversation_id),
            "edit": lambda: self._again("chat:edit", content, conversation_id),
            "open": lambda: self.open(int(content["conversationId"])),
            "delete": lambda: self._chat.delete(int(content["conversationId"])),
            "export": lambda: self._export(content),
            "search": lambda: self._search(str(content.get("text") or "")),
            "older": lambda: self.list_conversations(older=True),
            "load": lambda: self._load(str(content["model"])),
            "unload": lambda: self._unload(str(content["model"])),
            "refreshModels": lambda: self.list_models(refresh=True),
            "savePrompt": lambda: self._save_prompt(content),
            "deletePrompt": lambda: self._delete_prompt(content),
            "metrics": lambda: self._measure(content),
        }
        return tried(works[kind], self._tell)

    async def update(self, conversation_id: int, settings: Mapping[str, Any]) -> None:
        """Change title, model, system prompt or sampling."""
        asked = {"conversationId": conversation_id, **settings}
        await tried(lambda: self.client.ask("conversation:update", asked), self._tell)

    # Lists

    async def list_conversations(self, *, older: bool = False) -> None:
        """The newest conversations, or those before the oldest listed."""
        before = self._conversations[-1]["updatedAt"] if older and self._conversations else None
        asked = {"search": self.search, "limit": LISTED}
        asked |= {"before": before} if before else {}
        answer = await self.client.ask("conversation:list", asked)
        kept = self._conversations if older else []
        known = {each["id"] for each in kept}
        self._conversations = [
            *kept,
            *(each for each in answer["conversations"] if each["id"] not in known),
        ]
        self._tell("conversations", self._conversations)
        self._tell("more", bool(answer.get("more")))

    async def list_models(self, *, refresh: bool = False) -> None:
        """Every model and back end."""
        found = await self._llm.models(refresh=refresh)
        for name in ("models", "backends", "current"):
            self._tell(name, found.get(name))
        self.budget.models = found.get("models") or []

    async def _list_prompts(self) -> None:
        found: list[dict[str, Any]] = []
        for kind in ("instruction", "template"):
            found += (await self.client.ask(f"{kind}:list", {})).get("prompts") or []
        self._tell("prompts", found)

    # Inside

    async def _begin(self, draft: Mapping[str, Any]) -> int:
        """The conversation that a first message goes to. Two at once begin one."""
        async with self._beginning:
            if self._shown is None:
                asked = {name: draft[name] for name in DRAFT if draft.get(name) is not None}
                answer = await self.client.ask("conversation:create", asked)
                await self.open(int(answer["conversation"]["id"]))
            assert self._shown is not None  # noqa: S101  # opened one line above
            return self._shown

    async def _stop(self, conversation_id: int | None, message_id: Any) -> None:
        """A stop without a message belongs to what was sent last: a new conversation may not be
        shown yet when its answer is to be stopped."""
        known = message_id if isinstance(message_id, int) else None
        meant = self._sent_to if known is None and self._sent_to is not None else conversation_id
        if meant is not None:
            await self._chat.stop(meant, known)

    async def _again(
        self, kind: str, content: Mapping[str, Any], conversation_id: int | None
    ) -> None:
        """Answer anew. A refusal is raised; what comes of it, everybody who follows hears."""
        names = ("messageId", "message", "model", "parameters")
        asked = {name: content[name] for name in names if content.get(name) is not None}
        async with self.client.asking(
            kind, {**asked, "conversationId": conversation_id}
        ) as answers:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(REFUSAL_S):
                    await answers.get()
            answers.settled = True

    async def _export(self, content: Mapping[str, Any]) -> None:
        conversation_id = int(content["conversationId"])
        as_json = content.get("format") == "json"
        document = await self._chat.export(conversation_id, "json" if as_json else "markdown")
        self._reply("export", document)

    async def _search(self, text: str) -> None:
        self.search = text.strip()
        await self.list_conversations()

    async def _measure(self, content: Mapping[str, Any]) -> None:
        """What an answer used, or why nobody can tell."""
        message_id = content.get("messageId")
        try:
            if not isinstance(message_id, int):
                raise InputError.field("messageId", message_id, "an answer that the hub keeps")
            used = msgspec.to_builtins(await self._metrics.run(message_id=message_id))
        except WorkbenchError as error:
            self._reply("metrics", {"messageId": message_id, "error": said(error)})
        else:
            self._reply("metrics", {"messageId": message_id, "metrics": used})

    async def _load(self, model: str) -> None:
        def told(step: Mapping[str, Any]) -> None:
            self._tell("loading", {"model": model, "done": step.get("done")})

        self._tell("loading", {"model": model, "done": None})
        try:
            await self._llm.load(model, LoadOptions(), told=told)
        finally:
            self._tell("loading", None)
        await self.list_models()

    async def _unload(self, model: str) -> None:
        await self._llm.unload(model)
        await self.list_models()

    async def _save_prompt(self, content: Mapping[str, Any]) -> None:
        names = ("name", "content", "title")
        asked = {name: content[name] for name in names if content.get(name)}
        try:
            await self.client.ask(f"{_prompt_kind(content)}:save", asked)
        except WorkbenchError as error:
            self._reply("promptRefused", {"error": said(error)})
            return
        self._reply("promptSaved", {"name": content.get("name")})
        await self._list_prompts()

    async def _delete_prompt(self, content: Mapping[str, Any]) -> None:
        await self._chat.delete_prompt(_prompt_kind(content), str(content.get("name")))
        await self._list_prompts()


def _prompt_kind(content: Mapping[str, Any]) -> PromptKind:
    return "template" if content.get("promptKind") == "template" else "instruction"
