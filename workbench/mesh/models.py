"""Which mesh models there are: every entry point of the group `workbench.models`."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from workbench.core.model import MeshModel
from workbench.errors import InputError

GROUP = "workbench.models"
BROKEN = "model {model} could not be loaded: {reason}"
UNKNOWN = "there is no model {model}; known: {known}"
MISSPELT = "there is no model {model}; did you mean {nearest}? known: {known}"
NO_MODEL = "its entry point {target} is no function made with @model"

log = logging.getLogger("workbench.mesh")


class UnknownModel(InputError):
    """There is no model of that name here."""

    code = "unknown-model"


class Models(Mapping[str, MeshModel]):
    """Models by name, and why some could not be loaded."""

    def __init__(
        self, found: Mapping[str, MeshModel], problems: Mapping[str, InputError] | None = None
    ) -> None:
        self._found, self.problems = dict(found), dict(problems or {})
        self._extra = {name: model.extra_inputs for name, model in self._found.items()}

    def __getitem__(self, name: str) -> MeshModel:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def named(self, name: str) -> MeshModel:
        """The model, or UnknownModel with the names that there are."""
        model = self._found.get(name)
        if model is not None:
            return model
        if name in self.problems:
            problem = self.problems[name]
            raise UnknownModel(problem.template, **problem.values)
        known = ", ".join(sorted(self._found)) or "none"
        for nearest in difflib.get_close_matches(name, self._found, n=1, cutoff=0.7):
            raise UnknownModel(MISSPELT, model=name, nearest=nearest, known=known)
        raise UnknownModel(UNKNOWN, model=name, known=known)

    def extra_inputs(self, name: str) -> tuple[str, ...]:
        """The parameters of a model that name an input of their own."""
        return self._extra.get(name, ())

    def gpu_memory_mb(self, name: str) -> int | None:
        """What a model needs of one GPU's memory."""
        model = self._found.get(name)
        return model.gpu_memory_mb if model is not None else None

    def listing(self) -> list[dict[str, Any]]:
        """What the `models` message says of each."""
        return [
            {
                "name": model.name,
                "version": model.version,
                "title": model.title,
                "description": model.description,
                "parametersSchema": model.parameters_schema(),
                "gpuMemoryMB": model.gpu_memory_mb,
            }
            for model in sorted(self._found.values(), key=lambda model: model.name)
        ]

    def complaints(self) -> list[dict[str, Any]]:
        """What the `models` message says of those that could not be loaded."""
        return [
            {"name": name, "error": str(why), "template": why.template, "values": why.values}
            for name, why in self.problems.items()
        ]


def validated(model: MeshModel, given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters, defaults filled in; the slow way only where there is a fault to name."""
    try:
        full = msgspec.convert(dict(given), model.parameters)
    except msgspec.ValidationError:
        return model.validate(given)
    return dict(msgspec.to_builtins(full))


def discover(entries: Iterable[EntryPoint] | None = None) -> Models:
    """Import every installed model. A broken one is reported, and costs only itself."""
    found: dict[str, MeshModel] = {}
    problems: dict[str, InputError] = {}
    for entry in entry_points(group=GROUP) if entries is None else entries:
        try:
            model = entry.load()
        except Exception as error:
            log.exception("model.unusable name=%s target=%s", entry.name, entry.value)
            reason = f"{type(error).__name__}: {error}"
            problems[entry.name] = InputError(BROKEN, model=entry.name, reason=reason)
            continue
        if isinstance(model, MeshModel):
            found[model.name] = model
        else:
            reason = NO_MODEL.format(target=entry.value)
            problems[entry.name] = InputError(BROKEN, model=entry.name, reason=reason)
    return Models(found, problems)
