"""The one process that owns the operational file: its guard, its opening and its closing.

The guard is an flock on a file of its own. The lock that DuckDB takes on the database is
no guard: it vanishes when this process opens and closes the path by any other means, and
then a second writer's rows are lost in silence. So nothing here opens that path but DuckDB.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any

import duckdb

from workbench.errors import StoreError
from workbench.store.steps import apply_steps

DATABASE = "workbench"
STORAGE_VERSION = "v1.5.0"
"""The oldest DuckDB that can still read the files."""

_SETTINGS: dict[str, str | int | float | list[str]] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
    # The writer alone decides when to checkpoint: one in the midst of a copy would tear it.
    "wal_autocheckpoint": "1TB",
    "auto_checkpoint_skip_wal_threshold": 1 << 50,
}


class Guard:
    """An exclusive flock on `<folder>/workbench.lock`, which names its owner's PID."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "workbench.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise StoreError(
                "{path} is open in another process (PID {pid}): ask its hub with "
                "workbench.connect(), or stop it",
                path=str(folder / "workbench.duckdb"),
                pid=pid,
            ) from None
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        os.close(self._file)


class Owner:
    """The open operational file. `connection` belongs to the writer's thread alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder = folder.absolute()
        self.path = folder / "workbench.duckdb"
        self._swap = RLock()
        folder.mkdir(parents=True, exist_ok=True)
        self._guard = Guard(folder)
        with contextlib.ExitStack() as undo:
            undo.callback(self._guard.release)
            self.connection = self._open()
            undo.callback(self.connection.close)
            apply_steps(self.connection, DATABASE)
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
            config={**_SETTINGS, "temp_directory": str(self.folder / "spill")}
        )
        try:
            connection.execute(
                f"ATTACH '{quoted(self.path)}' AS {DATABASE} (STORAGE_VERSION '{STORAGE_VERSION}')"
            )
            connection.execute(f"USE {DATABASE}")
            # The writer's appenders plan an INSERT at each flush, and there is nothing to improve
            # in it: 25 rows in two tables 3.8 ms instead of 5.3. Cursors keep their optimizer.
            connection.execute("PRAGMA disable_optimizer")
        except duckdb.Error as error:
            connection.close()
            raise StoreError(
                "{path} could not be opened: {reason}",
                path=str(self.path),
                reason=first_line(error),
            ) from error
        return connection

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection of its own for one query; the caller closes it. For any thread."""
        with self._swap:
            cursor = self.connection.cursor()
        cursor.execute(f"USE {DATABASE}")
        return cursor

    def checkpoint(self) -> None:
        """Bring everything committed into the main file. In the writer's thread only."""
        self.connection.execute(f"CHECKPOINT {DATABASE}")

    def wal_bytes(self) -> int:
        """The size of the write-ahead log; 0 right after a checkpoint."""
        try:
            return (self.folder / "workbench.duckdb.wal").stat().st_size
        except FileNotFoundError:
            return 0

    def reopen(self) -> None:
        """Open again after DuckDB gave up the instance. What was committed is there again."""
        with self._swap:
            with contextlib.suppress(duckdb.Error):
                self.connection.close()
            self.connection = self._open()

    def close(self) -> None:
        """Checkpoint, close, release the guard."""
        try:
            with contextlib.suppress(duckdb.Error):  # a full disk: the log stays, complete
                self.checkpoint()
            self.connection.close()
        finally:
            self._guard.release()


def quoted(value: Any) -> str:
    """A path or name for use between single quotes in SQL that takes no parameter there."""
    return str(value).replace("'", "''")


def first_line(error: Exception) -> str:
    """DuckDB's sentence without the excerpt and the hints below it."""
    return str(error).strip().split("\n")[0].strip()
