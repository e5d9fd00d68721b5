"""A storm: tasks through a real hub with real clients, while everything around them fails.

The seed decides which faults come and what each task is; when a fault strikes is decided by
how far the tasks are, so that a slow machine has the same storm.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import websockets

from tests.faults.ear import Ear
from tests.faults.hub_keeper import HubKeeper, hub_log
from tests.faults.invariants import Evidence, Mark, Said, said_of, violations
from tests.faults.mischief import Done, Mischief, Pace
from tests.faults.road import Road, until
from tests.faults.shim import Shim
from tests.faults.workers import Crew

EARS = 3
SLOTS = 3
WINDOW = 300
"""So many tasks are open at a time, and a third of all at most."""
PATIENCE_S = 180.0
"""Without any task ending for so long, the storm is given up."""
LOOK_S = 0.1
BATCH = "any bytes will do"
DATABASE = "workbench.duckdb"
NO_SPACE = "No space left"


@dataclass
class Storm:
    """What a storm is made of, and what came of it."""

    seed: int
    tasks: int
    folder: Path
    plan: Callable[[list[str], random.Random], list[str]]
    """Which faults come, out of all that there are."""
    pace: Pace = field(default_factory=Pace)
    shim: Shim | None = None
    workers: Crew | None = None
    done: list[Done] = field(default_factory=list)
    conflicts: int = 0
    duplicates: int = 0
    ends: dict[str, int] = field(default_factory=dict)
    took_s: float = 0.0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.data, self.marks = self.folder / "data", self.folder / "marks"
        self.data.mkdir()
        self.marks.mkdir(exist_ok=True)
        (self.data / "batch.bin").write_text(BATCH)
        self._made: list[Mark] = []
        self._read = 0
        self._tasks = {f"t{n}": self._made_up(f"t{n}") for n in range(self.tasks)}
        self._accepted: set[str] = set()
        self._open: set[str] = set()

    async def run(self) -> list[str]:
        """Every broken promise; none, if all is well."""
        began = time.monotonic()
        settings = {"WORKBENCH_SLOTS": str(SLOTS), "FAULT_MARKS": str(self.marks)}
        settings |= self.workers.settings if self.workers is not None else {}
        async with contextlib.AsyncExitStack() as stack:
            keeper = HubKeeper(self.data, self.shim, **settings)
            await stack.enter_async_context(keeper)
            ears = [await self._ear(stack, keeper, f"ear{n}") for n in range(EARS)]
            mischief = Mischief(keeper, ears, self.read_marks, self.chance, self.pace, self.workers)
            await self._blow(keeper, ears, mischief)
            self.done = mischief.done
            evidence = await self._evidence(keeper, ears)
            evidence.complaints += mischief.complaints
        evidence.stored, evidence.marks = stored(self.data / DATABASE), self.read_marks()
        for said in evidence.replay.values():
            self.ends[said[-1].kind] = self.ends.get(said[-1].kind, 0) + 1
        self.took_s = time.monotonic() - began
        return violations(evidence)

    async def _ear(self, stack: contextlib.AsyncExitStack, keeper: HubKeeper, name: str) -> Ear:
        road = Road(lambda: keeper.port, random.Random(f"{self.seed} {name}"))
        await stack.enter_async_context(road)
        return await stack.enter_async_context(Ear(name, road, keeper.token))

    def _made_up(self, name: str) -> dict[str, Any]:
        chance, inline = self.chance, self.chance.random() < 0.4
        given = {"input_data": name} if inline else {"input_data_url": "batch.bin"}
        return {
            "task_id": name,
            "model": "marked-once" if chance.random() < 0.1 else "marked",
            "parameters": {"name": name, "units": chance.randint(1, 8), "unit_s": 0.01},
            "priority": chance.randint(-1, 1),
            "use_cache": False,
            **given,
        }

    # The storm itself

    async def _blow(self, keeper: HubKeeper, ears: list[Ear], mischief: Mischief) -> None:
        """Keep a window of tasks open; strike whenever so many more have ended."""
        waiting = list(self._tasks)
        struck: list[asyncio.Task[None]] = []
        plan = self.plan(mischief.kinds, self.chance)
        moved_at, ended_before = time.monotonic(), 0
        following: list[asyncio.Task[None]] = []
        ended, window = 0, min(WINDOW, 1 + self.tasks // 3)
        while ended < self.tasks:
            while waiting and len(self._open) < window:
                name = waiting.pop(0)
                self._open.add(name)
                following.append(asyncio.create_task(self._follow(name, ears)))
            due = 1 + len(plan) * ended * 5 // (self.tasks * 4)  # the last is early enough to hurt
            while len(struck) < min(due, len(plan)):
                struck.append(asyncio.create_task(mischief.do(plan[len(struck)])))
            await asyncio.sleep(LOOK_S)
            for task in [*following, *struck]:
                if task.done():
                    task.result()
            keeper.check()
            if self.workers is not None:
                self.workers.mend()
            following = [task for task in following if not task.done()]
            ended = self.tasks - len(waiting) - len(self._open)
            if ended > ended_before:
                moved_at, ended_before = time.monotonic(), ended
            assert time.monotonic() - moved_at < PATIENCE_S, self._stuck(ears)
        await asyncio.gather(*following)
        mischief.calm()
        await asyncio.gather(*struck)

    def _stuck(self, ears: list[Ear]) -> str:
        words = {name: [ear.heard[name][-1:] for ear in ears] for name in sorted(self._open)[:5]}
        return f"seed {self.seed}: nothing ends any more: {words}\n{hub_log(self.data)[-6000:]}"

    async def _follow(self, name: str, ears: list[Ear]) -> None:
        """One client sends it until it is accepted, the others follow, until all heard its end."""
        order = random.Random(f"{self.seed} {name}")
        owner, *others = order.sample(ears, len(ears))
        task = self._tasks[name]
        await owner.send(task)
        while not owner.heard[name]:
            if name in owner.refusals:
                assert owner.refusals[name] in ("unavailable", "busy"), owner.refusals
                await asyncio.sleep(0.3)
                await owner.send(task)
            await asyncio.sleep(LOOK_S)
        self._accepted.add(name)
        for other in others:
            if order.random() < 0.2:
                self.duplicates += 1
                await other.send(task)
            else:
                await other.client.attach(name)
        if order.random() < 0.05:
            await owner.cancel(name)
        if order.random() < 0.1:
            await self._conflict(order.choice(ears), task)
        while not all(ear.ended(name) for ear in ears):
            for ear in ears:
                if name in ear.refusals:
                    await ear.send(task)
            await asyncio.sleep(LOOK_S)
        if order.random() < 0.1:
            await self._again(order.choice(ears), task)
        self._open.discard(name)

    async def _conflict(self, ear: Ear, task: dict[str, Any]) -> None:
        """The same id with other content is refused, and changes nothing."""
        answer = await ear.question(wire_of(task, units=99), 5.0)
        if answer is not None:
            assert answer.get("code") in ("conflict", "busy"), answer
            self.conflicts += 1

    async def _again(self, ear: Ear, task: dict[str, Any]) -> None:
        """The same task after its end is the same task."""
        answer = await ear.question(wire_of(task), 5.0)
        if answer is not None and answer["type"] != "error":
            assert answer["duplicate"] and answer["taskId"] == task["task_id"], answer
            self.duplicates += 1

    # What is left

    def read_marks(self) -> list[Mark]:
        """Every mark that the models have made so far."""
        with contextlib.suppress(FileNotFoundError), (self.marks / "marks").open() as file:
            file.seek(self._read)
            for line in file:
                what, task, run, pid = line.split()
                self._made.append(Mark(what, task, run, int(pid)))
            self._read = file.tell()
        return self._made

    async def _evidence(self, keeper: HubKeeper, ears: list[Ear]) -> Evidence:
        await until(lambda: keeper.port is not None, PATIENCE_S)
        url = f"ws://127.0.0.1:{keeper.port}/mesh?token={keeper.token}"
        full = self.shim is not None
        return Evidence(
            impure={name for name, task in self._tasks.items() if task["model"] != "marked"},
            inputs={
                name: f'"{name}"' if "input_data" in task else BATCH
                for name, task in self._tasks.items()
            },
            accepted=self._accepted,
            heard={ear.name: dict(ear.heard) for ear in ears},
            complaints=[text for ear in ears for text in ear.complaints],
            replay=await replay(url, self._accepted),
            may_fail=(NO_SPACE,) if full else (),
        )


def wire_of(task: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    """A task as it stands on the wire, with some parameters changed."""
    names = {"task_id": "taskId", "input_data_url": "inputDataURL", "input_data": "inputData"}
    names |= {"use_cache": "useCache"}
    wire = {names.get(name, name): value for name, value in task.items()}
    return {**wire, "type": "task", "parameters": {**task["parameters"], **parameters}}


async def replay(
    url: str, names: Iterable[str], wait_s: float = PATIENCE_S
) -> dict[str, list[Said]]:
    """Every numbered message of every task, as a fresh client is sent them."""
    heard: dict[str, list[Said]] = defaultdict(list)
    left = set(names)
    async with websockets.connect(url, proxy=None, max_size=None) as socket:
        for name in sorted(left):
            await socket.send(f'{{"type": "attach", "taskId": "{name}", "after": 0}}')
        while left:
            try:
                message = decoded(await asyncio.wait_for(socket.recv(), wait_s))
            except TimeoutError:  # what did not come is missing in the evidence
                break
            if message["type"] == "heartbeat":
                await socket.send('{"type": "heartbeat-response"}')
            name = message.get("taskId")
            if "seq" in message:
                heard[name].append(said_of(message))
            if message["type"] in ("taskResult", "error"):
                left.discard(name)
    return dict(heard)


def decoded(frame: str | bytes) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(frame)
    return message


def stored(database: Path) -> list[tuple[str, int, str]]:
    """(task, seq, kind) of every row of a journal that nobody has open."""
    with duckdb.connect(str(database), read_only=True) as journal:
        rows = journal.execute(
            "SELECT task_id, 1, 'accepted' FROM tasks "
            "UNION ALL SELECT task_id, seq, kind FROM task_events "
            "UNION ALL SELECT task_id, seq, 'log' FROM task_logs"
        ).fetchall()
    return [(task, seq, kind) for task, seq, kind in rows]


def figures(storms: Iterable[Storm]) -> str:
    """A table: faults by kind, and how long until those they struck heard news again."""
    storms = list(storms)
    by_kind: dict[str, list[float | None]] = defaultdict(list)
    for storm in storms:
        for kind, lost_s in storm.done:
            by_kind[kind].append(lost_s)
    lines = [f"{'fault':<42}{'count':>7}{'made good':>11}{'median s':>10}{'worst s':>9}"]
    for kind, all_s in sorted(by_kind.items()):
        good = [each for each in all_s if each is not None]
        median = f"{statistics.median(good):.2f}" if good else "-"
        worst = f"{max(good):.2f}" if good else "-"
        lines.append(f"{kind:<42}{len(all_s):>7}{len(good):>11}{median:>10}{worst:>9}")
    for storm in storms:
        ends = ", ".join(f"{count} {kind}" for kind, count in sorted(storm.ends.items()))
        lines.append(
            f"seed {storm.seed}: {storm.tasks} tasks in {storm.took_s:.0f} s: {ends}; "
            f"{storm.duplicates} duplicates, {storm.conflicts} conflicts"
        )
    return re.sub(r" +$", "", "\n".join(lines), flags=re.M)
