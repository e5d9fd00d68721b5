"""What DuckDB says of a file that it cannot open, as a sentence with the remedy."""

from __future__ import annotations

import re
from pathlib import Path

import duckdb

from workbench.errors import StoreError

DAMAGED_LOG = (
    "the log of {path} is damaged at byte {place}: run `workbench store salvage`, which first "
    "copies everything aside, then keeps all that was written before that byte"
)
DAMAGED_FILE = (
    "{path} is damaged ({reason}): restore a backup with `workbench store restore BACKUP --force`, "
    "which keeps the damaged file in the folder quarantine; without a backup, move the file away "
    "to begin anew"
)
LOG_ALONE = (
    "{path} is not there, but its log is ({bytes} bytes): put the file back beside it, or restore "
    "a backup with `workbench store restore BACKUP --force`; a hub that starts here puts the log "
    "into the folder quarantine and begins anew"
)
UNREADABLE_LOG = (
    "the log of {path} holds nothing readable ({bytes} bytes): `workbench store salvage`, or the "
    "next start of a hub, puts it into the folder quarantine and goes on without it"
)
LOG_SET_ASIDE = (
    "the log of {path} held nothing readable ({bytes} bytes) and lies in {place} now: what was "
    "written since the last checkpoint is missing, so look into your newest backup"
)
LONE_LOG_SET_ASIDE = (
    "{path} was not there, but its log was ({bytes} bytes): the log lies in {place} now, and the "
    "store begins anew; to go back, restore a backup with `workbench store restore BACKUP --force`"
)
NEWER_FORMAT = (
    "{path} was written by a newer DuckDB than {version} ({reason}): update the workbench, or use "
    "another data folder"
)
UNOPENED = "{path} could not be opened: {reason}"

_BLOCK = re.compile(r"Corrupt database file|checksum")
_PLACE = re.compile(r"entry at byte position (\d+)")
_NEWER = re.compile(r"Unsupported Storage Version|can only read version|newer version of DuckDB")
_ROOM = re.compile(r"Out of Memory|No space left|Permission denied|Too many open files")
_LOG = re.compile(r"replaying WAL|WAL file|WAL does not match")
_FILE = re.compile(
    r"Corrupt database file|not a valid DuckDB|Could not read enough bytes|checksum|"
    r"[Ff]ailed to deserialize|[Ss]erialization Error|INTERNAL Error"
)


class DamagedLog(StoreError):
    """The write-ahead log cannot be read from byte `place` on."""

    def __init__(self, path: Path, place: int) -> None:
        super().__init__(DAMAGED_LOG, path=str(path), place=place)
        self.place = place


class LostLog(StoreError):
    """A log that holds nothing readable, or that has lost its file."""


class DamagedFile(StoreError):
    """The main file itself cannot be read."""


def explained(path: Path, error: duckdb.Error) -> StoreError:
    """Why a file could not be opened or read, and what helps."""
    said = str(error)
    place = _PLACE.search(said)
    if place is not None:
        return DamagedLog(path, int(place[1]))
    reason = first_line(error)
    if _NEWER.search(said):
        return StoreError(NEWER_FORMAT, path=str(path), version=duckdb.__version__, reason=reason)
    if _ROOM.search(said):
        return StoreError(UNOPENED, path=str(path), reason=reason)
    if _LOG.search(said):
        return DamagedLog(path, 0)
    if _FILE.search(said):
        return DamagedFile(DAMAGED_FILE, path=str(path), reason=reason)
    return StoreError(UNOPENED, path=str(path), reason=reason)


def of_block(path: Path, error: Exception) -> DamagedFile | None:
    """The sentence for an open file in which a block turned out to be damaged; None for any other
    fault, such as a full disk."""
    if not _BLOCK.search(str(error)):
        return None
    return DamagedFile(DAMAGED_FILE, path=str(path), reason=first_line(error))


def first_line(error: Exception) -> str:
    """DuckDB's sentence without the excerpt and the hints below it."""
    return str(error).strip().split("\n")[0].strip()
