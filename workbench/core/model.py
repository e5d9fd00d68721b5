"""A mesh model: a function that a node runs over one batch.

Everything a person or a wire needs to know of a model (its parameters, their types,
bounds, defaults and titles) is read from the function's signature, once.
"""

from __future__ import annotations

import copy
import functools
import inspect
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Protocol, overload

import msgspec

from workbench.core import model_card
from workbench.core.naming import check_names
from workbench.core.signature import BatchKind, hints_of, signature_of
from workbench.core.wire import FORMS, choices, fault_of
from workbench.errors import Fault, InputError, WorkbenchError, shown

DATA_URL_FORMAT = "data-url"
_TEXT_FORMS = frozenset(("pattern", "format", "contentEncoding"))
OWN_VERSION = "own"
"""The version of a model whose author gave none: whoever keeps it tells its states apart."""

DataURL = Annotated[
    Annotated[str, msgspec.Meta(max_length=4096)] | None,
    msgspec.Meta(extra_json_schema={"format": DATA_URL_FORMAT}),
]
"""A parameter that names a second input. The node fetches it as it does `inputDataURL`,
and the model finds it under `context.inputs[<parameter>]`."""


class Context(Protocol):
    """What a running model may ask of its node."""

    inputs: Mapping[str, Path]
    """Fetched inputs: `batch`, and one for each DataURL parameter that was given."""
    device: str
    """`cpu`, or the accelerator lent to this task, such as `cuda:0`. So says the result, too: a
    function that has to do without what was lent sets it to `cpu`."""
    seed: int
    """The same for the same task content, so that a second run gives identical output."""
    rune_limit: int
    """How many runes a batch may hold here."""

    def progress(self, done: float, total: float, template: str = "", /, **values: Any) -> None:
        """Finished units over all units, with a sentence as template and values."""

    def log(self, template: str, /, *, level: str = "info", **values: Any) -> None:
        """One line of the task's log, as template and values."""

    def generate(self, prompt: str, /) -> str:
        """What a language model of the hub that is loaded already answers, within its time.

        Raises core.llm.NoModel where none is loaded, ModelError where none answers.
        """


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a model gives back.

    `data` is JSON-ready; `tables` maps a name to a pyarrow.Table; `figures` are Plotly
    figures as plain dictionaries; `batch` names the batch that `data` is about.
    """

    data: dict[str, Any]
    batch: str | None = None
    tables: dict[str, Any] = msgspec.field(default_factory=dict)
    figures: list[dict[str, Any]] = msgspec.field(default_factory=list)


class MeshModel(msgspec.Struct, frozen=True, kw_only=True):
    """A function and what its signature says. Made by `@model`."""

    name: str
    version: str
    title: str
    description: str
    pure: bool
    gpu_memory_mb: int | None = None
    """What it needs of one GPU's memory; None: it runs on the CPU."""
    gpu_wish_mb: int | None = None
    """What it takes of one GPU's memory where so much is free when it starts; where not, it runs
    on the CPU at once."""
    function: Callable[..., Any]
    parameters: type[msgspec.Struct]
    context: str | None
    """The name of the function's parameter that gets the Context; None: it has none."""
    batch: BatchKind | None
    """As what its parameter `batch` gets the batch; None: it has none."""
    needs_batch: bool

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return model_card.text(self)

    def _repr_html_(self) -> str:
        return model_card.html(self)

    @property
    def target(self) -> str:
        """`module:function`, by which a child process finds it."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    @property
    def files(self) -> dict[str, str]:
        """What has to lie beside its inputs: nothing, its module is installed."""
        return {}

    @property
    def extra_inputs(self) -> tuple[str, ...]:
        """Names of the parameters that are DataURLs."""
        return data_urls(self.schema)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return self.parameters.__struct_fields__

    @property
    def schema(self) -> Mapping[str, Any]:
        """The parameters as one self-contained JSON Schema object, for reading only."""
        return _schema(self.parameters)

    def parameters_schema(self) -> dict[str, Any]:
        """The same, the caller's own."""
        return copy.deepcopy(_schema(self.parameters))

    def validate(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters, defaults filled in. Raises InputError naming each faulty one."""
        known = self.parameters.__struct_fields__
        faults = [
            Fault(f"parameters.{name}", shown(value), "one of " + ", ".join(known))
            for name, value in given.items()
            if name not in known
        ]
        hints = typing.get_type_hints(self.parameters, include_extras=True)
        properties = self.schema["properties"]
        for name in known:
            if name in given:
                try:
                    msgspec.convert(given[name], hints[name], str_keys=True)
                except msgspec.ValidationError as error:
                    fault = choices(fault_of(str(error), given[name]), hints[name])
                    allowed = allowed_words(properties[name]) or fault.allowed
                    # A part that no path leads to, such as a key, is told with its whole.
                    value = shown(given[name]) if fault.value == shown(None) else fault.value
                    faults.append(Fault(f"parameters.{name}", value, allowed))
        if faults:
            raise InputError.of(faults)
        try:
            typed = msgspec.convert(dict(given), self.parameters, str_keys=True)
            return dict(msgspec.to_builtins(typed, str_keys=True, order="deterministic"))
        except msgspec.ValidationError as error:
            raise InputError.of([fault_of(str(error), given)]) from None


def first_paragraph(function: Callable[..., Any]) -> str:
    """The first paragraph of its docstring, on one line."""
    return " ".join(inspect.cleandoc(function.__doc__ or "").split("\n\n")[0].split())


@functools.lru_cache(maxsize=256)
def _schema(parameters: type[msgspec.Struct]) -> dict[str, Any]:
    """Kept, because making one takes a third of a millisecond and every list of models has all."""
    definitions = msgspec.json.schema(parameters)["$defs"]
    schema: dict[str, Any] = definitions.pop("Parameters")
    for field in msgspec.structs.fields(parameters):
        if field.default_factory is not msgspec.NODEFAULT:  # a list's, which has no constant
            made = msgspec.to_builtins(field.default_factory(), order="deterministic")
            schema["properties"][field.name]["default"] = made
    for each in definitions.values():
        each.pop("title", None)  # the name of a class: a form would show it for the parameter's
    return {**schema, "$defs": definitions} if definitions else schema


def data_urls(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the parameters that name inputs of their own, from a model's schema."""
    properties: Mapping[str, Any] = schema.get("properties") or {}
    return tuple(
        name
        for name, each in properties.items()
        if isinstance(each, Mapping) and each.get("format") == DATA_URL_FORMAT
    )


def allowed_words(schema: Mapping[str, Any]) -> str:
    """What a parameter's schema allows, in words; empty where words would not be exact."""
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        options = [allowed_words(each) for each in schema["anyOf"]]
        return " or ".join(options) if all(options) else ""
    bounds = [
        f"{words} {schema[key]}"
        for key, words in (
            ("minimum", "from"),
            ("exclusiveMinimum", "above"),
            ("maximum", "to"),
            ("exclusiveMaximum", "below"),
        )
        if key in schema
    ]
    kind = schema.get("type")
    if kind in ("integer", "number", "boolean", "null"):
        return " ".join([str(kind), *bounds])
    if kind == "string" and schema.get("format") in FORMS:
        return FORMS[schema["format"]]
    if kind != "string" or schema.keys() & _TEXT_FORMS:
        return ""
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    if high is not None:
        return (
            f"text of {low} to {high} characters" if low else f"text of at most {high} characters"
        )
    return f"text of at least {low} characters" if low else "text"


@overload
def model(function: Callable[..., Any], /) -> MeshModel: ...


@overload
def model(
    *,
    name: str = ...,
    version: str = ...,
    title: str = ...,
    pure: bool = ...,
    gpu_memory_mb: int | None = ...,
    gpu_wish_mb: int | None = ...,
) -> Callable[[Callable[..., Any]], MeshModel]: ...


def model(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str = "",
    version: str = OWN_VERSION,
    title: str = "",
    pure: bool = True,
    gpu_memory_mb: int | None = None,
    gpu_wish_mb: int | None = None,
) -> MeshModel | Callable[[Callable[..., Any]], MeshModel]:
    """Make a mesh model of a function: bare, `@model`, or `@model(name=..., ...)`.

    Its parameter `context` gets the Context and its parameter `batch` the batch: as Path, bytes,
    dict, list, pandas.DataFrame, pyarrow.Table or polars.DataFrame, as it is annotated. Both may
    be left out. Every other one is a parameter of its form; it needs no type where its default
    is a number, a text, True or False. Bounds, titles and descriptions of parameters stand in
    their annotations, as `msgspec.Meta`.

    It returns a Result, or a plain value: what JSON holds, a table, a Plotly figure, or a
    dictionary or tuple of these. `name` is the function's own where none is given, with `-` for
    `_`. `pure` says that it may be run again after a lost worker, and answered with an earlier
    result; `gpu_memory_mb` (MB of 1,000,000 bytes) that it waits until so much of one GPU is lent
    to it: its context then names the device. `gpu_wish_mb`, instead, that an installed model takes
    so much where it is free and runs on the CPU where not.
    """

    for field, value in {"gpu_memory_mb": gpu_memory_mb, "gpu_wish_mb": gpu_wish_mb}.items():
        if value is not None and value <= 0:
            raise WorkbenchError(
                "{model}: {field} is {value}; allowed: above 0, or None for the CPU",
                model=name,
                field=field,
                value=value,
            )

    def make(function: Callable[..., Any]) -> MeshModel:
        if not inspect.isfunction(function) or inspect.iscoroutinefunction(function):
            raise WorkbenchError(
                "{value} is no plain function: write def above it, without async",
                value=shown(function),
            )
        own = name or function.__name__.strip("_").replace("_", "-")
        check_names(own, version, title or own)
        signature = signature_of(own, function, hints_of(own, function), Context)
        return MeshModel(
            name=own,
            version=version,
            title=title or own,
            description=first_paragraph(function),
            pure=pure,
            gpu_memory_mb=gpu_memory_mb,
            gpu_wish_mb=gpu_wish_mb,
            function=function,
            **msgspec.structs.asdict(signature),
        )

    return make if function is None else make(function)
