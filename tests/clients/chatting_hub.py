"""The hub's own `/ws` on loopback, over a real store and the real service of language models.

Only the back end behind the service is a double (tests/llm/scripted.py): it says what a test
wrote, and no engine is behind it.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tests.hub.endpoint import Endpoint
from tests.llm.scripted import Scripted
from workbench.llm.service import Service


class ChattingHub(Endpoint):
    """`backend` is what the model says."""

    def __init__(self, folder: Path, backend: Scripted) -> None:
        self.backend = backend
        super().__init__(folder, models=Service(servers=self._servers))

    async def _servers(self) -> Sequence[Scripted]:
        return [self.backend]


@contextlib.asynccontextmanager
async def chatting(folder: Path, backend: Scripted | None = None) -> AsyncIterator[ChattingHub]:
    hub = ChattingHub(folder, backend or Scripted())
    try:
        async with hub.serving():
            yield hub
    finally:
        await hub.models.close()
