"""A repository of models on a hub: its files, and what of them makes one download."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from workbench.core.cards import Gated
from workbench.core.downloads import safe_name
from workbench.errors import InputError

PART_LIMIT = 512
SMALL_BYTES = 64 << 20
"""What belongs to weights, such as a tokenizer, is smaller."""
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})(\.gguf|\.safetensors)\Z")
_QUANTIZATION = re.compile(
    r"(?:^|[-._/])((?:UD-)?(?:I?Q[1-8]_(?:K(?:_(?:XXS|XS|S|M|L|XL|XXL))?|[01](?:_\d_\d)?|NL"
    r"|XXS|XS|S|M|L|XL)|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4|BF16|F(?:P?16|P?32)))(?=\Z|[-._/])",
    re.IGNORECASE,
)
_SPOKEN = {"FP16": "F16", "FP32": "F32"}
_BESIDE = re.compile(r"mmproj|imatrix", re.IGNORECASE)
"""GGUF files that belong to a model and are none."""


class RepositoryFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One file as the hub lists it; its `name` is a safe place below a folder."""

    name: str
    size_bytes: int | None = None
    sha256: str | None = None
    """In hex; of large files only, for git keeps the small ones by another sum."""
    blob_id: str = ""
    """It changes with the content, as an etag does."""


class Choice(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one downloads of a repository: one quantisation, or its safetensors."""

    name: str
    """The file's place without its suffix and the number of its part; `safetensors`."""
    format: Literal["gguf", "safetensors"]
    quantization: str | None
    files: tuple[RepositoryFile, ...]
    """In the order of their parts."""
    total_bytes: int | None
    """None where the hub does not tell the size of each."""


class Repository(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A repository at one commit. What its hub does not tell is None."""

    name: str
    """`org/name`."""
    page: str
    revision: str
    commit: str
    files: tuple[RepositoryFile, ...]
    choices: tuple[Choice, ...]
    """The smallest first."""
    licence: str | None = None
    gated: Gated | None = None
    private: bool = False
    architecture: str | None = None
    parameters: int | None = None
    context_size: int | None = None
    chat_template: bool | None = None
    tools: bool | None = None
    downloads: int | None = None
    likes: int | None = None

    def choice(self, file: str = "", quantization: str = "") -> Choice | None:
        """The one that has a file, or a quantisation; None where there is none such."""
        for choice in self.choices:
            if file and file in (each.name for each in choice.files):
                return choice
            if quantization and (choice.quantization or "").lower() == quantization.lower():
                return choice
        return None


class RepositoryHit(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A repository that a search found."""

    name: str
    page: str
    licence: str | None = None
    gated: Gated | None = None
    downloads: int | None = None
    likes: int | None = None
    updated_at: int | None = None
    """In ms since the epoch."""


def safe_files(files: Iterable[RepositoryFile]) -> tuple[RepositoryFile, ...]:
    """Those that may be fetched: no code, no other suffix, no name that leads elsewhere."""
    kept: dict[str, RepositoryFile] = {}
    for file in files:
        with contextlib.suppress(InputError):
            kept.setdefault(safe_name(file.name), file)
    return tuple(kept.values())


def quantization_of(name: str) -> str | None:
    """As a file's name says it, such as `Q4_K_M`; its folder where the name itself does not."""
    folder, _, last = name.rpartition("/")
    for text in (last, folder):
        if found := _QUANTIZATION.findall(text):
            spoken = str(found[-1]).upper()
            return _SPOKEN.get(spoken, spoken)
    return None


def choices_of(files: Sequence[RepositoryFile], dtype: str | None = None) -> tuple[Choice, ...]:
    """What there is to download, the smallest first; a set that lacks a part is none."""
    sets: dict[str, list[RepositoryFile]] = {}
    for file in files:
        name = file.name
        if name.lower().endswith(".gguf") and not _BESIDE.search(name.rpartition("/")[2]):
            sets.setdefault(_stem(name), []).append(file)
    choices = [
        Choice(
            name=name,
            format="gguf",
            quantization=quantization_of(name),
            files=whole,
            total_bytes=_total(whole),
        )
        for name, of_set in sets.items()
        if (whole := _whole(of_set))
    ]
    if safetensors := _safetensors(files, dtype):
        choices.append(safetensors)
    return tuple(sorted(choices, key=lambda each: (each.total_bytes or 0, each.name)))


def _safetensors(files: Sequence[RepositoryFile], dtype: str | None) -> Choice | None:
    """The weights at the top of the repository, with the small files that they need."""
    top = [file for file in files if "/" not in file.name]
    weights = [file for file in top if file.name.endswith(".safetensors")]
    # The same weights a second time, in the layout of Mistral's own programs.
    own = [file for file in weights if not file.name.startswith("consolidated")] or weights
    sets: dict[str, list[RepositoryFile]] = {}
    for file in own:
        sets.setdefault(_stem(file.name), []).append(file)
    wholes = [_whole(of_set) for of_set in sets.values()]
    if not wholes or not all(wholes):
        return None
    small = [
        file
        for file in top
        if not file.name.lower().endswith((".gguf", ".safetensors"))
        and (file.size_bytes or 0) <= SMALL_BYTES
    ]
    parts = (*(file for whole in wholes for file in whole), *small)
    return Choice(
        name="safetensors",
        format="safetensors",
        quantization=dtype,
        files=parts,
        total_bytes=_total(parts),
    )


def _stem(name: str) -> str:
    return _SPLIT.sub("", name) if _SPLIT.search(name) else name.rpartition(".")[0]


def _whole(files: Sequence[RepositoryFile]) -> tuple[RepositoryFile, ...]:
    """All parts of a set in their order; nothing where one is missing."""
    ordered = sorted(files, key=lambda file: file.name)
    found = [_SPLIT.search(file.name) for file in ordered]
    if len(found) == 1 and found[0] is None:
        return tuple(ordered)
    numbers = [(int(each[1]), int(each[2])) for each in found if each]
    count = len(ordered)
    sound = numbers == [(n, count) for n in range(1, count + 1)] and count <= PART_LIMIT
    return tuple(ordered) if sound else ()


def _total(files: Sequence[RepositoryFile]) -> int | None:
    sizes = [file.size_bytes for file in files]
    return sum(size for size in sizes if size is not None) if None not in sizes else None
