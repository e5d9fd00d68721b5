"""Which mesh models there are: entry points of the group `workbench.models`, and own functions."""

from __future__ import annotations

import difflib
import hashlib
import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from workbench.core.model import OWN_VERSION, MeshModel
from workbench.errors import InputError
from workbench.mesh.own import OwnModel

GROUP = "workbench.models"
BROKEN = "model {model} could not be loaded: {reason}"
UNKNOWN = "there is no model {model}; known: {known}"
MISSPELT = "there is no model {model}; did you mean {nearest}? known: {known}"
NO_VERSION = "version {version} of {model} is not here any more: define it again"
NO_MODEL = "its entry point {target} is no function made with @model"

log = logging.getLogger("workbench.mesh")

OFFERED = 20
"""Own functions are never removed while there is room: after an afternoon there are a hundred."""


class UnknownModel(InputError):
    """There is no model of that name here."""

    code = "unknown-model"


AnyModel = MeshModel | OwnModel


class Models(Mapping[str, AnyModel]):
    """Models by name, and why some could not be loaded. Of an own function the version that was
    defined last; the others by their version. An installed model goes before an own function."""

    def __init__(
        self, found: Mapping[str, MeshModel], problems: Mapping[str, InputError] | None = None
    ) -> None:
        self._installed, self.problems = dict(found), dict(problems or {})
        self._own: dict[str, OwnModel] = {}
        self._versions: dict[tuple[str, str], OwnModel] = {}
        self._extra = {name: model.extra_inputs for name, model in self._installed.items()}

    def __getitem__(self, name: str) -> AnyModel:
        found = self._installed.get(name)
        return self._own[name] if found is None else found

    def __iter__(self) -> Iterator[str]:
        yield from self._installed
        yield from (name for name in self._own if name not in self._installed)

    def __len__(self) -> int:
        return len(self._installed.keys() | self._own.keys())

    def add(self, model: OwnModel) -> None:
        """From now on this is the newest version of an own function."""
        self._versions.pop((model.name, model.version), None)  # the newest stands last
        self._own.pop(model.name, None)
        self._own[model.name] = self._versions[model.name, model.version] = model

    def superseded(self) -> list[OwnModel]:
        """Versions of own functions whose bytes no newest version has, oldest first."""
        newest = {model.sha256 for model in self._own.values()}
        return [model for model in self._versions.values() if model.sha256 not in newest]

    def forget(self, sha256: str) -> None:
        """These bytes are gone, and with them the older versions that had them."""
        self._versions = {
            key: model for key, model in self._versions.items() if model.sha256 != sha256
        }

    def own(self, name: str, version: str) -> OwnModel | None:
        """One version of an own function."""
        return self._versions.get((name, version))

    def installed(self, name: str) -> bool:
        """Whether the name is that of an installed model, be it a broken one."""
        return name in self._installed or name in self.problems

    def named(self, name: str, version: str | None = None) -> AnyModel:
        """The model, or UnknownModel with the names that there are.

        `version` is a client's wish for one version of an own function.
        """
        model = self.get(name)
        if model is not None and version not in (None, model.version):
            model = self.own(name, str(version))
            if model is None:
                raise InputError.field("modelVersion", version, self._known_versions(name))
        if model is not None:
            return model
        if name in self.problems:
            problem = self.problems[name]
            raise UnknownModel(problem.template, **problem.values)
        known_names = ", ".join(sorted(self)) or "none"
        for nearest in difflib.get_close_matches(name, list(self), n=1, cutoff=0.7):
            raise UnknownModel(MISSPELT, model=name, nearest=nearest, known=known_names)
        raise UnknownModel(UNKNOWN, model=name, known=known_names)

    def _known_versions(self, name: str) -> str:
        if name in self._installed:
            return self._installed[name].version
        return ", ".join([version for own, version in self._versions if own == name][-10:])

    def accepted(self, name: str, version: str) -> AnyModel:
        """The model of a task that was accepted for this version. Raises UnknownModel.

        Of an installed model there is one version, whichever it was then; of an own function it
        is that very one.
        """
        own = self.own(name, version)
        if own is not None:
            return own
        if name in self._installed or name not in self._own:
            return self.named(name)
        raise UnknownModel(NO_VERSION, model=name, version=version)

    def extra_inputs(self, name: str, version: str) -> tuple[str, ...]:
        """The parameters of a model that name an input of their own."""
        own = self.own(name, version)
        return self._extra.get(name, ()) if own is None else own.extra_inputs

    def gpu_memory_mb(self, name: str, version: str) -> int | None:
        """What a model needs of one GPU's memory, or takes where it is free."""
        model = self.own(name, version) or self._installed.get(name)
        need = None if model is None else model.gpu_memory_mb
        return model.gpu_wish_mb if need is None and isinstance(model, MeshModel) else need

    def needs_gpu(self, name: str, version: str) -> bool:
        """Whether a model waits for its GPU; else it does without where none is free."""
        model = self.own(name, version) or self._installed.get(name)
        return model is not None and model.gpu_memory_mb is not None

    def listing(self) -> list[dict[str, Any]]:
        """What the `models` message says of each. A page offers the newest own functions only."""
        older = set(list(self._own)[:-OFFERED])
        return [
            {
                "name": model.name,
                "version": model.version,
                "title": model.title,
                "description": model.description,
                "parametersSchema": _schema_of(model),
                "gpuMemoryMB": model.gpu_memory_mb,
                "own": isinstance(model, OwnModel),
                "listed": isinstance(model, MeshModel) or model.name not in older,
                "needsBatch": needs_batch(model),
                "takesBatch": model.batch is not None or isinstance(model, MeshModel),
            }
            for model in sorted(self.values(), key=lambda model: model.name)
        ]

    def complaints(self) -> list[dict[str, Any]]:
        """What the `models` message says of those that could not be loaded."""
        return [
            {"name": name, "error": str(why), "template": why.template, "values": why.values}
            for name, why in self.problems.items()
        ]


def _schema_of(model: AnyModel) -> Mapping[str, Any]:
    return model.schema.whole if isinstance(model, OwnModel) else model.schema


def needs_batch(model: AnyModel) -> bool:
    """Whether a task of it must have an input. An installed model without a parameter for it
    looks for one in its context."""
    return model.needs_batch or (isinstance(model, MeshModel) and model.batch is None)


def validated(model: AnyModel, given: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters, defaults filled in; the slow way only where there is a fault to name."""
    if isinstance(model, OwnModel):
        return model.validate(given)
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
            found[model.name] = _with_version(model, entry)
        else:
            reason = NO_MODEL.format(target=entry.value)
            problems[entry.name] = InputError(BROKEN, model=entry.name, reason=reason)
    return Models(found, problems)


def _with_version(model: MeshModel, entry: EntryPoint) -> MeshModel:
    """A model without a version gets one that changes with its text, for kept results follow it."""
    if model.version != OWN_VERSION:
        return model
    try:
        text = inspect.getsource(model.function)
    except (OSError, TypeError):
        text = entry.dist.version if entry.dist is not None else ""
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return msgspec.structs.replace(model, version=f"{OWN_VERSION}-{digest}")
