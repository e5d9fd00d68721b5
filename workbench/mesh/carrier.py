"""Instructions behind commits: in order for each task, without one task waiting for another."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.core.task_nouns import Instruction, Record, Refuse

RETRY_S = 1.0

log = logging.getLogger("workbench.mesh")

Append = Callable[[Record, int], "asyncio.Future[None]"]


class Lane:
    """What is still to be done about one task, oldest first. `opening`: its acceptance is
    not durable yet, and nothing else about it may be written before it."""

    __slots__ = ("gates", "items", "opening")

    def __init__(self) -> None:
        self.items: deque[Instruction | Commit] = deque()
        self.gates = 0
        self.opening = False


class Commit:
    """A record on its way to the disk, and when (ms since the epoch) it was made."""

    __slots__ = ("at_ms", "done", "record")

    def __init__(self, record: Record, at_ms: int) -> None:
        self.record, self.at_ms, self.done = record, at_ms, False


class Carrier:
    """Appends records, shows them once they are durable, and holds back what must follow.

    `append` hands a record to the journal; `show` tells the followers; `do` carries out any
    other instruction; `lost` hears of an acceptance that could not be made durable.
    """

    def __init__(
        self,
        append: Append,
        show: Callable[[Record, int], None],
        do: Callable[[Instruction], None],
        lost: Callable[[Record, BaseException], None],
        wall_ms: Callable[[], int],
    ) -> None:
        self._append, self._show, self._do, self._lost = append, show, do, lost
        self._wall_ms = wall_ms
        self._lanes: dict[str, Lane] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    async def idle(self) -> None:
        """Wait until everything that was written is durable and shown."""
        await self._idle.wait()

    def carry(self, instructions: Sequence[Instruction]) -> None:
        """Begin with each instruction, in order."""
        for instruction in instructions:
            if isinstance(instruction, Record):
                self._write(instruction)
            else:
                self._perform(instruction)

    def _perform(self, instruction: Instruction) -> None:
        task_id = task_of(instruction)
        lane = self._lanes.get(task_id) if task_id is not None else None
        if lane is None or not lane.gates:
            self._do(instruction)
        else:
            lane.items.append(instruction)

    def _write(self, record: Record) -> None:
        commit = Commit(record, self._wall_ms())
        lane = self._lanes.get(record.task_id)
        if lane is None:
            lane = self._lanes[record.task_id] = Lane()
            self._idle.clear()
        lane.items.append(commit)
        lane.gates += record.gate
        if record.task is not None:
            lane.opening = True
        elif lane.opening:
            return
        self._hand_over(lane, commit)

    def _hand_over(self, lane: Lane, commit: Commit) -> None:
        if not commit.record.durable:
            commit.done = True
            self._advance(lane, commit.record.task_id)
            return
        future = self._append(commit.record, commit.at_ms)
        future.add_done_callback(lambda done: self._answered(lane, commit, done))

    def _answered(self, lane: Lane, commit: Commit, future: asyncio.Future[None]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        record = commit.record
        if error is None:
            commit.done = True
            if record.task is not None:
                self._opened(lane)
            self._advance(lane, record.task_id)
        elif record.task is not None:
            self._forget(record.task_id)
            self._lost(record, error)
        else:  # what was accepted must end: try until the disk takes it
            log.error("journal.refused task=%s reason=%s: trying again", record.task_id, error)
            loop = asyncio.get_running_loop()
            loop.call_later(RETRY_S, self._hand_over, lane, commit)

    def _opened(self, lane: Lane) -> None:
        """The acceptance is durable: what was to be written after it may be now."""
        lane.opening = False
        for item in list(lane.items):
            if isinstance(item, Commit) and not item.done:
                self._hand_over(lane, item)

    def _advance(self, lane: Lane, task_id: str) -> None:
        """Show what is durable, and do what no gate before it holds back."""
        ready: list[Instruction | Commit] = []
        kept: deque[Instruction | Commit] = deque()
        shut = written = False
        for item in lane.items:
            if isinstance(item, Commit):
                written = written or not item.done
                shut = shut or (written and item.record.gate)
                (kept if written else ready).append(item)
            else:
                (kept if shut else ready).append(item)
        lane.items = kept
        for item in ready:
            if isinstance(item, Commit):
                lane.gates -= item.record.gate
                self._show(item.record, item.at_ms)
            else:
                self._do(item)
        if not lane.items and self._lanes.get(task_id) is lane:
            self._forget(task_id)

    def _forget(self, task_id: str) -> None:
        self._lanes.pop(task_id, None)
        if not self._lanes:
            self._idle.set()


def task_of(instruction: Instruction) -> str | None:
    """Which task an instruction waits for; a refusal waits for none."""
    if isinstance(instruction, Refuse):
        return None
    task: Mapping[str, Any] | Any = getattr(instruction, "task", None)
    return instruction.task_id if task is None else task.task_id  # type: ignore[union-attr]
