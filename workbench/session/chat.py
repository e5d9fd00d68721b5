"""`bench.chat`: conversations from a notebook."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from workbench.clients.chat import ChatClient, PromptKind
from workbench.clients.streaming import AnswerStream
from workbench.core.chat import Conversation, Prompt
from workbench.session.answers import Answer, Conversations, Messages, Prompts
from workbench.session.calls import Bench, Call, Part
from workbench.session.giving import attachments_of, image_of, sampling_of
from workbench.session.run_metrics import RunMetrics, run_metrics
from workbench.session.streams import Stream


class Chat(Part):
    """Conversations that the hub keeps. `async for text in chat.stream("...")`,
    `await chat.send("...")`, or `chat.ask("...")`, which blocks.

    Goes on with one conversation, begun with the first message; `open` and `new` change it.
    Sampling is given by name: `temperature=0.2`, `max_tokens=200`, ... `attach` takes texts
    and data frames by name (of a frame, its schema and a bounded sample), `images` paths or
    bytes.
    """

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.client = ChatClient(bench.client)
        """For code on the workbench's runtime that awaits."""

    def stream(
        self,
        message: str,
        *,
        conversation: int | None = None,
        model: str | None = None,
        system: str | None = None,
        attach: Mapping[str, Any] | None = None,
        images: Sequence[str | Path | bytes] = (),
        heard: Callable[[str, dict[str, Any]], None] | None = None,
        **sampling: Any,
    ) -> Stream:
        """The answer piece by piece; `for` blocks, `async for` does not.

        `heard(kind, data)` is called on the background thread for phases and reasoning.
        """
        given: dict[str, Any] = {
            "model": model,
            "system": system,
            "parameters": sampling_of(sampling),
            "attachments": attachments_of(attach or {}),
            "images": [image_of(each) for each in images],
            "heard": heard,
        }
        return self._stream(lambda: self.client.stream(message, conversation, **given))

    def send(self, message: str, **more: Any) -> Call[Answer]:
        """The whole answer; `more` as for `stream`."""
        stream = self.stream(message, **more)

        async def asked() -> Answer:
            return Answer(await stream.source().whole(), self._measure)

        return self._call(asked)

    def ask(self, message: str, **more: Any) -> Answer:
        """Say something and wait here for the answer. Ctrl-C stops it."""
        return self.send(message, **more).result()

    def regenerate(
        self,
        message: int | None = None,
        *,
        conversation: int | None = None,
        model: str | None = None,
        **sampling: Any,
    ) -> Stream:
        """The last answer anew, or the one with this number."""
        parameters = sampling_of(sampling)
        return self._stream(
            lambda: self.client.regenerate(
                conversation, message, model=model, parameters=parameters
            )
        )

    def edit(
        self,
        message: int,
        text: str,
        *,
        conversation: int | None = None,
        model: str | None = None,
        **sampling: Any,
    ) -> Stream:
        """A message of yours, put differently, and answered anew."""
        parameters = sampling_of(sampling)
        return self._stream(
            lambda: self.client.edit(
                message, text, conversation, model=model, parameters=parameters
            )
        )

    def stop(self, conversation: int | None = None) -> Call[bool]:
        """Stop the answer under way; whether there was one."""
        return self._call(lambda: self.client.stop(conversation))

    def open(self, conversation: int) -> None:
        """Go on with this conversation."""
        self.client.current = conversation

    def new(
        self,
        title: str | None = None,
        *,
        model: str | None = None,
        system: str | None = None,
        **sampling: Any,
    ) -> Call[Conversation]:
        """Begin a conversation and go on with it."""
        given: dict[str, Any] = {"model": model, "system": system}
        given["parameters"] = sampling_of(sampling)
        return self._call(lambda: self.client.create(title, **given))

    def update(self, conversation: int | None = None, **settings: Any) -> Call[Conversation]:
        """Change its `title`, `model`, `system` or sampling."""
        named: dict[str, Any] = {
            name: settings.pop(name) for name in ("title", "model", "system") if name in settings
        }
        if settings:
            named["parameters"] = sampling_of(settings)
        return self._call(lambda: self.client.update(conversation, **named))

    def history(self, conversation: int | None = None, limit: int | None = None) -> Call[Messages]:
        """Its messages, oldest first."""

        async def asked() -> Messages:
            return Messages(await self.client.history(conversation, limit))

        return self._call(asked)

    def conversations(self, search: str | None = None, limit: int = 50) -> Call[Conversations]:
        """Conversations, newest first; `search` looks into titles and messages."""

        async def asked() -> Conversations:
            return Conversations(await self.client.conversations(search, limit=limit))

        return self._call(asked)

    def export(
        self,
        conversation: int | None = None,
        format: Literal["markdown", "json"] = "markdown",
    ) -> Call[str]:
        """The conversation as one document."""

        async def asked() -> str:
            return (await self.client.export(conversation, format))["content"]

        return self._call(asked)

    def delete(self, conversation: int) -> Call[None]:
        """Delete a conversation with all its messages, for good."""
        return self._call(lambda: self.client.delete(conversation))

    def prompts(self, kind: PromptKind = "template", name: str | None = None) -> Call[Prompts]:
        """Kept instructions (system prompts) or templates (prompts with {{variables}})."""

        async def asked() -> Prompts:
            return Prompts(await self.client.prompts(kind, name))

        return self._call(asked)

    def save_instruction(self, name: str, content: str, title: str = "") -> Call[Prompt]:
        """Keep a system prompt; under a known name it is its next version."""
        return self._call(lambda: self.client.save_prompt("instruction", name, content, title))

    def save_template(self, name: str, content: str, title: str = "") -> Call[Prompt]:
        """Keep a prompt with {{variables}}; under a known name it is its next version."""
        return self._call(lambda: self.client.save_prompt("template", name, content, title))

    def delete_prompt(self, kind: PromptKind, name: str) -> Call[None]:
        """Offer it no longer."""
        return self._call(lambda: self.client.delete_prompt(kind, name))

    def _stream(self, made: Callable[[], AnswerStream]) -> Stream:
        return Stream(self._bench, self._ready, made, self._measure)

    def _measure(self, message_id: int) -> RunMetrics:
        return self._bench.block_on(run_metrics(self._bench, message_id=message_id))

    def __repr__(self) -> str:
        current = self.client.current
        return f"Chat(conversation {current})" if current else "Chat(no conversation yet)"
