"""A data folder: the names in it, the guard of its one owner, and who may read what lies there.

The guard is an flock on a file of its own. The lock that DuckDB takes on the database is
no guard: it vanishes when this process opens and closes the path by any other means, and
then a second writer's rows are lost in silence. So nothing opens that path but DuckDB.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Any

from workbench.errors import StoreError

FILE = "workbench.duckdb"
LOCK = "workbench.lock"
RESTORING = "workbench.restoring"
"""Lies in a data folder while a backup is being put in place there."""
STORAGE_VERSION = "v1.5.0"
"""The oldest DuckDB that can still read the files."""
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
"""Tasks and chats are their owner's alone. A folder that is there already keeps its mode."""

NO_STORE = "there is no store at {path}: name its data folder with --data"
ODD = (
    "the path of the data folder {path} holds {sign}, which DuckDB takes for something else: "
    "rename that folder, or name another one"
)
LINKED = (
    "{path} is a link to {target}, and DuckDB keeps its log over there, where no backup and no "
    "salvage looks: put the file itself here, or make the whole data folder a link"
)
UNUSABLE = "the data folder {folder} cannot be used: {reason} ({path})"
OWNED = (
    "{path} is open in another process (PID {pid}): ask its hub with workbench.connect(), or stop "
    "it"
)
_ODD_SIGNS = "?\\"
"""DuckDB 2.0 puts the log of `a?b/f` into `a.wal?b/f`, and takes `\\` for `/`."""


class Owned(StoreError):
    """Another process has the store; `values["pid"]` says which."""


class Guard:
    """An exclusive flock on `<folder>/workbench.lock`, which names its owner's PID."""

    def __init__(self, folder: Path) -> None:
        try:
            self._file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        except OSError as error:
            raise unusable(folder, folder / LOCK, error) from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.pread(self._file, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._file)
            raise Owned(OWNED, path=str(folder / FILE), pid=pid) from None
        os.ftruncate(self._file, 0)
        with contextlib.suppress(OSError):  # a full disk: what is kept can still be read
            os.pwrite(self._file, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        os.close(self._file)


def check_path(folder: Path) -> None:
    """Raises StoreError where DuckDB could not work below a folder of such a name."""
    sign = next((sign for sign in _ODD_SIGNS if sign in str(folder.resolve())), None)
    if sign is not None:
        raise StoreError(ODD, path=str(folder), sign=sign)


def prepare(folder: Path) -> None:
    """Make a data folder, if it is not there. StoreError where DuckDB could not work in it."""
    check_path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE_FOLDER)
    except OSError as error:
        raise unusable(folder, folder, error) from None


def unusable(folder: Path, path: Path, error: OSError) -> StoreError:
    """What the operating system says against a data folder."""
    reason = error.strerror or str(error)
    return StoreError(UNUSABLE, folder=str(folder), reason=reason, path=path.name)


def size_of(path: Path) -> int:
    """In bytes, 0 for what is not there. The file is not opened."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def begin_private(path: Path) -> None:
    """An empty file that only its owner can read, where there is none: DuckDB goes on with it,
    and would make one of its own for everybody. For a log, never for a main file."""
    with contextlib.suppress(OSError):  # a full disk: what it fails, its writer will say
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE))


def sync(path: Path) -> None:
    """fsync of a file or folder. Never of the database's own path while it is open."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def quoted(value: Any) -> str:
    """A path or name for use between single quotes in SQL that takes no parameter there."""
    return str(value).replace("'", "''")
