"""Models that other programs keep, found where they lie: never copied, moved or written to.

Nothing there is trusted: walks are bounded, a manifest names nothing but a blob of its own
folder, and a file counts as a model only if its header says so.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from workbench.errors import InputError, shown
from workbench.llm.hub_cache import cache_folder
from workbench.llm.model_files import ENTRY_LIMIT, MODEL_LIMIT, Folders, ModelFile

Owner = Literal["lmstudio", "ollama", "huggingface", "llama.cpp"]
OLLAMA_SYSTEM = Path("/usr/share/ollama/.ollama/models")
"""Where its service keeps them on Linux: the home of its own user."""
OLLAMA_MODEL = "application/vnd.ollama.image.model"
NOTE_LIMIT_BYTES = 1 << 20
"""A manifest or a file of settings is longer only by mistake, or by malice."""
_DIGEST = re.compile(r"sha256[:-]([0-9a-f]{64})\Z")
_NAMES = re.compile(r"models--([A-Za-z0-9._-]{1,100})--([A-Za-z0-9._-]{1,100})\Z")
_COMMIT = re.compile(r"[0-9a-f]{40}\Z")


class Place(msgspec.Struct, frozen=True):
    """A folder of models, and the program whose it is."""

    owner: Owner
    folder: Path


class Shelf(Protocol):
    """Where model files are found: folders of ours, or those of other programs."""

    def scan(self) -> dict[str, ModelFile]: ...

    def broken(self) -> Iterator[tuple[str, Path, InputError]]: ...

    def find(self, model: str) -> ModelFile | None: ...


def found(
    home: Path,
    env: Mapping[str, str],
    *,
    system: Path = OLLAMA_SYSTEM,
    without: Sequence[Path] = (),
) -> list[Place]:
    """The folders that are there; not those of `without`, which are looked at as ours."""
    cache = _path(env.get("XDG_CACHE_HOME"), home) or home / ".cache"
    ollama = _path(env.get("OLLAMA_MODELS"), home) or home / ".ollama" / "models"
    llama = _path(env.get("LLAMA_CACHE"), home)
    places = [
        *(Place("lmstudio", folder) for folder in _of_lmstudio(home)),
        Place("ollama", ollama),
        Place("ollama", system),
        Place("huggingface", cache_folder(home, env)),
        Place("llama.cpp", llama or cache / "llama.cpp"),
        Place("llama.cpp", llama or home / "Library" / "Caches" / "llama.cpp"),
    ]
    taken = {_real(folder) for folder in without}
    kept: dict[Path, Place] = {}
    for place in places:
        real = _real(place.folder)
        if _is_folder(real) and real not in taken:
            kept.setdefault(real, place)
    return list(kept.values())


class Found(Folders):
    """The models in the places of other programs; ids begin with their owner."""

    def __init__(self, places: Sequence[Place], without: Sequence[Path] = ()) -> None:
        """Files that lead into a folder of `without` are shown as that folder's own."""
        super().__init__(())
        self._places, self._without = tuple(places), tuple(map(_real, without))

    def broken(self) -> Iterator[tuple[str, Path, InputError]]:
        """Files that cannot be used, then manifests that name none."""
        yield from super().broken()
        for id_, path, error in self._looked():
            if error is not None:
                yield id_, path, error

    def find(self, model: str) -> ModelFile | None:
        """One model; None where there is none. Raises InputError where it is broken."""
        for id_, _, error in self._looked():
            if id_ == model and error is not None:
                raise error
        return super().find(model)

    def owner_of(self, model: str) -> Owner | None:
        """Whose a model of this id is."""
        owners = (place.owner for place in self._places)
        return next((owner for owner in owners if model.startswith(f"{owner}/")), None)

    def _files(self) -> Iterator[tuple[str, Path]]:
        for id_, path, error in self._looked():
            if error is None:
                yield id_, path

    def _looked(self) -> Iterator[tuple[str, Path, InputError | None]]:
        """Every model file with its id; with an error where a manifest leads to none."""
        count = 0
        for place in self._places:
            look = _LOOK[place.owner]
            for id_, path, error in look(place.folder):
                count += 1
                if count > MODEL_LIMIT:
                    return
                if any(_real(path).is_relative_to(ours) for ours in self._without):
                    continue
                yield f"{place.owner}/{id_}", path, error


class Shelves:
    """Several shelves as one; the first that has an id keeps it."""

    def __init__(self, *shelves: Shelf) -> None:
        self._shelves = shelves

    def scan(self) -> dict[str, ModelFile]:
        models: dict[str, ModelFile] = {}
        for shelf in self._shelves:
            models = {**shelf.scan(), **models}
        return models

    def broken(self) -> Iterator[tuple[str, Path, InputError]]:
        for shelf in self._shelves:
            yield from shelf.broken()

    def find(self, model: str) -> ModelFile | None:
        for shelf in self._shelves:
            if (there := shelf.find(model)) is not None:
                return there
        return None


Look = Iterator[tuple[str, Path, InputError | None]]


class _Layer(msgspec.Struct):
    media_type: str = msgspec.field(default="", name="mediaType")
    digest: str = ""
    size: int | None = None


class _Manifest(msgspec.Struct):
    layers: list[_Layer] = []


class _Settings(msgspec.Struct):
    folder: str = msgspec.field(default="", name="downloadsFolder")


