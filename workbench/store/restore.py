"""A backup put back: checked file by file, then put in place; what was there is kept aside."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec

from workbench.errors import InputError, StoreError
from workbench.store import quarantine
from workbench.store.backup import FOLDERS, FORMAT, MANIFEST, Manifest, copy_hashed
from workbench.store.place import FILE, RESTORING, Guard, prepare, sync
from workbench.store.steps import STEPS, newer
from workbench.store.tables import counts, reading

STAGE = "restoring"
MANIFEST_BYTES = 256 << 20
_INSIDE = re.compile(
    rf"{FILE}|inputs/[0-9a-f]{{64}}|({'|'.join(FOLDERS)})(/[A-Za-z0-9_][\w.@+-]*)+"
)

NO_BACKUP = "{path} is no backup: name a folder that `workbench store backup` wrote"
ODD_PATH = "the manifest of {path} names {name}: it was not written by `workbench store backup`"
CHANGED = "{name} in the backup {path} is not what was backed up ({what}): use another backup"
OCCUPIED = (
    "{folder} holds a store already ({what}): name an empty data folder with --data, or use "
    "--force, which keeps what is there in the folder quarantine"
)
UNWRITTEN = "the backup could not be restored into {folder}: {reason}"

Say = Callable[..., None]


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What was put back, and where what was there before lies now."""

    files: int
    bytes: int
    tables: dict[str, int]
    missing: list[str]
    quarantine: str | None


def restore(source: Path, data: Path, say: Say, *, force: bool = False) -> Restored:
    """Put the backup `source` into `data`. Nothing there is touched before all of it is checked.

    Raises InputError for what is no backup or a damaged one, StoreError while a hub owns the
    folder, and where it holds a store and `force` is not given.
    """
    manifest = read_manifest(source)
    data = data.absolute()
    try:
        prepare(data)
        guard = Guard(data)
        try:
            there = occupied(data)
            if there and not force:
                raise StoreError(OCCUPIED, folder=str(data), what=", ".join(there[:5]))
            stage = data / STAGE
            shutil.rmtree(stage, ignore_errors=True)
            try:
                _stage(source, manifest, stage, say)
                say("putting it in place")
                aside = _put_in_place(data, stage, there)
            finally:
                shutil.rmtree(stage, ignore_errors=True)
        finally:
            guard.release()
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(UNWRITTEN, folder=str(data), reason=reason) from None
    return Restored(
        files=len(manifest.files),
        bytes=sum(file.bytes for file in manifest.files),
        tables=manifest.tables,
        missing=manifest.missing,
        quarantine=None if aside is None else str(aside),
    )


def read_manifest(source: Path) -> Manifest:
    """What a backup says that it holds, checked as far as that goes without reading its files."""
    path = source / MANIFEST
    try:
        if path.stat().st_size > MANIFEST_BYTES:
            raise ValueError
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, ValueError, msgspec.DecodeError):
        raise InputError(NO_BACKUP, path=str(source)) from None
    names = [file.path for file in manifest.files]
    if manifest.format != FORMAT or FILE not in names:
        raise InputError(NO_BACKUP, path=str(source))
    seen: set[str] = set()
    for name in names:
        if not _INSIDE.fullmatch(name) or ".." in name or name in seen:
            raise InputError(ODD_PATH, path=str(source), name=repr(name[:120]))
        seen.add(name)
    if manifest.schema_step > len(STEPS):
        raise newer(manifest.schema_step, len(STEPS))
    return manifest


def occupied(data: Path) -> list[str]:
    """What of a store lies in a folder."""
    found = [path.name for path in quarantine.database_files(data)]
    for folder in (*FOLDERS, "inputs"):
        if (data / folder).is_dir() and any((data / folder).iterdir()):
            found.append(folder)
    return found


def _stage(source: Path, manifest: Manifest, stage: Path, say: Say) -> None:
    """Copy every file beside its place; a file that is not as it was is refused."""
    for done, file in enumerate(manifest.files):
        say("checking {done} of {total} files", done=done, total=len(manifest.files))
        path = source / file.path
        if path.is_symlink() or not path.is_file():
            raise InputError(CHANGED, name=file.path, path=str(source), what="it is missing")
        if path.stat().st_size != file.bytes:
            raise InputError(CHANGED, name=file.path, path=str(source), what="another size")
        with path.open("rb") as copied:
            found = copy_hashed(copied, stage, file.path)
        if found.sha256 != file.sha256:
            raise InputError(CHANGED, name=file.path, path=str(source), what="another SHA-256")
    _check_rows(stage / FILE, manifest, source)


def _check_rows(path: Path, manifest: Manifest, source: Path) -> None:
    with reading(path) as connection:
        found = counts(connection)
    if found != manifest.tables:
        raise InputError(CHANGED, name=FILE, path=str(source), what="other rows")


def _put_in_place(data: Path, stage: Path, there: list[str]) -> Path | None:
    """The mark stays until all is in place: an owner refuses what a kill left half done."""
    mark = data / RESTORING
    mark.touch()
    sync(data)
    aside = quarantine.new_folder(data) if there else None
    for name in there:
        if aside is not None:
            (data / name).rename(aside / name)
    for path in sorted(stage.iterdir(), key=lambda path: path.name == FILE):
        if (data / path.name).is_dir():  # empty, or it would have been occupied
            (data / path.name).rmdir()
        path.rename(data / path.name)
    sync(data)
    mark.unlink()
    sync(data)
    return aside
