"""The own functions of a node: taken in, kept beside the journal, there again after a restart.

Their bytes lie in `functions/<sha256>`, what was said of them in the journal. Nothing here loads
them: that is for a task's process, which can be ended.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from workbench.core.mesh_wire import FUNCTION_BYTES, DefineMessage
from workbench.core.wire import encode
from workbench.errors import InputError, WorkbenchError
from workbench.gate import Scope, allows
from workbench.mesh.inputs import Inputs
from workbench.mesh.models import Models
from workbench.mesh.own import OwnModel, version_of
from workbench.mesh.rows import Journal, instant
from workbench.mesh.schema import Schema
from workbench.mesh.uploads import NoRoom, durable

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"

OFF = (
    "this hub takes no own functions: its owner has to set WORKBENCH_OWN_FUNCTIONS to admin or "
    "submit, or to install {model} as a package"
)
NEEDS_SCOPE = (
    "define needs the scope {needed}, this connection has {scope}: use another token, or have "
    "WORKBENCH_OWN_FUNCTIONS set to submit on the hub"
)
TAKEN = "{model} is the name of an installed model: give the function another name"
OTHER_PYTHON = (
    "{model} was made with Python {python}, and this hub runs {own}: a function by value does not "
    "travel between them, so use a kernel with Python {own}, or install it as a package"
)
NOT_HERE = "the bytes of {model} are not on this node: upload them first"
TOO_LARGE = "the function {model} has {bytes} bytes; allowed: at most {limit_bytes}"
OTHER_CONTENT = "the bytes of {model} changed on this node's disk: upload them again"
NO_ROOM = (
    "there is no room for {bytes} more bytes of functions: every one that is kept is the newest of "
    "its name or has tasks waiting"
)
UNREADABLE = "the bytes of {model} cannot be stored: {reason}"

log = logging.getLogger("workbench.mesh")


class Forbidden(WorkbenchError):
    """The connection's token, or the hub's setting, does not allow it."""

    code = "forbidden"


class Conflict(InputError):
    """The name belongs to something else."""

    code = "conflict"


class NotUploaded(InputError):
    """The message names bytes that are not here."""

    code = "unknown-upload"


class Functions:
    """Takes in own functions for `models`. `allowed`: the scope that it takes; None: nobody may.

    `wanted` gives the names and versions that open tasks were accepted for. Where `disk_bytes`
    are full the oldest versions that are neither wanted nor the newest of their name give way.
    """

    def __init__(
        self,
        folder: Path,
        journal: Journal,
        inputs: Inputs,
        models: Models,
        *,
        allowed: Scope | None,
        wall_ms: Callable[[], int],
        wanted: Callable[[], set[tuple[str, str]]],
        disk_bytes: int,
    ) -> None:
        self._folder, self._journal, self._inputs = folder / "functions", journal, inputs
        self._models, self._allowed, self._wall_ms = models, allowed, wall_ms
        self._wanted, self._disk_bytes = wanted, disk_bytes
        self._one_at_a_time = asyncio.Lock()

    async def start(self) -> None:
        """Take up what earlier starts kept, in the order of its definition."""
        await asyncio.to_thread(self._prepare)
        if self._allowed is None:
            return
        for row in await self._journal.read("functions"):
            model = self._model_of(row)
            if await asyncio.to_thread(model.path.is_file):  # else it gave way to others
                self._models.add(model)

    async def define(self, message: DefineMessage, scope: Scope) -> tuple[OwnModel, bool]:
        """Keep a function; durable on return. True: this very version was known before.

        Raises Forbidden, Conflict, NotUploaded, InputError, NoRoom, and what the journal raises.
        """
        self._may(message, scope)
        async with self._one_at_a_time:
            model = self._judged(message)
            found = self._models.own(model.name, model.version)
            known = found is not None and await asyncio.to_thread(model.path.is_file)
            if not known:
                size = await asyncio.to_thread(self._arrived, model)
                await self._make_room(size)
                await asyncio.to_thread(self._keep, model)
            if not known or self._models.get(model.name) is not found:
                row = row_of(message, model, scope, self._wall_ms())
                await self._journal.append({"function_entries": [row]})
                self._models.add(model)
                log.info("function.defined name=%s version=%s", model.name, model.version)
        return model, known

    def _may(self, message: DefineMessage, scope: Scope) -> None:
        if self._allowed is None:
            raise Forbidden(OFF, model=message.name)
        if not allows(scope, self._allowed):
            raise Forbidden(NEEDS_SCOPE, needed=self._allowed, scope=scope)

    def _judged(self, message: DefineMessage) -> OwnModel:
        if self._models.installed(message.name):
            raise Conflict(TAKEN, model=message.name)
        if message.python != PYTHON:
            raise InputError(OTHER_PYTHON, model=message.name, python=message.python, own=PYTHON)
        found = hashlib.sha256(message.source.encode()).hexdigest()
        if found != message.source_sha256:
            raise InputError.field(
                "sourceSha256", message.source_sha256, f"that of source, {found}"
            )
        sha256 = message.function_url.removeprefix("upload:")
        return OwnModel(
            name=message.name,
            version=version_of(message, sha256),
            title=message.title,
            description=message.description,
            pure=message.pure,
            gpu_memory_mb=message.gpu_memory_mb,
            schema=Schema(message.parameters_schema),
            batch=message.batch_kind,
            needs_batch=message.needs_batch,
            sha256=sha256,
            path=self._folder / sha256,
        )

    def _model_of(self, row: Mapping[str, Any]) -> OwnModel:
        names = set(OwnModel.__struct_fields__) & row.keys()
        return OwnModel(
            **{name: row[name] for name in names},
            schema=Schema(msgspec.json.decode(row["parameters_schema"])),
            batch=row["batch_kind"],
            path=self._folder / row["sha256"],
        )

    # The disk ---------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._folder.glob("*.part"):
            left.unlink(missing_ok=True)

    def _arrived(self, model: OwnModel) -> int:
        """How many bytes are to be kept more. Raises where they are not here, or too many."""
        if model.path.is_file():
            return 0
        try:
            size = self._inputs.path_of(model.sha256).stat().st_size
        except FileNotFoundError:
            raise NotUploaded(NOT_HERE, model=model.name) from None
        if size > FUNCTION_BYTES:
            raise InputError(TOO_LARGE, model=model.name, bytes=size, limit_bytes=FUNCTION_BYTES)
        return size

    async def _make_room(self, size: int) -> None:
        excess = await asyncio.to_thread(self._used) + size - self._disk_bytes
        wanted = self._wanted()
        for old in self._models.superseded():
            if excess <= 0:
                return
            if (old.name, old.version) not in wanted:
                excess -= await asyncio.to_thread(_remove, old.path)
                self._models.forget(old.sha256)
        if excess > 0:
            raise NoRoom(NO_ROOM, bytes=size)

    def _used(self) -> int:
        with os.scandir(self._folder) as entries:
            return sum(entry.stat().st_size for entry in entries)

    def _keep(self, model: OwnModel) -> None:
        """Bytes that were uploaded, copied to where nothing expires."""
        if model.path.is_file():
            return
        source = self._inputs.path_of(model.sha256)
        try:
            body = source.read_bytes()
            if hashlib.sha256(body).hexdigest() != model.sha256:
                source.unlink(missing_ok=True)
                raise NotUploaded(OTHER_CONTENT, model=model.name)
            part = model.path.with_suffix(".part")
            part.write_bytes(body)
            durable(part, model.path)
        except OSError as error:
            reason = error.strerror or str(error)
            raise NoRoom(UNREADABLE, model=model.name, reason=reason) from None


def _remove(path: Path) -> int:
    """The bytes that this gave back."""
    try:
        size = path.stat().st_size
        path.unlink()
    except OSError:
        return 0
    return size


def row_of(message: DefineMessage, model: OwnModel, scope: Scope, at_ms: int) -> tuple[Any, ...]:
    """A definition as `function_entries` has it."""
    return (
        model.name,
        model.version,
        model.title,
        model.description,
        model.pure,
        model.gpu_memory_mb,
        encode(message.parameters_schema),
        model.batch,
        model.needs_batch,
        message.source,
        message.source_sha256,
        model.sha256,
        message.python,
        message.cloudpickle,
        scope,
        instant(at_ms),
    )
