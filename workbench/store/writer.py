"""The one thread that writes: many appends become one transaction, told done after its commit.

Measured with DuckDB 2.0 on two cores, kept appenders are the fastest durable way in from 2 to
1,000 rows a commit; a commit costs about 1 ms of CPU time a table whatever it holds. So whatever
has gathered by the time that `waiting` gives goes into one commit.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from threading import Thread
from typing import Any

import duckdb

from workbench.core.tally import Durations
from workbench.errors import StoreError
from workbench.store.damage import DamagedFile, DamagedLog, first_line, of_block
from workbench.store.owner import Owner
from workbench.store.waiting import Append, Call, Rows, Waiting

CHECKPOINT_BYTES = 8 * 1024 * 1024
"""What is in the log is in memory too, uncompressed: twice its bytes until a checkpoint."""
FEW_ROWS = 4
"""So many of one table go in as one statement."""
PROBE_S = 1.0
"""How long after a failure of the disk the next write is tried at all."""
FREE_BYTES = 16 * 1024 * 1024

REFUSED = (
    "the store takes no writes, because the last one failed ({reason}): free space on the disk of "
    "{folder}; reading goes on, and writing resumes by itself"
)


class _Unkept(Exception):
    """A commit failed. Nothing of it was acknowledged, and what went before stands."""


class Writer:
    """Appends and calls, in the order they came, on a thread of its own."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._waiting = Waiting()
        self._appenders: dict[str, duckdb.Appender] = {}
        self._blocks_held = False
        self._broken: StoreError | None = None
        self._probe_at = 0.0
        self.held = False
        """Somebody copies the main file, so it may not change."""
        self.commits = self.rows = self.failures = 0
        """Transactions that were written, their rows, and the transactions that failed."""
        self.took = Durations()
        """How long the transactions took that were written."""
        self._thread = Thread(target=self._loop, name="workbench-writer", daemon=True)
        self._thread.start()

    # Called on the event loop

    def append(self, rows: Rows, *, lazy: bool = False) -> asyncio.Future[None]:
        """Write rows of several tables together. The future is done once they are durable.

        Cancelling the future takes nothing back. `lazy`: nobody waits for it.
        """
        done = asyncio.get_running_loop().create_future()
        try:
            self._waiting.append(rows, done, lazy=lazy)
        except StoreError as error:
            done.set_exception(error)
        return done

    def call(self, run: Callable[[], Any]) -> asyncio.Future[Any]:
        """Run something between two commits, on the writer's thread."""
        done = asyncio.get_running_loop().create_future()
        try:
            self._waiting.call(run, done)
        except StoreError as error:
            done.set_exception(error)
        return done

    @property
    def waiting_rows(self) -> int:
        """Rows that wait to be written."""
        return self._waiting.rows

    def close(self) -> None:
        """Finish what waits, then end the thread. Blocks."""
        self._waiting.close()
        self._thread.join()
        self._appenders.clear()

    # On the writer's thread

    def _loop(self) -> None:
        while (items := self._waiting.next()) is not None:
            if isinstance(items, Call):
                self._run(items)
            else:
                self._write(items)
                self._maybe_checkpoint()
                self._maybe_let_go()
                self._waiting.rest(items)

    def _run(self, item: Call) -> None:
        try:
            result = item.run()
        except (duckdb.FatalException, duckdb.IOException, duckdb.TransactionException) as error:
            _fail([item.done], self._broke(error))
        except duckdb.Error as error:
            _fail([item.done], self._unwritable(error))
        except Exception as error:
            _fail([item.done], error)
        else:
            _settle(item.done, result)

    def _write(self, group: list[Append]) -> None:
        refusal = self._refused()
        if refusal is not None:
            _fail([item.done for item in group], refusal)
            return
        began = time.monotonic()
        try:
            self._commit(group)
        except (_Unkept, duckdb.FatalException, duckdb.IOException) as error:
            _fail([item.done for item in group], self._broke(error))
        except Exception as error:
            self._rollback()
            if len(group) == 1:
                _fail([group[0].done], self._unwritable(error))
            else:  # one faulty append must not fail its neighbours
                for item in group:
                    self._write([item])
        else:
            self._broken = None
            self.commits += 1
            self.rows += sum(item.count for item in group)
            self.took.add(time.monotonic() - began)
            _acknowledge([item.done for item in group])

    def _commit(self, group: list[Append]) -> None:
        connection = self._owner.connection
        tables: dict[str, list[tuple[Any, ...]]] = {}
        for item in group:
            for table, rows in item.rows.items():
                tables.setdefault(table, []).extend(map(_in_utc, rows))
        if len(tables) == 1 and 0 < sum(map(len, tables.values())) <= FEW_ROWS:
            self._insert(*tables.popitem())
            return
        connection.execute("BEGIN")
        for table, rows in tables.items():
            if table not in self._appenders:
                self._appenders[table] = connection.appender(table)
            self._appenders[table].append_rows(rows)
            self._appenders[table].flush()
        try:
            connection.execute("COMMIT")
        except duckdb.Error as error:  # no constraint is checked here: it is the disk
            raise _Unkept(first_line(error)) from error

    def _insert(self, table: str, rows: list[tuple[Any, ...]]) -> None:
        """A few rows of one table, as an acceptance or an end alone: a fourth less than an
        appender takes."""
        places = ", ".join(f"({', '.join('?' * len(row))})" for row in rows)
        try:
            insert = f"INSERT INTO {table} VALUES {places}"  # noqa: S608 - our own table
            values = [value for row in rows for value in row]
            self._owner.connection.execute(_statement(insert), values)
        except duckdb.TransactionException as error:
            raise _Unkept(first_line(error)) from error

    def _rollback(self) -> None:
        for appender in self._appenders.values():
            appender.clear()
        self._appenders.clear()
        try:
            self._owner.connection.execute("ROLLBACK")
        except duckdb.TransactionException:  # none was open
            pass
        except duckdb.Error as error:
            self._broke(error)

    def _maybe_let_go(self) -> None:
        """After a checkpoint, at the first commit beside which nobody reads."""
        if self._blocks_held and not self._broken:
            with contextlib.suppress(duckdb.Error):  # what is wrong with it, a write will say
                self._blocks_held = not self._owner.let_go()

    def _maybe_checkpoint(self) -> None:
        if self.held or self._broken or self._owner.wal_bytes() < CHECKPOINT_BYTES:
            return
        try:
            self._owner.checkpoint()
        except duckdb.Error as error:  # what was acknowledged stands in the log
            self._broke(error)
        else:
            self._blocks_held = True

    # A full or failing disk

    def _broke(self, error: Exception) -> StoreError:
        """Open the file again, so that reading goes on, and refuse writes for a while."""
        self.failures += 1
        self._broken = of_block(self._owner.path, error) or self._full(first_line(error))
        self._probe_at = time.monotonic() + PROBE_S
        for appender in self._appenders.values():
            appender.clear()
        self._appenders.clear()
        try:
            self._owner.reopen()
        except (DamagedFile, DamagedLog) as failed:
            self._broken = failed
        except StoreError as failed:
            self._broken = self._full(str(failed))
        return self._refusal(self._broken)

    def _full(self, reason: str) -> StoreError:
        return StoreError(REFUSED, reason=reason, folder=str(self._owner.folder))

    def _refused(self) -> StoreError | None:
        """Why writes are refused at this moment."""
        if self._broken is None:
            return None
        if time.monotonic() < self._probe_at:
            return self._refusal(self._broken)
        self._probe_at = time.monotonic() + PROBE_S
        if shutil.disk_usage(self._owner.folder).free < FREE_BYTES:
            return self._refusal(self._broken)
        return None

    def _refusal(self, broken: StoreError) -> StoreError:
        """One of its own for each who is refused: an error raised twice shows both ways."""
        return StoreError(broken.template, **broken.values)

    def _unwritable(self, error: Exception) -> StoreError:
        found = of_block(self._owner.path, error)
        return found or StoreError("the store could not write: {reason}", reason=first_line(error))


