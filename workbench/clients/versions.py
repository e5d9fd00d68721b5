"""Whether a running hub and this kernel's package are of one version, and the way out if not."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Protocol

from packaging.version import InvalidVersion, Version

from workbench.core.sentence import Sentence
from workbench.core.wire import WIRE_VERSION
from workbench.errors import ProtocolError
from workbench.version import VERSION

OLDER = (
    "the hub of {folder} runs version {theirs}, and this kernel has version {ours}: drain and "
    "restart it with workbench.connect(restart=True), or stop it with `workbench stop`"
)
NEWER = (
    "the hub of {folder} runs version {theirs}, and this kernel has the older version {ours}: "
    "update the package runes-workbench here, and restart the kernel"
)
OLDER_WIRE = (
    "the hub of {folder} (PID {pid}, version {theirs}) speaks wire version {their_wire} and "
    "this kernel speaks {our_wire}: drain and restart it with workbench.connect(restart=True)"
)
NEWER_WIRE = (
    "the hub of {folder} (PID {pid}, version {theirs}) speaks wire version {their_wire} and this "
    "kernel (version {ours}) speaks {our_wire}: update the package runes-workbench here, and "
    "restart the kernel"
)

Remedy = Literal["restart", "update"]


class Running(Protocol):
    """What a running hub says of itself."""

    @property
    def pid(self) -> int: ...
    @property
    def version(self) -> str: ...
    @property
    def wire(self) -> int: ...


class OtherVersion(UserWarning):
    """The running hub is of another version than this kernel's package; both work together."""


class OtherWire(ProtocolError):
    """The running hub and this kernel cannot talk. `remedy` says which of them is old."""

    def __init__(self, remedy: Remedy, folder: Path, found: Running) -> None:
        self.remedy, self.folder = remedy, folder
        super().__init__(
            OLDER_WIRE if remedy == "restart" else NEWER_WIRE,
            folder=str(folder),
            pid=found.pid,
            theirs=found.version,
            their_wire=found.wire,
            ours=VERSION,
            our_wire=WIRE_VERSION,
        )


def check_wire(folder: Path, found: Running) -> None:
    """Raises OtherWire where the two cannot talk."""
    if found.wire != WIRE_VERSION:
        raise OtherWire("restart" if found.wire < WIRE_VERSION else "update", folder, found)


def difference(folder: Path, found: Running) -> tuple[Remedy, Sentence] | None:
    """What to do about a hub of another version, and the sentence; None for the same version."""
    if found.version == VERSION:
        return None
    values = {"folder": str(folder), "theirs": found.version, "ours": VERSION}
    if _newer(found.version, VERSION):
        return "update", Sentence(NEWER, values)
    return "restart", Sentence(OLDER, values)


def _newer(theirs: str, ours: str) -> bool:
    try:
        return Version(theirs) > Version(ours)
    except InvalidVersion:
        return False
