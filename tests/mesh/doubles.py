"""What stands at the node's edges in its tests: a journal, an engine and a peer, in memory."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec

from workbench.core.job import Cancelled, Done, Event, Job, Log, Lost, Outcome, Progress
from workbench.core.ledger_nouns import Claim, Lease
from workbench.core.mesh_wire import TERMINAL
from workbench.core.model import Context, Result, model
from workbench.core.sentence import Sentence
from workbench.errors import InputError, LinkError, StoreError

DEADLINE_S = 30.0
SLOW_BYTES = 2 << 20
"""What seems to wait for a peer that does not read."""

TASKS = [
    "task_id",
    "model",
    "model_version",
    "pure",
    "parameters",
    "input_url",
    "inline_input",
    "priority",
    "timeout_ms",
    "use_cache",
    "return_logs",
    "content_hash",
    "submitted_at",
]
EVENTS = ["task_id", "seq", "attempt", "kind", "body", "recorded_at"]
LOGS = ["task_id", "seq", "attempt", "level", "content", "template", "template_values", "logged_at"]
FUNCTIONS = [
    "name",
    "version",
    "title",
    "description",
    "pure",
    "gpu_memory_mb",
    "parameters_schema",
    "batch_kind",
    "needs_batch",
    "source",
    "source_sha256",
    "sha256",
    "python",
    "cloudpickle",
    "defined_by",
    "defined_at",
]
COLUMNS = {
    "tasks": TASKS,
    "task_events": EVENTS,
    "task_logs": LOGS,
    "function_entries": FUNCTIONS,
}


class ConnectionGone(LinkError):
    """The peer closed."""


@dataclass(frozen=True)
class MemorySideFile:
    alias: str
    path: str
    sha256: str
    bytes: int
    rows: dict[str, int]


class MemoryJournal:
    """Rows in lists. `held` keeps commits back until `commit`; `broken` refuses them.

    What is not committed is gone when a second journal is made of its `durable` rows.
    """

    def __init__(self, durable: Mapping[str, list[dict[str, Any]]] | None = None) -> None:
        self.durable = {name: list((durable or {}).get(name, [])) for name in COLUMNS}
        self.documents: dict[str, bytes] = {}
        self.side_files: list[tuple[Any, ...]] = []
        self.held = False
        self.broken = ""
        self.appends = 0
        self._waiting: list[tuple[Mapping[str, Any], asyncio.Future[None]]] = []

    def append(
        self, rows: Mapping[str, Sequence[tuple[Any, ...]]], *, lazy: bool = False
    ) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.appends += 1
        self._waiting.append((rows, future))
        if not self.held:
            asyncio.get_running_loop().call_soon(self.commit)
        return future

    def commit(self) -> None:
        """Make all that waits durable, in order."""
        waiting, self._waiting = self._waiting, []
        for rows, future in waiting:
            if self.broken:
                future.set_exception(StoreError("the store is broken: {why}", why=self.broken))
                continue
            for table, columns in COLUMNS.items():
                for row in rows.get(table, ()):
                    self.durable[table].append(dict(zip(columns, row, strict=True)))
            self.side_files += rows.get("side_files", ())
            if not future.done():
                future.set_result(None)

    async def read(self, query: str, **params: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = getattr(self, f"_{query}")(**params)
        await asyncio.sleep(0)
        return found

    async def write_side_file(
        self, folder: str, alias: str, tables: Mapping[str, bytes], document: bytes
    ) -> MemorySideFile:
        path = f"{folder}/{alias}.duckdb"
        self.documents[path] = document
        return MemorySideFile(alias, path, "0" * 64, len(document), dict.fromkeys(tables, 1))

    async def read_document(self, path: str) -> bytes:
        return self.documents[path]

    # The named queries

    def _of(self, table: str, task_id: str, after: int = -1) -> list[dict[str, Any]]:
        rows = [row for row in self.durable[table] if row["task_id"] == task_id]
        if table == "task_events":  # the acceptance is the row in tasks
            accepted = self._of("tasks", task_id)
            rows += [dict(zip(EVENTS, _acceptance(row), strict=True)) for row in accepted]
        return sorted((row for row in rows if row.get("seq", 0) > after), key=_seq)

    def _task_events(self, task_id: str, after: int) -> list[dict[str, Any]]:
        return self._of("task_events", task_id, after)

    def _task_logs(self, task_id: str, after: int, limit: int) -> list[dict[str, Any]]:
        return self._of("task_logs", task_id, after)[:limit]

    def _terminal(self, task_id: str) -> list[dict[str, Any]]:
        return [row for row in self._of("task_events", task_id) if row["kind"] in TERMINAL][:1]

    def _task(self, task_id: str) -> list[dict[str, Any]]:
        return self._of("tasks", task_id)[:1]

    def _all_task_ids(self, limit: int) -> list[dict[str, Any]]:
        newest = self.durable["tasks"][: -limit - 1 : -1]
        return [{**row, "state": self._state(row["task_id"])} for row in newest]

    def _state(self, task_id: str) -> str:
        kind = self._of("task_events", task_id)[-1]["kind"]
        return "queued" if kind == "accepted" else kind

    def _tasks_open(self) -> list[dict[str, Any]]:
        found = []
        for row in self.durable["tasks"]:
            events, logs = (
                self._of("task_events", row["task_id"]),
                self._of("task_logs", row["task_id"]),
            )
            if not any(event["kind"] in TERMINAL for event in events):
                newest = max(each["seq"] for each in events + logs)
                state = {"kind": events[-1]["kind"], "max_seq": newest, "logs": len(logs)}
                found.append({**row, **state, "attempt": max(each["attempt"] for each in events)})
        return found

    def _functions(self) -> list[dict[str, Any]]:
        newest = {(row["name"], row["version"]): row for row in self.durable["function_entries"]}
        return sorted(newest.values(), key=lambda row: row["defined_at"])

    def _cached_result(self, content_hash: str, since: Any) -> list[dict[str, Any]]:
        same = {
            row["task_id"] for row in self.durable["tasks"] if row["content_hash"] == content_hash
        }
        rows = [
            row
            for row in self.durable["task_events"]
            if row["task_id"] in same and row["kind"] == "done" and row["recorded_at"] >= since
        ]
        return rows[-1:]

    def _task_history(self, before: Any, limit: int, state: str | None) -> list[dict[str, Any]]:
        found = []
        for row in reversed(self.durable["tasks"]):
            events = self._of("task_events", row["task_id"])
            ends = [event for event in events if event["kind"] in TERMINAL]
            runs = [event for event in events if event["kind"] == "running"]
            found.append(
                {
                    **row,
                    "state": self._state(row["task_id"]),
                    "attempts": max(event["attempt"] for event in events),
                    "started_at": runs[-1]["recorded_at"] if runs else None,
                    "finished_at": ends[0]["recorded_at"] if ends else None,
                    "error": json.loads(ends[0]["body"]).get("error") if ends else None,
                    "alias": None,
                }
            )
        chosen = [row for row in found if before is None or row["submitted_at"] < before]
        return [row for row in chosen if state is None or row["state"] == state][:limit]

    def kinds(self, task_id: str) -> list[str]:
        """The durable events of a task."""
        return [row["kind"] for row in self._of("task_events", task_id)]


def _acceptance(row: dict[str, Any]) -> tuple[Any, ...]:
    return (row["task_id"], 1, 1, "accepted", "{}", row["submitted_at"])


def _seq(row: dict[str, Any]) -> int:
    return int(row.get("seq", 0))


def done(document: Any = None, **fields: Any) -> Done:
    """A model's return."""
    whole: dict[str, Any] = {"tables": {}, "figures": b"[]", "batch": None, "elapsed_ms": 7}
    body = msgspec.json.encode({"answer": 42} if document is None else document)
    return Done(**{**whole, "document": body, "device": "cpu", **fields})


