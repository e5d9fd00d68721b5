"""No process outlives a hub that was killed, whatever it is doing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.engines.waiting import alive, until
from workbench.engines.guard import Guard

HUB = """
import asyncio, sys
from pathlib import Path
from tests.engines.flying import job
from workbench.engines.dask import DaskEngine

async def main():
    engine = DaskEngine(slots=2, scratch=Path(sys.argv[1]))
    await engine.start()
    say = lambda event: print(event.values["pids"], flush=True)
    await asyncio.gather(*(engine.run(job(f), say) for f in sys.argv[2:]))

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own guarantees")
def test_no_process_outlives_a_killed_hub(tmp_path: Path) -> None:
    hub = subprocess.Popen(
        [sys.executable, "-c", HUB, str(tmp_path), "locked", "busy"],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert hub.stdout
        named = [int(pid) for _ in range(2) for pid in hub.stdout.readline().split()]
        everyone = {p.pid for p in psutil.Process(hub.pid).children(recursive=True)} | set(named)
        assert len(named) == 3  # one of the two has a child of its own
        assert len(everyone) == 4  # and the guard
    finally:
        hub.kill()
        hub.communicate()
    until(lambda: not any(map(alive, everyone)), limit_s=30)


def test_a_group_whose_lease_is_not_renewed_is_killed_and_no_other() -> None:
    sleepers = [subprocess.Popen(["sleep", "60"], start_new_session=True) for _ in range(3)]
    unleased, renewed, expired = (sleeper.pid for sleeper in sleepers)
    guard = Guard()
    try:
        for group in (unleased, renewed, expired):
            guard.add(group)
        guard.lease(renewed, 0.1)
        guard.lease(renewed, 60.0)
        guard.lease(expired, 0.1)
        until(lambda: not alive(expired), limit_s=30)
        assert alive(unleased)
        assert alive(renewed)
    finally:
        guard.close()
    until(lambda: not any(map(alive, (unleased, renewed))), limit_s=30)
    for sleeper in sleepers:
        sleeper.wait(30)
