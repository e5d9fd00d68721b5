"""The models that a hub can have: those on this machine, those at their sources, and downloads."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from workbench.byte_ranges import Ranges
from workbench.core.cards import HUB_HOSTS, Card, Machine, Source, is_words, parse_source
from workbench.core.downloads import Download, RemoteFile, Wanted, is_catalogue_name, safe_name
from workbench.core.ledger_nouns import Room
from workbench.core.llm import LoadOptions
from workbench.core.repository import Choice, Repository, RepositoryHit
from workbench.doctor import model_folder
from workbench.errors import InputError
from workbench.language_models import runs_here
from workbench.llm import hub_cache, tensors
from workbench.llm.cards import OWN, cards_here, cards_of, machine_now, of_address
from workbench.llm.download_work import no_pulls
from workbench.llm.downloads import Downloads
from workbench.llm.gguf_header import parts
from workbench.llm.hugging_face import HuggingFace
from workbench.llm.model_files import Folders
from workbench.llm.places import Found, found
from workbench.llm.pulls import Pull
from workbench.llm.remote_headers import RemoteHeaders
from workbench.llm.service import Service
from workbench.settings import Settings

HUB = "https://huggingface.co"
log = logging.getLogger("workbench.models")


class Fetcher(msgspec.Struct, frozen=True, kw_only=True):
    """A back end that can fetch models onto its own disk."""

    name: str
    kind: str


class Cards(msgspec.Struct, frozen=True, kw_only=True):
    """Every model here, what this machine has for them, and who else can fetch some."""

    cards: list[Card]
    machine: Machine
    fetchers: list[Fetcher]


class AtSource(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to download. `repository` is None for a plain URL, and for words: those found
    `hits`."""

    source: str
    repository: Repository | None = None
    cards: list[Card] = []
    hits: list[RepositoryHit] = []


