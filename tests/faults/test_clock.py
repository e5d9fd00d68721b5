"""A clock that is set back: what was to happen in a moment still does, not hours later."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults.shim import Shim, compiler
from tests.hub_process import test_environment

pytestmark = pytest.mark.faults

HOUR_S = 3600
ENGINE = """
import asyncio, sys
from pathlib import Path
from tests.engines.flying import job
from workbench.engines.dask import DaskEngine

async def main():
    engine = DaskEngine(slots=2, scratch=Path(sys.argv[1]))
    await engine.start()
    await engine.run(job("talk", steps=1), lambda event: None)
    print("ready", flush=True)
    for _ in range(20):
        outcome = await engine.run(job("talk", steps=1), lambda event: None)
        print(type(outcome).__name__, flush=True)
    await engine.stop()

asyncio.run(main())
"""


@pytest.mark.skipif(compiler() is None, reason="no C compiler here: a clock cannot jump")
def test_tasks_end_while_the_clock_is_set_back_again_and_again(tmp_path: Path) -> None:
    shim = Shim(tmp_path, tmp_path / "data")
    engine = subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**test_environment(), **shim.environment},
    )
    try:
        assert engine.stdout
        assert engine.stdout.readline() == "ready\n"
        deadline = time.monotonic() + 30
        while engine.poll() is None and time.monotonic() < deadline:
            shim.jump(-HOUR_S)
            time.sleep(0.005)
        assert engine.poll() == 0, "it waits for the time that it was before"
        assert engine.stdout.read() == "Done\n" * 20
    finally:
        engine.kill()
        engine.communicate()
