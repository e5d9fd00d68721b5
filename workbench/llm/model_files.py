"""The model files in some folders: found, described, and what loading one will take."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from workbench.core.llm import CacheType, LanguageModel, LoadOptions
from workbench.core.wire import error_message
from workbench.errors import InputError
from workbench.llm.gguf_header import SPLIT, Header, parts, read_model
from workbench.llm.worker import DEFAULT_CONTEXT

DEPTH = 5
ENTRY_LIMIT = 50_000
MODEL_LIMIT = 2000
PROCESS_BYTES = 64 << 20
"""What a worker takes without a model: 20 MB of its own and 20 shared, with xllamacpp 2026.10."""
GPU_CONTEXT_BYTES = 600 << 20
"""What a GPU's driver keeps for a process, with the libraries for matrices: 300 to 600 MB."""
BATCH = 512
CACHE_BITS: dict[CacheType, float] = {
    "f32": 32,
    "f16": 16,
    "bf16": 16,
    "q8_0": 8.5,
    "q5_1": 6,
    "q5_0": 5.5,
    "q4_1": 5,
    "q4_0": 4.5,
    "iq4_nl": 4.5,
}


class ModelFile(msgspec.Struct, frozen=True, kw_only=True):
    """A model on this machine's disk; `path` is its first file."""

    id: str
    path: Path
    header: Header

    def described(self, *, loaded: bool, context_size: int | None) -> LanguageModel:
        """The model as it is listed."""
        header = self.header
        template = header.metadata.get("tokenizer.chat_template")
        return LanguageModel(
            id=self.id,
            backend="embedded",
            title=str(header.metadata.get("general.name") or "")[:200] or self.id,
            loaded=loaded,
            size_bytes=header.file_bytes,
            context_size=context_size or header.context_length,
            quantization=header.quantization,
            parameters=header.size_label,
            architecture=header.architecture or None,
            images=False,
            tools="tools" in template if isinstance(template, str) else False,
            embedding=header.embeds,
        )

    def context_size(self, options: LoadOptions) -> int:
        """Tokens per conversation: as asked for, else what the model can, but not all memory."""
        return options.context_size or min(
            self.header.context_length or DEFAULT_CONTEXT, DEFAULT_CONTEXT
        )

    def needed_bytes(self, options: LoadOptions) -> int:
        """About what loading takes: the weights, the context's cache, and room to compute."""
        return int(self._layers_bytes(options) + self._compute_bytes()) + PROCESS_BYTES

    def gpu_bytes(self, options: LoadOptions) -> int:
        """About what loading takes of a GPU: the layers that go there with their share of the
        cache, room to compute, and what a driver keeps for each process."""
        layers = 1 + (self.header.number("block_count") or 0)  # the last is what answers
        asked = options.gpu_layers
        share = 1.0 if asked is None or asked < 0 else min(1.0, asked / layers)
        return int(share * self._layers_bytes(options) + self._compute_bytes()) + GPU_CONTEXT_BYTES

    def _layers_bytes(self, options: LoadOptions) -> float:
        tokens = self.context_size(options) * (options.parallel or 1)
        return self.header.file_bytes + tokens * _cache_bits_per_token(self.header, options) / 8

    def _compute_bytes(self) -> int:
        header = self.header
        return BATCH * 4 * (header.vocabulary + 16 * (header.number("embedding_length") or 0))


