"""`workbench store`: what the data folder holds, kept small, kept safe, and brought back."""

# ruff: noqa: T201  # printing is what a command line does
from __future__ import annotations

import asyncio
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from workbench.errors import StoreError

if TYPE_CHECKING:
    from workbench.clients.discovery import HubFile
    from workbench.clients.hub import HubClient
    from workbench.settings import Settings
    from workbench.store.status import Status

HUB_RUNS = (
    "a hub runs on {folder} (PID {pid}): stop it with `workbench stop --data {folder}`, then try "
    "again; the next notebook or page starts it anew"
)
SILENT = (
    "process {pid} holds the store of {folder} but does not answer: it starts, works hard or is "
    "stopped; try again, let it go on with `kill -CONT {pid}`, or end it with `kill -9 {pid}`, "
    "which loses nothing that was acknowledged"
)
COPY_GONE = "the hub's copy of its database was gone before it could be read: try again"
COPY_TRIES = 20
MB = 1_000_000


def status(given: Namespace, settings: Settings) -> int:
    """Print what there is; 1 where the store cannot be read."""
    found = asyncio.run(_status(settings.data))
    if given.json:
        print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
    else:
        print("\n".join(_lines(found)))
    return 1 if found.problem else 0


async def _status(data: Path) -> Status:
    from workbench.clients.discovery import find_hub
    from workbench.store import status as look
    from workbench.store.place import check_path

    check_path(data)
    files = await asyncio.to_thread(look.of_files, data)
    running = await find_hub(data)
    if running is not None:
        try:
            async with _asking(running) as client:
                found = await _asked(client, files)
        except StoreError as error:  # no room for the copy that a query reads
            found = msgspec.structs.replace(files, problem=str(error))
        return msgspec.structs.replace(found, owner_pid=running.pid)
    if files.database_bytes is None and not files.log_bytes:
        return msgspec.structs.replace(files, problem=f"there is no store at {data}")
    try:
        return await asyncio.to_thread(_examined, data)
    except StoreError as error:
        holder = str(error.values.get("pid", ""))
        owner_pid = int(holder) if holder.isdigit() else None
        return msgspec.structs.replace(files, problem=str(error), owner_pid=owner_pid)


def _examined(data: Path) -> Status:
    from workbench.store import status as look

    with _unanswered(data):
        return look.examine(data)


@contextmanager
def _unanswered(data: Path) -> Iterator[None]:
    """Whoever has the store, although no hub answered, is said to be silent."""
    from workbench.store.place import Owned

    try:
        yield
    except Owned as error:
        raise StoreError(SILENT, folder=str(data), pid=error.values["pid"]) from None


@asynccontextmanager
async def _asking(running: HubFile) -> AsyncIterator[HubClient]:
    """A client of the running hub, for as long as the block lasts."""
    from workbench.clients.hub import HubClient

    client = HubClient(running.ws, running.token, reconnect_max_attempts=0, keep_trying=False)
    await client.connect()
    try:
        yield client
    finally:
        await client.disconnect()


async def _asked(client: HubClient, files: Status) -> Status:
    """The rows as the hub that owns the store knows them."""
    from workbench.store import status as look

    async def rows(sql: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await client.query(sql, fresh=True)).arrow().to_pylist()
        return found

    spans = await rows(look.spans_sql(await rows(look.COLUMNS)))
    return look.with_rows(files, await rows(look.STEP), spans, await rows(look.NAMED))


def _lines(found: Status) -> Iterator[str]:
    yield f"store     {found.folder}"
    if found.database_bytes is not None:
        yield f"database  {_mb(found.database_bytes)}, log {_mb(found.log_bytes)}"
    owner = f"process {found.owner_pid}" if found.owner_pid else "nobody"
    yield f"open in   {owner}"
    step = "" if found.schema_step is None else f"schema step {found.schema_step}, "
    yield f"format    {step}DuckDB {found.duckdb}"
    for name, folder in found.folders.items():
        yield f"{name:10}{folder.files:,} files, {_mb(folder.bytes)}"
    for name, table in found.tables.items():
        line = f"  {name:24}{table.rows:>14,}"
        if table.since is not None and table.until is not None:
            line += f"  {table.since:%Y-%m-%d %H:%M} to {table.until:%Y-%m-%d %H:%M}"
        yield line
    for what, names in (("orphans", found.orphans), ("missing", found.missing)):
        if names:
            yield f"{what:10}{len(names)} side files: {', '.join(names[:5])}"
    if found.problem:
        yield f"problem   {found.problem}"


