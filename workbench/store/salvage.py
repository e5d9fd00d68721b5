"""A store whose log is damaged, opened again with all that was written before the damage."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import msgspec

from workbench.errors import StoreError
from workbench.store import quarantine, wal
from workbench.store.damage import DamagedLog, LostLog, explained
from workbench.store.owner import Owner
from workbench.store.place import FILE, STORAGE_VERSION, Guard, quoted, sync
from workbench.store.tables import fingerprints

MENDED_BYTES = 8
"""A head that differs in more from what it has to be is not this file's log."""
UNCUT = "the log of {path} could not be cut: {reason}; a copy of all is in {place}"
ENDLESS = (
    "the store does not open even with its log cut at byte {place}: restore a backup with "
    "`workbench store restore BACKUP --force`; a copy of everything is in {folder}"
)

Say = Callable[..., None]


class Salvaged(msgspec.Struct, frozen=True, kw_only=True):
    """What was kept (`rows` by table) and what was cut off the log. `entries_cut` counts whole
    entries of the log behind the damage, which cannot be applied without what stood before."""

    healthy: bool
    quarantine: str | None
    bytes_cut: int
    entries_cut: int
    head_mended: bool
    rows: dict[str, int]


def salvage(data: Path, say: Say) -> Salvaged:
    """Copy everything aside, cut the log where it is damaged, open, and say what is there.

    A store that opens is left as it is. Raises StoreError while a hub owns the folder, and
    when the main file itself is damaged; then nothing was changed.
    """
    data = data.absolute()
    try:
        damaged = _opens(data)
    except LostLog:
        if not (data / FILE).exists():
            raise
        return _without_log(data, say)
    if damaged is None:
        return _told(data, None, b"", b"")
    say("the log is damaged at byte {place}: copying everything aside first", place=damaged.place)
    guard = Guard(data)
    try:
        place = quarantine.copy_aside(data)
        before = (data / f"{FILE}.wal").read_bytes()
        kept = _cut(data, before, damaged.place, place)
    finally:
        guard.release()
    last = damaged.place
    while (again := _opens(data)) is not None:
        if again.place >= last:
            raise StoreError(ENDLESS, place=last, folder=str(place))
        say("the log is damaged at byte {place}, too", place=again.place)
        kept = _cut(data, kept, again.place, place)
        last = again.place
    return _told(data, place, before, kept)


def _opens(data: Path) -> DamagedLog | None:
    """What is wrong with the log; None where the store opens. Other faults are raised."""
    try:
        Owner(data, checkpoint=False, begin=False).close()
    except DamagedLog as error:
        return error
    return None


def _without_log(data: Path, say: Say) -> Salvaged:
    say("the log holds nothing readable: moving it aside")
    log = data / f"{FILE}.wal"
    guard = Guard(data)
    try:
        before = log.read_bytes()
        place = quarantine.set_aside(data, log)
    finally:
        guard.release()
    return _told(data, place.parent, before, b"")


def _cut(data: Path, log: bytes, at: int, place: Path) -> bytes:
    """Leave what stands before `at`. Damage in the head itself is mended where it can be."""
    head = b"" if wal.head_of(log) and at else _mended_head(data, log)
    kept = head + log[len(head) :] if head else log[:at]
    path = data / f"{FILE}.wal"
    beside = path.with_suffix(".salvaged")
    try:
        if kept:
            beside.write_bytes(kept)
            sync(beside)
            beside.replace(path)
        else:
            path.unlink()
        sync(data)
    except OSError as error:
        beside.unlink(missing_ok=True)
        reason = error.strerror or str(error)
        raise StoreError(UNCUT, path=str(data / FILE), reason=reason, place=str(place)) from None
    return kept


def _mended_head(data: Path, log: bytes) -> bytes:
    """The head that this log has to have, where it differs in a few bytes only; else nothing.

    The number of the checkpoint has to be the same: a log of before a checkpoint must never
    be applied after it.
    """
    first = next(wal.entries(log, 0), 0)
    wanted = _head_for(data)
    if not wanted or first != len(wanted) or log[first - 4 : first] != wanted[-4:]:
        return b""
    differing = sum(a != b for a, b in zip(wanted, log, strict=False))
    return wanted if differing <= MENDED_BYTES else b""


def _head_for(data: Path) -> bytes:
    """The head of a log that DuckDB begins for this very file, found out with a copy of it."""
    with tempfile.TemporaryDirectory(prefix="salvage-", dir=data) as folder:
        path = Path(folder) / FILE
        shutil.copyfile(data / FILE, path)
        connection = duckdb.connect()
        try:
            connection.execute("PRAGMA disable_checkpoint_on_shutdown")
            connection.execute(
                f"ATTACH '{quoted(path)}' AS copy (STORAGE_VERSION '{STORAGE_VERSION}')"
            )
            connection.execute("CREATE TABLE copy.head_of_the_log (x INTEGER)")
            log = Path(f"{path}.wal").read_bytes()
        except (duckdb.Error, OSError):
            return b""
        finally:
            connection.close()
    return log[: wal.head_of(log)]


def _told(data: Path, place: Path | None, before: bytes, kept: bytes) -> Salvaged:
    with Owner(data) as owner:
        try:
            found = fingerprints(owner.cursor())
        except duckdb.Error as error:  # a block that opening does not read
            raise explained(owner.path, error) from error
    cut = len(before) - len(kept)
    mended = cut == 0 and before != kept
    return Salvaged(
        healthy=place is None,
        quarantine=None if place is None else str(place),
        bytes_cut=cut,
        entries_cut=sum(1 for _ in wal.entries(before, len(kept))) if cut else 0,
        head_mended=mended,
        rows={name: rows for name, (rows, _) in found.items()},
    )
