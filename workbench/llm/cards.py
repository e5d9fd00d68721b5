"""Makes the cards: of model files here, of what back ends list, and of what could be fetched."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import psutil

from workbench.core.cards import Card, Machine, gpu_room, judged
from workbench.core.downloads import Wanted
from workbench.core.ledger_nouns import Room
from workbench.core.llm import LanguageModel, LoadOptions
from workbench.core.repository import Choice, Repository, quantization_of
from workbench.core.wire import error_message
from workbench.errors import InputError
from workbench.llm.catalogue import ROOM, available_memory
from workbench.llm.fetching import KEEP_FREE_BYTES
from workbench.llm.gguf_header import Header
from workbench.llm.model_files import GPU_CONTEXT_BYTES, PROCESS_BYTES, ModelFile
from workbench.llm.places import Found, Shelf
from workbench.llm.worker import DEFAULT_CONTEXT

EMBEDDED = "embedded"
OWN = "workbench"
HUB = "hub"
AS_IT_COMES = LoadOptions()


def machine_now(rooms: Collection[Room], folder: Path) -> Machine:
    """What there is for a model now. `rooms` are the ledger's, `folder` is where downloads go."""
    gpu_free, gpu_total = gpu_room(rooms)
    total = int(psutil.virtual_memory().total)
    with contextlib.suppress(OSError, ValueError):  # `max` where a container has no limit
        total = min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    disk = None
    with contextlib.suppress(OSError):
        there = next(path for path in (folder, *folder.absolute().parents) if path.is_dir())
        disk = max(0, shutil.disk_usage(there).free - KEEP_FREE_BYTES)
    return Machine(
        gpu_free_bytes=gpu_free,
        gpu_total_bytes=gpu_total,
        memory_free_bytes=max(0, available_memory()),
        memory_total_bytes=total,
        disk_free_bytes=disk,
    )


def cards_here(
    own: Shelf,
    others: Found,
    listed: Sequence[LanguageModel],
    machine: Machine,
    options: LoadOptions = AS_IT_COMES,
    *,
    local: Collection[str] = (),
    kept: Sequence[Card] = (),
) -> list[Card]:
    """A card for each model of this machine and of the back ends, in the order of their titles.

    `kept` are those of files that no back end of ours loads. `listed` is what the back ends say;
    the embedded one's tells what is loaded. `local` names those of them that run on this machine:
    how much of another one a model takes is not judged.
    """
    loaded = {model.id: model for model in listed if model.backend == EMBEDDED and model.loaded}
    cards = {card.id: card for card in _of_shelf(others, loaded, options, others)}
    cards |= {card.id: card for card in _of_shelf(own, loaded, options, None)}
    elsewhere = [
        of_listed(model, options, here=model.backend in local)
        for model in listed
        if model.backend != EMBEDDED
    ]
    every = [judged(card, machine) for card in (*cards.values(), *elsewhere, *kept)]
    return sorted(every, key=lambda card: (card.title.lower(), card.id, card.backend))


def cards_of(
    repository: Repository,
    machine: Machine,
    options: LoadOptions = AS_IT_COMES,
    headers: Mapping[str, Header] | None = None,
) -> list[Card]:
    """A card for each choice of a repository, the smallest first, with the id that its file will
    have here. `headers` are those that are known of some, by the names of the choices."""
    known = headers or {}
    return [
        judged(of_choice(repository, each, options, known.get(each.name)), machine)
        for each in repository.choices
    ]


def of_file(
    model: ModelFile, owner: str, options: LoadOptions, loaded: LanguageModel | None = None
) -> Card:
    """A file that can be loaded, by its header."""
    size = loaded.context_size if loaded else None
    told = model.described(loaded=loaded is not None, context_size=size)
    licence = model.header.metadata.get("general.license")
    return Card(
        id=model.id,
        state="loaded" if told.loaded else "on-disk",
        owner=owner,
        title=told.title,
        backend=EMBEDDED,
        place=str(model.path),
        size_bytes=told.size_bytes,
        quantization=told.quantization,
        parameters=told.parameters,
        architecture=told.architecture,
        context_size=told.context_size,
        chat_template=isinstance(model.header.metadata.get("tokenizer.chat_template"), str),
        tools=told.tools,
        embedding=told.embedding,
        licence=licence[:200] if isinstance(licence, str) and licence else None,
        context_chosen=model.context_size(options),
        needed_memory_bytes=model.needed_bytes(options),
        needed_gpu_bytes=model.gpu_bytes(options),
    )


def of_broken(id_: str, path: Path, error: InputError, owner: str) -> Card:
    """A file that cannot be loaded, with the reason."""
    size = None
    with contextlib.suppress(OSError):
        size = path.stat().st_size
    return Card(
        id=id_,
        state="broken",
        owner=owner,
        title=id_.rpartition("/")[2],
        backend=EMBEDDED,
        place=str(path),
        size_bytes=size,
        problem=error_message(error, key="message"),
    )


