"""What models there are: every back end is asked at the same time, and bounded, and remembered.

A back end that is slow or away delays nobody beyond the bound. It is listed with its health,
and the models that it had are still found for a request that names them: that request is how
its return is noticed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path

import msgspec
import psutil

from workbench.core.llm import Health, LanguageModel, NoModel
from workbench.errors import WorkbenchError, shown
from workbench.llm.backend import Backend
from workbench.llm.pulls import Pulls
from workbench.llm.router import Instance

FRESH_S = 300.0
BOUND_S = 5.0
SEARCH = 1.5
"""Who searches has a bound for each server, as long as ours: its whole takes longer than that."""
NAMED = 8
"""So many models are named in an error."""
ROOM = 1.2
"""Memory that a model takes, by its file's size: weights, and a small context beside them."""

Servers = Callable[[], Awaitable[Sequence[Backend]]]

_SLOW = Health(
    ok=False,
    note="it did not answer in time",
    remedy="see whether it still runs, then refresh the list",
)
_MUTE = Health(
    ok=False,
    note="it answers, but does not list its models",
    remedy="see what it logs, then refresh the list",
)


class Entry(msgspec.Struct):
    """A back end, and what it said when it was last asked."""

    backend: Backend
    health: Health
    models: list[LanguageModel]


def available_memory() -> int:
    """Bytes that a model could take now, by this machine's count and by its container's limit."""
    free = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text())
        free = min(free, limit - int((group / "memory.current").read_text()))
    return free


