"""Finding the hub of a data folder, or starting one that outlives the kernel that needed it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil

from workbench.clients.hub import HubClient
from workbench.clients.versions import check_wire
from workbench.errors import LinkError

HUB_FILE = "hub.json"
LOG_FILE = "hub.log"
TOKEN_FILE = "token"  # noqa: S105  # the name of a file, not a token
LOG_BYTES = 5_000_000
LOG_SHOWN = 3
ANSWER_S = 2.0
START_S = 60.0
DRAIN_S = 60.0
POLL_S = 0.05

SILENT = (
    "the hub of {folder} (PID {pid}) lives and holds its store, but does not answer: it works hard "
    "or is stopped; try again, let it go on with `kill -CONT {pid}`, or end it with `workbench "
    "stop --data {folder}`"
)

log = logging.getLogger("workbench.clients")

_started: list[subprocess.Popen[bytes]] = []


class HubFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`hub.json`: where a running hub is. Its repr shows no token."""

    pid: int
    version: str
    wire: int
    ws: str
    mesh: str
    token: str
    started_at: int = 0

    def __repr__(self) -> str:
        return (
            f"HubFile(pid={self.pid}, version={self.version!r}, ws={self.ws!r}, mesh={self.mesh!r})"
        )


def read_hub_file(folder: Path) -> HubFile | None:
    """What stands in `hub.json`; None when it is missing or cannot be read."""
    try:
        return msgspec.json.decode((folder / HUB_FILE).read_bytes(), type=HubFile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def hub_process(folder: Path) -> HubFile | None:
    """The hub of this folder whose process lives, whether it answers already or not."""
    found = read_hub_file(folder)
    return found if found and _alive(found.pid) and _is_hub(found.pid) else None


async def find_hub(folder: Path, *, answer_s: float = ANSWER_S) -> HubFile | None:
    """The hub of this folder when it is alive, answers, and speaks our wire version.

    A file left behind by a dead hub counts as none. Raises OtherWire, a ProtocolError, for
    another wire version.
    """
    found = read_hub_file(folder)
    if found is None or not _alive(found.pid):
        return None
    check_wire(folder, found)
    return found if await _answers(found, answer_s) else None


async def find_or_start(
    folder: Path,
    *,
    start: bool = True,
    restart: bool = False,
    free_ports: bool = False,
    wait_s: float = START_S,
) -> HubFile:
    """A hub that answers. `restart` drains a running one first; with `free_ports` a new one
    takes other ports where the wanted are taken.

    Raises LinkError with the end of its log when a new hub does not come up in time.
    """
    if restart:
        await stop_hub(folder)
    found = await find_hub(folder)
    if found is not None:
        return found
    if not start:
        raise LinkError(
            "no hub runs on {folder}: start one with `workbench hub --data {folder}`, or with "
            "workbench.connect()",
            folder=str(folder),
        )
    return await _start(folder, free_ports, wait_s)


async def stop_hub(folder: Path, *, wait_s: float = DRAIN_S) -> bool:
    """Ask the hub of this folder to drain and wait until it is gone; False where none runs."""
    found = hub_process(folder)
    if found is None:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.kill(found.pid, signal.SIGTERM)
        os.kill(found.pid, signal.SIGCONT)  # one that was stopped hears nothing before
    deadline = time.monotonic() + wait_s
    while _alive(found.pid):
        if time.monotonic() > deadline:
            raise LinkError(
                "the hub of {folder} (PID {pid}) still drains after {limit_s} s: wait for its "
                "tasks, or stop the process",
                folder=str(folder),
                pid=found.pid,
                limit_s=wait_s,
            )
        await asyncio.sleep(POLL_S)
    return True


async def _start(folder: Path, free_ports: bool, wait_s: float) -> HubFile:
    process = await asyncio.to_thread(_spawn, folder, free_ports)
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        found = await find_hub(folder)
        if found is not None:
            return found
        if process.poll() is not None:
            # Another kernel may have been faster: its hub holds the lock and starts now.
            found = await _other(folder, min(deadline, time.monotonic() + ANSWER_S))
            if found is not None:
                return found
            silent = hub_process(folder)
            if silent is not None:
                raise LinkError(SILENT, folder=str(folder), pid=silent.pid)
            break
        await asyncio.sleep(POLL_S)
    raise _did_not_start(folder, process, wait_s)


async def _other(folder: Path, deadline: float) -> HubFile | None:
    while True:
        found = await find_hub(folder)
        if found is not None or time.monotonic() > deadline:
            return found
        await asyncio.sleep(POLL_S)


def _spawn(folder: Path, free_ports: bool) -> subprocess.Popen[bytes]:
    """A hub in a session of its own, so that no Ctrl-C or closed terminal of ours ends it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / LOG_FILE
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.replace(path.with_suffix(".log.1"))
    command = [sys.executable, "-m", "workbench.cli", "hub", "--data", str(folder)]
    command += ["--free-ports"] if free_ports else []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _started.append(process)
    log.info("hub.spawned pid=%d data=%s", process.pid, folder)
    return process


def _did_not_start(folder: Path, process: subprocess.Popen[bytes], wait_s: float) -> LinkError:
    last = _last_lines(folder / LOG_FILE)
    if process.poll() is None:
        return LinkError(
            "the hub of {folder} was started but did not answer within {limit_s} s; its log "
            "{log} ends with: {last}",
            folder=str(folder),
            limit_s=wait_s,
            log=str(folder / LOG_FILE),
            last=last,
        )
    return LinkError(
        "the hub of {folder} could not start (exit code {code}); its log ends with: {last}",
        folder=str(folder),
        code=process.returncode,
        last=last,
    )


def _last_lines(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").strip().splitlines()
    except OSError:
        return "nothing"
    return "\n".join(lines[-LOG_SHOWN:]) or "nothing"


async def _answers(found: HubFile, within_s: float) -> bool:
    client = HubClient(found.ws, found.token, reconnect_max_attempts=0, keep_trying=False)
    try:
        await client.connect(wait_s=within_s)
        await client.ping(timeout_s=within_s)
    except LinkError:
        return False
    finally:
        await client.disconnect()
    return True


def _alive(pid: int) -> bool:
    """Whether a process of this number runs. A zombie, whose parent still lives, has ended."""
    try:
        return pid > 0 and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, OverflowError):
        return False
    except psutil.AccessDenied:
        return True


def _is_hub(pid: int) -> bool:
    """Whether it is a hub's: a file left by a killed hub may name a stranger's number by now."""
    try:
        return any("workbench" in part for part in psutil.Process(pid).cmdline())
    except (psutil.NoSuchProcess, psutil.AccessDenied, OverflowError):
        return False
