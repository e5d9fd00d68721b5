"""The messages of `/ws` about language models, typed and bounded: `model:*` and `llm:*`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from workbench.core.hub_wire import HubMessage, Text
from workbench.core.llm import TEXT_LIMIT, LoadOptions, Sampling, Tool, Turn
from workbench.core.llm_checks import Checks

Body = Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]
LongText = Annotated[str, msgspec.Meta(max_length=2 * TEXT_LIMIT)]
Names = Annotated[tuple[Text, ...], msgspec.Meta(max_length=16)]
Turns = Annotated[tuple[Turn, ...], msgspec.Meta(min_length=1, max_length=1000)]
Tools = Annotated[tuple[Tool, ...], msgspec.Meta(max_length=64)]
Count = Annotated[int, msgspec.Meta(ge=1, le=100_000_000)]
Kind = Literal["chat", "code", "summarise", "extract", "embed"]


class _Data(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a message is about. A misspelt option is refused rather than ignored."""


class Listing(_Data, frozen=True):
    refresh: bool = False


class ModelList(HubMessage, frozen=True):
    """Send every model of every back end; from now on `model:changed` says when to ask again."""

    data: Listing | None = None


class Load(_Data, frozen=True):
    model: Text
    options: LoadOptions = LoadOptions()


class Switch(Load, frozen=True):
    fallbacks: Names = ()


class ModelLoad(HubMessage, frozen=True):
    """Load a model; answered by `model:progress` and at the end `model:loaded`."""

    data: Load


class ModelSwitch(HubMessage, frozen=True):
    """Unload what is loaded and load this; where that fails, the fallbacks or what was there."""

    data: Switch


class ModelName(_Data, frozen=True):
    model: Text


class ModelUnload(HubMessage, frozen=True):
    """Give a model's memory back."""

    data: ModelName


class Answer(_Data, frozen=True):
    turns: Turns
    model: Text | None = None
    parameters: Sampling = Sampling()
    tools: Tools = ()
    fallbacks: Names = ()


class LlmChat(HubMessage, frozen=True):
    """Answer a conversation that nobody keeps; `llm:event` for each event, then `llm:result`."""

    data: Answer


class Completion(_Data, frozen=True):
    prompt: Body
    model: Text | None = None
    parameters: Sampling = Sampling()


class LlmComplete(HubMessage, frozen=True):
    """Go on with a text."""

    data: Completion


class Embedding(_Data, frozen=True):
    texts: Annotated[tuple[Body, ...], msgspec.Meta(min_length=1, max_length=1000)]
    model: Text | None = None


class LlmEmbed(HubMessage, frozen=True):
    """A vector for each text."""

    data: Embedding


class Counted(_Data, frozen=True, kw_only=True):
    text: LongText
    model: Text | None = None


class LlmCount(HubMessage, frozen=True):
    """The tokens of a text: exact by the loaded model's tokenizer, else an estimate."""

    data: Counted


class Truncation(Counted, frozen=True, kw_only=True):
    limit: Count
    keep: Literal["start", "end"] = "end"


class LlmTruncate(HubMessage, frozen=True):
    """A text cut to so many tokens."""

    data: Truncation


class Splitting(Counted, frozen=True, kw_only=True):
    limit: Count
    overlap: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0


class LlmSplit(HubMessage, frozen=True):
    """A text in pieces of at most so many tokens."""

    data: Splitting


class Processing(Counted, frozen=True, kw_only=True):
    instruction: Body
    combine: Body = ""
    """How the partial results are put together; empty takes the instruction again."""
    overlap: Annotated[int, msgspec.Meta(ge=0, le=10_000_000)] = 0
    answer_tokens: Count = 512
    """The most tokens of one partial result."""
    parameters: Sampling | None = None


class LlmProcess(HubMessage, frozen=True):
    """Go through a long text piece by piece, then put the results together."""

    data: Processing


class Benchmarking(_Data, frozen=True):
    model: Text
    runs: Annotated[int, msgspec.Meta(ge=1, le=50)] = 3
    prompt_tokens: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 256
    answer_tokens: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 64


class LlmBenchmark(HubMessage, frozen=True):
    """Measure a model: time to the first token, tokens per second, memory."""

    data: Benchmarking


class Comparison(_Data, frozen=True):
    models: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=16)]
    turns: Turns
    parameters: Sampling = Sampling()
    judge: Text | None = None


class LlmCompare(HubMessage, frozen=True):
    """The same question to several models, perhaps judged by another."""

    data: Comparison


class Generation(_Data, frozen=True):
    turns: Turns
    model: Text | None = None
    parameters: Sampling = Sampling()
    checks: Checks = Checks()
    attempts: Annotated[int, msgspec.Meta(ge=1, le=10)] = 3
    fallbacks: Names = ()


class LlmGenerate(HubMessage, frozen=True):
    """Answer until the checks pass, with what failed said to the model, then its fallbacks."""

    data: Generation


class Recommendation(_Data, frozen=True):
    kind: Kind = "chat"


class LlmRecommend(HubMessage, frozen=True):
    """Which model suits a kind of task, by what was measured here and the memory there is."""

    data: Recommendation | None = None


class LlmCancel(HubMessage, frozen=True):
    """Stop the `llm:*` or `model:*` call that was made with the same `requestId`."""


LLM_KINDS: dict[str, type[HubMessage]] = {
    "model:list": ModelList,
    "model:load": ModelLoad,
    "model:switch": ModelSwitch,
    "model:unload": ModelUnload,
    "llm:chat": LlmChat,
    "llm:complete": LlmComplete,
    "llm:embed": LlmEmbed,
    "llm:count": LlmCount,
    "llm:truncate": LlmTruncate,
    "llm:split": LlmSplit,
    "llm:process": LlmProcess,
    "llm:benchmark": LlmBenchmark,
    "llm:compare": LlmCompare,
    "llm:generate": LlmGenerate,
    "llm:recommend": LlmRecommend,
    "llm:cancel": LlmCancel,
}
