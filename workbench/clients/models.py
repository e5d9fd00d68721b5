"""ModelClient: a model from its download to its answers, in calls and in events."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import PurePath
from typing import Any, TypeVar

import msgspec

from workbench.clients.downloads import DownloadsClient
from workbench.clients.events import Handler, Handlers
from workbench.clients.faults import sentence
from workbench.clients.hub import HubClient
from workbench.clients.llm import LanguageClient, Turns, turns_of
from workbench.clients.model_context import ModelContext
from workbench.core.downloads import Download
from workbench.core.llm import Event, LoadOptions, Name, Sampling, Turn
from workbench.core.llm_gathering import Gathered
from workbench.core.llm_results import Answer
from workbench.core.wire import checked, convert, error_message
from workbench.errors import InputError, LinkError, TaskError, WorkbenchError

EVENTS = ("model_loaded", "progress", "completion_chunk", "completion_done", "error")
RECONNECT_S = 60.0

T = TypeVar("T")


class Options(LoadOptions, frozen=True, kw_only=True):
    """What `initialize` takes: the model that is meant where none is named, and how models are
    loaded where a load does not say otherwise."""

    model: Name | None = None


class ModelClient:
    """Asks one hub. Async; on the loop of its HubClient, which reconnects as it always does.

    Each event (see `on`) is one dictionary, keys as on the wire. What a call raises is also an
    event `error`: `operation` is the call's name, then `message`, `code`, `template`, `values`, and
    `modelId` of a download or `generation` of an answer.
    """

    def __init__(self, client: HubClient) -> None:
        self.client = client
        self.downloads = DownloadsClient(client)
        self.language = LanguageClient(client)
        self.model: str | None = None
        """The model that is meant where none is named: the one loaded last. None leaves the
        choice to the hub."""
        self._options: dict[str, Any] = {}
        self._models: dict[str, str] = {}
        self._handlers = Handlers(EVENTS)
        self._connected = False
        self._numbers = itertools.count(1)
        self._asked: set[asyncio.Task[Download]] = set()
        self._waiting: set[asyncio.Task[Any]] = set()
        self._generating: set[asyncio.Task[Any]] = set()

    async def initialize(self, options: Mapping[str, Any] | None = None) -> None:
        """Connect, unless the HubClient is connected. Options: `model`, and those of a load, such
        as `context_size`; nothing is loaded yet.

        Raises InputError that names a faulty option, LinkError without a hub.
        """
        with self._telling("initialize"):
            given = dict(options or {})
            self.model = checked(given, Options).model
            self._options = {name: value for name, value in given.items() if name != "model"}
            if not self.client.connected:
                self._connected = True
                await self.client.connect()

    async def dispose(self) -> None:
        """Stop the generations under way, and disconnect where `initialize` connected. Downloads
        go on at the hub; `download_model` waits for them no longer. `initialize` begins anew."""
        await self.abort()
        await _stop(self._waiting)
        if self._connected:
            self._connected = False
            await self.client.disconnect()

    def on(self, event: str, handler: Handler) -> Callable[[], None]:
        """Call `handler` at each `model_loaded`, `progress`, `completion_chunk`, `completion_done`
        or `error`; returns the function that ends it. What a handler raises is logged."""
        return self._handlers.on(event, handler)

    # Downloads

    async def download_model(
        self,
        model_id: str,
        model_url: str,
        output_path: str | PurePath | None = None,
        on_progress: Handler | None = None,
    ) -> str:
        """Have the hub download a model, and wait until it is verified; the id that the hub gives
        it, for `load_model`.

        `model_id` is what this client calls it, in its events and in `load_model`. `model_url` is
        a file's URL, or a source on the Hugging Face hub as `DownloadsClient.download` takes it.
        `output_path` is a place below the hub's models folder, for a file's URL only; without it
        the hub chooses. `on_progress` hears what the event `progress` says: `operation` is
        `download`, `modelId`, `progress` from 0 to 1 (None while the size is not known), and all
        of a Download. One that is paused is waited for.

        The download belongs to the hub: it outlives this call and this client, and asked for
        again it goes on. Raises TaskError with the reason where it failed or was cancelled.
        """

        def told(download: Download) -> None:
            data = _downloaded(model_id, download)
            self._handlers.emit("progress", data)
            if on_progress is not None:
                self._handlers.call(on_progress, "progress", data)

        with self._telling("download_model", modelId=model_id):
            place = output_path.as_posix() if isinstance(output_path, PurePath) else output_path
            asked = asyncio.create_task(self.downloads.download(model_url, path=place))
            self._asked.add(asked)
            try:
                begun = await asked
                ended = await _within(self._waiting, self._ended(begun.download_id, told))
            finally:
                self._asked.discard(asked)
            self._models[model_id] = model = _finished(ended, begun.model)
            await self.language.models(refresh=True)  # a file that came just now is known then
            return model

    async def abort_download(self) -> bool:
        """Cancel every download that `download_model` waits for, which raises TaskError then. What
        is there of it is kept: asked for again it goes on. Whether there was one."""
        under_way = list(self._asked)
        for asked in under_way:
            await asyncio.wait([asked])
            if asked.cancelled() or asked.exception() is not None:
                continue
            with suppress(InputError):  # it has ended meanwhile
                await self.downloads.cancel(asked.result().download_id, keep=True)
        return bool(under_way)

    # Loading

    async def load_model(self, path: str | PurePath | None = None, **options: Any) -> str:
        """Load a model, which is then `model`; its reference, as in the event `model_loaded`.

        `path` is the `output_path` or the `model_id` of a download, a model's id, or `id@backend`;
        without it `model` is meant. Options as in LoadOptions, such as `context_size=8192`. The
        event `progress` has `operation` `load`, `model`, `progress` (None where nobody tells) and
        `waiting`, a sentence or None.
        """
        with self._telling("load_model"):
            wanted = checked({**self._options, **options}, LoadOptions)
            model = await self._named(path)
            told = partial(self._tell_load, model)
            self.model = await self.language.load(model, wanted, told=told)
            self._handlers.emit("model_loaded", {"model": self.model})
            return self.model

    # Answers

    async def create_context(self, system: str | None = None) -> ModelContext:
        """A conversation for `generate_chat_completion`, which keeps its turns; several may be
        used in turns with one model. Nothing of it is kept at the hub."""
        return ModelContext(system)

    async def generate_completion(
        self, prompt: str, *, model: str | None = None, **options: Any
    ) -> Answer:
        """Go on with a text. Options as in Sampling, such as `max_tokens=100`.

        Each piece is an event `completion_chunk` (`generation`, `text`), the end is
        `completion_done` (`generation`, and all of the Answer); the pieces together are the
        Answer's text. Generations at a time are told apart by their number, `generation`; the hub
        answers them side by side, or one after the other where the model has no free slot.
        A model that is not loaded is loaded by the hub, with the hub's options.
        """
        number = next(self._numbers)
        with self._telling("generate_completion", generation=number):
            sampling, at = checked(options, Sampling), model or self.model
            ask = partial(self.language.complete, prompt, model=at, parameters=sampling)
            return await self._generated(number, ask)

    async def generate_chat_completion(
        self,
        messages: Turns,
        *,
        context: ModelContext | None = None,
        model: str | None = None,
        **options: Any,
    ) -> Answer:
        """Answer a conversation: one sentence of the user, or turns. Otherwise as
        `generate_completion`.

        With a `context` its turns go before `messages`; `messages` and the answer are added to it
        at the end, also where `abort` cut the answer short. After a failure, or without a text,
        it is as it was. Raises Busy where the same context is being answered already.
        """
        number = next(self._numbers)
        with self._telling("generate_chat_completion", generation=number):
            sampling = checked(options, Sampling)
            said = [convert(each, Turn) for each in turns_of(messages)]
            before = context or ModelContext()
            with before.answering():
                turns, at = [*before.turns, *said], model or self.model
                ask = partial(self.language.chat, turns, model=at, parameters=sampling)
                answer = await self._generated(number, ask)
                before.add(said, answer)
            return answer

    async def abort(self) -> bool:
        """Stop every generation of this client that is under way: its call returns what there is
        of the answer, `finish` is `stopped`. Whether there was one."""
        return await _stop(self._generating)

    # Inside

    async def _ended(self, download_id: str, told: Callable[[Download], None]) -> Download:
        """The end of a download, awaited over a lost connection."""
        while True:
            try:
                return await self.downloads.ended(download_id, told)
            except LinkError:
                if self.client.connected:
                    raise
                await self.client.until_connected(RECONNECT_S)

    async def _generated(
        self, number: int, ask: Callable[..., Coroutine[Any, Any, Answer]]
    ) -> Answer:
        gathered = Gathered(time.monotonic())

        def told(data: Mapping[str, Any]) -> None:
            kind = data.get("type")
            if kind == "load":
                self._tell_load(gathered.model, data)
            with suppress(msgspec.ValidationError):  # an event of a newer hub
                gathered.take(msgspec.convert(data, Event), time.monotonic())
            if kind == "token":
                chunk = {"generation": number, "text": data.get("text")}
                self._handlers.emit("completion_chunk", chunk)

        answer = await _within(self._generating, ask(told=told))
        if answer is None:
            so_far = gathered.answer(time.monotonic())
            answer = msgspec.structs.replace(so_far, finish="stopped")
        done = {"generation": number, **msgspec.to_builtins(answer)}
        self._handlers.emit("completion_done", done)
        return answer

    def _tell_load(self, model: str | None, data: Mapping[str, Any]) -> None:
        more = {"progress": data.get("done"), "waiting": data.get("waiting")}
        self._handlers.emit("progress", {"operation": "load", "model": model, **more})

    async def _named(self, path: str | PurePath | None) -> str:
        """The model that is meant. Servers have ids that end like a file's name, the hub's own
        worker has none."""
        given = path.as_posix() if isinstance(path, PurePath) else path or self.model
        if not given:
            raise InputError.field("path", path, "the place or the id of a model")
        name = self._models.get(given, given)
        if name.endswith(".gguf"):
            listed = (await self.language.models()).get("models") or []
            if name not in [each.get("id") for each in listed]:
                return name.removesuffix(".gguf")
        return name

    @contextmanager
    def _telling(self, operation: str, **more: Any) -> Iterator[None]:
        """What is raised within is also an event."""
        try:
            yield
        except WorkbenchError as error:
            told = error_message(error, key="message", operation=operation, **more)
            self._handlers.emit("error", told)
            raise


async def _within(running: set[asyncio.Task[Any]], work: Coroutine[Any, Any, T]) -> T | None:
    """What `work` gives; None where it was stopped. It ends with whoever waits for it."""
    task = asyncio.create_task(work)
    running.add(task)
    try:
        await asyncio.wait([task])
    finally:
        running.discard(task)
        task.cancel()
    return None if task.cancelled() else task.result()


async def _stop(running: set[asyncio.Task[Any]]) -> bool:
    """Stop all of them, and wait until they have ended. Whether there were any."""
    tasks = list(running)
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    return bool(tasks)


def _finished(ended: Download | None, model: str) -> str:
    """The model that was downloaded; raises what there is instead."""
    if ended is None:
        raise LinkError(
            "nobody waits for the download of {model} any more: it goes on at the hub", model=model
        )
    if ended.state == "done":
        return ended.model
    if ended.problem is not None:
        template, values = sentence(msgspec.to_builtins(ended.problem))
        raise TaskError(template, outcome=ended.state, **values)
    raise TaskError(
        "the download of {model} was cancelled: ask for it again to go on",
        outcome=ended.state,
        model=model,
    )


def _downloaded(model_id: str, download: Download) -> dict[str, Any]:
    total = download.total_bytes
    share = None if not total else download.done_bytes / total
    known = {"operation": "download", "modelId": model_id, "progress": share}
    return {**msgspec.to_builtins(download), **known}
