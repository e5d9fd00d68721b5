"""`bench.llm`: language models from a notebook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from workbench.clients.llm import LanguageClient, Turns
from workbench.core.llm import LoadOptions
from workbench.core.llm_checks import Checks
from workbench.core.llm_results import Count, Processed, Truncated
from workbench.core.wire import checked, convert
from workbench.errors import InputError
from workbench.llm.checks import validate
from workbench.session.answers import Answer
from workbench.session.calls import Bench, Call, Part
from workbench.session.giving import sampling_of
from workbench.session.results import Advised, Attempts, Compared, LanguageModels, Measured


class Llm(Part):
    """Language models: what there is, what they answer, how fast they are. Each call is
    awaited (`await llm.complete("...")`) or waited for (`llm.complete("...").result()`)."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.client = LanguageClient(bench.client)
        """For code on the workbench's runtime that awaits."""

    def models(self, *, refresh: bool = False) -> Call[LanguageModels]:
        """Every model of every back end, and the back ends."""

        async def asked() -> LanguageModels:
            return LanguageModels(await self.client.models(refresh=refresh))

        return self._call(asked)

    def is_running(self, model: str) -> Call[bool]:
        """Whether a back end has the model loaded, asked of the back ends now."""

        async def asked() -> bool:
            listed = (await self.client.models(refresh=True)).get("models") or []
            found = [each for each in listed if model in (each["id"], _pinned(each))]
            if not found:
                raise InputError.field("model", model, "a model of bench.llm.models()")
            return any(each["loaded"] for each in found)

        return self._call(asked)

    def load(self, model: str, **options: Any) -> Call[str]:
        """Load a model; options as in LoadOptions, such as `context_size=8192`."""
        given = checked(options, LoadOptions)
        return self._call(lambda: self.client.load(model, given))

    def switch(self, model: str, *, fallbacks: Sequence[str] = (), **options: Any) -> Call[str]:
        """Unload what is loaded and load this, else the fallbacks, else what was there."""
        given = checked(options, LoadOptions)
        return self._call(lambda: self.client.switch(model, given, fallbacks=fallbacks))

    def unload(self, model: str) -> Call[None]:
        """Give a model's memory back."""
        return self._call(lambda: self.client.unload(model))

    def complete(self, prompt: str, *, model: str | None = None, **sampling: Any) -> Call[Answer]:
        """Go on with a text."""
        given = sampling_of(sampling)

        async def asked() -> Answer:
            return Answer.of(await self.client.complete(prompt, model=model, parameters=given))

        return self._call(asked)

    def chat(
        self,
        turns: Turns,
        *,
        model: str | None = None,
        fallbacks: Sequence[str] = (),
        **sampling: Any,
    ) -> Call[Answer]:
        """Answer a conversation that nobody keeps; a text is one question."""
        given = sampling_of(sampling)

        async def asked() -> Answer:
            client = self.client
            found = await client.chat(turns, model=model, parameters=given, fallbacks=fallbacks)
            return Answer.of(found)

        return self._call(asked)

    def embed(self, texts: Sequence[str], *, model: str | None = None) -> Call[list[list[float]]]:
        """One vector for each text."""
        return self._call(lambda: self.client.embed(texts, model=model))

    def count(self, text: str, *, model: str | None = None) -> Call[Count]:
        """Tokens: exact by the loaded model's tokenizer, else an estimate that says so."""
        return self._call(lambda: self.client.count(text, model=model))

    def truncate(
        self,
        text: str,
        limit: int,
        *,
        keep: Literal["start", "end"] = "end",
        model: str | None = None,
    ) -> Call[Truncated]:
        """A text cut to `limit` tokens."""
        return self._call(lambda: self.client.truncate(text, limit, keep=keep, model=model))

    def split(
        self, text: str, limit: int, *, overlap: int = 0, model: str | None = None
    ) -> Call[list[str]]:
        """A text in pieces of at most `limit` tokens."""
        return self._call(lambda: self.client.split(text, limit, overlap=overlap, model=model))

    def process(self, text: str, instruction: str, **more: Any) -> Call[Processed]:
        """Work through a long text in parts, then put the results together.

        `more`: `model`, `combine` (how the results are put together), `overlap` and
        `answer_tokens` in tokens, `told` for its progress.
        """
        return self._call(lambda: self.client.process(text, instruction, **more))

    def benchmark(self, model: str, *, runs: int = 3, **more: Any) -> Call[Measured]:
        """Time to the first token, tokens per second, memory: a table and a figure."""

        async def asked() -> Measured:
            return Measured(await self.client.benchmark(model, runs=runs, **more))

        return self._call(asked)

    def compare(
        self, models: Sequence[str], turns: Turns, *, judge: str | None = None, **sampling: Any
    ) -> Call[Compared]:
        """The same question to several models, side by side; perhaps judged by another."""
        given = sampling_of(sampling)

        async def asked() -> Compared:
            client = self.client
            return Compared(await client.compare(models, turns, parameters=given, judge=judge))

        return self._call(asked)

    def generate(
        self,
        turns: Turns,
        checks: Mapping[str, Any] | None = None,
        *,
        model: str | None = None,
        attempts: int = 3,
        fallbacks: Sequence[str] = (),
        **sampling: Any,
    ) -> Call[Attempts]:
        """Answer until the checks pass; `checks` as in core/llm_checks.py, such as
        `{"contains": ["rune"], "maxChars": 500}`."""
        more: dict[str, Any] = {"parameters": sampling_of(sampling)}
        more |= {"model": model} if model else {}
        more |= {"fallbacks": list(fallbacks)} if fallbacks else {}

        async def asked() -> Attempts:
            found = await self.client.generate(turns, checks, attempts=attempts, **more)
            return Attempts(found)

        return self._call(asked)

    def validate(self, text: str, checks: Mapping[str, Any]) -> list[str]:
        """What an answer lacks, a sentence for each check that it fails; empty where it passes.

        `checks` as for `generate`. Raises InputError for a faulty check.
        """
        return [str(each) for each in validate(text, convert(dict(checks), Checks))]

    def recommend(self, kind: str = "chat") -> Call[Advised]:
        """Models for a kind of task: chat, code, summarise, extract, embed."""

        async def asked() -> Advised:
            return Advised(await self.client.recommend(kind))

        return self._call(asked)

    def __repr__(self) -> str:
        return "Llm(models, load, complete, chat, embed, count, split, compare, benchmark, ...)"


def _pinned(model: Mapping[str, Any]) -> str:
    """The name that means this model of this back end alone."""
    return f"{model['id']}@{model['backend']}"
