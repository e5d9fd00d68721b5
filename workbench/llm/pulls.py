"""Downloads that another program makes onto its own disk: asked for, followed, and told as ours.

Sources: Ollama's docs/api.md and its server's images.go and download.go; LM Studio's
documentation of /api/v1/models/download (0.4 and later). Never compared with the programs.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Literal, Protocol, runtime_checkable

import msgspec

from workbench.core.downloads import Bytes, State
from workbench.core.llm import BackendBroken, ModelError
from workbench.core.sentence import Sentence
from workbench.errors import InputError, LinkError, ProtocolError, WorkbenchError
from workbench.llm.fetching import Told
from workbench.llm.lanes import Patience
from workbench.llm.part_file import NoSpace
from workbench.llm.refusals import Fault, line, refusal
from workbench.llm.server import Server
from workbench.llm.streams import Ndjson, decoded

QUIET_S = 30.0
"""Where nothing moves for so long, it is stalled."""
POLL_S = 1.0
LONG_BYTES = 1 << 40
"""Ollama tells its progress many times a second, perhaps for days."""
_LATER = frozenset({408, 425, 429})
_NO_MANIFEST = re.compile(r"pull model manifest: (4\d\d)\b")
_NO_SPACE = re.compile(r"no space left|not enough (?:disk )?space|disk (?:is )?full", re.IGNORECASE)
_HUGGING_FACE = re.compile(r"(?:hf\.co|huggingface\.co)/([^/:]+/[^/:]+)(?::(.+))?\Z")


class Pull(Protocol):
    """One model on its way onto the disk of another program."""

    @property
    def stops(self) -> bool:
        """Whether that program gives up when nobody listens any more."""

    def attempt(self) -> AsyncGenerator[Told]:
        """Ask for it and tell how far it is; the end means that it is there. A LinkError may be
        tried again, and that goes on from where it stood."""


@runtime_checkable
class Pulls(Protocol):
    """A back end that can fetch models onto its own disk."""

    @property
    def kind(self) -> str:
        """lmstudio or ollama."""

    def pull(self, model: str) -> Pull:
        """The way to have `model` there, a name of its catalogue or `hf.co/org/name:QUANT`."""


class Stopped(WorkbenchError):
    """Somebody stopped it in the program that fetched it."""

    code = "stopped"


class Following:
    """Follows one model until it is there, over failures of the program that fetches it.

    `find` gives the way, and raises LinkError while the program is away. `told` is called on the
    loop of `run`.
    """

    def __init__(
        self,
        find: Callable[[], Awaitable[Pull]],
        told: Callable[[Told], None],
        patience: Patience,
        quiet_s: float = QUIET_S,
    ) -> None:
        self._find, self._tell = find, told
        self._patience, self._quiet_s = patience, quiet_s
        self._pull: Pull | None = None
        self._work: asyncio.Task[None] | None = None
        self._last = Told(state="resolving", done_bytes=0, total_bytes=None)
        self._most = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def stops(self) -> bool:
        return self._pull is None or self._pull.stops

    async def run(self) -> bool:
        """Whether it is there; False where `stop` came first. Raises what ended it."""
        self._work = asyncio.ensure_future(self._tried())
        try:
            await asyncio.wait([self._work])
        finally:
            self._work.cancel()
            self._quiet_no_more()
        if self._work.cancelled():
            return False
        self._work.result()
        return True

    def stop(self) -> None:
        """Listen no more: what stops the program itself, where it does stop."""
        if self._work is not None:
            self._work.cancel()

    async def _tried(self) -> None:
        failures = 0
        while True:
            before = self._most
            try:
                self._pull = self._pull or await self._find()
                return await self._once(self._pull)
            except LinkError as error:
                failures = 1 if self._most > before else failures + 1
                if isinstance(error, ProtocolError) or failures > self._patience.tries:
                    raise
                self._last = self._stalled(Sentence(error.template, error.values))
            await asyncio.sleep(self._patience.wait_s(failures))

    async def _once(self, pull: Pull) -> None:
        self._listen()
        try:
            async with contextlib.aclosing(pull.attempt()) as news:
                async for told in news:
                    self._hear(told)
        finally:
            self._quiet_no_more()

    def _hear(self, told: Told) -> None:
        """Tell on, except where it is the same again: only news ends a silence."""
        if told != self._last:
            self._last, self._most = told, max(self._most, told.done_bytes)
            self._tell(told)
            self._listen()

    def _listen(self) -> None:
        self._quiet_no_more()
        if self._last.state != "verifying":  # over that a program may be silent for minutes
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._quiet_s, self._quiet)

    def _quiet(self) -> None:
        self._stalled(
            Sentence("it has not moved for {quiet_s} s", {"quiet_s": round(self._quiet_s, 3)})
        )

    def _quiet_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _stalled(self, problem: Sentence) -> Told:
        told = msgspec.structs.replace(self._last, state="stalled", problem=problem)
        self._tell(told)
        return told


class _Line(msgspec.Struct):
    """One line of Ollama's answer."""

    status: str = ""
    digest: str = ""
    total: Bytes = 0
    completed: Bytes = 0
    error: str = ""


