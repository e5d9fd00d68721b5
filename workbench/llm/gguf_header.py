"""What a GGUF file says of itself, read without trust: bounded in time and memory.

The format: github.com/ggml-org/ggml, docs/gguf.md (versions 2 and 3). Whatever the bytes are,
the outcome is a header or an InputError: never more than HEADER_LIMIT_BYTES are walked through,
and of the vocabulary nothing is kept but its size.
"""

from __future__ import annotations

import math
import re
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import msgspec

from workbench.errors import InputError
from workbench.llm.gguf_tables import ARRAY, BLOCKS, FILE_TYPES, SCALARS, STRING

HEADER_LIMIT_BYTES = 64 << 20
ITEM_LIMIT = 2_000_000
PAIR_LIMIT = 10_000
TENSOR_LIMIT = 100_000
TEXT_LIMIT_BYTES = 4 << 20
KEPT_ITEMS = 1024
PART_LIMIT = 512
SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf\Z")


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """A model file's own description. `metadata` has its single values and short lists."""

    metadata: dict[str, Any]
    parameters: int
    """How many numbers its tensors hold."""
    file_bytes: int
    needed_bytes: int
    """How long the file has to be for all of its tensors."""
    vocabulary: int = 0
    complete: bool = True
    """False where only its beginning was read, and that ends within it."""

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    @property
    def kind(self) -> str:
        """`model`, or what else such a file may be: mmproj, adapter, imatrix, vocab."""
        said = str(self.metadata.get("general.type", "model"))
        return "mmproj" if self.architecture == "clip" else said

    @property
    def context_length(self) -> int | None:
        """The most tokens that the model was made for."""
        return self.number("context_length")

    @property
    def quantization(self) -> str | None:
        """Such as `Q4_K_M`."""
        said = self.metadata.get("general.file_type")
        return FILE_TYPES.get(said) if type(said) is int else None

    @property
    def size_label(self) -> str:
        """Such as `7B`: as the file says, else from its parameters."""
        said = self.metadata.get("general.size_label")
        return said if isinstance(said, str) and said else _label(self.parameters)

    @property
    def embeds(self) -> bool:
        """Whether it was made to embed text: it says how to pool what its tokens give."""
        return bool(self.number("pooling_type"))

    def number(self, name: str) -> int | None:
        """The value of `<architecture>.<name>`, None where it has none."""
        value = self.metadata.get(f"{self.architecture}.{name}")
        return value if type(value) is int else None


