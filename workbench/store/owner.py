"""The one process that owns the operational file: its opening and its closing."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from threading import RLock
from types import TracebackType

import duckdb

from workbench.errors import StoreError
from workbench.store import damage, heap, quarantine, wal
from workbench.store.place import (
    FILE,
    LINKED,
    NO_STORE,
    PRIVATE_FILE,
    RESTORING,
    STORAGE_VERSION,
    Guard,
    begin_private,
    prepare,
    quoted,
    size_of,
    sync,
    unusable,
)
from workbench.store.steps import apply_steps

DATABASE = "workbench"

HALF_RESTORED = (
    "a restore into {folder} was broken off: run `workbench store restore BACKUP --force` again; "
    "what was there before lies in its folder quarantine"
)
UNFINISHED = (
    "{path} could not be brought into its file, so that was not replaced: free space on the disk, "
    "and try again"
)

SPARE_KIB = 1024
"""What statements themselves need beside what is in memory for good."""
_NO_BLOCKS = (
    "SELECT coalesce(sum(memory_usage_bytes), 0)::BIGINT FROM duckdb_memory() "
    "WHERE tag <> 'BASE_TABLE'"
)

log = logging.getLogger("workbench.store")

_SETTINGS: dict[str, str | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
    # The writer alone decides when to checkpoint: one in the midst of a copy would tear it.
    "wal_autocheckpoint": "1TB",
    "auto_checkpoint_skip_wal_threshold": 1 << 50,
}


class Owner:
    """The open operational file. `connection` belongs to the writer's thread alone."""

    def __init__(
        self,
        folder: Path,
        *,
        checkpoint: bool = True,
        begin: bool = True,
        threads: int | None = None,
    ) -> None:
        """Without `checkpoint` the log stays as it is when this closes; without `begin` a store
        has to be there, and a log that cannot be read is refused instead of set aside. DuckDB
        has `threads`, or else one for each core."""
        self._checkpoint, self._begin = checkpoint, begin
        self._settings = _SETTINGS if threads is None else {**_SETTINGS, "threads": threads}
        self.folder = folder = folder.absolute()
        self.path = folder / FILE
        self.wal = folder / f"{FILE}.wal"
        self._swap = RLock()
        self._reading = 0
        if not begin:
            expect(folder)
        prepare(folder)
        self._guard = Guard(folder)
        with contextlib.ExitStack() as undo:
            undo.callback(self._guard.release)
            if (folder / RESTORING).exists():
                raise StoreError(HALF_RESTORED, folder=str(folder))
            if self.path.is_symlink():
                target = self.path.resolve()
                raise StoreError(LINKED, path=str(self.path), target=str(target))
            self._look_at_log()
            self.connection = self._open()
            undo.callback(self.connection.close)
            try:
                apply_steps(self.connection, DATABASE)
            except duckdb.Error as error:
                raise damage.explained(self.path, error) from error
            begin_private(self.wal)  # the steps ended with a checkpoint
            undo.pop_all()

    def __enter__(self) -> Owner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self) -> duckdb.DuckDBPyConnection:
        connection = duckdb.connect(
            config={**self._settings, "temp_directory": str(self.folder / "spill")}
        )
        try:
            connection.execute(
                f"ATTACH '{quoted(self.path)}' AS {DATABASE} (STORAGE_VERSION '{STORAGE_VERSION}')"
            )
            connection.execute(f"USE {DATABASE}")
            # The writer's appenders plan an INSERT at each flush, and there is nothing to improve
            # in it: 25 rows in two tables 3.8 ms instead of 5.3. Cursors keep their optimizer.
            connection.execute("PRAGMA disable_optimizer")
            for path in (self.path, self.wal):
                _make_private(path)
            begin_private(self.wal)
        except duckdb.Error as error:
            connection.close()
            raise self._explained(error) from error
        return connection

    def _explained(self, error: duckdb.Error) -> StoreError:
        """Of a log's damage whose place DuckDB does not name, the frames tell it."""
        found = damage.explained(self.path, error)
        if isinstance(found, damage.DamagedLog) and not found.place:
            with contextlib.suppress(OSError):
                read = self.wal.read_bytes()
                place = wal.first_wrong(read)
                return damage.DamagedLog(self.path, place if place < len(read) else 0)
        return found

    def _look_at_log(self) -> None:
        """Before DuckDB sees it: some damage it passes over, and then deletes what it skipped."""
        try:
            found = self.wal.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            raise unusable(self.folder, self.wal, error) from None
        alone = bool(found) and not self.path.exists()
        if not alone:
            place = wal.damage(found)
            if place is not None:
                raise damage.DamagedLog(self.path, place)
            if not wal.is_unreadable(found):
                return
        if not self._begin:
            template = damage.LOG_ALONE if alone else damage.UNREADABLE_LOG
            raise damage.LostLog(template, path=str(self.path), bytes=len(found))
        aside = quarantine.set_aside(self.folder, self.wal)
        template = damage.LONE_LOG_SET_ASIDE if alone else damage.LOG_SET_ASIDE
        told = StoreError(template, path=str(self.path), bytes=len(found), place=str(aside))
        log.warning("store.log_set_aside: %s", told)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own for one query; the caller closes it. For any thread."""
        with self._swap:
            cursor = self.connection.cursor()
        cursor.execute(f"USE {DATABASE}")
        return cursor

    @contextlib.contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor for one query, whose blocks stay in memory meanwhile. For any thread."""
        with self._swap:
            self._reading += 1
        try:
            with self.cursor() as cursor:
                yield cursor
        finally:
            with self._swap:
                self._reading -= 1

    def let_go(self) -> bool:
        """Let go of the file's blocks in memory, as far as nobody reads; whether that was so.
        In the writer's thread only.

        DuckDB keeps each block that it wrote until its limit on memory, most of the machine's.
        Nothing else makes it let go than a limit that they do not fit into, and whoever reads
        at that instant would fail.
        """
        with self._swap:
            if self._reading:
                return False
            ((rest,),) = self.connection.execute(_NO_BLOCKS).fetchall()
            with contextlib.suppress(duckdb.OutOfMemoryException):  # some are pinned
                self.connection.execute(f"SET memory_limit = '{rest // 1024 + SPARE_KIB}KiB'")
            self.connection.execute("RESET memory_limit")
        heap.trim()
        return True

    def checkpoint(self) -> None:
        """Bring everything committed into the main file. In the writer's thread only."""
        self.connection.execute(f"CHECKPOINT {DATABASE}")
        begin_private(self.wal)

    def file_bytes(self) -> int:
        """The size of the main file, by its name: it is not opened."""
        return size_of(self.path)

    def wal_bytes(self) -> int:
        """The size of the write-ahead log; 0 right after a checkpoint."""
        return size_of(self.wal)

    def reopen(self) -> None:
        """Open again after DuckDB gave up the instance. What was committed is there again."""
        with self._swap:
            with contextlib.suppress(duckdb.Error):
                self.connection.close()
            self.connection = self._open()

    def replace(self, fresh: Path) -> None:
        """Put another whole, durable file in the main file's place. In the writer's thread only.

        There must be no log: it belongs to the old file, and is gone after a clean close.
        """
        with self._swap:
            self.checkpoint()
            self.connection.close()
            try:
                if self.wal_bytes():
                    raise StoreError(UNFINISHED, path=str(self.wal))
                fresh.replace(self.path)
                sync(self.folder)
            finally:
                self.connection = self._open()

    def close(self) -> None:
        """Checkpoint, close, release the guard."""
        try:
            with contextlib.suppress(duckdb.Error):  # a full disk: the log stays, complete
                if self._checkpoint:
                    self.checkpoint()
                else:
                    self.connection.execute("PRAGMA disable_checkpoint_on_shutdown")
            self.connection.close()
            if not self.wal_bytes():
                self.wal.unlink(missing_ok=True)
        finally:
            self._guard.release()


def expect(folder: Path) -> None:
    """StoreError where no store lies in a folder, not even the log of one."""
    if not any(path.exists() for path in (folder / FILE, folder / f"{FILE}.wal")):
        raise StoreError(NO_STORE, path=str(folder))


def _make_private(path: Path) -> None:
    with contextlib.suppress(OSError):  # not there, or another user's
        path.chmod(PRIVATE_FILE)
