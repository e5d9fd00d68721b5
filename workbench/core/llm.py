"""Language models in nouns: what one is, what is asked of it, and what it says while it works."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from workbench.core.sentence import Sentence
from workbench.errors import LinkError, WorkbenchError

Role = Literal["system", "user", "assistant", "tool"]
CacheType = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl"]
Finish = Literal["stop", "length", "tool_calls", "stopped"]
"""Why an answer ended: by itself, at its limit, for a tool, or at the user's word."""

TEXT_LIMIT = 1_000_000
IMAGE_LIMIT_BYTES = 20_000_000

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Text = Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]


class ModelError(WorkbenchError):
    """A language model cannot do it: the sentence says what would help."""

    code = "model"


class NoModel(ModelError):
    """There is no such model, or none at all."""

    code = "unknown-model"


class ContextOverflow(ModelError):
    """The conversation is longer than the model's context: shorten it, or load with more."""

    code = "context"


class BackendBroken(LinkError):
    """A back end went away, or said what cannot be read, while it was answering."""

    code = "backend"


class Busy(LinkError):
    """Too much was asked at once: ask again later."""

    code = "busy"


class LanguageModel(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One model as a back end lists it. What a back end does not tell is None."""

    id: str
    """What the back end calls it."""
    backend: str
    """The name of the back end that has it."""
    title: str = ""
    loaded: bool = False
    size_bytes: int | None = None
    context_size: int | None = None
    """Tokens: as loaded, else the most that the model can."""
    quantization: str | None = None
    parameters: str | None = None
    """Such as `7B`."""
    architecture: str | None = None
    images: bool | None = None
    tools: bool | None = None
    embedding: bool = False
    """Whether it embeds text rather than answering it."""
    problem: dict[str, Any] | None = None
    """{message, code, template, values} of a model that is there and cannot be loaded."""


class Image(msgspec.Struct, frozen=True, rename="camel"):
    """A picture in a message."""

    media_type: Literal["image/png", "image/jpeg", "image/webp", "image/gif"]
    data: Annotated[bytes, msgspec.Meta(max_length=IMAGE_LIMIT_BYTES)]
    """The file's bytes; base64 on the wire."""


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="tool"):
    """An event: a whole call of a tool, its arguments as the model wrote them (JSON text)."""

    name: str
    arguments: str
    id: str = ""


class Turn(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One message of a conversation as a model gets it."""

    role: Role
    content: Text
    images: tuple[Image, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


class Tool(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A function that the model may ask to be called."""

    name: Name
    description: str = ""
    parameters: dict[str, Any] = {}
    """JSON Schema of its arguments."""


class Sampling(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """How tokens are chosen. None leaves it to the back end's default."""

    temperature: Annotated[float, msgspec.Meta(ge=0, le=5)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] | None = None
    min_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, msgspec.Meta(ge=0, le=10)] | None = None
    presence_penalty: Annotated[float, msgspec.Meta(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, msgspec.Meta(ge=-2, le=2)] | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None
    stop: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=256)], ...],
        msgspec.Meta(max_length=16),
    ] = ()
    json_schema: dict[str, Any] | None = None
    """The answer is to be JSON of this schema."""
    grammar: Annotated[str, msgspec.Meta(max_length=100_000)] | None = None
    """GBNF; llama.cpp only."""


class LoadOptions(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename="camel",
    omit_defaults=True,
    forbid_unknown_fields=True,
):
    """How a model is loaded. None leaves it to the back end."""

    gpu_layers: Annotated[int, msgspec.Meta(ge=-1, le=100_000)] | None = None
    """Layers on the GPU; -1 for all."""
    context_size: Annotated[int, msgspec.Meta(ge=16, le=16_777_216)] | None = None
    """Tokens per conversation."""
    batch_size: Annotated[int, msgspec.Meta(ge=1, le=1_048_576)] | None = None
    parallel: Annotated[int, msgspec.Meta(ge=1, le=256)] | None = None
    """Conversations at a time; each gets `context_size` tokens."""
    threads: Annotated[int, msgspec.Meta(ge=1, le=1024)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)] | None = None
    split_mode: Literal["none", "layer", "row"] | None = None
    tensor_split: Annotated[
        tuple[Annotated[float, msgspec.Meta(ge=0)], ...], msgspec.Meta(max_length=16)
    ] = ()
    """The share of each GPU."""
    main_gpu: Annotated[int, msgspec.Meta(ge=0, le=63)] | None = None
    flash_attention: bool | None = None
    cache_type_k: CacheType | None = None
    cache_type_v: CacheType | None = None
    embedding: bool = False


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a model is to answer."""

    model: str
    turns: tuple[Turn, ...]
    sampling: Sampling = Sampling()
    tools: tuple[Tool, ...] = ()
    session: str = ""
    """Requests of one session go to the instance that has its prompt in its cache."""


class CompletionRequest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A text that a model is to go on with."""

    model: str
    prompt: Text
    sampling: Sampling = Sampling()


# What is heard while a model works, in this order; Done is the last. A failure is raised.


class Queued(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="queued"):
    """Others come first."""

    position: int | None = None


class Chosen(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="chosen"):
    """This model of this back end is asked now. Comes again where another has to stand in."""

    model: str
    backend: str
    template: str = ""
    """Why the one before did not answer; empty for the first."""
    values: dict[str, Any] = {}


class LoadProgress(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="load"):
    """The model is being loaded; `done` goes from 0 to 1, None where nobody tells."""

    done: float | None = None
    waiting: Sentence | None = None
    """Why it does not begin yet, such as for memory of a GPU; None once it does."""


class PromptProgress(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="prompt"):
    """Tokens of the prompt that were read, of all."""

    done: int
    total: int


class Token(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="token"):
    """A piece of the answer: whole characters, as many tokens as came at once."""

    text: str
    tokens: int = 1


class Reasoning(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="reasoning"):
    """A piece of what the model thinks before it answers."""

    text: str
    tokens: int = 1


class Usage(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="usage"):
    """What an answer took. None where the back end does not tell."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    prompt_ms: float | None = None
    completion_ms: float | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="done"):
    """The answer is whole."""

    finish: Finish = "stop"


Event = (
    Queued | Chosen | LoadProgress | PromptProgress | Token | Reasoning | ToolCall | Usage | Done
)


class Health(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whether a back end answers, and what it is."""

    ok: bool
    version: str | None = None
    note: str = ""
    """What a person should know, such as that this build has no GPU support."""
    remedy: str = ""