def _beneath(folder: Path) -> Look:
    """Every GGUF file below a folder, by its place there."""
    for id_, path in Folders((folder,))._files():
        yield id_, path, None


def _of_hugging_face(folder: Path) -> Look:
    """`models--org--name/snapshots/<commit>/...`: what `main` is, before older commits."""
    for kept in _inside(folder):
        if not (named := _NAMES.match(kept.name)):
            continue
        main = (_note(kept / "refs" / "main") or b"").decode(errors="replace").strip()
        commits = [path for path in _inside(kept / "snapshots") if _COMMIT.match(path.name)]
        for commit in sorted(commits, key=lambda path: path.name != main):
            for id_, path, error in _beneath(commit):
                yield f"{named[1]}/{named[2]}/{id_}", path, error


def _of_ollama(folder: Path) -> Look:
    """`manifests/<host>/<namespace>/<model>/<tag>`: JSON that names the blob of its weights."""
    manifests, paths = folder / "manifests", [folder / "manifests"]
    for _ in range(4):
        paths = [below for path in paths for below in _inside(path)][:ENTRY_LIMIT]
    for path in paths:
        id_ = _ollama_name(path.relative_to(manifests).parts)
        try:
            blob = _blob(folder / "blobs", id_, path)
        except InputError as error:
            yield id_, path, error
        else:
            if blob is not None:
                yield id_, blob, None


def _ollama_name(parts: Sequence[str]) -> str:
    """As Ollama itself prints it: without its own registry and its own namespace."""
    host, namespace, model, tag = parts
    own = host == "registry.ollama.ai"
    spoken = [*([] if own else [host]), *([] if own and namespace == "library" else [namespace])]
    return "/".join([*spoken, f"{model}:{tag}"])


def _blob(blobs: Path, id_: str, manifest: Path) -> Path | None:
    """The file of its weights; None for one without, such as a model that runs elsewhere."""
    try:
        layers = msgspec.json.decode(_note(manifest) or b"", type=_Manifest).layers
    except (msgspec.DecodeError, RecursionError):
        raise InputError(
            "the manifest of {model} cannot be read; fetch the model again with Ollama", model=id_
        ) from None
    weights = [layer for layer in layers if layer.media_type == OLLAMA_MODEL]
    if not weights:
        return None
    digest = _DIGEST.match(weights[0].digest)
    if digest is None or len(weights) > 1:
        raise InputError(
            "the manifest of {model} names {digest} as its weights; allowed: one sha256 digest, "
            "so fetch the model again with Ollama",
            model=id_,
            digest=shown([layer.digest for layer in weights][:4]),
        )
    return _whole(blobs, digest[1], weights[0].size, id_)


def _whole(blobs: Path, digest: str, size: int | None, id_: str) -> Path:
    """The blob, if it is as long as its manifest says."""
    for path in (blobs / f"sha256-{digest}", blobs / f"sha256:{digest}"):
        try:
            there = path.stat()
        except OSError:
            continue
        if stat.S_ISREG(there.st_mode) and size in (None, there.st_size):
            return path
        raise InputError(
            "the weights of {model} have {size} bytes of {needed}; fetch the model again with "
            "Ollama",
            model=id_,
            size=there.st_size,
            needed=there.st_size if size is None else size,
        )
    raise InputError(
        "the weights of {model} are not there; fetch the model again with Ollama", model=id_
    )


def _of_lmstudio(home: Path) -> Iterator[Path]:
    """Its folder of models: the one it was set to, else where it began."""
    named = (_note(home / ".lmstudio-home-pointer") or b"").decode(errors="replace").strip()
    pointed = _path(named, home)
    for its in (pointed, home / ".lmstudio", home / ".cache" / "lm-studio"):
        if its is None:
            continue
        with contextlib.suppress(msgspec.DecodeError, RecursionError):
            settings = msgspec.json.decode(_note(its / "settings.json") or b"{}", type=_Settings)
            if chosen := _path(settings.folder, home):
                yield chosen
        yield its / "models"


_LOOK: dict[Owner, Callable[[Path], Look]] = {
    "lmstudio": _beneath,
    "ollama": _of_ollama,
    "huggingface": _of_hugging_face,
    "llama.cpp": _beneath,
}


def _note(path: Path) -> bytes | None:
    """A small file's bytes; None where there is none, or where it is no small file."""
    with contextlib.suppress(OSError, ValueError):
        if stat.S_ISREG(path.stat().st_mode):
            with path.open("rb") as file:
                content = file.read(NOTE_LIMIT_BYTES + 1)
            return content if len(content) <= NOTE_LIMIT_BYTES else None
    return None


def _inside(folder: Path) -> list[Path]:
    """What is in a folder, in order; nothing where it cannot be read."""
    with contextlib.suppress(OSError):
        there = itertools.islice(folder.iterdir(), ENTRY_LIMIT)
        return sorted(path for path in there if not path.name.startswith("."))
    return []


def _path(text: str | None, home: Path) -> Path | None:
    """A path as settings write it; None where it is empty, relative, or no path at all."""
    if not text or "\0" in text:
        return None
    path = home / text[2:] if text.startswith("~/") else Path(text)
    return path if path.is_absolute() else None


def _real(path: Path) -> Path:
    with contextlib.suppress(OSError, RuntimeError):
        return path.resolve()
    return path


def _is_folder(path: Path) -> bool:
    with contextlib.suppress(OSError):
        return path.is_dir()
    return False
