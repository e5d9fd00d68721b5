"""SQL from users, run in spawned processes that can be killed, over a copy of the data.

DuckDB's own limits do not bound `repeat`, `lpad` or `generate_series`, and its interrupt
is not always heard: so memory is bounded by the kernel and time by SIGKILL.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import time
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from workbench.core.tally import Tally
from workbench.errors import InputError, StoreError, WorkbenchError
from workbench.store.copies import Copies, Copy
from workbench.store.frames import QueryEnd, QueryFrame, QueryHead
from workbench.store.query_faults import ROW_BYTES, said
from workbench.store.side_files import ALIAS, FOLDERS, RESERVED

WORKERS = 2
WAITING = 32
MAX_SQL_CHARS = 1_000_000
MAX_SIDE_FILES = 64
PIPE_BYTES = 1024 * 1024
"""As much as any user of Linux may ask for: a whole chunk crosses without a wait."""
START_S = 60.0
STALL_FACTOR = 10
"""A reader may hold a worker for this many times the limit on work, not longer."""

T = TypeVar("T")

Params = Sequence[Any] | Mapping[str, Any] | None

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "HOME", "PYTHONPATH", "LD_LIBRARY_PATH")


class Worker:
    """One spawned process. Dies with this one, because its stdin ends then."""

    def __init__(self, memory_mb: int) -> None:
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(Path(__file__).with_name("sql_worker.py")), str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pipesize=PIPE_BYTES,
            stderr=subprocess.DEVNULL,
            env={**environment, "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "1"},
        )

    def send(self, request: dict[str, Any]) -> None:
        """Hand over one request. Blocks."""
        body = pickle.dumps(request)
        if self._process.stdin is None:
            raise BrokenPipeError
        self._process.stdin.write(struct.pack("<Q", len(body)) + body)
        self._process.stdin.flush()

    def receive(self) -> tuple[bytes, bytes]:
        """The next frame. Blocks. EOFError once the process is gone."""
        pipe = self._process.stdout
        head = pipe.read(9) if pipe is not None else b""
        if pipe is None or len(head) < 9:
            raise EOFError
        body = pipe.read(struct.unpack("<Q", head[1:])[0])
        return head[:1], body

    def kill(self) -> None:
        """SIGKILL. Whoever waits in `receive` gets EOFError."""
        self._process.kill()

    def close(self) -> None:
        """Kill and clean up. Blocks for the moment that it takes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class UserSql:
    """Runs queries on a few workers; more queries wait their turn, in order."""

    def __init__(self, data: Path, copies: Copies, *, memory_mb: int, limit_s: float) -> None:
        self._data = data
        self._copies = copies
        self._memory_mb = memory_mb
        self._limit_s = limit_s
        self._idle: list[Worker] = []
        self._first: asyncio.Task[None] | None = None
        self._turns = asyncio.Semaphore(WORKERS)
        self._waiting = 0
        self.ended = Tally()
        """The queries that ended, and how long each took with its wait."""
        self._threads = ThreadPoolExecutor(2 * WORKERS, thread_name_prefix="workbench-query")

    def expect(self) -> None:
        """Tables are being written that will be asked for: a worker takes as long to start, so
        the first begins now."""
        if self._first is None:
            self._first = asyncio.create_task(self._begin())

    async def _begin(self) -> None:
        with contextlib.suppress(StoreError, OSError):  # who asks will try again, and be told
            self._idle.append(await self._spawn())

    async def settle(self) -> None:
        """Give up a worker that is still being started. Before `close`."""
        if self._first is not None:
            self._first.cancel()
            await asyncio.wait({self._first})

    async def query(
        self,
        sql: str,
        params: Params,
        *,
        fresh: bool,
        max_rows: int | None,
        limit_s: float | None = None,
    ) -> AsyncGenerator[QueryFrame]:
        """Head, Arrow chunks, end. Closing the iterator early stops the query."""
        limit_s = self._limit_s if limit_s is None else limit_s
        with self._counted():
            whole = self._answer(sql, params, fresh, max_rows, limit_s)
            async with contextlib.aclosing(whole) as answer:
                async for frame in answer:
                    yield frame

    async def _answer(
        self, sql: str, params: Params, fresh: bool, max_rows: int | None, limit_s: float
    ) -> AsyncGenerator[QueryFrame]:
        if len(sql) > MAX_SQL_CHARS:
            raise InputError.field("sql", sql, f"at most {MAX_SQL_CHARS} characters")
        async with self._turn(), self._copies.borrowed(fresh=fresh) as copy:
            as_of = copy.as_of
            words = {word.lower() for word in _WORD.findall(sql)}
            request = {
                "sql": sql,
                "params": params,
                "files": self._files(words, copy),
                "data": str(self._data),
                "words": words,
                "max_rows": max_rows,
                "row_bytes": ROW_BYTES,
                "longest_ms": limit_s * 1000 * STALL_FACTOR,
            }
            begun = False
            async with contextlib.aclosing(self._run(request, limit_s)) as frames:
                async for kind, body in frames:
                    if not begun:
                        begun = True
                        yield QueryHead(as_of=as_of)
                    if kind == b"C":
                        yield body
                    else:
                        yield QueryEnd(as_of=as_of, **json.loads(body))

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        began, outcome = time.monotonic(), "done"
        try:
            yield
        except (GeneratorExit, asyncio.CancelledError):
            outcome = "cancelled"
            raise
        except BaseException:
            outcome = "failed"
            raise
        finally:
            self.ended.add(outcome, time.monotonic() - began)

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= WAITING:
            raise StoreError(
                "{count} queries wait already: try again when some are done", count=self._waiting
            )
        self._waiting += 1
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._turns.release()

    def _files(self, words: Iterable[str], copy: Copy) -> dict[str, str]:
        """The copy, and each side file whose alias occurs in the SQL."""
        side = dict(self._side_files(words))
        if len(side) > MAX_SIDE_FILES:
            raise InputError(
                "the query names {count} side files; allowed: at most {limit}",
                count=len(side),
                limit=MAX_SIDE_FILES,
            )
        return {"workbench": str(copy.path), **side}

    def _side_files(self, words: Iterable[str]) -> Iterator[tuple[str, str]]:
        for word in sorted(words):
            if ALIAS.fullmatch(word) and word not in RESERVED:
                for folder in FOLDERS:
                    path = self._data / folder / f"{word}.duckdb"
                    if path.is_file():
                        yield word, str(path)
                        break

    async def _run(
        self, request: dict[str, Any], limit_s: float
    ) -> AsyncGenerator[tuple[bytes, bytes]]:
        """The frames of one answer. The worker is kept only if it came to its end."""
        if not self._idle and self._first is not None:
            await asyncio.wait({self._first})
        worker = self._idle.pop() if self._idle else None
        left_s = limit_s
        whole = False
        try:
            if worker is None:
                worker = await self._spawn()
            await self._in_thread(worker.send, request)
            while not whole:
                started = time.monotonic()
                kind, body = await self._receive(worker, left_s, limit_s)
                left_s -= time.monotonic() - started
                if kind == b"F":
                    fault = json.loads(body)
                    whole = fault["kind"] != "memory"  # what it mapped may not come back
                    raise self._said(fault["kind"], fault["reason"], limit_s)
                whole = kind == b"E"  # only now: a worker that got out of step is not used again
                yield kind, body
        except (EOFError, BrokenPipeError):
            raise self._ended() from None
        finally:
            if worker is not None:
                if whole:
                    self._idle.append(worker)
                else:
                    worker.kill()
                    self._threads.submit(worker.close)

    async def _spawn(self) -> Worker:
        """A worker that is ready: its start does not count as work."""
        worker = Worker(self._memory_mb)
        try:
            await asyncio.wait_for(self._in_thread(worker.receive), START_S)
        except BaseException as error:
            worker.kill()
            self._threads.submit(worker.close)
            if isinstance(error, (EOFError, TimeoutError)):
                raise StoreError(
                    "the query's process did not start: run `workbench doctor`, and see that "
                    "memory is free"
                ) from None
            raise
        return worker

    async def _receive(self, worker: Worker, left_s: float, limit_s: float) -> tuple[bytes, bytes]:
        """One frame, within what is left of the time for work."""
        late = False

        def stop() -> None:
            nonlocal late
            late = True
            worker.kill()

        timer = asyncio.get_running_loop().call_later(max(0.0, left_s), stop)
        try:
            return await self._in_thread(worker.receive)
        except EOFError:
            if late:
                raise self._said("time", "", limit_s) from None
            raise
        except asyncio.CancelledError:
            worker.kill()
            raise
        finally:
            timer.cancel()

    async def _in_thread(self, run: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, run, *args)

    def _said(self, kind: str, reason: str, limit_s: float) -> WorkbenchError:
        return said(kind, reason, limit_s=limit_s, limit_mb=self._memory_mb)

    def _ended(self) -> StoreError:
        return StoreError(
            "the query's process ended, most likely at its limit of {limit_mb} MB of memory: ask "
            "for less, or set WORKBENCH_QUERY_MEMORY_MB higher",
            limit_mb=self._memory_mb,
        )

    def close(self) -> None:
        """Kill the workers, and with them what they run. Blocks for a moment."""
        for worker in self._idle:
            worker.close()
        self._idle.clear()
        self._threads.shutdown()