class Folders:
    """Some folders of models, looked at anew each time; unchanged files are read once."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)
        self._known: dict[tuple[Path, int, int], Header | InputError] = {}

    def scan(self) -> dict[str, ModelFile]:
        """Every model that can be used, by its id. The first folder with an id has it."""
        found: dict[str, ModelFile] = {}
        for id_, path in self._files():
            header = self._header(path)
            usable = isinstance(header, Header) and header.kind == "model"
            if usable and isinstance(header, Header):
                found.setdefault(id_, ModelFile(id=id_, path=path, header=header))
        return found

    def broken(self) -> Iterator[tuple[str, Path, InputError]]:
        """Files that cannot be used, and why: whoever put one there wants to know."""
        for id_, path in self._files():
            header = self._header(path)
            if isinstance(header, InputError):
                yield id_, path, header

    def find(self, model: str) -> ModelFile | None:
        """One model; None where there is no such file. Raises InputError where it is broken."""
        for id_, path in self._files():
            if id_ == model:
                header = self._header(path)
                if isinstance(header, InputError):
                    raise header
                return ModelFile(id=id_, path=path, header=header)
        return None

    def _files(self) -> Iterator[tuple[str, Path]]:
        count = 0
        for folder in self._folders:
            for path in _walk(folder):
                split = SPLIT.search(path.name)
                if path.name.startswith("mmproj") or (split and int(split[1]) != 1):
                    continue
                count += 1
                if count > MODEL_LIMIT:
                    return
                yield _id(folder, path), path

    def _header(self, path: Path) -> Header | InputError:
        try:
            files = [part.stat() for part in parts(path)]
        except OSError:
            return self._read(path)  # which says what is missing
        key = (path, sum(f.st_size for f in files), max(f.st_mtime_ns for f in files))
        if key not in self._known:
            if len(self._known) >= MODEL_LIMIT:
                self._known.clear()
            self._known[key] = self._read(path)
        return self._known[key]

    def _read(self, path: Path) -> Header | InputError:
        try:
            return read_model(path)
        except InputError as error:
            return error


def described_broken(id_: str, path: Path, error: InputError) -> LanguageModel:
    """A file that cannot be loaded, as it is listed."""
    size = None
    with contextlib.suppress(OSError):
        size = path.stat().st_size
    problem = error_message(error, key="message")
    return LanguageModel(
        id=id_, backend="embedded", title=path.name, size_bytes=size, problem=problem
    )


def _id(folder: Path, path: Path) -> str:
    """Its place in the folder, without `.gguf` and without the number of its part."""
    place = path.relative_to(folder).as_posix()
    return SPLIT.sub("", place) if SPLIT.search(place) else place.removesuffix(".gguf")


def _walk(folder: Path) -> Iterator[Path]:
    """Every `.gguf` below `folder`, in order, within bounds; what cannot be read is left out."""
    waiting, room = [(folder, 0)], ENTRY_LIMIT
    while waiting:
        here, depth = waiting.pop()
        folders, files = _listed(here, room)
        room -= len(folders) + len(files)
        yield from (path for path in files if path.suffix == ".gguf")
        if depth < DEPTH:
            waiting += ((path, depth + 1) for path in folders if not path.name.startswith("."))


def _listed(folder: Path, limit: int) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder; links to either count as what they lead to."""
    folders: list[Path] = []
    files: list[Path] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in sorted(itertools.islice(entries, limit), key=lambda entry: entry.name):
            with contextlib.suppress(OSError):
                (folders if entry.is_dir() else files).append(Path(entry.path))
    return folders, files


def _cache_bits_per_token(header: Header, options: LoadOptions) -> float:
    """What one token takes in the cache of keys and values, over all layers."""
    layers = header.number("block_count") or 0
    heads = header.number("attention.head_count") or 1
    width = (header.number("embedding_length") or 0) // max(1, heads)
    keys = header.number("attention.key_length") or width
    values = header.number("attention.value_length") or width
    said = header.metadata.get(f"{header.architecture}.attention.head_count_kv")
    shared = sum(n for n in said if type(n) is int) if isinstance(said, list) else None
    if shared is None:
        shared = layers * (said if type(said) is int else heads)
    by_type = (CACHE_BITS[options.cache_type_k or "f16"], CACHE_BITS[options.cache_type_v or "f16"])
    return shared * (keys * by_type[0] + values * by_type[1])
