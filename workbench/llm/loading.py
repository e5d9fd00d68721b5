"""Loads each model once, however many ask for it at the same time.

The first caller starts the load, later ones follow it. Nobody's leaving stops it for the
others; when the last one leaves, it is stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable

from workbench.core.llm import LoadOptions, LoadProgress, ModelError
from workbench.llm.backend import Backend

Loaded = Callable[[Backend, str, LoadOptions], Awaitable[None]]
"""Told of a model that was loaded, before those who wait for it go on."""

ANY = LoadOptions()


class _Load:
    """One load under way."""

    def __init__(self, options: LoadOptions) -> None:
        self.options = options
        self.latest: LoadProgress | None = None
        self.changed = asyncio.Event()
        self.followers = 0
        self.stopping = False
        self.task: asyncio.Task[None]

    def tell(self, progress: LoadProgress | None) -> None:
        self.latest = progress
        self.changed.set()
        self.changed = asyncio.Event()


class Loads:
    """For one event loop. `changed` is called when a load begins, and when it has ended."""

    def __init__(self, loaded: Loaded, changed: Callable[[], None]) -> None:
        self._loaded, self._changed = loaded, changed
        self._running: dict[tuple[str, str], _Load] = {}

    @property
    def under_way(self) -> set[str]:
        """What is being loaded now, as `id@backend`."""
        return {f"{model}@{backend}" for backend, model in self._running}

    async def follow(
        self, backend: Backend, model: str, options: LoadOptions = ANY
    ) -> AsyncGenerator[LoadProgress]:
        """Load a model, or follow whoever does. Other options wait, then load anew.

        Raises what the back end's load raises, for every follower.
        """
        key = (backend.name, model)
        while (load := self._running.get(key)) and not load.task.done():
            if not load.stopping and options in (ANY, load.options):
                break
            await asyncio.wait([load.task])
        else:
            load = self._begin(key, backend, options)
        async with contextlib.aclosing(self._watch(load)) as steps:
            async for step in steps:
                yield step

    async def _watch(self, load: _Load) -> AsyncGenerator[LoadProgress]:
        load.followers += 1
        seen = None
        try:
            while True:
                done, changed = load.task.done(), load.changed
                if load.latest is not None and load.latest is not seen:
                    seen = load.latest
                    yield seen
                elif done:
                    break
                else:
                    await changed.wait()
            _result(load)
        finally:
            load.followers -= 1
            if not load.followers and not load.task.done():
                await _stop(load)

    def _begin(self, key: tuple[str, str], backend: Backend, options: LoadOptions) -> _Load:
        load = self._running[key] = _Load(options)
        load.task = asyncio.create_task(self._run(backend, key[1], load))

        def ended(_: object) -> None:
            load.tell(load.latest)
            if self._running.get(key) is load:
                del self._running[key]
            self._changed()

        load.task.add_done_callback(ended)
        self._changed()
        return load

    async def _run(self, backend: Backend, model: str, load: _Load) -> None:
        async with contextlib.aclosing(backend.load(model, load.options)) as steps:
            async for step in steps:
                load.tell(step)
        await self._loaded(backend, model, load.options)

    async def stop(self, backend: str, model: str) -> None:
        """Stop the load of a model; its followers hear of it. None under way is no error."""
        if load := self._running.get((backend, model)):
            await _stop(load)

    async def close(self) -> None:
        for load in tuple(self._running.values()):
            await _stop(load)


async def _stop(load: _Load) -> None:
    load.stopping = True
    load.task.cancel()
    await asyncio.wait([load.task])
    if not load.task.cancelled():
        load.task.exception()  # looked at: nobody is left to hear it


def _result(load: _Load) -> None:
    if load.task.cancelled():
        raise ModelError("the model was unloaded while it was being loaded: load it again")
    load.task.result()
