"""The database written anew, without the space of what was deleted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import duckdb
import msgspec

from workbench.errors import StoreError
from workbench.store.damage import first_line
from workbench.store.owner import DATABASE, Owner
from workbench.store.place import FILE, PRIVATE_FILE, STORAGE_VERSION, begin_private, quoted, sync
from workbench.store.tables import fingerprints, reading

FRESH = f"{FILE}.compact"
UNWRITTEN = (
    "{path} could not be written anew: {reason}; the store stands as it was, so free space on its "
    "disk ({bytes} bytes at most) and try again"
)
DIFFERENT = (
    "the new file has not the rows of the old one in {tables}, so it was thrown away and the store "
    "stands as it was: report this"
)

Say = Callable[..., None]


class Compacted(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of the database with its log, in bytes."""

    bytes_before: int
    bytes_after: int
    rows: int


def compact(data: Path, say: Say, *, first: Callable[[Owner], None] | None = None) -> Compacted:
    """Write the database of `data` anew, after `first`, such as deleting what is kept no longer.

    Killed at any moment it leaves a store that opens, with all its rows. Raises StoreError
    while a hub owns the folder, and where the disk is full; then the store stands as it was.
    """
    with Owner(data, begin=False) as owner:
        before = _bytes(owner)
        fresh = owner.folder / FRESH
        try:
            if first is not None:
                first(owner)
            owner.checkpoint()
            say("writing the database anew")
            wanted = fingerprints(owner.cursor())
            _write(owner, fresh)
            _compare(fresh, wanted)
            say("putting it in its place")
            owner.replace(fresh)
        except (duckdb.Error, OSError) as error:
            reason = getattr(error, "strerror", None) or first_line(error)
            raise StoreError(
                UNWRITTEN, path=str(owner.path), reason=reason, bytes=before
            ) from error
        finally:
            _remove(fresh)
        return Compacted(
            bytes_before=before,
            bytes_after=_bytes(owner),
            rows=sum(rows for rows, _ in wanted.values()),
        )


def sweep(data: Path) -> None:
    """Remove what a killed compaction left unfinished. For the owner."""
    _remove(data / FRESH)


def _write(owner: Owner, fresh: Path) -> None:
    _remove(fresh)
    connection = owner.connection
    connection.execute(f"ATTACH '{quoted(fresh)}' AS fresh (STORAGE_VERSION '{STORAGE_VERSION}')")
    try:
        fresh.chmod(PRIVATE_FILE)
        begin_private(Path(f"{fresh}.wal"))
        connection.execute(f"COPY FROM DATABASE {DATABASE} TO fresh")
        connection.execute("CHECKPOINT fresh")
    finally:
        with contextlib.suppress(duckdb.Error):  # a full disk ends the whole instance
            connection.execute("DETACH fresh")
    sync(fresh)


def _compare(fresh: Path, wanted: dict[str, tuple[int, int]]) -> None:
    """Nothing takes the old file's place before it was read back."""
    with reading(fresh) as connection:
        found = fingerprints(connection)
    differing = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    if differing:
        raise StoreError(DIFFERENT, tables=", ".join(differing))


def _bytes(owner: Owner) -> int:
    return owner.path.stat().st_size + owner.wal_bytes()


def _remove(fresh: Path) -> None:
    for path in (fresh, Path(f"{fresh}.wal")):
        path.unlink(missing_ok=True)
