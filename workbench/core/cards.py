"""A model as a card shows it: what it is, whether it fits this machine, and what was typed in."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import msgspec

from workbench.core.downloads import safe_name
from workbench.core.ledger_nouns import Room
from workbench.errors import InputError, shown

Where = Literal["gpu", "memory", "no", "unknown"]
CardState = Literal["on-disk", "loaded", "remote", "broken"]
Gated = Literal["auto", "manual"]
"""Who lets one in: the site at once, or a person of the publisher's."""

HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co"})
WEIGHTS = (".gguf", ".safetensors")
SOURCE_LIMIT = 2048
RESERVE_BYTES = 512 << 20
"""So much of the machine's memory is never a model's."""

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?"
_REPOSITORY = re.compile(rf"({_PART}/{_PART})\Z")
_NAMED = re.compile(rf"({_PART}/{_PART})(?::([A-Za-z0-9_.-]{{1,40}}))?\Z")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}\Z")
_NOT_MODELS = frozenset({"datasets", "spaces", "docs", "papers", "collections", "blog", "api"})


class Source(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a model is to come from, as somebody typed it."""

    kind: Literal["repository", "url"]
    repository: str = ""
    """`org/name` on the Hugging Face hub."""
    revision: str = "main"
    file: str = ""
    """Its place in the repository, or the last part of the URL; empty for a whole repository."""
    quantization: str = ""
    """Such as `Q4_K_M`, where it was named with `org/name:Q4_K_M`."""
    url: str = ""


class Machine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What this machine has for a model. None where it is not there, or not known."""

    gpu_free_bytes: int | None = None
    """Of the GPU with the most of it, after leases and the use of others."""
    gpu_total_bytes: int | None = None
    """Of the largest GPU."""
    memory_free_bytes: int | None = None
    memory_total_bytes: int | None = None
    disk_free_bytes: int | None = None
    """Where downloads go, less what is kept free there."""


class Fit(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a model can run on this machine, and whether there is room for it at this moment."""

    where: Where
    now: bool | None = None
    """None where that is not known, or where it never fits."""


class Card(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One model as it is shown. What is not known is None."""

    id: str
    state: CardState
    loading: bool = False
    """Whether somebody is loading it now."""
    owner: str
    """Who keeps it: `workbench`, `lmstudio`, `ollama`, `huggingface`, `llama.cpp`; the name of
    a back end; `hub` for a choice of a repository that is not here."""
    title: str
    backend: str = ""
    """The back end that can load it; empty for a remote one."""
    place: str = ""
    """The file's path, or the page of its repository."""
    size_bytes: int | None = None
    quantization: str | None = None
    parameters: str | None = None
    architecture: str | None = None
    context_size: int | None = None
    """The most tokens that the model can; of a loaded one, those it was loaded with."""
    chat_template: bool | None = None
    tools: bool | None = None
    embedding: bool = False
    licence: str | None = None
    gated: Gated | None = None
    repository: str = ""
    commit: str = ""
    files: tuple[str, ...] = ()
    """What a download fetches, as the repository names it."""
    context_chosen: int | None = None
    """Tokens for which `needed_memory_bytes` is."""
    needed_memory_bytes: int | None = None
    needed_gpu_bytes: int | None = None
    estimated: bool = False
    """Whether what it needs is guessed from its size, for want of its header."""
    fits: Where = "unknown"
    fits_now: bool | None = None
    machine: Machine = Machine()
    disk_left_bytes: int | None = None
    """After its download; below 0 by what is missing."""
    problem: dict[str, Any] | None = None
    """{message, code, template, values} of one that cannot be loaded."""


def fits(
    needed_gpu: int | None,
    needed_memory: int | None,
    gpu_free: int | None,
    gpu_total: int | None,
    memory_free: int | None,
    memory_total: int | None,
) -> Fit:
    """Where a model can run: on the GPU if it ever has room, else in memory. All in bytes."""
    if needed_gpu is not None and gpu_total is not None and needed_gpu <= gpu_total:
        return Fit(where="gpu", now=None if gpu_free is None else needed_gpu <= gpu_free)
    if needed_memory is None or memory_total is None:
        return Fit(where="unknown")
    if needed_memory > memory_total - RESERVE_BYTES:
        return Fit(where="no")
    return Fit(where="memory", now=None if memory_free is None else needed_memory <= memory_free)


def judged(card: Card, machine: Machine) -> Card:
    """The card for a machine: whether it fits there, and what its download leaves of the disk."""
    fit = fits(
        card.needed_gpu_bytes,
        card.needed_memory_bytes,
        machine.gpu_free_bytes,
        machine.gpu_total_bytes,
        machine.memory_free_bytes,
        machine.memory_total_bytes,
    )
    left = None
    if (
        card.state == "remote"
        and card.size_bytes is not None
        and machine.disk_free_bytes is not None
    ):
        left = machine.disk_free_bytes - card.size_bytes
    broken = card.state == "broken"
    return msgspec.structs.replace(
        card,
        machine=machine,
        fits="unknown" if broken else fit.where,
        fits_now=None if broken else True if card.state == "loaded" else fit.now,
        disk_left_bytes=left,
    )


def gpu_room(rooms: Collection[Room]) -> tuple[int | None, int | None]:
    """The most bytes free on one GPU of this machine, and the most that one has in all."""
    here = [room for room in rooms if "/" not in room.gpu_id]  # `node/0` is another machine's
    free = [round(room.free_mb * 1e6) for room in here if room.free_mb is not None]
    total = [round(room.total_mb * 1e6) for room in here if room.total_mb is not None]
    return max(free, default=None), max(total, default=None)


def parse_source(text: str, hub_hosts: Collection[str] = HUB_HOSTS) -> Source:
    """What somebody typed in: `org/name`, `org/name:Q4_K_M`, a page of the hub, or any URL of a
    model file. Raises InputError for anything else."""
    typed = text.strip()
    if not typed or len(typed) > SOURCE_LIMIT or any(map(_strange, typed)):
        raise _refused(typed)
    if "://" not in typed:
        if named := _NAMED.match(typed):
            return _repository(named[1], quantization=named[2] or "")
        if typed.partition("/")[0].lower() not in hub_hosts:
            raise _refused(typed)
        typed = "https://" + typed
    return _of_url(typed, hub_hosts)


_WORDS = re.compile(r"[^\W_][\w .+-]{0,199}\Z")


def is_words(text: str) -> bool:
    """Whether somebody typed words to search by, rather than where a model is."""
    return _WORDS.match(text.strip()) is not None


def _of_url(typed: str, hub_hosts: Collection[str]) -> Source:
    try:
        url = urlsplit(typed)
        host, _ = url.hostname, url.port
    except ValueError:
        raise _refused(typed) from None
    if url.scheme.lower() not in ("http", "https") or not host:
        raise _refused(typed)
    if url.username is not None or url.password is not None:
        raise InputError(
            "the address carries a user or a password, which would be shown and kept; "
            "allowed: addresses without them"
        )
    if host.lower() in hub_hosts or url.netloc.lower() in hub_hosts:
        return _of_page(typed, url.path)
    name = unquote(url.path).rpartition("/")[2]
    _check_weights(name)
    return Source(kind="url", url=typed.partition("#")[0], file=safe_name(name))


def _of_page(typed: str, path: str) -> Source:
    """A page of the hub: a repository, or `blob`, `resolve` or `tree` below one."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    if (
        len(parts) < 2
        or parts[0] in _NOT_MODELS
        or not (named := _NAMED.match("/".join(parts[:2])))
    ):
        raise InputError(
            "{address} is no page of a model; name one such as https://huggingface.co/org/name",
            address=shown(typed),
        )
    if len(parts) < 4 or parts[2] not in ("blob", "resolve", "raw", "tree"):
        return _repository(named[1], quantization=named[2] or "")
    # A branch with a `/` in its name is written %2F there, so it is one part.
    revision, file = parts[3], "/".join(parts[4:])
    if not _REVISION.match(revision) or ".." in revision:
        raise _refused(typed)
    if parts[2] == "tree" or not file:
        return _repository(named[1], revision=revision)
    _check_weights(file)
    return _repository(named[1], revision=revision, file=safe_name(file))


def _repository(
    name: str, *, revision: str = "main", file: str = "", quantization: str = ""
) -> Source:
    """Source: https://huggingface.co/docs/hub/repositories-settings, names of repositories."""
    if not _REPOSITORY.match(name) or "--" in name or ".." in name or name.endswith(".git"):
        raise _refused(name)
    return Source(
        kind="repository", repository=name, revision=revision, file=file, quantization=quantization
    )


def _check_weights(name: str) -> None:
    if not name.lower().endswith(WEIGHTS):
        raise InputError(
            "the address leads to {name}; allowed: model files that end in {suffixes}",
            name=shown(name),
            suffixes=", ".join(WEIGHTS),
        )


def _strange(char: str) -> bool:
    return char.isspace() or unicodedata.category(char)[0] == "C" or char == "\\"


def _refused(typed: str) -> InputError:
    return InputError(
        "{text} names no model; allowed: org/name, a page of huggingface.co, or the http or https "
        "address of a file that ends in {suffixes}",
        text=shown(typed),
        suffixes=", ".join(WEIGHTS),
    )
