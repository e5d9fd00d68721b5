"""A task's inputs, brought to this machine: from a URL, an upload, the data folder, or inline.

Whatever is fetched or uploaded lies under `inputs/<sha256>`; a file of the data folder is
used where it lies.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from workbench.core.job import Progress
from workbench.errors import HIDDEN, InputError, LinkError, shown

ALLOWED = "https:, http:, upload:<sha256>, batch:<alias>, or a file in the data folder"
UPLOAD = re.compile(r"^upload:([0-9a-f]{64})$")
BATCH = re.compile(r"^batch:[A-Za-z0-9_]{1,80}$")
PRIVATE = frozenset({"query", "uploads", "functions", "scratch", "addresses", "hub.json", "token"})
"""Names at the top of the data folder that no task may read."""

MASKED = "{field} is {value}: its secret was not kept, so give the whole address again"
NOT_UPLOADED = "{url} is not on this node: upload it first"
NO_FILE = "{field} is {value}: there is no such file in the data folder"
OUTSIDE = "{field} is {value}, which leads out of the data folder; allowed: {allowed}"
TOO_LARGE = "{field} has {bytes} bytes; allowed: at most {limit_bytes}"
UNREADABLE = "{field} cannot be read: {reason}"
TOO_SLOW = "{field} could not be fetched within {limit_s} s: try again, or upload it"
FETCHING = "fetching {name}: {received_mb} MB"
FETCHING_OF = "fetching {name}: {received_mb} of {total_mb} MB"
STEP_BYTES = 1 << 20

Told = Callable[[Progress], None]


class Fetch(Protocol):
    """Bring a URL, or the batch of a `batch:` name, into a file.

    Raises InputError for its fault, LinkError for the network's.
    """

    def __call__(
        self,
        url: str,
        target: Path,
        *,
        limit_bytes: int,
        progress: Callable[[int, int | None], None],
    ) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Gathered:
    """Where each input lies, and its SHA-256, by name."""

    paths: dict[str, str]
    hashes: dict[str, str]


class Inputs:
    """Inputs of at most `limit_bytes` each, kept to `keep_bytes` in all (oldest go first)."""

    def __init__(
        self,
        folder: Path,
        fetch: Fetch,
        *,
        limit_bytes: int,
        keep_bytes: int,
        fetch_limit_s: float = 600.0,
    ) -> None:
        self._folder, self._inputs = folder.resolve(), folder.resolve() / "inputs"
        self._fetch, self._limit, self._keep_bytes = fetch, limit_bytes, keep_bytes
        self._fetch_limit_s = fetch_limit_s

    def prepare(self) -> None:
        """Make the folder; remove what an earlier process fetched by half."""
        self._inputs.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._inputs.glob(".fetching-*"):
            left.unlink(missing_ok=True)

    def path_of(self, sha256: str) -> Path:
        """Where an input of this content lies, or would lie."""
        return self._inputs / sha256

    def check(self, url: str, field: str) -> None:
        """Refuse what is known bad without touching disk or network."""
        scheme = urlsplit(url).scheme.lower() if _readable(url) else "?"
        good = {
            "https": lambda: bool(urlsplit(url).hostname),
            "http": lambda: bool(urlsplit(url).hostname),
            "upload": lambda: UPLOAD.match(url) is not None,
            "batch": lambda: BATCH.match(url) is not None,
            "file": lambda: self._inside(url),
            "": lambda: self._inside(url),
        }.get(scheme)
        if good is None or not good():
            raise InputError.field(field, url, ALLOWED)
        if HIDDEN in url:
            raise InputError(MASKED, field=field, value=shown(url))

    async def gather(
        self, urls: Mapping[str, str], inline: str | None, fields: Mapping[str, str], told: Told
    ) -> Gathered:
        """Every input of one task: `urls` by name, and an inline one as `batch`."""
        paths: dict[str, str] = {}
        hashes: dict[str, str] = {}
        if inline is not None:
            paths["batch"], hashes["batch"] = self._write_inline(inline.encode())
        for name, url in urls.items():
            path, hashes[name] = await self._bring(url, name, fields.get(name, name), told)
            paths[name] = str(path)
        return Gathered(paths, hashes)

    def _write_inline(self, content: bytes) -> tuple[str, str]:
        """Most are there already, and every task asks: a `Path` takes twice the time, and puts
        each name into the interpreter's own table, which grows by 1.9 MB in between."""
        digest = hashlib.sha256(content).hexdigest()
        path = os.path.join(self._inputs, digest)  # noqa: PTH118
        if not os.path.exists(path):  # noqa: PTH110
            beside = self._beside()
            beside.write_bytes(content)
            beside.replace(path)
        return path, digest

    async def _bring(self, url: str, name: str, field: str, told: Told) -> tuple[Path, str]:
        upload = UPLOAD.match(url)
        if upload:
            path = self.path_of(upload[1])
            if not path.is_file():
                raise InputError(NOT_UPLOADED, url=url)
            os.utime(path)
            return path, upload[1]
        if urlsplit(url).scheme.lower() in ("http", "https", "batch"):
            return await self._download(url, name, field, told)
        path = self._file(url, field)
        return path, await asyncio.to_thread(_sha256, path)

    async def _download(self, url: str, name: str, field: str, told: Told) -> tuple[Path, str]:
        beside = self._beside()
        try:
            async with asyncio.timeout(self._fetch_limit_s):
                await self._fetch(url, beside, limit_bytes=self._limit, progress=_meter(name, told))
            digest = await asyncio.to_thread(_sha256, beside)
            path = self.path_of(digest)
            beside.replace(path)
        except TimeoutError:
            raise LinkError(TOO_SLOW, field=field, limit_s=self._fetch_limit_s) from None
        except OSError as error:
            raise LinkError(UNREADABLE, field=field, reason=error.strerror or error) from None
        finally:
            beside.unlink(missing_ok=True)
        return path, digest

    def _beside(self) -> Path:
        return self._inputs / f".fetching-{uuid.uuid4().hex}"

    # The data folder --------------------------------------------------------------------

    def _inside(self, url: str) -> bool:
        """Whether a path leads into the data folder, as far as its text says."""
        path = self._named(url)
        return path is not None and self._public(Path(os.path.normpath(path)))

    def _named(self, url: str) -> Path | None:
        parts = urlsplit(url)
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            return None
        text = unquote(parts.path)
        return self._folder / text if text and "\0" not in text else None

    def _public(self, path: Path) -> bool:
        """Under the data folder, in a folder of its own, and none of our own secrets."""
        if not path.is_relative_to(self._folder):
            return False
        parts = path.relative_to(self._folder).parts
        hidden = any(part.startswith(".") for part in parts)
        ours = bool(parts) and (parts[0] in PRIVATE or parts[0].startswith("workbench."))
        return bool(parts) and not hidden and not ours

    def _file(self, url: str, field: str) -> Path:
        """The file itself, every symbolic link followed before it is judged."""
        named = self._named(url)
        try:
            path = named.resolve(strict=True) if named is not None else None
        except (OSError, RuntimeError):
            path = None
        if path is None or not path.is_file():
            raise InputError(NO_FILE, field=field, value=shown(url))
        if not self._public(path):
            raise InputError(OUTSIDE, field=field, value=shown(url), allowed=ALLOWED)
        size = path.stat().st_size
        if size > self._limit:
            raise InputError(TOO_LARGE, field=field, bytes=size, limit_bytes=self._limit)
        return path

    # Room -------------------------------------------------------------------------------

    def used_bytes(self) -> int:
        """Bytes of all kept inputs."""
        return sum(entry.stat().st_size for entry in self._kept())

    def sweep(self, needed: set[str], wall_s: float | None = None) -> int:
        """Remove the oldest inputs above the bound, less those that open tasks need.

        What was used within the last hour stays in any case. Gives the bytes freed.
        """
        recent = (time.time() if wall_s is None else wall_s) - 3600
        files = sorted(
            (entry.stat().st_mtime, entry.stat().st_size, entry) for entry in self._kept()
        )
        excess = sum(size for _, size, _ in files) - self._keep_bytes
        freed = 0
        for used_at, size, path in files:
            if freed >= excess or used_at > recent:
                break
            if path.name not in needed:
                path.unlink(missing_ok=True)
                freed += size
        return freed

    def _kept(self) -> list[Path]:
        return [path for path in self._inputs.iterdir() if not path.name.startswith(".")]


def _readable(url: str) -> bool:
    try:
        urlsplit(url)
    except ValueError:
        return False
    return True


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _meter(name: str, told: Told) -> Callable[[int, int | None], None]:
    """Progress of a download, once a megabyte."""
    step = -1

    def progress(received: int, total: int | None) -> None:
        nonlocal step
        if received // STEP_BYTES == step:
            return
        step = received // STEP_BYTES
        values = {"name": name, "received_mb": round(received / 1e6, 1)}
        if total:
            values["total_mb"] = round(total / 1e6, 1)
        told(Progress(received, total or 0, FETCHING_OF if total else FETCHING, values))

    return progress
