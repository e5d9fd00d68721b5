"""LanguageClient: the language models of a hub, and what they can do to a text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from workbench.clients.hub import HubClient
from workbench.clients.reading import given, read
from workbench.core.llm import LoadOptions, Sampling, Turn
from workbench.core.llm_results import (
    Answer,
    Benchmark,
    Comparison,
    Count,
    Generated,
    Processed,
    Recommendation,
    Truncated,
)
from workbench.errors import ProtocolError

M = TypeVar("M", bound=msgspec.Struct)

Told = Callable[[Mapping[str, Any]], object]
Turns = str | Sequence[Turn | Mapping[str, Any]]


class LanguageClient:
    """Asks one hub for its language models. Async; on the loop of its HubClient.

    `model` is `id` for any back end that has it, `id@backend` for that one, None for the
    hub's choice. `told` hears each event of a long call. A call that is cancelled, or whose
    stream is closed early, is stopped at the hub.
    """

    def __init__(self, client: HubClient) -> None:
        self.client = client

    # Models

    async def models(self, *, refresh: bool = False) -> dict[str, Any]:
        """`models`, `backends`, `current`, `ageS`, as on the wire; kept for 5 minutes."""
        answer = await self.client.ask("model:list", {"refresh": refresh})
        return dict(_object(answer))

    async def load(
        self, model: str, options: LoadOptions | None = None, *, told: Told | None = None
    ) -> str:
        """Load a model; the reference of what is loaded."""
        return await self._loaded("model:load", given(model=model, options=options), told)

    async def switch(
        self,
        model: str,
        options: LoadOptions | None = None,
        *,
        fallbacks: Sequence[str] = (),
        told: Told | None = None,
    ) -> str:
        """Unload what is loaded and load this; where it fails the fallbacks, then what was
        there. The reference of what was loaded in the end."""
        asked = given(model=model, options=options, fallbacks=list(fallbacks))
        return await self._loaded("model:switch", asked, told)

    async def unload(self, model: str) -> None:
        """Give a model's memory back."""
        await self.client.ask("model:unload", {"model": model})

    # Answers that nobody keeps

    async def chat(
        self,
        turns: Turns,
        *,
        model: str | None = None,
        parameters: Sampling | None = None,
        fallbacks: Sequence[str] = (),
        told: Told | None = None,
    ) -> Answer:
        """Answer a conversation that nobody keeps; one sentence is a conversation, too."""
        asked = given(model=model, parameters=parameters, fallbacks=list(fallbacks))
        return await self._result("llm:chat", {**asked, "turns": turns_of(turns)}, Answer, told)

    async def complete(
        self,
        prompt: str,
        *,
        model: str | None = None,
        parameters: Sampling | None = None,
        told: Told | None = None,
    ) -> Answer:
        """Go on with a text."""
        asked = given(prompt=prompt, model=model, parameters=parameters)
        return await self._result("llm:complete", asked, Answer, told)

    async def embed(self, texts: Sequence[str], *, model: str | None = None) -> list[list[float]]:
        """One vector for each text."""
        asked = given(texts=list(texts), model=model)
        return list(_object(await self._last("llm:embed", asked))["vectors"])

    # Text

    async def count(self, text: str, *, model: str | None = None) -> Count:
        """The tokens of a text: `exact` by the model's own tokenizer, else an estimate."""
        return await self._result("llm:count", given(text=text, model=model), Count)

    async def truncate(
        self, text: str, limit: int, *, keep: str = "end", model: str | None = None
    ) -> Truncated:
        """A text cut to `limit` tokens, keeping its start or its end."""
        asked = given(text=text, limit=limit, keep=keep, model=model)
        return await self._result("llm:truncate", asked, Truncated)

    async def split(
        self, text: str, limit: int, *, overlap: int = 0, model: str | None = None
    ) -> list[str]:
        """A text in pieces of at most `limit` tokens, `overlap` of them shared."""
        asked = given(text=text, limit=limit, overlap=overlap, model=model)
        answer = await self._last("llm:split", asked)
        return list(_object(answer)["pieces"])

    async def process(
        self, text: str, instruction: str, *, told: Told | None = None, **more: Any
    ) -> Processed:
        """Work through a long text in parts and put the results together.

        `more`: `model`, `combine` (how results are put together), `overlap` and
        `answer_tokens` in tokens, `parameters`.
        """
        tokens = more.pop("answer_tokens", None)
        asked = given(text=text, instruction=instruction, answerTokens=tokens, **more)
        return await self._result("llm:process", asked, Processed, told)

    # Measured and judged

    async def benchmark(
        self,
        model: str,
        *,
        runs: int = 3,
        prompt_tokens: int = 256,
        answer_tokens: int = 64,
        told: Told | None = None,
    ) -> Benchmark:
        """Time to the first token, tokens per second, memory: medians over the runs."""
        asked = given(
            model=model, runs=runs, promptTokens=prompt_tokens, answerTokens=answer_tokens
        )
        return await self._result("llm:benchmark", asked, Benchmark, told)

    async def compare(
        self,
        models: Sequence[str],
        turns: Turns,
        *,
        parameters: Sampling | None = None,
        judge: str | None = None,
        told: Told | None = None,
    ) -> Comparison:
        """The same question to several models, perhaps judged by another."""
        asked = given(models=list(models), parameters=parameters, judge=judge)
        asked["turns"] = turns_of(turns)
        return await self._result("llm:compare", asked, Comparison, told)

    async def generate(
        self,
        turns: Turns,
        checks: Mapping[str, Any] | None = None,
        *,
        attempts: int = 3,
        told: Told | None = None,
        **more: Any,
    ) -> Generated:
        """Answer until the checks pass; `more`: `model`, `parameters`, `fallbacks`."""
        asked = given(checks=dict(checks or {}), attempts=attempts, **more)
        asked["turns"] = turns_of(turns)
        return await self._result("llm:generate", asked, Generated, told)

    async def recommend(self, kind: str = "chat") -> Recommendation:
        """Which model suits a kind of task here: chat, code, summarise, extract, embed."""
        return await self._result("llm:recommend", {"kind": kind}, Recommendation)

    # Inside

    async def _loaded(self, kind: str, asked: dict[str, Any], told: Told | None) -> str:
        found = await self._last(kind, asked, told, "model:loaded")
        return str(_object(found).get("model"))

    async def _result(
        self, kind: str, asked: dict[str, Any], struct: type[M], told: Told | None = None
    ) -> M:
        return read(await self._last(kind, asked, told), struct)

    async def _last(
        self, kind: str, asked: dict[str, Any], told: Told | None = None, last: str = "llm:result"
    ) -> Any:
        """The final answer; whoever stops waiting for it stops the work."""
        async with self.client.asking(kind, asked, cancel="llm:cancel") as answers:
            while True:
                message = (await answers.get()).data
                data = message.get("data")
                if message.get("type") == last:
                    answers.settled = True
                    return data
                if told is not None and isinstance(data, dict):
                    told(data)


def turns_of(turns: Turns) -> list[dict[str, Any]]:
    """A conversation as it travels; a text is the one turn of a user."""
    if isinstance(turns, str):
        return [{"role": "user", "content": turns}]
    return [dict(msgspec.to_builtins(each)) for each in turns]


def _object(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict):
        raise ProtocolError("the hub's answer is not an object")
    return answer
