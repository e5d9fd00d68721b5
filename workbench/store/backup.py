"""A backup: one folder with the database, the side files and what open tasks need, and a manifest.

No secret is in it: no token, no `hub.json`, no settings. It is whole or absent: it is written
beside its place and renamed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import duckdb
import msgspec

from workbench.errors import StoreError
from workbench.store.owner import Owner
from workbench.store.place import FILE, PRIVATE_FILE, PRIVATE_FOLDER, Guard, size_of, sync
from workbench.store.steps import step_of
from workbench.store.tables import fingerprints, reading
from workbench.version import VERSION

FORMAT = "workbench-backup/1"
MANIFEST = "manifest.json"
UNFINISHED = ".unfinished"
"""Behind the name of a backup that is being written, or was when it was killed."""
FOLDERS = ("batches", "results", "functions")
"""What the store owns beside the database; of `inputs` only what open tasks need."""
BLOCK_BYTES = 1 << 20

UNMERGED = (
    "the log {log} could not be brought into {path}, and a backup without it would lack the "
    "newest: free space on the disk, and try again"
)
INSIDE = (
    "{path} lies in the data folder {folder} itself, and would be lost with it: name a folder "
    "elsewhere, best on another disk"
)
EXISTS = "{path} is there already: name a folder that is not there yet"
UNWRITTEN = "the backup {path} could not be written: {reason}; nothing of it was left there"
_UPLOAD = re.compile(r"upload:([0-9a-f]{64})")
_OPEN = """
SELECT coalesce(input_url, '') || ' ' || parameters FROM tasks WHERE task_id NOT IN (
    SELECT task_id FROM task_events
    WHERE kind IN ('done', 'cancelled', 'timeout', 'failed', 'rejected', 'lost'))
"""

Say = Callable[..., None]


class File(msgspec.Struct, frozen=True, kw_only=True):
    """One file, its path relative to the backup's folder."""

    path: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a backup holds. `tables`: rows of each. `missing`: files that the database names and
    that were not there."""

    format: str
    created_at: str
    workbench: str
    duckdb: str
    schema_step: int
    tables: dict[str, int]
    files: list[File]
    missing: list[str] = []


@contextlib.contextmanager
def at_rest(data: Path) -> Iterator[BinaryIO]:
    """The database of a folder that no hub owns, its log brought into it; kept from hubs while
    the block lasts."""
    with Owner(data, begin=False) as owner:
        path = owner.path
    if size_of(owner.wal):
        raise StoreError(UNMERGED, path=str(path), log=str(owner.wal))
    guard = Guard(data)
    try:
        with path.open("rb") as database:
            yield database
    finally:
        guard.release()


def write_backup(data: Path, database: BinaryIO, target: Path, say: Say) -> Manifest:
    """Write a backup of `data`, whose database, at rest or a copy of it, is `database`."""
    target = target.absolute()
    if target.resolve().is_relative_to(data.resolve()):
        raise StoreError(INSIDE, path=str(target), folder=str(data))
    if target.exists() or target.is_symlink():
        raise StoreError(EXISTS, path=str(target))
    unfinished = target.with_name(f".{target.name}{UNFINISHED}")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700, parents=True)
        manifest = _fill(data, database, unfinished, say)
        _write_manifest(unfinished / MANIFEST, manifest)
        sync(unfinished)
        unfinished.rename(target)
        sync(target.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(UNWRITTEN, path=str(target), reason=reason) from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return manifest


def broken_off(target: Path) -> list[Path]:
    """What killed backups of other names left beside a backup; one of its own name it removes."""
    beside = sorted(target.absolute().parent.glob(f".*{UNFINISHED}"))
    return [path for path in beside if (path / FILE).exists()]


def _fill(data: Path, database: BinaryIO, folder: Path, say: Say) -> Manifest:
    say("copying the database")
    files = [copy_hashed(database, folder, FILE)]
    say("reading the copy")
    step, tables, named, uploads = _read(folder / FILE)
    wanted = [*_owned(data), *(f"inputs/{sha256}" for sha256 in sorted(uploads))]
    missing = sorted(named - set(wanted))
    for done, path in enumerate(wanted):
        say("copying {done} of {total} files", done=done, total=len(wanted))
        try:
            with (data / path).open("rb") as source:
                files.append(copy_hashed(source, folder, path))
        except FileNotFoundError:  # retention was faster, or it was lost before
            missing.append(path)
    return Manifest(
        format=FORMAT,
        created_at=datetime.now(UTC).isoformat(),
        workbench=VERSION,
        duckdb=duckdb.__version__,
        schema_step=step,
        tables=tables,
        files=files,
        missing=missing,
    )


def _owned(data: Path) -> Iterator[str]:
    for folder in FOLDERS:
        for path in sorted((data / folder).rglob("*")):
            if path.is_file() and not path.is_symlink() and ".tmp" not in path.suffixes:
                yield path.relative_to(data).as_posix()


def _read(path: Path) -> tuple[int, dict[str, int], set[str], set[str]]:
    """Of a database at rest: its schema step, its rows, the side files that it names, and the
    uploads that open tasks wait for. Every block is read: a damaged one is no backup."""
    with reading(path) as connection:
        tables = {name: rows for name, (rows, _) in fingerprints(connection).items()}
        named = {name for (name,) in connection.execute("SELECT path FROM side_files").fetchall()}
        texts = connection.execute(_OPEN).fetchall()
        uploads = {found for (text,) in texts for found in _UPLOAD.findall(text)}
        return step_of(connection), tables, named, uploads


def copy_hashed(source: BinaryIO, folder: Path, path: str) -> File:
    """Copy `source` to `folder/path`, durable on return."""
    target = folder / path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as copy:
        mode = PRIVATE_FILE if path == FILE else os.fstat(source.fileno()).st_mode
        target.chmod(mode & PRIVATE_FOLDER)
        while block := source.read(BLOCK_BYTES):
            digest.update(block)
            copy.write(block)
            size += len(block)
        copy.flush()
        os.fsync(copy.fileno())
    return File(path=path, bytes=size, sha256=digest.hexdigest())


def _write_manifest(path: Path, manifest: Manifest) -> None:
    path.touch(PRIVATE_FILE)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
    sync(path)
