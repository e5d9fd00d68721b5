"""The embedded worker under test: started, asked, and looked for among the processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil

from tests.llm.tiny_model import saying
from workbench.core.llm import ChatRequest, LoadOptions, LoadProgress, Sampling, Token, Turn
from workbench.http import Http
from workbench.llm.embedded import Embedded

SMALL = LoadOptions(context_size=1024)
GIGABYTE = 1 << 30


@contextlib.asynccontextmanager
async def closing(embedded: Embedded) -> AsyncIterator[Embedded]:
    """Closes it, and holds that none of its processes is left."""
    before = set(workers())
    try:
        yield embedded
    finally:
        await embedded.close()
        assert set(workers()) <= before


def workers() -> list[psutil.Process]:
    """Every worker that this process started."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if "workbench.llm.worker" in child.cmdline():
                found.append(child)
    return found


async def until(holds: Callable[[], bool], limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not holds():  # noqa: ASYNC110 - a process tells nobody
            await asyncio.sleep(0.005)


async def load(embedded: Embedded, model: str, options: LoadOptions = SMALL) -> int:
    """Loads it; gives its process."""
    async with asyncio.timeout(20):
        progress = [step async for step in embedded.load(model, options)]
    assert progress[-1] == LoadProgress(done=1.0)
    return embedded.pids[model]


def asking(grammar: str, model: str = "tiny") -> ChatRequest:
    sampling = Sampling(temperature=0, grammar=grammar)
    return ChatRequest(model=model, turns=(Turn(role="user", content="x"),), sampling=sampling)


async def answer(embedded: Embedded, text: str, model: str = "tiny") -> str:
    async with asyncio.timeout(20):
        events = [event async for event in embedded.chat(asking(saying(text), model))]
    return "".join(event.text for event in events if isinstance(event, Token))


def address(pid: int) -> str:
    [listening] = [c for c in psutil.Process(pid).net_connections("inet") if c.status == "LISTEN"]
    assert listening.laddr.ip == "127.0.0.1"
    return f"http://127.0.0.1:{listening.laddr.port}"


def short_of_memory(folder: Path, http: Http) -> Embedded:
    """One whose machine has room for one model at a time."""
    embedded: Embedded = Embedded(
        [folder], http=http, free_bytes=lambda: GIGABYTE // (1 + 3 * len(embedded.pids))
    )
    return embedded