@dataclass
class Attempt:
    """One job inside the engine, ended by the test."""

    job: Job
    on_event: Callable[[Event], None]
    outcome: asyncio.Future[Outcome]
    stopped: bool = False

    def end(self, outcome: Outcome | None = None) -> None:
        if not self.outcome.done():
            self.outcome.set_result(outcome or done())

    def progress(self, share: float, template: str = "", **values: Any) -> None:
        self.on_event(Progress(share, 1.0, template, values))

    def log(self, template: str, **values: Any) -> None:
        self.on_event(Log("info", template, values))


class MemoryEngine:
    """Runs nothing: a test takes each attempt and says how it ends. `auto` ends it at once."""

    def __init__(self, slots: int = 2, *, auto: bool = False) -> None:
        self.slots, self.auto = slots, auto
        self.running: dict[str, Attempt] = {}
        self.begun: list[str] = []
        self.stubborn = False
        self._news = asyncio.Condition()

    async def run(self, job: Job, on_event: Callable[[Event], None]) -> Outcome:
        if self.auto:
            self.begun.append(job.key)
            return done()
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        task_id = job.key.rpartition(".")[0]
        overlapping = [key for key in self.running if key.rpartition(".")[0] == task_id]
        assert not overlapping, f"{job.key} overlaps {overlapping}"
        self.running[job.key] = Attempt(job, on_event, future)
        self.begun.append(job.key)
        async with self._news:
            self._news.notify_all()
        try:
            return await future
        finally:
            self.running.pop(job.key, None)

    async def cancel(self, key: str) -> None:
        attempt = self.running.get(key)
        if attempt is not None:
            attempt.stopped = True
            if not self.stubborn:
                attempt.end(Cancelled())

    async def any_key(self) -> str:
        """Wait until something runs."""
        async with asyncio.timeout(DEADLINE_S), self._news:
            await self._news.wait_for(lambda: bool(self.running))
        return next(iter(self.running))

    async def attempt(self, key: str) -> Attempt:
        """Wait until this attempt runs."""
        async with asyncio.timeout(DEADLINE_S), self._news:
            await self._news.wait_for(lambda: key in self.running)
        return self.running[key]


