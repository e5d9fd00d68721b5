"""What is kept of the downloads between two lives of the hub: one file beside the models."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path
from typing import Any, Protocol

import msgspec

from workbench.core.download_states import Remedy
from workbench.core.downloads import State, Wanted, check_wanted
from workbench.core.sentence import Sentence
from workbench.errors import InputError
from workbench.llm.part_file import translated

log = logging.getLogger(__name__)

NAME = "downloads.json"
LIMIT_BYTES = 64 << 20


class Kept(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One download as it is kept; its place in the list is its place in the queue."""

    download_id: str
    wanted: Wanted
    state: State
    created_at: int
    done: tuple[int, ...]
    """Bytes of each file, or of all at a back end, when its state last changed."""
    sha256: tuple[str | None, ...]
    existed: tuple[bool, ...]
    """Whether a file was there before: then cancelling leaves it."""
    problem: Sentence | None = None
    remedy: Remedy = "none"
    kept_partial: bool = False

    def __post_init__(self) -> None:
        count = self.wanted.parts
        if not len(self.done) == len(self.sha256) == len(self.existed) == count:
            raise ValueError("it does not have as many values as files")


class Journal(Protocol):
    """Keeps the downloads; both may block."""

    def load(self) -> tuple[Kept, ...]: ...
    def save(self, kept: tuple[Kept, ...]) -> None: ...


class JournalFile:
    """A journal as one JSON file, replaced as a whole."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME

    def load(self) -> tuple[Kept, ...]:
        """What was kept. A damaged file is set aside: the hub starts whatever is in it."""
        with translated(self._path):
            if not self._path.exists():
                return ()
            text = self._path.read_bytes() if self._path.stat().st_size <= LIMIT_BYTES else b""
        try:
            return tuple(_checked(item) for item in msgspec.json.decode(text, type=list[Any]))
        except (msgspec.MsgspecError, InputError, UnicodeDecodeError, RecursionError) as error:
            log.warning("downloads.damaged", extra={"reason": str(error)})
            with contextlib.suppress(OSError):
                self._path.replace(self._path.with_name(NAME + ".damaged"))
            return ()

    def save(self, kept: tuple[Kept, ...]) -> None:
        """StoreError where it cannot be written; then the last one stays."""
        new = self._path.with_name(NAME + ".new")
        with translated(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # A URL may hold what only its owner is to see.
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(fd, "wb") as file:
                file.write(msgspec.json.encode(kept))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)


def _checked(item: Any) -> Kept:
    kept = msgspec.convert(item, Kept)
    check_wanted(kept.wanted)
    return kept