def read_header(path: Path) -> Header:
    """The header of the file at `path`. Raises InputError for whatever is no whole GGUF file."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            # A pipe would be waited for.
            raise InputError("{file} is no file; name a model file", file=path.name)
        with path.open("rb") as file:
            header = HeaderReader(path.name, file).header()
    except OSError as error:
        raise InputError(
            "{file} cannot be read: {reason}", file=path.name, reason=error.strerror or "?"
        ) from None
    if header.needed_bytes > header.file_bytes:
        raise InputError(
            "{file} is cut short: it has {size} bytes of {needed}; fetch it again",
            file=path.name,
            size=header.file_bytes,
            needed=header.needed_bytes,
        )
    return header


def parts(path: Path) -> list[Path]:
    """All files of the model that begins at `path`, in order."""
    found = SPLIT.search(path.name)
    if found is None:
        return [path]
    count = int(found[2])
    if not 1 <= count <= PART_LIMIT:
        raise InputError(
            "{file} is one of {count} files; allowed: 1 to {limit}",
            file=path.name,
            count=count,
            limit=PART_LIMIT,
        )
    stem = path.name[: found.start()]
    return [path.with_name(f"{stem}-{n:05}-of-{count:05}.gguf") for n in range(1, count + 1)]


def read_model(path: Path) -> Header:
    """The header of a model with all of its parts: their sizes and parameters added up."""
    headers = [read_header(part) for part in parts(path)]
    return msgspec.structs.replace(
        headers[0],
        parameters=sum(header.parameters for header in headers),
        file_bytes=sum(header.file_bytes for header in headers),
        needed_bytes=sum(header.needed_bytes for header in headers),
    )


class HeaderReader:
    """Walks through one file, and never beyond its limits.

    `metadata` and `vocabulary` are what was read by now, also where the bytes end too early.
    """

    def __init__(self, name: str, file: BinaryIO) -> None:
        self._name, self._file = name, file
        self._size = file.seek(0, 2)
        self._at = file.seek(0)
        self._items = self._kept_bytes = 0
        self.metadata: dict[str, Any] = {}
        self.vocabulary = 0

    def header(self) -> Header:
        magic, version = self._take(4), self._number("<I")
        if magic != b"GGUF":
            self._refuse(
                "{file} is no model file: it does not begin with GGUF; fetch it again, as GGUF"
            )
        if version not in (2, 3):
            self._refuse(
                "{file} is no GGUF of version 2 or 3 in little-endian order; fetch one that is"
            )
        tensors, pairs = self._number("<Q"), self._number("<Q")
        for _ in self._counted(pairs, PAIR_LIMIT):
            self._pair()
        alignment = self.metadata.get("general.alignment", 32)
        if type(alignment) is not int or not 1 <= alignment <= 1 << 20:
            self._refuse("{file} is damaged: its general.alignment is no size; fetch it again")
        parameters = end = 0
        for _ in self._counted(tensors, TENSOR_LIMIT):
            numbers, its_end = self._tensor()
            parameters, end = parameters + numbers, max(end, its_end)
        return Header(
            metadata=self.metadata,
            parameters=parameters,
            file_bytes=self._size,
            needed_bytes=-(-self._at // alignment) * alignment + end if end else self._at,
            vocabulary=self.vocabulary,
        )

    def _pair(self) -> None:
        key = self._text()
        kind = self._number("<I")
        self.metadata[key] = self._array(key) if kind == ARRAY else self._single(kind)

    def _single(self, kind: int) -> Any:
        if kind == STRING:
            return self._text()
        if kind not in SCALARS:
            self._refuse("{file} is damaged: it has a value of an unknown type; fetch it again")
        return self._unpack(SCALARS[kind])

    def _array(self, key: str) -> list[Any] | None:
        """The items of a short array of numbers; of others nothing but how many there are."""
        kind, count = self._number("<I"), self._number("<Q")
        if key == "tokenizer.ggml.tokens":
            self.vocabulary = count
        if kind == STRING:
            self._skip_texts(count)
            return None
        if kind not in SCALARS:  # nor is a list in a list anything that llama.cpp reads
            self._refuse("{file} is damaged: it has a list of an unknown type; fetch it again")
        if count > KEPT_ITEMS or key.startswith("tokenizer."):
            self._skip(count * struct.calcsize(SCALARS[kind]))
            return None
        return [self._unpack(SCALARS[kind]) for _ in self._counted(count)]

    def _skip_texts(self, count: int) -> None:
        """Go over a list of texts: the one long loop, a vocabulary, so it is kept plain."""
        at, end, read = self._at, min(self._size, HEADER_LIMIT_BYTES), self._file.read
        for _ in self._counted(count):
            at += 8
            if at > end:
                break
            length = int.from_bytes(read(8), "little")
            at += length
            if at > end:
                break
            if length < 4096:
                read(length)  # a third faster than a seek
            else:
                self._file.seek(at)
        self._at = at
        self._reach(0)

    def _tensor(self) -> tuple[int, int]:
        """How many numbers a tensor holds, and where it ends within the data."""
        self._skip(self._number("<Q"))
        rank = self._number("<I")
        if not 1 <= rank <= 4:
            self._refuse(
                "{file} is damaged: a tensor has more than 4 dimensions, or none; fetch it again"
            )
        count = math.prod(self._number("<Q") for _ in range(rank))
        numbers, size = BLOCKS.get(self._number("<I"), (1, 0))
        return count, self._number("<Q") + -(-count // numbers) * size

    def _counted(self, count: int, limit: int = ITEM_LIMIT) -> Iterator[int]:
        """As many times as the file says, if that can be."""
        self._items += count
        if count > limit or self._items > ITEM_LIMIT:
            self._refuse(
                "{file} is damaged: it counts more items than any model has; fetch it again"
            )
        return iter(range(count))

    def _text(self) -> str:
        length = self._number("<Q")
        self._kept_bytes += length
        if self._kept_bytes > TEXT_LIMIT_BYTES:
            self._refuse("{file} is damaged: its texts are longer than any model's; fetch it again")
        return self._take(length).decode(errors="replace")

    def _unpack(self, layout: str) -> Any:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))[0]

    def _number(self, layout: str) -> int:
        return int(self._unpack(layout))

    def _take(self, count: int) -> bytes:
        self._reach(count)
        taken = self._file.read(count)
        if len(taken) < count:
            self._refuse("{file} is damaged: it ends within its own description; fetch it again")
        return taken

    def _skip(self, count: int) -> None:
        self._reach(count)
        self._file.seek(self._at)

    def _reach(self, count: int) -> None:
        self._at += count
        if self._at > self._size:
            self._refuse("{file} is damaged: it ends within its own description; fetch it again")
        if self._at > HEADER_LIMIT_BYTES:
            self._refuse(
                "{file} is damaged: its description is longer than any model's; fetch it again"
            )

    def _refuse(self, template: str) -> NoReturn:
        raise InputError(template, file=self._name)


def _label(parameters: int) -> str:
    """1234567890 parameters are `1.2B`, 70 times that are `86B`."""
    for power, letter in ((12, "T"), (9, "B"), (6, "M"), (3, "K")):
        if parameters >= 10**power:
            value = parameters / 10**power
            return f"{value:.1f}{letter}" if value < 9.95 else f"{value:.0f}{letter}"
    return str(parameters)