class MemoryLender:
    """Lends nothing by itself: a test answers each claim. It knows what was not given back."""

    def __init__(self) -> None:
        self.asking: dict[str, tuple[Claim, Callable[[Sentence], None], asyncio.Future[Lease]]] = {}
        self.held: list[str] = []
        self.touched: list[str] = []
        self._news = asyncio.Condition()

    async def acquire(self, claim: Claim, waiting: Callable[[Sentence], None]) -> Lease:
        answer: asyncio.Future[Lease] = asyncio.get_running_loop().create_future()
        self.asking[claim.claim_id] = (claim, waiting, answer)
        async with self._news:
            self._news.notify_all()
        try:
            lease = await answer
        finally:
            del self.asking[claim.claim_id]
        self.held.append(claim.claim_id)
        return lease

    def release(self, claim_id: str) -> None:
        self.held.remove(claim_id)

    def touch(self, claim_id: str) -> None:
        self.touched.append(claim_id)

    async def claim(self, claim_id: str) -> Claim:
        """Wait until this is asked for."""
        async with asyncio.timeout(DEADLINE_S), self._news:
            await self._news.wait_for(lambda: claim_id in self.asking)
        return self.asking[claim_id][0]

    def say(self, claim_id: str, reason: Sentence) -> None:
        """It has to wait."""
        self.asking[claim_id][1](reason)

    def lend(self, claim_id: str, **lease: Any) -> None:
        claim, _, answer = self.asking[claim_id]
        whole: dict[str, Any] = {"gpu_id": "0", "uuid": "GPU-5c1d", "vendor": "nvidia"}
        answer.set_result(Lease(claim=claim, granted_at=0.0, used_at=0.0, **whole | lease))

    def refuse(self, claim_id: str, error: Exception) -> None:
        self.asking[claim_id][2].set_exception(error)


