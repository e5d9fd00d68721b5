"""What `submit` and `map` take as a model: its name, or a function made one with `@model`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

from workbench.clients.mesh import MeshClient
from workbench.clients.own_functions import definition_of
from workbench.clients.plain import plain
from workbench.core.model import MeshModel
from workbench.errors import InputError
from workbench.session.cells import CELL

GROUP = "workbench.models"

TAKES_NONE = "{model} takes no batch: give it a parameter of the name batch, or leave the batch out"
CELLS_NAME = (
    "{model} is the name under which the cells of %%mesh are kept: give the function another one"
)

Model = str | MeshModel


class Named(NamedTuple):
    """A model as a task names it; `version` only where a function was sent by value."""

    name: str
    version: str | None = None


async def named(mesh: MeshClient, model: Model) -> Named:
    """The model's name at the node, which is given the function first where it is an own one.

    An installed model goes by its name, where the node has one of that name; whatever else was
    made with `@model` goes by value.
    """
    if isinstance(model, str):
        return Named(model)
    if not isinstance(model, MeshModel):
        raise InputError.field(
            "model", model, "a model's name, or a function with @workbench.model above it"
        )
    if _is_installed(model) and model.name in [each.get("name") for each in await mesh.models()]:
        return Named(model.name)
    return await defined(mesh, model)


async def defined(mesh: MeshClient, model: MeshModel) -> Named:
    """The node keeps the function, as this version."""
    if model.name == CELL:
        raise InputError(CELLS_NAME, model=model.name)
    kept = await mesh.define(definition_of(model))
    return Named(kept.name, kept.version)


def check_batch(model: Model, batch: Any) -> None:
    """Raises InputError for a batch that the function could never come by."""
    deaf = isinstance(model, MeshModel) and model.batch is None and model.context is None
    if deaf and batch is not None:
        raise InputError(TAKES_NONE, model=name_of(model))


def taken(model: Model, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as the function takes them: a number for a Decimal goes as its digits.

    Raises InputError for those that it would not take.
    """
    if not isinstance(model, MeshModel):
        return dict(given)
    files = {name: value for name, value in given.items() if isinstance(value, Path | bytes)}
    told = {name: "" if name in files else plain(name, value) for name, value in given.items()}
    checked = model.validate(told)
    return {name: files.get(name, checked[name]) for name in given}


def _is_installed(model: MeshModel) -> bool:
    return any(each.value == model.target for each in entry_points(group=GROUP))


def name_of(model: Any) -> str:
    """For a title, before the node has said anything."""
    return model.name if isinstance(model, MeshModel) else str(model)