@lru_cache(64)
def _statement(sql: str) -> duckdb.Statement:
    """Parsed once: a sixth of what an insertion of one row takes."""
    return duckdb.extract_statements(sql)[0]


def _in_utc(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Instants with a time zone as naive UTC: DuckDB would convert them to local time."""
    if not any(isinstance(value, datetime) and value.tzinfo for value in row):
        return row
    return tuple(
        value.astimezone(UTC).replace(tzinfo=None)
        if isinstance(value, datetime) and value.tzinfo
        else value
        for value in row
    )


def _settle(done: asyncio.Future[Any], result: Any) -> None:
    def tell() -> None:
        if not done.done():
            done.set_result(result)

    _on_loop(done, tell)


def _acknowledge(futures: list[asyncio.Future[None]]) -> None:
    """Tell them all with one hop per event loop: a hop for each would cost more than a commit."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for future in futures:
        by_loop.setdefault(future.get_loop(), []).append(future)
    for same in by_loop.values():

        def tell(same: list[asyncio.Future[None]] = same) -> None:
            for future in same:
                if not future.done():
                    future.set_result(None)

        _on_loop(same[0], tell)


def _fail(futures: Sequence[asyncio.Future[Any]], error: Exception) -> None:
    for future in futures:

        def tell(future: asyncio.Future[Any] = future) -> None:
            if not future.done():
                future.set_exception(error)

        _on_loop(future, tell)


def _on_loop(future: asyncio.Future[Any], run: Callable[[], Any]) -> None:
    try:
        future.get_loop().call_soon_threadsafe(run)
    except RuntimeError:  # the loop is closed: nobody waits any more
        return