_LINE = msgspec.json.Decoder(_Line)


class OllamaPull:
    """By `POST /api/pull`. It gives up when the connection is closed, and keeps what it has for
    the next time, until it is started anew."""

    stops = True

    def __init__(self, server: Server, model: str) -> None:
        self._server, self._model = server, model
        self._layers: dict[str, tuple[int, int]] = {}

    async def attempt(self) -> AsyncGenerator[Told]:
        value = {"model": self._model, "stream": True}
        asking = self._server.events(
            "/api/pull",
            value,
            Ndjson(self._server.name),
            model=self._model,
            limit_bytes=LONG_BYTES,
        )
        async with contextlib.aclosing(asking) as batches:
            async for batch in batches:
                for _, data in batch:
                    said = decoded(data, _LINE, self._server.name)
                    if said.error:
                        raise self._refusal(said.error)
                    if said.status == "success":
                        yield self._amount("verifying")
                        return
                    told = self._told(said)
                yield told
        raise BackendBroken(
            "{backend} ended before it had all of {model}",
            backend=self._server.name,
            model=self._model,
        )

    def _told(self, said: _Line) -> Told:
        if said.digest:
            self._layers[said.digest] = said.completed, said.total
            return self._amount("downloading")
        if said.status == "pulling manifest":
            told = self._amount("resolving")
            self._layers.clear()  # it names them all again, also those that it has
            return told
        return self._amount("verifying")

    def _amount(self, state: State) -> Told:
        return Told(
            state=state,
            done_bytes=sum(done for done, _ in self._layers.values()),
            total_bytes=sum(total for _, total in self._layers.values()) or None,
        )

    def _refusal(self, error: str) -> WorkbenchError:
        """Its registry's refusals are final; whatever else it says may pass."""
        said = line(error)
        if _NO_SPACE.search(said):
            return no_space(self._server.name, self._model)
        found = _NO_MANIFEST.search(said)
        final = found is not None and int(found[1]) not in _LATER
        return refusal(self._server.name, self._model, 400 if final else 500, Fault(said))


class _Job(msgspec.Struct):
    """What LM Studio says of a download."""

    status: Literal["downloading", "paused", "completed", "failed", "already_downloaded"]
    job_id: str = ""
    total_size_bytes: Bytes | None = None
    downloaded_bytes: Bytes = 0


_JOB = msgspec.json.Decoder(_Job)
_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,100}\Z")


class LMStudioPull:
    """By `POST /api/v1/models/download`, then asked again and again how far it is. It has no way
    to pause or to cancel one: whoever wants that does it in the program."""

    def __init__(self, server: Server, model: str, poll_s: float = POLL_S) -> None:
        self._server, self._model, self._poll_s = server, model, poll_s
        self._asked, self._job_id = False, ""

    @property
    def stops(self) -> bool:
        return not self._asked

    async def attempt(self) -> AsyncGenerator[Told]:
        job = await self._look() if self._job_id else await self._ask()
        while job.status == "downloading":
            yield _told(job)
            await asyncio.sleep(self._poll_s)
            job = await self._look()
        if job.status == "failed":
            self._job_id = ""  # the next attempt asks anew
            raise BackendBroken(
                "{backend} says that its download of {model} failed: its own list of downloads "
                "may tell why",
                backend=self._server.name,
                model=self._model,
            )
        if job.status == "paused":
            raise self._stopped("paused")
        yield _told(job)

    async def _ask(self) -> _Job:
        self._asked = True
        value, path = _hugging_face(self._model), "/api/v1/models/download"
        job = await self._server.post(path, value, _JOB, model=self._model)
        if job.status == "downloading" and not _JOB_ID.match(job.job_id):
            raise ProtocolError(
                "{backend} began a download without a name to ask for it", backend=self._server.name
            )
        self._job_id = job.job_id
        return job

    async def _look(self) -> _Job:
        path = f"/api/v1/models/download/status/{self._job_id}"
        try:
            return await self._server.get(path, _JOB)
        except (InputError, ModelError) as error:
            raise self._stopped(str(error)) from None  # it does not know the job any more

    def _stopped(self, said: str) -> Stopped:
        return Stopped(
            "{backend} does not go on with {model} ({said}): resume it there, then here",
            backend=self._server.name,
            model=self._model,
            said=said,
        )


def no_space(backend: str, model: str) -> NoSpace:
    return NoSpace(
        "the disk of {backend} is too full for {model}: free some of it, then resume",
        backend=backend,
        model=model,
    )


def _hugging_face(model: str) -> dict[str, str]:
    """What LM Studio is asked: a name of its catalogue as it stands, a repository as its page."""
    if not (found := _HUGGING_FACE.match(model)):
        return {"model": model}
    asked = {"model": f"https://huggingface.co/{found[1]}"}
    return {**asked, "quantization": found[2]} if found[2] else asked


def _told(job: _Job) -> Told:
    done, total = job.downloaded_bytes, job.total_size_bytes
    whole = total is not None and done >= total > 0  # what it still has to do, it does not say
    return Told(state="verifying" if whole else "downloading", done_bytes=done, total_bytes=total)
