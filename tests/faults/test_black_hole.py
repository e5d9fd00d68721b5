"""Ten minutes in which nothing passes, on an event loop whose clock runs a hundred times faster.

Node, listener and clients have the waits that they always have.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import ClassVar

import pytest

from tests.faults.ear import Ear
from tests.faults.invariants import told
from tests.faults.small import SmallStorm

pytestmark = pytest.mark.faults

SPEED = 100
HOLE_S = 600.0


class FastSelector(selectors.DefaultSelector):
    """Waits a hundredth of the time."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return super().select(None if timeout is None else timeout / SPEED)


class FastLoop(asyncio.SelectorEventLoop):
    """Whatever waits on it, for a ping, a silence or the next attempt, waits less."""

    def __init__(self) -> None:
        super().__init__(FastSelector())

    def time(self) -> float:
        return time.monotonic() * SPEED


class Hole(SmallStorm):
    """One task runs to its end while neither client can be reached."""

    client: ClassVar = {
        "keep_trying": True, "reconnect_delay": 2.0, "reconnect_max_attempts": 5,
    }  # fmt: skip
    noticed_s = back_s = 0.0

    def _steps(self) -> list[Callable[[Ear, Ear], Awaitable[None]]]:
        return [self._hole]

    async def _hole(self, one: Ear, two: Ear) -> None:
        now = asyncio.get_running_loop().time
        attempt = await self._begin(one, "hole")
        await two.client.attach("hole")
        self._hub.engine.say(attempt, 1)
        await self._so(lambda: len(one.heard["hole"]) == len(two.heard["hole"]) == 2)
        for ear in (one, two):
            ear.road.freeze()
        began = now()
        assert self._hub.listener is not None
        connections = self._hub.listener.connections
        await self._so(lambda: not (connections or one.client.connected or two.client.connected))
        self.noticed_s = now() - began
        for unit in range(2, 12):
            self._hub.engine.say(attempt, unit)
        self._hub.engine.say(attempt, 12)
        self._hub.engine.finish(attempt)
        await self._so(lambda: now() > began + HOLE_S)
        for ear in (one, two):
            ear.road.thaw()
        await self._so(lambda: one.ended("hole") and two.ended("hole"))
        self.back_s = now() - began - HOLE_S


def test_ten_minutes_without_a_word_lose_and_repeat_nothing(tmp_path: Path) -> None:
    storm = Hole(tmp_path)
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        broken = runner.run(storm.run())
    assert not broken, told(broken)
    print(f"noticed after {storm.noticed_s:.0f} s, back after {storm.back_s:.0f} s")
    assert storm.noticed_s > 0
    assert storm.back_s > 0