def of_listed(model: LanguageModel, options: LoadOptions, *, here: bool) -> Card:
    """A model as its back end lists it."""
    memory, gpu = _guess(model.size_bytes) if here else (None, None)
    broken = model.problem is not None
    return Card(
        id=model.id,
        state="broken" if broken else "loaded" if model.loaded else "on-disk",
        owner=model.backend,
        title=model.title or model.id,
        backend=model.backend,
        size_bytes=model.size_bytes,
        quantization=model.quantization,
        parameters=model.parameters,
        architecture=model.architecture,
        context_size=model.context_size,
        tools=model.tools,
        embedding=model.embedding,
        context_chosen=_context(options, model.context_size),
        needed_memory_bytes=memory,
        needed_gpu_bytes=gpu,
        estimated=memory is not None,
        problem=model.problem,
    )


def of_choice(
    repository: Repository, choice: Choice, options: LoadOptions, header: Header | None = None
) -> Card:
    """What could be fetched; what it needs is guessed where its header is not known."""
    count = repository.parameters
    card = Card(
        id=f"{repository.name}/{choice.name}",
        state="remote",
        owner=HUB,
        title=repository.name.partition("/")[2],
        place=repository.page,
        size_bytes=choice.total_bytes,
        quantization=choice.quantization,
        parameters=None if count is None else _label(count),
        architecture=repository.architecture,
        context_size=repository.context_size,
        chat_template=repository.chat_template,
        tools=repository.tools,
        licence=repository.licence,
        gated=repository.gated,
        repository=repository.name,
        commit=repository.commit,
        files=tuple(file.name for file in choice.files),
    )
    return _reckoned(card, options, header)


def of_address(wanted: Wanted, machine: Machine, header: Header | None = None) -> Card:
    """A file at a URL: without its header nothing is known of it but its name and its size."""
    (file,) = wanted.files
    card = Card(
        id=wanted.model,
        state="remote",
        owner=urlsplit(file.url).hostname or "",
        title=wanted.model.rpartition("/")[2],
        place=file.url,
        size_bytes=file.size_bytes,
        quantization=quantization_of(wanted.model),
        files=(file.name,),
    )
    return judged(_reckoned(card, AS_IT_COMES, header), machine)


def _reckoned(card: Card, options: LoadOptions, header: Header | None) -> Card:
    """A remote card with what its header says: what it needs is guessed where there is none."""
    if header is None or card.size_bytes is None:
        memory, gpu = _guess(card.size_bytes)
        return msgspec.structs.replace(
            card,
            context_chosen=_context(options, card.context_size),
            needed_memory_bytes=memory,
            needed_gpu_bytes=gpu,
            estimated=memory is not None,
        )
    whole = msgspec.structs.replace(header, file_bytes=card.size_bytes)
    file = ModelFile(id=card.id, path=Path(card.files[0]), header=whole)
    template, tools = _template(header)
    return msgspec.structs.replace(
        card,
        quantization=card.quantization or header.quantization,
        parameters=card.parameters or _size_label(header),
        architecture=header.architecture or card.architecture,
        context_size=header.context_length or card.context_size,
        chat_template=template if card.chat_template is None else card.chat_template,
        tools=tools if card.tools is None else card.tools,
        embedding=header.embeds,
        context_chosen=file.context_size(options),
        needed_memory_bytes=file.needed_bytes(options),
        needed_gpu_bytes=file.gpu_bytes(options),
    )


def _template(header: Header) -> tuple[bool | None, bool | None]:
    """Whether it has a chat template, and one for tools; None where its vocabulary, which comes
    before, was longer than what was read."""
    said = header.metadata.get("tokenizer.chat_template")
    if isinstance(said, str):
        return True, "tools" in said
    return (False, False) if header.complete else (None, None)


def _size_label(header: Header) -> str | None:
    """None where its tensors were not read, so that their number is not known."""
    known = header.parameters or "general.size_label" in header.metadata
    return header.size_label if known else None


def _of_shelf(
    shelf: Shelf, loaded: Mapping[str, LanguageModel], options: LoadOptions, found: Found | None
) -> Iterator[Card]:
    """Broken files first: of two with one id, the one that can be loaded is kept."""

    def owner(id_: str) -> str:
        return (found.owner_of(id_) if found else None) or OWN

    for id_, path, error in shelf.broken():
        yield of_broken(id_, path, error, owner(id_))
    for model in shelf.scan().values():
        yield of_file(model, owner(model.id), options, loaded.get(model.id))


def _guess(size_bytes: int | None) -> tuple[int | None, int | None]:
    """What a model of this size takes of memory, and of a GPU: its weights and a small context."""
    if size_bytes is None:
        return None, None
    return int(ROOM * size_bytes) + PROCESS_BYTES, int(ROOM * size_bytes) + GPU_CONTEXT_BYTES


def _context(options: LoadOptions, most: int | None) -> int:
    return options.context_size or min(most or DEFAULT_CONTEXT, DEFAULT_CONTEXT)


def _label(parameters: int) -> str:
    """Such as `7.6B`, by the rule for files."""
    return Header(metadata={}, parameters=parameters, file_bytes=0, needed_bytes=0).size_label
