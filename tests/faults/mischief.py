"""Everything that a storm does to a hub, its processes and its clients, by name."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import psutil

from tests.faults.ear import Ear
from tests.faults.hub_keeper import HubKeeper
from tests.faults.invariants import Mark
from tests.faults.road import until
from tests.faults.workers import Crew

GONE_S = 15.0
NEWS_S = 90.0
DAY_S = 86_400


class Pace(NamedTuple):
    """How long what passes by itself lasts, in seconds, and the longest that one in ten does."""

    stop_s: tuple[float, float] = (0.3, 1.5)
    freeze_s: tuple[float, float] = (0.3, 2.0)
    full_s: tuple[float, float] = (0.5, 2.0)
    long_stop_s: float = 0.0
    long_freeze_s: float = 0.0


class Done(NamedTuple):
    """One fault, and how long it was until those it struck heard news again; None: none came."""

    kind: str
    lost_s: float | None


class Mischief:
    """The faults of one storm. `do(kind)` returns when the fault is over and made good."""

    def __init__(
        self,
        keeper: HubKeeper,
        ears: list[Ear],
        marks: Callable[[], list[Mark]],
        chance: random.Random,
        pace: Pace,
        workers: Crew | None = None,
    ) -> None:
        self._keeper, self._ears, self._marks = keeper, ears, marks
        self._chance, self._pace, self._workers = chance, pace, workers
        self.done: list[Done] = []
        self.complaints: list[str] = []
        self._hub_is_hit = asyncio.Lock()
        self._calm = asyncio.Event()
        self._frozen: dict[Ear, int] = dict.fromkeys(ears, 0)
        self._faults: dict[str, Callable[[], Awaitable[list[Ear]]]] = {
            "kill -9 of the hub": self._kill_hub,
            "SIGSTOP of the hub": self._stop_hub,
            "SIGSTOP, then kill -9 of the hub": self._stop_and_kill_hub,
            "drain of the hub": self._drain_hub,
            "kill -9 of a child": self._kill_child,
            "SIGSTOP of a child": self._stop_child,
            "SIGSTOP, then kill -9 of a child": self._stop_and_kill_child,
            "reset in mid-frame": self._reset,
            "half-open link": self._half_open,
            "black hole": self._black_hole,
            "slow reader": self._slow_reader,
        }
        if keeper.shim is not None:
            self._faults |= {"jump of the clock": self._jump, "full disk": self._full_disk}
        if workers is not None:
            self._faults |= {
                "kill -9 of a Dask worker": self._kill_worker,
                "SIGSTOP of a Dask worker": self._stop_worker,
                "SIGSTOP, then kill -9 of a Dask worker": self._stop_and_kill_worker,
            }

    @property
    def kinds(self) -> list[str]:
        return list(self._faults)

    async def do(self, kind: str) -> None:
        began = time.monotonic()
        struck = await self._faults[kind]()
        over = time.monotonic()
        heard = lambda: all(ear.word_at > over for ear in struck)  # noqa: E731
        await until(lambda: heard() or self._calm.is_set(), NEWS_S)
        self.done.append(Done(kind, time.monotonic() - began if heard() else None))

    def calm(self) -> None:
        """The storm is over: what is still to pass by itself does so now."""
        self._calm.set()

    # The hub

    async def _kill_hub(self) -> list[Ear]:
        async with self._hub_is_hit:
            await self._kill()
        return self._ears

    async def _kill(self) -> None:
        """What ran below it is gone soon after, whatever it did."""
        await until(lambda: self._keeper.port is not None, NEWS_S)
        life, below = self._keeper.lives, self._keeper.hub.children()
        self._keeper.signal(signal.SIGKILL)
        _, alive = await asyncio.to_thread(psutil.wait_procs, below, GONE_S)
        self.complaints += [f"process {each.pid} outlived its hub" for each in alive]
        await self._keeper.again(life)

    async def _stop_hub(self) -> list[Ear]:
        async with self._hub_is_hit:
            await self._freeze_hub()
            self._keeper.signal(signal.SIGCONT)
        return self._ears

    async def _stop_and_kill_hub(self) -> list[Ear]:
        async with self._hub_is_hit:
            await self._freeze_hub()
            await self._kill()
        return self._ears

    async def _freeze_hub(self) -> None:
        await until(lambda: self._keeper.port is not None, NEWS_S)
        self._keeper.signal(signal.SIGSTOP)
        await self._while(self._pace.stop_s, self._pace.long_stop_s)

    async def _drain_hub(self) -> list[Ear]:
        async with self._hub_is_hit:
            await until(lambda: self._keeper.port is not None, NEWS_S)
            life = self._keeper.lives
            self._keeper.signal(signal.SIGTERM)
            await self._keeper.again(life)
        return self._ears

    async def _jump(self) -> list[Ear]:
        assert self._keeper.shim is not None
        seconds = self._chance.choice((-1, 1)) * self._chance.choice((61, 7200, 40 * DAY_S))
        self._keeper.shim.jump(seconds)
        return self._ears

    async def _full_disk(self) -> list[Ear]:
        shim = self._keeper.shim
        assert shim is not None
        shim.fill(True)
        await self._while(self._pace.full_s)
        shim.fill(False)
        return self._ears

    # Processes below it

    async def _kill_child(self) -> list[Ear]:
        child = await self._a_child()
        if child is not None:
            _signal(child, signal.SIGKILL)
        return self._ears

    async def _stop_child(self) -> list[Ear]:
        return await self._stop_then(await self._a_child(), signal.SIGCONT)

    async def _stop_and_kill_child(self) -> list[Ear]:
        return await self._stop_then(await self._a_child(), signal.SIGKILL)

    async def _kill_worker(self) -> list[Ear]:
        _signal(self._a_worker(), signal.SIGKILL)
        return self._ears

    async def _stop_worker(self) -> list[Ear]:
        return await self._stop_then(self._a_worker(), signal.SIGCONT)

    async def _stop_and_kill_worker(self) -> list[Ear]:
        return await self._stop_then(self._a_worker(), signal.SIGKILL)

    async def _stop_then(self, pid: int | None, number: signal.Signals) -> list[Ear]:
        if pid is not None:
            _signal(pid, signal.SIGSTOP)
            await self._while(self._pace.stop_s, self._pace.long_stop_s)
            _signal(pid, number)
        return self._ears

    def _a_worker(self) -> int:
        assert self._workers is not None
        return self._chance.choice(self._workers.pids())

    async def _a_child(self) -> int | None:
        """One that is at work, by its own marks."""
        busy: list[int] = []
        await until(lambda: busy.extend(self._busy()) or busy, 2.0)
        return self._chance.choice(busy) if busy else None

    def _busy(self) -> list[int]:
        at_work = {}
        for mark in self._marks():
            if mark.what == "start":
                at_work[mark.run] = mark.pid
            elif mark.what == "end":
                at_work.pop(mark.run, None)
        return [pid for pid in set(at_work.values()) if _is_child(pid)]

    # Links

    async def _reset(self) -> list[Ear]:
        ear = self._chance.choice(self._ears)
        await ear.road.reset()
        return [ear]

    async def _half_open(self) -> list[Ear]:
        """One client's link goes quiet, then it is cut, as when a router has forgotten it."""
        ear = self._chance.choice(self._ears)
        await self._quiet([ear])
        ear.road.drop()
        return [ear]

    async def _black_hole(self) -> list[Ear]:
        """Nothing passes between any client and the hub; then all that waited does."""
        await self._quiet(self._ears)
        return self._ears

    async def _quiet(self, ears: list[Ear]) -> None:
        for ear in ears:
            self._frozen[ear] += 1
            ear.road.freeze()
        await self._while(self._pace.freeze_s, self._pace.long_freeze_s)
        for ear in ears:
            self._frozen[ear] -= 1
            if not self._frozen[ear]:
                ear.road.thaw()

    async def _slow_reader(self) -> list[Ear]:
        ear = self._chance.choice(self._ears)
        ear.road.throttle(2000.0)
        await self._while(self._pace.freeze_s, self._pace.long_freeze_s)
        ear.road.throttle(None)
        return [ear]

    async def _while(self, span: tuple[float, float], long_s: float = 0.0) -> None:
        wait_s = max(self._chance.uniform(*span), long_s if self._chance.random() < 0.1 else 0.0)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._calm.wait(), wait_s)


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(pid).send_signal(number)


def _is_child(pid: int) -> bool:
    """Whether it is a task process still: numbers are used again."""
    try:
        return "workbench.engines.child" in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False
