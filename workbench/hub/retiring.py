"""Once a day, and at the start, what is kept no longer is deleted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from workbench.errors import WorkbenchError

DAY_S = 86_400.0
AGAIN_S = 3600.0
"""How long after a failure, such as a full disk, it is tried again."""

log = logging.getLogger("workbench.hub")


class Retired(Protocol):
    """What went."""

    @property
    def rows(self) -> int: ...
    @property
    def files(self) -> int: ...
    @property
    def bytes(self) -> int: ...


class Retiring:
    """Calls `retire` for as long as the hub lives. For one event loop."""

    def __init__(self, retire: Callable[[], Awaitable[Retired]]) -> None:
        self._retire = retire
        self._task: asyncio.Task[Any] | None = None

    async def start(self) -> None:
        """Delete what went out of date while no hub ran; then each day."""
        wait_s = await self._once()
        self._task = asyncio.create_task(self._work(wait_s))

    async def close(self) -> None:
        """Retire no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _work(self, wait_s: float) -> None:
        while True:
            await asyncio.sleep(wait_s)
            wait_s = await self._once()

    async def _once(self) -> float:
        try:
            gone = await self._retire()
        except WorkbenchError as error:
            log.warning("retention.failed reason=%s", error)
            return AGAIN_S
        if gone.rows or gone.files:
            log.info("retention rows=%d files=%d bytes=%d", gone.rows, gone.files, gone.bytes)
        return DAY_S
