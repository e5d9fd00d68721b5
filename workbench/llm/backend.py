"""The one protocol that every back end speaks, whatever it runs on."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from workbench.core.llm import (
    ChatRequest,
    CompletionRequest,
    Event,
    Health,
    LanguageModel,
    LoadOptions,
    LoadProgress,
)


class Backend(Protocol):
    """A server of language models. For one event loop.

    A stream is stopped by closing it (`contextlib.aclosing`): the model's slot is then free
    again. Errors: NoModel for an unknown model, ContextOverflow, InputError for a request
    that the server refuses, LinkError where the server cannot be reached, BackendBroken where
    it fails in the midst of an answer. Nothing is tried twice here.
    """

    @property
    def name(self) -> str:
        """Unique among the back ends of a hub, such as `ollama` or `lmstudio`."""

    @property
    def kind(self) -> str:
        """lmstudio, ollama, llama-server, openai, embedded."""

    @property
    def url(self) -> str:
        """Where it is, without secrets; empty for the embedded worker."""

    @property
    def parallel(self) -> int:
        """How many streams it works on at the same time, as far as it says."""

    async def health(self) -> Health:
        """Whether it answers. Never raises for a server that is away."""

    async def models(self) -> list[LanguageModel]:
        """Every model that it could run, loaded or not."""

    def load(self, model: str, options: LoadOptions) -> AsyncGenerator[LoadProgress]:
        """Load a model; when the stream ends it answers. A loaded one is loaded at once."""

    async def unload(self, model: str) -> None:
        """Give its memory back. One that is not loaded is no error."""

    def chat(self, request: ChatRequest) -> AsyncGenerator[Event]:
        """Answer a conversation; the last event is Done."""

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Event]:
        """Go on with a text; the last event is Done."""

    async def embed(self, model: str, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text."""

    async def count_tokens(self, model: str, text: str) -> int | None:
        """Exactly, by the model's own tokenizer; None where this back end has no way."""

    async def close(self) -> None:
        """Give connections and processes back."""