class Catalogue:
    """For one event loop. `entries` maps a back end's name to what is known of it."""

    def __init__(
        self,
        servers: Servers,
        own: Sequence[Backend],
        *,
        clock: Callable[[], float] = time.monotonic,
        bound_s: float = BOUND_S,
        memory: Callable[[], int] = available_memory,
    ) -> None:
        self._servers = servers
        self._own = tuple(own)
        self._clock = clock
        self._bound_s = bound_s
        self._memory = memory
        self._listed_at: float | None = None
        self._round: asyncio.Task[None] | None = None
        self.entries: dict[str, Entry] = {}
        self.watchers: list[Callable[[], None]] = []
        """Called when a model was loaded or unloaded, came or went."""
        self.current: tuple[str, str] | None = None
        """(id, back end) of the model that was loaded last by the service."""

    @property
    def age_s(self) -> float:
        return 0.0 if self._listed_at is None else self._clock() - self._listed_at

    async def update(self, *, refresh: bool = False) -> bool:
        """Ask every back end, unless that was done within five minutes. Says whether it did:
        callers at the same time share the round of the first, and none stops it by leaving.
        """
        if self._round is not None:
            await asyncio.shield(self._round)
            return False
        if self._listed_at is not None and not refresh and self.age_s < FRESH_S:
            return False
        self._round = asyncio.create_task(self._ask_all())
        await asyncio.shield(self._round)
        return True

    async def _ask_all(self) -> None:
        try:
            backends = await self._backends()
            entries = await asyncio.gather(*map(self._asked, backends))
            self.entries = {entry.backend.name: entry for entry in entries}
            self._listed_at = self._clock()
        finally:
            self._round = None

    async def update_one(self, name: str) -> None:
        """Ask one back end again, such as after a load."""
        if entry := self.entries.get(name):
            self.entries[name] = await self._asked(entry.backend)

    async def _backends(self) -> list[Backend]:
        """Our own, then the servers that were found. One that is known already stays itself."""
        kept = {backend.name: backend for backend in self._own}
        for server in await self._found():
            backend = self._known(server)
            urls = {other.url for other in kept.values()}
            if backend.name not in kept and (not backend.url or backend.url not in urls):
                kept[backend.name] = backend
            if all(other is not server for other in kept.values()):
                await server.close()
        await self._close_lost(kept)
        return list(kept.values())

    async def _found(self) -> list[Backend]:
        """The servers; where looking for them fails, those that are known."""
        try:
            async with asyncio.timeout(SEARCH * self._bound_s):
                return list(await self._servers())
        except (TimeoutError, WorkbenchError):
            known = [entry.backend for entry in self.entries.values()]
            return [backend for backend in known if backend not in self._own]

    def _known(self, server: Backend) -> Backend:
        """The back end that this server is already, else the server."""
        entry = self.entries.get(server.name)
        if entry is None:
            return server
        known = entry.backend
        return known if (known.url, known.kind) == (server.url, server.kind) else server

    async def _close_lost(self, kept: dict[str, Backend]) -> None:
        for name, entry in self.entries.items():
            if kept.get(name) is not entry.backend:
                await entry.backend.close()

    async def _asked(self, backend: Backend) -> Entry:
        known = self.entries.get(backend.name)
        models = known.models if known else []
        try:
            async with asyncio.timeout(self._bound_s):
                health = await backend.health()
                if health.ok:
                    models = await backend.models()
        except TimeoutError:
            health = _SLOW
        except WorkbenchError:
            health = _MUTE
        return Entry(backend, health, models)

    def pulling(self) -> dict[str, Pulls]:
        """The back ends that answer and can fetch models onto their own disks, by name."""
        there = {name: each.backend for name, each in self.entries.items() if each.health.ok}
        return {name: backend for name, backend in there.items() if isinstance(backend, Pulls)}

    def models(self) -> list[LanguageModel]:
        """The models of every back end that answers."""
        return [instance.model for instance in self._instances(ok=True)]

    def find(self, ref: str) -> list[Instance]:
        """The instances of `id`, or the one of `id@backend`. Raises NoModel.

        An id may hold an `@` itself: the whole is tried as an id first.
        """
        name, at, backend = ref.rpartition("@")
        for ok in (True, False):
            everywhere = list(self._instances(ok=ok))
            found = [i for i in everywhere if i.model.id == ref]
            if not found and at:
                found = [i for i in everywhere if (i.model.id, i.name) == (name, backend)]
            if found:
                return found
        raise self._unknown(ref)

    def choose(self, *, embedding: bool = False) -> list[Instance]:
        """Where none is named: the current one, else a loaded one, else the smallest that fits.

        Raises NoModel where there is none at all.
        """
        there = [
            each
            for each in self._instances(ok=True)
            if each.model.embedding == embedding and each.model.problem is None
        ]
        for instance in there:
            if (instance.model.id, instance.name) == self.current:
                return [instance]
        for instance in there:
            if instance.model.loaded:
                return self.find(instance.model.id)
        if not there:
            raise self._none(embedding)
        return [_smallest(there, self._memory())]

    def mark(self, backend: str, model: str, *, loaded: bool) -> None:
        """What is known without asking: this model was loaded, or is not."""
        if entry := self.entries.get(backend):
            entry.models = [
                msgspec.structs.replace(listed, loaded=loaded) if listed.id == model else listed
                for listed in entry.models
            ]
        self.tell()

    def tell(self) -> None:
        """What there is has changed."""
        for watcher in self.watchers:
            watcher()

    async def close(self) -> None:
        if self._round is not None:
            self._round.cancel()
            await asyncio.wait([self._round])
        for entry in self.entries.values():
            await entry.backend.close()
        for backend in self._own:
            if backend.name not in self.entries:
                await backend.close()

    def _instances(self, *, ok: bool) -> Iterable[Instance]:
        for entry in self.entries.values():
            if entry.health.ok == ok:
                for model in entry.models:
                    yield Instance(entry.backend, model)

    def _unknown(self, ref: str) -> NoModel:
        ids = sorted({model.id for model in self.models() if model.problem is None})
        if not ids:
            return self._none(embedding=False)
        more = ", …" if len(ids) > NAMED else ""
        return NoModel(
            "there is no model {model}; there are: {models}",
            model=shown(ref),
            models=", ".join(ids[:NAMED]) + more,
        )

    def _none(self, embedding: bool) -> NoModel:
        if embedding:
            return NoModel("there is no model that embeds text: load one, such as nomic-embed-text")
        away = [name for name, entry in self.entries.items() if not entry.health.ok]
        if away:
            return NoModel(
                "there is no language model, and {backends} did not answer: see whether it runs, "
                "then refresh the list",
                backends=", ".join(away),
            )
        return NoModel(
            "there is no language model: start a server such as Ollama or LM Studio, "
            "or put a GGUF file into the folder of models"
        )


def _smallest(there: list[Instance], memory_bytes: int) -> Instance:
    """The smallest whose size is known and fits, else the first as listed."""
    sized = [i for i in there if i.model.size_bytes]
    fitting = [i for i in sized if ROOM * (i.model.size_bytes or 0) <= memory_bytes]
    return min(fitting or sized or there, key=lambda i: i.model.size_bytes or 0)


def _alike(known: Backend, found: Backend) -> bool:
    """Whether they are one server: a configured one may turn out to be of another kind."""
    return (known.url, known.kind) == (found.url, found.kind)
