"""A hub that is started again whenever it ends, as a supervisor of services would."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
from pathlib import Path
from typing import Any, Self

from tests.faults.road import until
from tests.faults.shim import Shim
from tests.hub_process import HubProcess

START_TRIES = 5


class HubKeeper:
    """`port` is where the hub listens, None while it is away; `lives` counts its starts."""

    def __init__(self, data: Path, shim: Shim | None, **settings: str) -> None:
        self.data, self.shim = data, shim
        environment = shim.environment if shim is not None else {}
        given = {"WORKBENCH_LLM_DISCOVER": "0", "WORKBENCH_METRICS_HISTORY": "false"}
        self.hub = HubProcess(data, **given, **environment, **settings)
        self.port: int | None = None
        self.token = ""
        self.lives = 0
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._start()
        self._watch = asyncio.create_task(self._keep())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watch
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGCONT)
        await asyncio.to_thread(self.hub.stop)

    @property
    def pid(self) -> int:
        assert self.hub.process is not None
        return self.hub.process.pid

    def signal(self, number: signal.Signals) -> None:
        """To the hub alone: what it started has to notice by itself."""
        assert self.hub.process is not None
        self.hub.process.send_signal(number)

    async def again(self, life: int) -> None:
        """Wait until it has been started anew since its life number `life`."""
        assert await until(lambda: self.lives > life, 120), "the hub did not come back"

    def check(self) -> None:
        """Raises what kept the hub from being started again."""
        if self._watch is not None and self._watch.done():
            self._watch.result()

    async def _start(self) -> None:
        said: dict[str, Any] = await asyncio.to_thread(self.hub.start)
        self.port = int(said["mesh"].rsplit(":", 1)[1].split("/")[0])
        self.token = said["token"]
        self.lives += 1

    async def _keep(self) -> None:
        tries = 0
        while True:
            process = self.hub.process
            assert process is not None
            await until(lambda process=process: process.poll() is not None, math.inf)
            self.port = None
            try:
                await self._start()
                tries = 0
            except AssertionError:
                if self.shim is not None and self.shim.full:
                    continue
                tries += 1
                if tries == START_TRIES:
                    raise


def hub_log(data: Path) -> str:
    return (data / "test-hub.log").read_text(errors="replace")
