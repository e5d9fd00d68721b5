"""What is downloaded: the files of a model, where they come from, and how far they are."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from typing import Annotated, Literal

import msgspec

from workbench.core.sentence import Sentence
from workbench.errors import InputError, shown, without_secrets

State = Literal[
    "queued",
    "resolving",
    "downloading",
    "stalled",
    "paused",
    "verifying",
    "done",
    "failed",
    "cancelled",
]
ACTIVE: frozenset[State] = frozenset({"resolving", "downloading", "stalled", "verifying"})
ENDED: frozenset[State] = frozenset({"done", "failed", "cancelled"})

SUFFIXES = (".gguf", ".safetensors", ".json", ".txt", ".model", ".jinja")
"""What is fetched: weights that hold no code, and the small files beside them."""
OPEN_ADDRESS = "an address without a user, a password or a token, since it is kept and shown"
NAME_LIMIT = 200
FILE_LIMIT = 600
_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_PART = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}"
_CATALOGUE_NAME = re.compile(
    rf"(?:(?:hf\.co|huggingface\.co|registry\.ollama\.ai)/)?(?:{_PART}/)?{_PART}(?::{_PART})?\Z"
)
"""What another program's catalogue calls a model. Three parts name a host that it then asks, so
only those that are known may stand there."""

Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Url = Annotated[str, msgspec.Meta(min_length=8, max_length=4096)]


class RemoteFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One file at its source. `name` is its place below the download's folder."""

    url: Url
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_LIMIT)]
    size_bytes: Bytes | None = None
    sha256: str | None = None
    """In hex, as the source declares it; None where it declares none."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What somebody wants on this machine: some files that make one model, or a model that a
    back end fetches onto its own disk."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_LIMIT)]
    """The id that the model will have, `org/name/file` of the models folder; for a back end the
    name that it is asked for, such as `qwen3:4b` or `hf.co/org/name:Q4_K_M`."""
    files: Annotated[tuple[RemoteFile, ...], msgspec.Meta(max_length=FILE_LIMIT)] = ()
    repository: str = ""
    """`org/name` on the Hugging Face hub; empty for a plain URL."""
    commit: str = ""
    gated: bool = False
    backend: str = ""
    """The back end whose own disk it goes to; then there are no files of ours."""

    @property
    def parts(self) -> int:
        """How many amounts tell its progress: one for each file, one in all at a back end."""
        return 1 if self.backend else len(self.files)


class Download(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A download as it is shown. Speed is in bytes per second, time left in seconds."""

    download_id: str
    model: str
    state: State
    position: int
    """Its place in the queue, from 0."""
    done_bytes: int
    total_bytes: int | None
    speed_bytes_s: float | None = None
    eta_s: float | None = None
    files: tuple[str, ...] = ()
    """Names, below the models folder; none where a back end fetches it."""
    backend: str = ""
    """The back end whose own disk it goes to; empty for the models folder."""
    problem: Sentence | None = None
    """Why it failed, paused by itself or is stalled."""
    remedy: Literal["retry", "resume", "free-space", "token", "none"] = "none"
    """What mends it: the button to show."""
    kept_partial: bool = False
    """Whether a cancelled one left what it had."""
    verified: bool = False
    """Whether it is whole and was compared with the sums that its source declares, by us or by the
    back end that fetched it. A plain URL declares none."""
    sha256: tuple[str | None, ...] = ()
    """Of each file, once it is verified."""
    created_at: int
    """In ms since the epoch."""


def safe_name(name: str) -> str:
    """A server's file name as a place below a folder; raises InputError for any other place."""
    parts = name.split("/")
    sound = (
        name
        and len(name) <= NAME_LIMIT
        and name == posixpath.normpath(name)
        and not name.startswith("/")
        and all(part not in ("", ".", "..") and not part.startswith(".") for part in parts)
        and not any(char in '\\:*?"<>|' or unicodedata.category(char)[0] == "C" for char in name)
    )
    if not sound:
        raise InputError(
            "the file name is {name}; allowed: names below the models folder, without `..`",
            name=shown(name),
        )
    if not name.lower().endswith(SUFFIXES):
        raise InputError(
            "the file name is {name}; allowed: names that end in {suffixes}",
            name=shown(name),
            suffixes=", ".join(SUFFIXES),
        )
    return name


def is_catalogue_name(name: str) -> bool:
    """Whether another program may be asked for a model by this name."""
    return len(name) <= NAME_LIMIT and _CATALOGUE_NAME.match(name) is not None


def check_wanted(wanted: Wanted) -> None:
    """Raises InputError for what must not be fetched."""
    names = sorted({file.name for file in wanted.files})
    if wanted.backend:
        if names:
            raise InputError.field("files", names, "none, where a back end fetches the model")
        if not is_catalogue_name(wanted.model):
            raise InputError.field("model", wanted.model, "a name of its back end's catalogue")
    elif not names:
        raise InputError.field("files", names, "at least one")
    elif len(names) < len(wanted.files):
        raise InputError.field("files", names, "each name once")
    for file in wanted.files:
        check_file(file)


def check_file(file: RemoteFile) -> None:
    """Raises InputError for a file that must not be fetched."""
    safe_name(file.name)
    if without_secrets(file.url) != file.url:
        raise InputError.field("url", file.url, OPEN_ADDRESS)
    if file.sha256 is not None and not _SHA256.match(file.sha256):
        raise InputError.field("sha256", file.sha256, "64 hexadecimal digits in lower case")