def compact(given: Namespace, settings: Settings) -> int:
    """Delete what is kept no longer, write the database anew, say what it took."""
    from workbench.serve import keep_of
    from workbench.store.compact import compact as compacting
    from workbench.store.retention import retire, retire_metrics

    now = datetime.now(UTC).replace(tzinfo=None)

    def first(owner: Any) -> None:
        gone = retire(owner, keep_of(settings), now)
        rows = gone.rows + retire_metrics(
            owner,
            now,
            raw_h=settings.metrics_raw_h,
            minutes_d=settings.metrics_minutes_d,
            hours_d=settings.metrics_hours_d,
        )
        told(f"{rows:,} rows and {gone.files:,} results were older than the settings keep them")

    with _stopped(settings.data), _progress() as told:
        done = compacting(settings.data, told, first=first)
    print(f"the database has {_mb(done.bytes_after)} now, before it had {_mb(done.bytes_before)}")
    return 0


def salvage(given: Namespace, settings: Settings) -> int:
    """Open a store with a damaged log again; say what was kept and what was cut."""
    from workbench.store.salvage import salvage as salvaging

    with _stopped(settings.data), _progress() as told:
        done = salvaging(settings.data, told)
    rows = sum(done.rows.values())
    if done.healthy:
        print(f"the store is not damaged, and nothing was changed: {rows:,} rows are there")
        return 0
    if done.head_mended and not done.bytes_cut:
        print(f"the head of the log was mended and nothing was cut: {rows:,} rows are there")
    else:
        print(
            f"{done.bytes_cut:,} bytes of the log were cut off, with {done.entries_cut:,} whole "
            f"entries; {rows:,} rows were kept"
        )
    for name, count in done.rows.items():
        print(f"  {name:24}{count:>14,}")
    print(f"all as it was before is in {done.quarantine}")
    return 0


def backup(given: Namespace, settings: Settings) -> int:
    """Write a backup, of a running hub too."""
    from workbench.store.backup import broken_off, write_backup

    with _progress() as told, _database(settings.data) as database:
        made = write_backup(settings.data, database, given.target, told)
    size = sum(file.bytes for file in made.files)
    print(f"{len(made.files):,} files, {_mb(size)}, are in {given.target}")
    if made.missing:
        print(f"{len(made.missing)} side files were missing already: {', '.join(made.missing[:5])}")
    for path in broken_off(given.target):
        print(
            f"{path} is what a backup left that was broken off: remove it if none is being written"
        )
    return 0


@contextmanager
def _database(data: Path) -> Iterator[BinaryIO]:
    """The database, complete and at rest: a running hub's own copy, else the file itself."""
    from workbench.clients.discovery import find_hub
    from workbench.store.backup import at_rest

    running = asyncio.run(find_hub(data))
    if running is None:
        with _unanswered(data), at_rest(data) as database:
            yield database
        return
    with asyncio.run(_newest_copy(running, data)) as database:
        yield database


async def _newest_copy(running: HubFile, data: Path) -> BinaryIO:
    """A query that asks for all up to now leaves a copy of it; open, it may be removed."""
    async with _asking(running) as client:
        for _ in range(COPY_TRIES):
            await client.query("SELECT 1 AS x", fresh=True)
            copies = sorted((data / "query").glob("*.duckdb"), key=lambda path: int(path.stem))
            with suppress(FileNotFoundError, IndexError):
                return copies[-1].open("rb")
    raise StoreError(COPY_GONE)


def restore(given: Namespace, settings: Settings) -> int:
    """Put a backup into the data folder."""
    from workbench.store.restore import restore as restoring

    with _stopped(settings.data), _progress() as told:
        done = restoring(given.source, settings.data, told, force=given.force)
    rows = sum(done.tables.values())
    print(f"{done.files:,} files with {rows:,} rows, {_mb(done.bytes)}, are in {settings.data}")
    if done.quarantine:
        print(f"what was there before is in {done.quarantine}")
    return 0


@contextmanager
def _stopped(data: Path) -> Iterator[None]:
    """What only works while no hub runs says how to stop it, before anything begins."""
    from workbench.clients.discovery import hub_process

    running = hub_process(data)
    if running is not None:
        raise StoreError(HUB_RUNS, folder=str(data), pid=running.pid)
    yield


@contextmanager
def _progress() -> Iterator[Any]:
    """What is under way, on the standard error; on a terminal in one line that is wiped."""
    terminal = sys.stderr.isatty()
    last = ""

    def told(template: str, /, **values: Any) -> None:
        nonlocal last
        line = template.format(**values)
        if terminal:
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
        elif template != last:  # a log needs no line for each file
            print(line, file=sys.stderr)
        last = template

    try:
        yield told
    finally:
        if terminal:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _mb(size: int) -> str:
    return f"{size / MB:,.1f} MB"