class Library:
    """One hub's models. `rooms` are those of its GPUs."""

    def __init__(
        self,
        folder: Path,
        others: Found,
        hub: HuggingFace,
        ranges: Ranges,
        service: Service,
        rooms: Callable[[], Sequence[Room]],
        cache: Path,
    ) -> None:
        self._folder, self._own, self._others = folder, Folders([folder]), others
        self._hub, self._ranges, self._service, self._rooms = hub, ranges, service, rooms
        self._cache = cache
        self._headers = RemoteHeaders(ranges, hub.headers)

    async def cards(self, *, refresh: bool, context_size: int | None) -> Cards:
        """Models of every place and back end; memory for conversations of `context_size` tokens."""
        listed = (await self._service.models(refresh=refresh)).models
        machine = await self._machine()
        local = {model.backend for model in listed if runs_here(self._service, model.backend)}
        options = LoadOptions(context_size=context_size)
        kept = await asyncio.to_thread(tensors.cards, self._folder, OWN)
        cards = await asyncio.to_thread(
            cards_here, self._own, self._others, listed, machine, options, local=local, kept=kept
        )
        now = self._service.loading
        cards = [
            msgspec.structs.replace(card, loading=f"{card.id}@{card.backend}" in now)
            for card in cards
        ]
        able = sorted((await self._service.pulling()).items())
        fetchers = [Fetcher(name=name, kind=each.kind) for name, each in able]
        return Cards(cards=cards, machine=machine, fetchers=fetchers)

    async def find(self, source: str) -> AtSource:
        """What a source has, or which repositories words find. Raises InputError for what is
        neither, LinkError where it is away."""
        if is_words(source):
            return AtSource(source=source, hits=await self._hub.search(source))
        asked = self._parsed(source)
        machine = await self._machine()
        if asked.kind == "url":
            wanted = await self._at_url(asked)
            header = (await self._headers.of({source: wanted})).get(source)
            cards = [of_address(wanted, machine, header)]
            return AtSource(source=source, cards=cards)
        repository = await self._hub.repository(asked.repository, asked.revision)
        named = repository.choice(asked.file, asked.quantization)
        shown = msgspec.structs.replace(repository, choices=(named,)) if named else repository
        headers = await self._headers.of(self._choices(shown), repository.parameters)
        cards = cards_of(shown, machine, headers=headers)
        return AtSource(source=source, repository=repository, cards=cards)

    def _choices(self, repository: Repository) -> dict[str, Wanted]:
        """What each choice would fetch, but for those whose names are too long to be kept."""
        found: dict[str, Wanted] = {}
        for each in repository.choices:
            with contextlib.suppress(InputError):
                found[each.name] = self._hub.wanted(repository, each)
        return found

    async def wanted(
        self, source: str, choice: str | None, into: str | None = None, path: str | None = None
    ) -> Wanted:
        """The files of one choice of a source, as it declares them now, or what the back end
        `into` is to fetch. `path` is the place of a URL's file below the models folder."""
        if into is not None:
            if path is not None:
                raise InputError.field("path", path, "none, where a back end keeps the model")
            return await self._elsewhere(source.strip(), choice, into)
        asked = self._parsed(source)
        if asked.kind == "url":
            return await self._at_url(asked, path)
        if path is not None:
            raise InputError.field("path", path, "none for a repository: it has its own place")
        repository = await self._hub.repository(asked.repository, asked.revision)
        return self._hub.wanted(repository, _chosen(repository, asked, choice))

    async def _elsewhere(self, source: str, choice: str | None, into: str) -> Wanted:
        """What a back end is asked for: a name of its own catalogue, or a choice on the hub."""
        able = await self._service.pulling(into)
        if into not in able:
            known = ", ".join(sorted(able)) or "none now: start Ollama or LM Studio"
            raise InputError.field("into", into, known)
        if choice is None and is_catalogue_name(source):
            return Wanted(model=source, backend=into)
        asked = self._parsed(source)
        if asked.kind == "url":
            raise InputError.field("source", source, "a name of its catalogue, or a repository")
        repository = await self._hub.repository(asked.repository, asked.revision)
        chosen = _chosen(repository, asked, choice)
        if chosen.format != "gguf" or chosen.quantization is None:
            raise InputError.field("choice", chosen.name, "GGUF files that name a quantisation")
        name = f"hf.co/{repository.name}:{chosen.quantization}"
        return Wanted(model=name, backend=into, gated=repository.gated is not None)

    async def delete(self, model: str) -> None:
        """Delete a model's files from our own folder. Raises InputError for any other."""
        listed = (await self._service.models(refresh=False)).models
        if any(m.id == model and m.backend == "embedded" and m.loaded for m in listed):
            raise InputError("{model} is loaded: unload it first", model=model)
        await asyncio.to_thread(self._delete, model)
        await self._service.refreshed()

    def _delete(self, model: str) -> None:
        path = next((path for id_, path, _ in self._own.broken() if id_ == model), None)
        if path is None:
            file = self._own.find(model)
            path = file.path if file else None
        if path is None and model in (others := tensors.found(self._folder)):
            return self._delete_files(others[model])
        if path is None:
            template = (
                "{model} is not in the models folder; allowed: models that the workbench keeps"
            )
            raise InputError(template, model=model)
        return self._delete_files(parts(path))

    def _delete_files(self, files: Sequence[Path]) -> None:
        for file in files:
            hub_cache.hide(self._cache, file)
            file.unlink(missing_ok=True)

    def _parsed(self, source: str) -> Source:
        host = urlsplit(self._hub.endpoint).netloc.lower()
        return parse_source(source, HUB_HOSTS | {host})

    async def _machine(self) -> Machine:
        return await asyncio.to_thread(machine_now, self._rooms(), self._folder)

    async def _at_url(self, source: Source, path: str | None = None) -> Wanted:
        """The file at a URL: its size is asked of the server, a sum is nowhere to be had."""
        host = (urlsplit(source.url).hostname or "").replace(":", "-")
        name = safe_name(f"{host}/{source.file}" if path is None else path)
        suffix = source.file[source.file.rindex(".") :].lower()
        if not name.lower().endswith(suffix):
            raise InputError.field("path", path, f"names that end in {suffix}, as the URL does")
        size = await asyncio.to_thread(self._size, source.url)
        file = RemoteFile(url=source.url, name=name, size_bytes=size)
        return Wanted(model=name.rpartition(".")[0], files=(file,))

    def _size(self, url: str) -> int | None:
        with self._ranges.open(url, start=0, end=1) as body:
            return body.total_bytes


