"""Secret addresses and parameters: whole only while their task is open, in a private file each.

The journal has them masked, and so has every table, list and log that is made of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from workbench.core.masking import as_kept
from workbench.core.task_nouns import Record, Recovered, Task
from workbench.errors import StoreError
from workbench.mesh.rows import Journal, rows_of
from workbench.mesh.uploads import durable

FOLDER = "addresses"
UNKEPT = "its secrets cannot be kept on the disk until it has ended: {reason}"


class Addresses:
    """The whole addresses and parameters of open tasks. `recovered` comes first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER
        self._kept: set[str] = set()

    def recovered(self, owed: Sequence[Recovered]) -> list[Recovered]:
        """Open tasks of the journal with their addresses and parameters as they were given.

        What an earlier process kept and none of them needs is removed. A task whose file is gone
        stays masked, and is not run. Blocks.
        """
        if self._folder.is_dir():
            self._kept = {path.name for path in self._folder.iterdir()}
        for name in self._kept - {_name(each.task.task_id) for each in owed}:
            self._remove(name)
        return [msgspec.structs.replace(each, task=self._whole(each.task)) for each in owed]

    def append(self, journal: Journal, record: Record, at_ms: int) -> asyncio.Future[None]:
        """Write a record to the journal; what it hides of a task is durable here before."""
        if record.task is not None:
            try:
                record = msgspec.structs.replace(record, task=self._journalled(record.task))
            except OSError as error:
                failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                failed.set_exception(StoreError(UNKEPT, reason=error.strerror or str(error)))
                return failed
        return journal.append(rows_of(record, at_ms), lazy=record.unheard)

    def _journalled(self, task: Task) -> Task:
        whole = {"input_url": task.input_url, "parameters": task.parameters}
        masked = as_kept(whole)
        if masked == whole:
            return task
        self._keep(_name(task.task_id), msgspec.json.encode(whole))
        return msgspec.structs.replace(task, **masked)

    def _whole(self, task: Task) -> Task:
        name = _name(task.task_id)
        if name not in self._kept:
            return task
        with contextlib.suppress(OSError, msgspec.DecodeError):
            found: dict[str, Any] = msgspec.json.decode((self._folder / name).read_bytes())
            return msgspec.structs.replace(task, **found)
        return task

    def forget(self, task_id: str) -> None:
        """Its task has ended."""
        name = _name(task_id)
        if name in self._kept:
            self._remove(name)

    def _keep(self, name: str, content: bytes) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        beside = self._folder / f".{name}"
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        durable(beside, self._folder / name)
        self._kept.add(name)

    def _remove(self, name: str) -> None:
        self._kept.discard(name)
        with contextlib.suppress(OSError):
            (self._folder / name).unlink()


def _name(task_id: str) -> str:
    return hashlib.sha256(task_id.encode()).hexdigest()
