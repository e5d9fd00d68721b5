"""A task sent earlier, by whatever kernel, is followed again: until its node has said a word."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping
from typing import Any

from workbench.clients.answers import ANSWER_S
from workbench.clients.mesh import ID_CHARS, MeshClient
from workbench.clients.waiting import NO_WORD
from workbench.core.mesh_record import TaskRecord
from workbench.errors import InputError, LinkError

FIRST_WORDS = ("accepted", "progress", "completed", "error")
TASK_IDS = f"a task's id, a text of 1 to {ID_CHARS} characters; bench.tasks() lists the newest"
CAUGHT_UP_S = 2.0
NO_TASK = "there is no task {task} on this hub: bench.tasks() lists the newest"
NOT_A_TASK = (
    "there is no task {task}, and run() takes a task's id; did you mean "
    "bench.submit('{model}', ...)? models: {known}"
)


async def attach(mesh: MeshClient, task_id: str) -> None:
    """Follow a task sent earlier. Raises InputError for one that the hub does not know."""
    if not isinstance(task_id, str) or not 0 < len(task_id) <= ID_CHARS:
        raise InputError.field("task_id", task_id, TASK_IDS)
    known = mesh.get_task(task_id)
    if known is None or _unheard_of(known):
        await _first_word(mesh, task_id)
        known = mesh.get_task(task_id)
    if known is not None and _unheard_of(known):
        names = [str(each.get("name")) for each in await mesh.models()]
        for nearest in difflib.get_close_matches(task_id, names, n=1, cutoff=0.7):
            raise InputError(NOT_A_TASK, task=task_id, model=nearest, known=", ".join(names))
        raise InputError(NO_TASK, task=task_id)


async def caught_up(mesh: MeshClient, task_id: str, seq: int) -> None:
    """Wait for what was said before it was followed, up to the message `seq`; 2 s at most, for a
    line that the node holds back is no reason to wait for."""
    heard = asyncio.Event()
    stop = mesh.on("message", lambda _: heard.set())
    try:
        async with asyncio.timeout(CAUGHT_UP_S):
            while (known := mesh.get_task(task_id)) is not None and known.seq < seq:
                heard.clear()
                await heard.wait()
    except TimeoutError:
        return
    finally:
        stop()


async def _first_word(mesh: MeshClient, task_id: str) -> None:
    """Attach to a task and wait for what the node says about it first."""
    heard = asyncio.Event()

    def hear(data: Mapping[str, Any]) -> None:
        if data.get("taskId") == task_id:
            heard.set()

    ends = [mesh.on(f"task_{kind}", hear) for kind in FIRST_WORDS]
    try:
        await mesh.attach(task_id)
        async with asyncio.timeout(ANSWER_S):
            await heard.wait()
    except TimeoutError:
        raise LinkError(NO_WORD, task=task_id, limit_s=ANSWER_S) from None
    finally:
        for end in ends:
            end()


def _unheard_of(record: TaskRecord) -> bool:
    """Whether the node, asked about the task, had nothing of it to send."""
    return record.state == "lost" and record.seq == 0
