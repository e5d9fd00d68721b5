"""Copies of the operational file for readers of other processes: whole, private, dated.

The writer checkpoints and then leaves the main file alone while a helper process copies
it; the owner itself never opens the path (see owner.py). A copy serves for up to 2 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from workbench.errors import StoreError
from workbench.store.owner import Owner
from workbench.store.writer import Writer

REUSE_S = 2.0
SPARE_BYTES = 16 << 20
"""Of the disk, that a copy leaves free: what is acknowledged matters more than what is asked."""
NO_ROOM = (
    "a query reads a copy of the database, and the disk of {folder} has {free_mb} MB free of the "
    "{need_mb} MB that a new copy takes: free space there; a backup needs none once the hub is "
    "stopped"
)
UNCOPIED = "the store could not be copied for the query: {reason}"
_COPY = (
    "import os, shutil, sys; os.umask(0o077); part = sys.argv[2] + '.part'; "
    "shutil.copyfile(sys.argv[1], part); os.rename(part, sys.argv[2])"
)


@dataclass(slots=True)
class Copy:
    """`as_of`: every row acknowledged before then is in it. `made_at` is monotonic."""

    path: Path
    as_of: datetime
    made_at: float
    commits: int
    users: int = field(default=0)


class Copies:
    """The newest copy, made when asked for, removed when nobody reads it any more."""

    def __init__(self, owner: Owner, writer: Writer) -> None:
        self._owner = owner
        self._writer = writer
        self._folder = owner.folder / "query"
        self._newest: Copy | None = None
        self._made = 0
        self._one_at_a_time = asyncio.Lock()
        self._lending: set[asyncio.Task[Copy]] = set()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700)

    @contextlib.asynccontextmanager
    async def borrowed(self, *, fresh: bool) -> AsyncIterator[Copy]:
        """A copy at most 2 s old; with `fresh`, one that begins after this call."""
        task = asyncio.create_task(self._lend(time.monotonic(), fresh))
        self._lending.add(task)
        task.add_done_callback(self._lending.discard)
        try:
            # Shielded: a copy begun is finished, or the writer would hold still for ever.
            copy = await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(self._forget)
            raise
        try:
            yield copy
        finally:
            self._give_back(copy)

    async def _lend(self, asked_at: float, fresh: bool) -> Copy:
        async with self._one_at_a_time:
            copy = self._newest
            oldest = asked_at if fresh else time.monotonic() - REUSE_S
            if copy is None or (copy.made_at < oldest and not self._still_exact(copy)):
                copy = await self._newer(copy, fresh)
            copy.users += 1
            return copy

    async def _newer(self, copy: Copy | None, fresh: bool) -> Copy:
        """A new copy. Where none can be made, the old one serves on, and its instant tells."""
        try:
            newer = await self._make()
        except StoreError:
            if copy is None or fresh:
                raise
            return copy
        self._newest = newer
        if copy is not None:
            self._sweep(copy)
        return newer

    def _forget(self, task: asyncio.Task[Copy]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._give_back(task.result())

    def _give_back(self, copy: Copy) -> None:
        copy.users -= 1
        self._sweep(copy)

    def _still_exact(self, copy: Copy) -> bool:
        """Nothing was written since: the copy is as good as a new one, and says so."""
        made_at, as_of = time.monotonic(), datetime.now(UTC)
        if copy.commits != self._writer.commits:
            return False
        copy.made_at, copy.as_of = made_at, as_of
        return True

    async def _make(self) -> Copy:
        self._expect_room()
        self._made += 1
        target = self._folder / f"{self._made}.duckdb"
        made_at = time.monotonic()
        as_of, commits = await self._writer.call(self._hold)
        try:
            await self._copy(target)
        finally:
            self._writer.held = False
        return Copy(target, as_of, made_at, commits)

    def _expect_room(self) -> None:
        """Before anything is begun: a copy that fills the disk would stop the writer."""
        free = shutil.disk_usage(self._owner.folder).free
        need = self._owner.file_bytes() + 2 * self._owner.wal_bytes() + SPARE_BYTES
        if free < need:
            raise StoreError(
                NO_ROOM,
                folder=str(self._owner.folder),
                free_mb=free // 1_000_000,
                need_mb=need // 1_000_000,
            )

    def _hold(self) -> tuple[datetime, int]:
        """On the writer's thread: from here on the main file stands still."""
        as_of = datetime.now(UTC)
        self._owner.checkpoint()
        self._writer.held = True
        return as_of, self._writer.commits

    async def _copy(self, target: Path) -> None:
        helper = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-c", _COPY, str(self._owner.path), str(target),
            stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            _, told = await helper.communicate()
        except asyncio.CancelledError:  # the event loop ends
            helper.kill()
            await helper.wait()
            raise
        if helper.returncode != 0:
            _remove(Path(f"{target}.part"))  # it may have taken the last that was free
            lines = told.decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise StoreError(UNCOPIED, reason=lines[-1])

    def _sweep(self, copy: Copy) -> None:
        if copy is not self._newest and copy.users == 0:
            _remove(copy.path)

    async def close(self) -> None:
        """Wait for copies under way, then remove them all."""
        await asyncio.gather(*self._lending, return_exceptions=True)
        shutil.rmtree(self._folder, ignore_errors=True)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)
