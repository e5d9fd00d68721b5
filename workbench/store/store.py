"""The store: what it says is written is durable, and nothing it does blocks the event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from workbench.core.job import TableBytes
from workbench.core.tally import Durations, Tally
from workbench.errors import InputError, StoreError
from workbench.store import compact, export, named, side_files
from workbench.store.copies import Copies
from workbench.store.frames import QueryFrame
from workbench.store.owner import Owner
from workbench.store.retention import Keep, Retired, retire
from workbench.store.side_files import Folder, SideFile
from workbench.store.user_sql import Params, UserSql
from workbench.store.waiting import Rows
from workbench.store.writer import Writer

READERS = 4
EXPORT_FACTOR = 20
"""An export may work this many times longer than a query."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Figures:
    """A store in numbers, since it was opened."""

    commits: Durations
    """How long each took."""
    rows: int
    failures: int
    waiting_rows: int
    file_bytes: int
    wal_bytes: int
    queries: Tally
    """The queries of users."""


class Store:
    """One data folder, owned by this process. Made by `Store.open`; for one event loop."""

    def __init__(self, owner: Owner, *, query_memory_mb: int, query_limit_s: float) -> None:
        self.folder = owner.folder
        self._owner = owner
        self._limit_s = query_limit_s
        self._writer = Writer(owner)
        self._copies = Copies(owner, self._writer)
        self._user_sql = UserSql(
            owner.folder, self._copies, memory_mb=query_memory_mb, limit_s=query_limit_s
        )
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="workbench-reader")
        self._closed = False

    @classmethod
    async def open(
        cls, folder: Path, *, query_memory_mb: int = 2048, query_limit_s: float = 30.0
    ) -> Store:
        """Take the folder over, or StoreError when another process owns it (with its PID)."""
        # A commit is nothing to share out: with helpers it takes a third more CPU time. Several
        # readers still go on beside each other, and what users ask runs elsewhere.
        owner = await asyncio.to_thread(partial(Owner, folder, threads=1))
        for sweep in (side_files.sweep, compact.sweep):
            await asyncio.to_thread(sweep, owner.folder)
        return cls(owner, query_memory_mb=query_memory_mb, query_limit_s=query_limit_s)

    async def __aenter__(self) -> Store:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def append(self, rows: Rows, *, lazy: bool = False) -> asyncio.Future[None]:
        """Append rows of several tables, all or none; the future is done once they are durable.

        Tuples have one value per column, in the order of the schema. Appends become
        durable in the order of their calls. A `lazy` one, for which nobody waits, may wait a
        moment for others to share their commit.
        """
        return self._writer.append(rows, lazy=lazy)

    async def read(self, query: str, **params: Any) -> list[dict[str, Any]]:
        """Run a named query of store/queries on the live data."""
        return await self._off_loop(named.read, self._owner, query, params)

    async def change(self, query: str, **params: Any) -> None:
        """Run a named change of several statements, all or none; durable on return."""
        await self._writer.call(partial(named.change, self._owner, query, params))

    async def retire(self, keep: Keep) -> Retired:
        """Delete what is kept no longer; see `retention.retire`."""
        now = datetime.now(UTC).replace(tzinfo=None)
        gone: Retired = await self._writer.call(partial(retire, self._owner, keep, now))
        return gone

    async def write_side_file(
        self, folder: Folder, alias: str, tables: Mapping[str, TableBytes], document: bytes
    ) -> SideFile:
        """Write an immutable side file, durable on return; see `side_files.write_side_file`.

        Use the alias of the answer: other content under a taken alias gets another one.
        """
        if tables and not self._closed:
            self._user_sql.expect()
        return await self._off_loop(
            side_files.write_side_file, self.folder, folder, alias, tables, document
        )

    async def read_document(self, path: str | Path) -> bytes:
        """The JSON document of a side file, given its path relative to the data folder."""
        return await self._off_loop(side_files.read_document, self._inside(path))

    async def read_table(self, path: str | Path, name: str) -> bytes:
        """One table of a side file as an Arrow IPC stream."""
        return await self._off_loop(side_files.read_table, self._inside(path), name)

    def query(
        self,
        sql: str,
        params: Params = None,
        *,
        fresh: bool = False,
        max_rows: int | None = None,
    ) -> AsyncGenerator[QueryFrame]:
        """Run a user's SQL: a QueryHead, bytes (one Arrow IPC stream), a QueryEnd.

        The data is at most 2 s old; `fresh` asks for all that is acknowledged by now.
        To stop early, close the iterator (`contextlib.aclosing`).
        """
        return self._user_sql.query(sql, params, fresh=fresh, max_rows=max_rows)

    async def export(self, what: str, target: Path) -> export.Exported:
        """Write a table (`tasks`, `alias.table`) or a query as Parquet, with its page beside it."""
        ask = partial(
            self._user_sql.query,
            params=None,
            fresh=True,
            max_rows=None,
            limit_s=self._limit_s * EXPORT_FACTOR,
        )
        return await export.export(what, target, ask)

    def figures(self) -> Figures:
        """What was done so far, and how large the files are."""
        writer = self._writer
        return Figures(
            commits=writer.took,
            rows=writer.rows,
            failures=writer.failures,
            waiting_rows=writer.waiting_rows,
            file_bytes=self._owner.file_bytes(),
            wal_bytes=self._owner.wal_bytes(),
            queries=self._user_sql.ended,
        )

    async def close(self) -> None:
        """Write what waits, stop the queries, checkpoint, give the folder back."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(StoreError):
            await self._copies.close()
        await self._user_sql.settle()
        for close in (self._user_sql.close, self._writer.close, self._readers.shutdown):
            await asyncio.to_thread(close)
        await asyncio.to_thread(self._owner.close)

    async def _off_loop(self, run: Callable[..., T], *args: Any) -> T:
        if self._closed:
            raise StoreError("the store is closed: open it again")
        return await asyncio.get_running_loop().run_in_executor(self._readers, run, *args)

    def _inside(self, path: str | Path) -> Path:
        whole = (self.folder / path).resolve()
        if not whole.is_relative_to(self.folder.resolve()) or not whole.is_file():
            raise InputError.field("path", str(path), "a side file in the data folder")
        return whole
