"""One attempt's work outside the book: fetch its inputs, run it, save its result, report."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from workbench.core.job import Done, Failed, Job, Log, Lost, Outcome, Progress
from workbench.core.job import Event as News
from workbench.core.masking import masked_at
from workbench.core.seen import Seen
from workbench.core.task_nouns import (
    Ended,
    Event,
    Fetched,
    FetchFailed,
    FetchStopped,
    Reported,
    Saved,
    Task,
)
from workbench.errors import InputError, WorkbenchError, without_secrets
from workbench.mesh.content import kept_under, our_code, result_key, seed_of
from workbench.mesh.history import History, urls_of
from workbench.mesh.inputs import Gathered, Inputs
from workbench.mesh.loans import Lender, Loans, key_of, placed
from workbench.mesh.models import Models
from workbench.mesh.results import LANGUAGE_MODEL, Cache, save, whole_body
from workbench.mesh.rows import Journal

CACHED = "the result is that of task {task}: same model, parameters and input, not a day old"
CACHED_BEFORE = "the result is that of an earlier run: same model, parameters and input"
NOT_KEPT = (
    "{field} is a secret, of which the record has only a mask, and the file that kept its value "
    "until the task's end is gone: submit the task again with the value itself"
)
BROKEN_FETCH = "fetching failed: {reason}"

log = logging.getLogger("workbench.mesh")

Tell = Callable[[Event], None]
AskedModel = Callable[[], Awaitable[str]]
"""The language model that a task would ask now; empty: none."""


async def no_language_model() -> str:
    """For a node beside no language models."""
    return ""


class Engine(Protocol):
    """Runs attempts. `run` raises no task fault; `cancel` returns when the process is gone."""

    @property
    def slots(self) -> int: ...
    async def run(self, job: Job, on_event: Callable[[News], None]) -> Outcome: ...
    async def cancel(self, key: str) -> None: ...


class Prepared:
    """What lies ready for a task: its inputs, its seed, and the key of its result."""

    __slots__ = ("gathered", "key", "seed")

    def __init__(self, gathered: Gathered, seed: int, key: str) -> None:
        self.gathered, self.seed, self.key = gathered, seed, key


class Work:
    """Everything of the node that takes time. Each end is told to the book as an event."""

    def __init__(
        self,
        tell: Tell,
        *,
        journal: Journal,
        engine: Engine,
        inputs: Inputs,
        models: Models,
        history: History,
        wall_ms: Callable[[], int],
        rune_limit: int,
        lender: Lender | None = None,
        language_model: AskedModel = no_language_model,
        code: str | None = None,
    ) -> None:
        self._tell, self._journal, self._engine = tell, journal, engine
        self._inputs, self._models, self._history = inputs, models, history
        self._wall_ms, self._rune_limit = wall_ms, rune_limit
        self._language_model = language_model
        self._code = our_code() if code is None else code
        self.loans = Loans(self._tell_of_loans, lender, models.needs_gpu)
        self.cache = Cache()
        self.old_contents = Seen()
        """Content hashes of tasks that ended before this start: worth a look at the journal."""
        self._prepared: dict[str, Prepared] = {}
        self._fetches: dict[str, asyncio.Task[None]] = {}
        self._news: dict[tuple[str, int], list[News]] = {}
        self._chores: set[asyncio.Task[None]] = set()
        self._closed = False

    # Verbs of the book --------------------------------------------------------------------

    def fetch(self, task: Task, attempt: int) -> None:
        """Begin to bring the inputs here; Fetched, FetchFailed or Ended follows."""
        self._fetches[task.task_id] = self._spawn(self._fetch(task, attempt))

    def stop_fetch(self, task_id: str, attempt: int) -> None:
        """Stop that; FetchStopped follows, unless it was over already."""
        fetch = self._fetches.get(task_id)
        if fetch is not None:  # after its first step: before, it would end without a word
            asyncio.get_running_loop().call_soon(fetch.cancel)
        else:
            self._later(FetchStopped(task_id, attempt))

    def run(self, task: Task, attempt: int) -> None:
        """Begin an attempt; Ended follows."""
        self._spawn(self._run(task, attempt))

    def stop(self, task_id: str, attempt: int) -> None:
        """End an attempt's process."""
        self._spawn(self._engine.cancel(key_of(task_id, attempt)))

    def over(self, task_id: str) -> None:
        """The task has ended: what was prepared for it is not needed any more."""
        self._prepared.pop(task_id, None)

    def in_use(self) -> set[str]:
        """SHA-256 of every input that is prepared for a task."""
        return {
            digest
            for prepared in self._prepared.values()
            for digest in prepared.gathered.hashes.values()
        }

    async def close(self) -> None:
        """Give up whatever is under way, and tell nobody: the journal knows where it was."""
        self._closed = True
        chores = list(self._chores)
        for chore in chores:
            chore.cancel()
        if chores:
            await asyncio.wait(chores)
        await self.loans.close()

    # Fetching -----------------------------------------------------------------------------

    async def _fetch(self, task: Task, attempt: int) -> None:
        task_id = task.task_id
        try:
            event: Event = await self._gather(task, attempt)
        except asyncio.CancelledError:
            event = FetchStopped(task_id, attempt)
        except WorkbenchError as error:
            kind = "rejected" if isinstance(error, InputError) else "failed"
            event = FetchFailed(task_id, attempt, kind, error.template, error.values)
        except Exception as error:
            log.exception("mesh.fetch_failed task=%s", task_id)
            values = {"reason": without_secrets(f"{type(error).__name__}: {error}")}
            event = FetchFailed(task_id, attempt, "failed", BROKEN_FETCH, values)
        del self._fetches[task_id]
        self._say(event)

    async def _gather(self, task: Task, attempt: int) -> Event:
        masked = masked_at({"inputDataURL": task.input_url, "parameters": task.parameters})
        if masked is not None:  # a model must never get a mask for the value
            raise WorkbenchError(NOT_KEPT, field=masked)
        extra = self._models.extra_inputs(task.model, task.model_version)
        inline = task.inline
        if inline is None and task.inline_bytes:
            inline = await self._history.inline(task.task_id)
        gathered = await self._inputs.gather(
            urls_of(task, extra),
            inline,
            {"batch": "inputDataURL", **{name: f"parameters.{name}" for name in extra}},
            lambda news: self._hear(task.task_id, attempt, news),
        )
        key = result_key(task.model, task.model_version, task.parameters, gathered.hashes)
        may_repeat = task.use_cache and task.pure  # an impure one is run for what it does
        kept = kept_under(key, self._code)
        cached = await self._cached(task, attempt, kept) if may_repeat else None
        if cached is not None:
            return Ended(task.task_id, attempt, cached)
        self._prepared[task.task_id] = Prepared(gathered, seed_of(key), kept)
        return Fetched(task.task_id, attempt)

    async def _cached(self, task: Task, attempt: int, key: str) -> Saved | None:
        """An earlier result of the same content, where its side file can still be read. One for
        which a language model was asked is the answer only while the same one would be asked."""
        now_ms = self._wall_ms()
        found = self.cache.find(key, now_ms)
        line = Log("info", CACHED_BEFORE)
        body = None
        if found is not None:
            line = Log("info", CACHED, {"task": found})
            body = self.cache.at_hand(key, now_ms) or await self._history.ending_body(found)
        elif task.content_hash in self.old_contents:
            body = await self._history.body_for(task.content_hash, now_ms)
        if body is None or body.get("cacheKey") != key:
            return None
        try:
            by = body.get(LANGUAGE_MODEL)
            if by is not None and by != await self._language_model():
                return None
            shown = await whole_body(self._journal, body)
        except (WorkbenchError, OSError):
            return None
        self._hear(task.task_id, attempt, line)
        return Saved(body=body, shown=shown)

    # Running ------------------------------------------------------------------------------

    async def _run(self, task: Task, attempt: int) -> None:
        try:
            outcome = await self._attempt(task, attempt)
        except WorkbenchError as error:  # its model is gone, or its result cannot be kept
            outcome = Failed(template=error.template, values=error.values)
        except Exception as error:
            log.exception("mesh.run_failed task=%s attempt=%d", task.task_id, attempt)
            reason = without_secrets(f"{type(error).__name__}: {error}")
            outcome = Lost(f"the engine failed with {reason}")
        self._say(Ended(task.task_id, attempt, outcome))

    async def _attempt(self, task: Task, attempt: int) -> Any:
        prepared, lease = self._prepared[task.task_id], self.loans.of(task.task_id, attempt)
        model = self._models.accepted(task.model, task.model_version)
        job = Job(
            key=key_of(task.task_id, attempt),
            target=model.target,
            parameters=task.parameters,
            inputs=prepared.gathered.paths | model.files,
            timeout_s=task.timeout_ms / 1000,
            seed=prepared.seed,
            rune_limit=self._rune_limit,
            **placed(lease),
        )
        outcome = await self._engine.run(job, lambda news: self._hear(task.task_id, attempt, news))
        if not isinstance(outcome, Done):
            return outcome
        gpu_id = lease.gpu_id if lease is not None and outcome.device != "cpu" else None
        return await save(self._journal, task, outcome, prepared.key, gpu_id=gpu_id)

    # News ---------------------------------------------------------------------------------

    def _hear(self, task_id: str, attempt: int, news: News) -> None:
        """Gather what one turn of the loop brings, so that it is written together."""
        heard = self._news.setdefault((task_id, attempt), [])
        if not heard:
            asyncio.get_running_loop().call_soon(self._pass_on, task_id, attempt)
        if heard and isinstance(news, Progress) and isinstance(heard[-1], Progress):
            heard[-1] = news
        else:
            heard.append(news)

    def _pass_on(self, task_id: str, attempt: int) -> None:
        heard = self._news.pop((task_id, attempt), None)
        if heard and not self._closed:
            self._tell(Reported(task_id, attempt, heard))

    def _say(self, event: Ended | Fetched | FetchFailed | FetchStopped | Event) -> None:
        """Tell the book of an end, after all that came before it."""
        if self._closed:
            return
        self._pass_on(event.task_id, event.attempt)  # type: ignore[union-attr]
        self._tell(event)

    def _tell_of_loans(self, event: Event) -> None:
        if not self._closed:
            self._tell(event)

    def _later(self, event: Event) -> None:
        asyncio.get_running_loop().call_soon(self._say, event)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        chore = asyncio.create_task(work)
        self._chores.add(chore)
        chore.add_done_callback(self._chores.discard)
        return chore