@dataclass
class MemoryPeer:
    """One client, and the node's connection to it. `slow`: takes nothing until `read`."""

    id: int = 1
    scope: str = "admin"
    frames: list[dict[str, Any]] = field(default_factory=list)
    offered: dict[str, str] = field(default_factory=dict)
    closed: tuple[int, str] | None = None
    slow: bool = False

    def __post_init__(self) -> None:
        self._incoming: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._news = asyncio.Event()
        self._room = asyncio.Event()

    # The node's side

    @property
    def waiting_bytes(self) -> int:
        return SLOW_BYTES if self.slow else 0

    async def receive(self) -> str | bytes:
        frame = await self._incoming.get()
        if frame is None:
            raise ConnectionGone("the peer closed")
        return frame

    def send(self, frame: str | bytes) -> None:
        if self.closed is None:
            self.frames.append(json.loads(frame))
            self._news.set()

    def offer(self, key: str, frame: str | None) -> None:
        self.offered.pop(key, None)
        if frame is None:
            return
        if self.slow:
            self.offered[key] = frame
        else:
            self.send(frame)

    async def drained(self) -> None:
        if self.slow:
            await self._room.wait()
        if self.closed is not None:
            raise ConnectionGone("the peer closed")

    async def close(self, code: int = 1000, reason: str = "") -> None:
        self.closed = self.closed or (code, reason)
        self._incoming.put_nowait(None)

    # The test's side

    def say(self, message: dict[str, Any] | str | bytes) -> None:
        self._incoming.put_nowait(json.dumps(message) if isinstance(message, dict) else message)

    def leave(self) -> None:
        self._incoming.put_nowait(None)

    def read(self) -> None:
        """Read everything from now on."""
        self.slow = False
        self._room.set()

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first frame that is wanted, now or when it comes."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                for frame in self.frames:
                    if wanted(frame):
                        return frame
                self._news.clear()
                await self._news.wait()

    async def get(self, kind: str, task_id: str | None = None) -> dict[str, Any]:
        """The first message of this type, about this task."""
        return await self.until(lambda f: f["type"] == kind and task_id in (None, f.get("taskId")))

    async def end(self, task_id: str) -> dict[str, Any]:
        """The terminal message of a task."""
        return await self.until(lambda f: f.get("taskId") == task_id and is_end(f))

    def numbered(self, task_id: str) -> list[dict[str, Any]]:
        """All numbered messages about a task, as they came."""
        return [f for f in self.frames if f.get("taskId") == task_id and "seq" in f]


def is_end(frame: dict[str, Any]) -> bool:
    """Whether a message ends its task."""
    return "seq" in frame and frame["type"] in ("taskResult", "error")


@dataclass
class MemoryFetch:
    """Pages by URL; `gate`, when given, holds every download back until it is set."""

    pages: dict[str, bytes] = field(default_factory=dict)
    gate: asyncio.Event | None = None
    asked: list[str] = field(default_factory=list)

    async def __call__(
        self,
        url: str,
        target: Path,
        *,
        limit_bytes: int,
        progress: Callable[[int, int | None], None],
    ) -> None:
        self.asked.append(url)
        if self.gate is not None:
            await self.gate.wait()
        page = self.pages.get(url)
        if page is None:
            raise LinkError("{url} answered 404", url=url)
        if len(page) > limit_bytes:
            raise InputError.field("size", len(page), f"at most {limit_bytes} bytes")
        progress(len(page), len(page))
        await asyncio.to_thread(target.write_bytes, page)


@model(name="steady", version="1", title="Steady work")
def steady(context: Context, *, units: Annotated[int, msgspec.Meta(ge=1, le=9)] = 3) -> Result:
    """May be run again."""
    return Result(data={"units": units})


@model(name="once", version="1", pure=False)
def once(context: Context) -> Result:
    """Must not be run again."""
    return Result(data={})


@model(name="greedy", version="1", gpu_memory_mb=6000)
def greedy(context: Context) -> Result:
    """Needs a GPU."""
    return Result(data={"device": context.device, "visible": os.environ["CUDA_VISIBLE_DEVICES"]})


@model(name="modest", version="1", gpu_wish_mb=2000)
def modest(context: Context) -> Result:
    """Takes a GPU that is free."""
    return Result(data={})


MODELS = {"steady": steady, "once": once}
WITH_GPU = {**MODELS, "greedy": greedy, "modest": modest}

__all__ = [
    "MODELS",
    "WITH_GPU",
    "Lost",
    "MemoryEngine",
    "MemoryFetch",
    "MemoryJournal",
    "MemoryLender",
    "MemoryPeer",
    "done",
]
