"""One worker as its parent holds it: started, ready, watched, and how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from typing import cast

import msgspec

from workbench.core.llm import LoadOptions, ModelError
from workbench.errors import LinkError
from workbench.http import Http
from workbench.llm.gpu_loan import Loan
from workbench.llm.llama_server import LlamaServer
from workbench.llm.worker import Order, Ready

READY_S = 600.0
TERM_S = 2.0  # from SIGTERM to SIGKILL
WATCH_S = 5.0
STRIKES = 4
LOG_LINES, LOG_LINE_BYTES = 200, 2000
_REASONS = (
    re.compile(r"error loading model: (.+)"),
    re.compile(r"^[\d.]+ E (?:\S+ +)?\S+: (.+)"),
    re.compile(r"(?i)\berror: (.+)"),
)
"""In llama.cpp's log, most telling first. The first error is the cause, the rest follows."""


class Worker:
    """A process with one model in it. `how_it_ended` is None while it runs."""

    def __init__(
        self, process: Process, order: Order, loan: Loan, http: Http, watch_s: float
    ) -> None:
        self.order, self.loan, self.busy, self.used_at = order, loan, 0, 0.0
        self.how_it_ended: str | None = None
        self._process, self._http, self._watch_s = process, http, watch_s
        self._orders = cast(asyncio.StreamWriter, process.stdin)
        self._said = cast(asyncio.StreamReader, process.stdout)
        self._logged = cast(asyncio.StreamReader, process.stderr)
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        self._tasks = {asyncio.create_task(self._listen())}
        self._stopping: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()
        self.server = self._served("http://127.0.0.1:0")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def options(self) -> LoadOptions:
        return self.order.options

    async def ready(self, limit_s: float) -> Ready:
        """Send the order and wait for the handshake. ModelError says why there is none."""
        try:
            async with asyncio.timeout(limit_s):
                with contextlib.suppress(ConnectionError):
                    self._orders.write(msgspec.json.encode(self.order) + b"\n")
                    await self._orders.drain()
                ready = await (self._answers() if self.order.binary else self._handshake())
        except TimeoutError:
            raise ModelError(
                "{model} was not ready within {limit_s} s; try a smaller model or context",
                model=self.order.alias,
                limit_s=limit_s,
            ) from None
        if ready.url:
            self.server = self._served(ready.url)
        self._tasks.add(asyncio.create_task(self._watch()))
        return ready

    async def has_ended(self, within_s: float) -> bool:
        """Whether it ended: a connection that breaks may be heard of a moment earlier."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), within_s)
        return self.how_it_ended is not None

    async def stop(self) -> None:
        """End it, gently first; back when it is gone. It ends also where nobody waits for that."""
        self._stopping = self._stopping or asyncio.create_task(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        for stop in (self._process.terminate, self._process.kill):
            with contextlib.suppress(ProcessLookupError):
                stop()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), TERM_S)
                break
        await self._finish()

    def kill(self) -> None:
        """End it at once, without waiting."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _finish(self) -> None:
        if self.how_it_ended is None:
            self.how_it_ended = how(self._process.returncode)
        self.loan.give_back()
        self._ended.set()
        ours = asyncio.current_task()
        others = [task for task in self._tasks if task is not ours]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._orders.close()

    async def _handshake(self) -> Ready:
        line = await self._said.readline()
        if not line.endswith(b"\n"):
            raise await self._failed()
        return msgspec.json.decode(line, type=Ready)

    async def _answers(self) -> Ready:
        """The user's own llama-server says nothing: ask until it answers."""
        ready = Ready(url=f"http://127.0.0.1:{self.order.port}", version="llama-server")
        server = self._served(ready.url)
        ended = asyncio.create_task(self._process.wait())
        try:
            while not (await server.health()).ok:
                done, _ = await asyncio.wait({ended}, timeout=0.05)
                if done:
                    raise await self._failed()
        finally:
            ended.cancel()
        return ready

    async def _failed(self) -> ModelError:
        """Why it ended before it was ready, in llama.cpp's own words where it said any."""
        code = await self._process.wait()
        await asyncio.gather(*self._tasks)  # the log's end
        model, said = self.order.alias or "xllamacpp", reason(self._log)
        if said:
            return ModelError("{model} cannot be loaded: {reason}", model=model, reason=said)
        return ModelError(
            "{model} cannot be loaded: its process ended ({how})", model=model, how=how(code)
        )

    async def _listen(self) -> None:
        """Keep the last lines of the log; always reading, so that nobody waits for us."""
        rest = b""
        while data := await self._logged.read(1 << 16):
            *lines, rest = (rest + data).split(b"\n")
            self._log.extend(line[:LOG_LINE_BYTES].decode(errors="replace") for line in lines)
            rest = rest[:LOG_LINE_BYTES]

    async def _watch(self) -> None:
        """Notice its end, and end it where it does not answer STRIKES times in a row."""
        ended, strikes = asyncio.create_task(self._process.wait()), 0
        try:
            while strikes < STRIKES:
                done, _ = await asyncio.wait({ended}, timeout=self._watch_s)
                if done:
                    break
                if self.busy:  # an answer may take longer than what counts as idle
                    self.loan.touch()
                strikes = 0 if await self._is_well() else strikes + 1
            else:
                self.how_it_ended = f"no answer for {2 * STRIKES * self._watch_s:.0f} s"
                self.kill()
                await ended
        finally:
            ended.cancel()
        await self._finish()

    async def _is_well(self) -> bool:
        with contextlib.suppress(TimeoutError):
            return (await asyncio.wait_for(self.server.health(), self._watch_s)).ok
        return False

    def _served(self, url: str) -> LlamaServer:
        return LlamaServer("embedded", url, self.order.key, "embedded", http=self._http)


async def start(order: Order, loan: Loan, http: Http, watch_s: float = WATCH_S) -> Worker:
    """A process that waits for its order, with a key of its own. It gives the loan back when
    it ends; where this is cancelled or fails, there is no process, and the loan is the caller's.
    """
    order.parent, order.key = os.getpid(), secrets.token_urlsafe(32)
    if order.binary:
        order.port = _free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "workbench.llm.worker"),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
        cwd="/",
        env={**_inherited(), **loan.environment},
    )
    return Worker(process, order, loan, http, watch_s)


async def look(http: Http, limit_s: float = 30.0) -> Ready:
    """What the installed xllamacpp can do, seen by a process that then ends."""
    worker = await start(Order(parent=0), Loan(LoadOptions()), http)
    try:
        return await worker.ready(limit_s)
    except (ModelError, LinkError) as error:
        return Ready(problem=str(error))
    finally:
        await worker.stop()


def how(code: int | None) -> str:
    """How a process ended: its status or its signal."""
    if code is None:
        return "given up"
    if code >= 0:
        return f"status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


def reason(log: deque[str]) -> str:
    """What the log says about why a model was not loaded; empty where it says nothing."""
    for pattern in _REASONS:
        for line in log:
            if found := pattern.search(line):
                return found[1].strip()[:300]
    return ""


def _inherited() -> dict[str, str]:
    """What a worker gets of our environment: our settings hold secrets."""
    return {name: value for name, value in os.environ.items() if name[:10] != "WORKBENCH_"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
