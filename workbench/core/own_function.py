"""An own function on its way to a mesh node: what is said of it, and its bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from workbench.core.signature import BatchKind

MARK = "workbench own function 1"
"""Stands first in the bytes of an own function, before (function, hints, sources)."""


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A function by value. `body` is made by cloudpickle and loaded by a task's process only.

    `source` is what its author wrote; `python` is the version that made `body`, as `3.11`.
    """

    name: str
    version: str
    title: str
    description: str
    pure: bool
    gpu_memory_mb: int | None
    parameters_schema: dict[str, Any]
    batch_kind: BatchKind | None
    needs_batch: bool
    source: str
    source_sha256: str
    body: bytes
    sha256: str
    """Of `body`."""
    python: str
    cloudpickle: str

    def __repr__(self) -> str:
        return f"<Definition {self.name} of {len(self.body)} bytes, SHA-256 {self.sha256[:12]}>"

    def message(self) -> dict[str, Any]:
        """The `define` message: all but the bytes, which are uploaded."""
        return {
            "type": "define",
            "functionURL": f"upload:{self.sha256}",
            "name": self.name,
            "version": self.version,
            "title": self.title,
            "description": self.description,
            "pure": self.pure,
            "gpuMemoryMB": self.gpu_memory_mb,
            "parametersSchema": self.parameters_schema,
            "batchKind": self.batch_kind,
            "needsBatch": self.needs_batch,
            "source": self.source,
            "sourceSha256": self.source_sha256,
            "python": self.python,
            "cloudpickle": self.cloudpickle,
        }


class Defined(msgspec.Struct, frozen=True):
    """What a node made of a Definition. `known`: it had this very version already."""

    name: str
    version: str
    known: bool


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """What a model is that another function uses: its function. Named in the bytes."""
    return function


def bounds(fields: dict[str, Any]) -> msgspec.Meta:
    """What stands in a parameter's annotation. Named in the bytes."""
    return msgspec.Meta(**fields)
