"""An own function as the node knows it: from what was said of it, never from its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from workbench.core.job import FUNCTION
from workbench.core.mesh_wire import DefineMessage
from workbench.core.model import data_urls
from workbench.core.signature import BatchKind
from workbench.mesh.content import digest_of
from workbench.mesh.schema import Schema


class OwnModel(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an own function. `path` is where its bytes lie, whose SHA-256 is `sha256`."""

    name: str
    version: str
    title: str
    description: str
    pure: bool
    gpu_memory_mb: int | None
    schema: Schema
    batch: BatchKind | None
    needs_batch: bool
    sha256: str
    path: Path

    @property
    def target(self) -> str:
        """By which a child process finds it."""
        return f"own:{self.sha256}"

    @property
    def files(self) -> dict[str, str]:
        """What has to lie beside its inputs."""
        return {FUNCTION: str(self.path)}

    @property
    def extra_inputs(self) -> tuple[str, ...]:
        return data_urls(self.schema.whole)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        return tuple(self.schema.properties)

    def parameters_schema(self) -> dict[str, Any]:
        return self.schema.whole

    def validate(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters, defaults filled in. Raises InputError naming each faulty one."""
        return self.schema.validate(given)


def version_of(message: DefineMessage, sha256: str) -> str:
    """Another content is another version: `own-` or its author's word, and 12 digits of a hash.

    All that a run follows from counts: the bytes, with every value that the function uses, the
    schema that judges its parameters, and how it is run.
    """
    content = [
        sha256,
        message.title,
        message.description,
        message.pure,
        message.gpu_memory_mb,
        message.parameters_schema,
        message.batch_kind,
        message.needs_batch,
        message.python,
    ]
    return f"{message.version}-{digest_of(content)[:12]}"