def _chosen(repository: Repository, asked: Source, choice: str | None) -> Choice:
    """The one that was named, in the source or beside it; the only one where none was."""
    by_name = {each.name: each for each in repository.choices}
    named = by_name.get(choice or "") or repository.choice(asked.file, choice or asked.quantization)
    if named is not None:
        return named
    if len(by_name) == 1 and not (choice or asked.file or asked.quantization):
        return repository.choices[0]
    if not by_name:
        raise InputError(
            "{repository} has no model files; allowed: repositories with GGUF or safetensors files",
            repository=repository.name,
        )
    known = ", ".join(each.quantization or each.name for each in repository.choices)
    named_as = choice or asked.quantization or asked.file or None
    raise InputError.field("choice", named_as, f"one of {known}")


def places_of(settings: Settings) -> Found:
    """The models that other programs keep on this machine; none where nothing is to be found by
    itself."""
    folders = [model_folder(settings)]
    there = found(Path.home(), os.environ, without=folders) if settings.llm_discover else []
    return Found(there, without=folders)


async def library_of(
    settings: Settings,
    stack: AsyncExitStack,
    service: Service,
    others: Found,
    rooms: Callable[[], Sequence[Room]],
) -> tuple[Library, Downloads]:
    """The models of one hub; `stack` ends its downloads, which go on with its next start."""
    folder = model_folder(settings)
    hub = HuggingFace(os.environ.get("HF_ENDPOINT") or HUB, lambda: os.environ.get("HF_TOKEN"))
    ranges = Ranges(private_addresses=settings.private_addresses)

    def headers(file: RemoteFile) -> Mapping[str, str]:
        return hub.headers(file.url)

    async def pulls(backend: str, model: str) -> Pull:
        able = await service.pulling(backend)
        return able[backend].pull(model) if backend in able else await no_pulls(backend, model)

    cap = settings.download_limit_mb_s
    downloads = Downloads(
        folder,
        ranges,
        headers=headers,
        pulls=pulls,
        cap_bytes_s=None if cap is None else cap * 1e6,
    )
    stack.push_async_callback(downloads.close)
    await downloads.start()
    cache = hub_cache.cache_folder(Path.home(), os.environ)
    welcoming: set[asyncio.Task[None]] = set()

    async def welcome(download: Download) -> None:
        """A new model is there: whoever lists models sees it, and so do other programs."""
        wanted = downloads.wanted(download.download_id)
        try:
            if not wanted.backend:
                await asyncio.to_thread(hub_cache.show, cache, wanted, folder, download.sha256)
        except OSError as error:
            log.warning("model.not_in_cache model=%s reason=%s", wanted.model, error.strerror)
        await service.refreshed()

    async def farewell(download: Download) -> None:
        """A file may have lost its name: no list and no link may lead to it."""
        for name in download.files:
            if not await asyncio.to_thread((folder / name).exists):
                await asyncio.to_thread(hub_cache.hide, cache, folder / name)
        await service.refreshed()

    def changed(download: Download) -> None:
        told = {"done": welcome, "failed": farewell}.get(download.state)
        if told is not None:
            task = asyncio.ensure_future(told(download))
            welcoming.add(task)
            task.add_done_callback(welcoming.discard)

    downloads.watch(changed)
    return Library(folder, others, hub, ranges, service, rooms, cache), downloads
