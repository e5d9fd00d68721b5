"""What the store is about to cut or replace goes to `quarantine/<instant>/`, and stays there."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from workbench.errors import StoreError
from workbench.store.damage import first_line
from workbench.store.place import FILE, sync
from workbench.store.side_files import FOLDERS

FOLDER = "quarantine"
UNMOVED = (
    "{path} could not be moved into {place}: {reason}; see that files can be made there, and try "
    "again"
)
UNCOPIED = (
    "{folder} could not be copied aside into {place}: {reason}; nothing was changed, so free space "
    "on its disk and try again"
)


def set_aside(data: Path, path: Path) -> Path:
    """Move one file into a folder of its own; where it lies then. It needs no room on the disk."""
    place = None
    try:
        place = new_folder(data)
        path.rename(place / path.name)
        sync(place)
        sync(data)
    except OSError as error:
        reason = error.strerror or first_line(error)
        raise StoreError(UNMOVED, path=str(path), place=str(data / FOLDER), reason=reason) from None
    return place / path.name


def database_files(data: Path) -> list[Path]:
    """The main file and whatever DuckDB keeps beside it."""
    return sorted(data.glob(f"{FILE}*"))


def new_folder(data: Path) -> Path:
    """A folder of its own for this instant."""
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    for number in range(1000):
        place = data / FOLDER / (f"{moment}_{number}" if number else moment)
        try:
            place.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            continue
        return place
    raise AssertionError("a thousand in one second")


def copy_aside(data: Path) -> Path:
    """Copy the database and its log, and list the side files, durable on return.

    Nobody may have the database open: closing a second handle would drop DuckDB's lock.
    """
    place = None
    try:
        place = new_folder(data)
        for path in database_files(data):
            shutil.copyfile(path, place / path.name)
            (place / path.name).chmod(0o600)
            sync(place / path.name)
        listing = [
            {"path": path.relative_to(data).as_posix(), "bytes": path.stat().st_size}
            for path in _side_files(data)
        ]
        (place / "side-files.json").write_bytes(
            msgspec.json.format(msgspec.json.encode(listing), indent=1) + b"\n"
        )
        sync(place)
    except OSError as error:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)
        raise StoreError(
            UNCOPIED,
            folder=str(data),
            place=str(place or data / FOLDER),
            reason=error.strerror or first_line(error),
        ) from None
    return place


def _side_files(data: Path) -> Iterable[Path]:
    return (path for folder in FOLDERS for path in sorted((data / folder).glob("*.duckdb")))
