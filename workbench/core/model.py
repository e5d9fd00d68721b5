"""A mesh model: a typed function that a node runs over one batch.

Everything a person or a wire needs to know of a model (its parameters, their types,
bounds, defaults and titles) is read from the function's signature, once.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Protocol

import msgspec

from workbench.core.wire import fault_of
from workbench.errors import Fault, InputError, WorkbenchError, shown

DATA_URL_FORMAT = "data-url"

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
    """`cpu`, or the accelerator lent to this task, such as `cuda:0`."""
    seed: int
    """The same for the same task content, so that a second run gives identical output."""
    rune_limit: int
    """How many runes a batch may hold here."""

    def progress(self, done: float, total: float, template: str = "", /, **values: Any) -> None:
        """Finished units over all units, with a sentence as template and values."""

    def log(self, template: str, /, *, level: str = "info", **values: Any) -> None:
        """One line of the task's log, as template and values."""


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
    function: Callable[..., Result]
    parameters: type[msgspec.Struct]

    def __call__(self, *args: Any, **kwargs: Any) -> Result:
        return self.function(*args, **kwargs)

    @property
    def target(self) -> str:
        """`module:function`, by which a child process finds it."""
        return f"{self.function.__module__}:{self.function.__qualname__}"

    @property
    def extra_inputs(self) -> tuple[str, ...]:
        """Names of the parameters that are DataURLs."""
        properties = self.parameters_schema()["properties"]
        return tuple(
            name for name, schema in properties.items() if schema.get("format") == DATA_URL_FORMAT
        )

    def parameters_schema(self) -> dict[str, Any]:
        """The parameters as one self-contained JSON Schema object."""
        definitions = msgspec.json.schema(self.parameters)["$defs"]
        schema: dict[str, Any] = definitions.pop("Parameters")
        return {**schema, "$defs": definitions} if definitions else schema

    def validate(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters, defaults filled in. Raises InputError naming each faulty one."""
        known = self.parameters.__struct_fields__
        faults = [
            Fault(f"parameters.{name}", shown(value), "one of " + ", ".join(known))
            for name, value in given.items()
            if name not in known
        ]
        hints = typing.get_type_hints(self.parameters, include_extras=True)
        properties = self.parameters_schema()["properties"]
        for name in known:
            if name in given:
                try:
                    msgspec.convert(given[name], hints[name])
                except msgspec.ValidationError as error:
                    fault = fault_of(str(error), given[name])
                    allowed = _allowed(properties[name]) or fault.allowed
                    faults.append(Fault(f"parameters.{name}", shown(given[name]), allowed))
        if faults:
            raise InputError.of(faults)
        try:
            return dict(msgspec.to_builtins(msgspec.convert(dict(given), self.parameters)))
        except msgspec.ValidationError as error:
            raise InputError.of([fault_of(str(error), given)]) from None


def _allowed(schema: Mapping[str, Any]) -> str:
    """What a parameter's schema allows, in words; empty where words would not be exact."""
    if "enum" in schema:
        return ", ".join(map(str, schema["enum"]))
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
    return " ".join([str(kind), *bounds]) if kind in ("integer", "number", "boolean") else ""


def model(
    *,
    name: str,
    version: str,
    title: str = "",
    pure: bool = True,
    gpu_memory_mb: int | None = None,
) -> Callable[[Callable[..., Result]], MeshModel]:
    """Make a mesh model of a typed function `f(context, *, parameter: type = default, ...)`.

    `pure` says that it may be run again after a lost worker; `gpu_memory_mb` (MB of 1,000,000
    bytes) that it waits until so much of one GPU is lent to it: its context then names the
    device. Bounds, titles and
    descriptions of parameters stand in their annotations, as `msgspec.Meta`.
    """

    if gpu_memory_mb is not None and gpu_memory_mb <= 0:
        raise WorkbenchError(
            "{model}: gpu_memory_mb is {value}; allowed: above 0, or None for the CPU",
            model=name,
            value=gpu_memory_mb,
        )

    def make(function: Callable[..., Result]) -> MeshModel:
        hints = typing.get_type_hints(function, include_extras=True)
        fields: list[Any] = []
        for parameter in list(inspect.signature(function).parameters.values())[1:]:
            if parameter.name not in hints:
                raise WorkbenchError(
                    "{model}: parameter {name} has no type: annotate it",
                    model=name,
                    name=parameter.name,
                )
            kind = hints[parameter.name]
            if parameter.default is inspect.Parameter.empty:
                fields.append((parameter.name, kind))
            else:
                fields.append((parameter.name, kind, parameter.default))
        struct = msgspec.defstruct(
            "Parameters", fields, kw_only=True, frozen=True, forbid_unknown_fields=True
        )
        return MeshModel(
            name=name,
            version=version,
            title=title or name,
            description=inspect.cleandoc(function.__doc__ or "").split("\n\n")[0],
            pure=pure,
            gpu_memory_mb=gpu_memory_mb,
            function=function,
            parameters=struct,
        )

    return make
