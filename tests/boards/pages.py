"""A page without a browser: the other end of a board's widget."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from workbench.boards.board import Board

PATIENCE_S = 60.0


class BoardPage:
    """What a board's widget was sent, and a person's intents."""

    def __init__(self, board: Board[Any]) -> None:
        self.board, self.widget = board, board.widget
        self.heard: list[Any] = []
        self.widget.send = self.hear

    def hear(self, content: dict[str, Any], buffers: Sequence[bytes] | None = None) -> None:
        self.heard.append(content)

    def looks(self) -> None:
        self.widget.receive({"kind": "ping", "page": "p"})

    def hides(self) -> None:
        self.widget.receive({"kind": "hidden", "page": "p"})

    def wants(self, kind: str, **more: Any) -> None:
        self.widget.receive({"kind": kind, **more})

    async def until(self, condition: Callable[[], Any]) -> Any:
        """What the page is told is drawn within milliseconds; nothing tells the test of it."""
        async with asyncio.timeout(PATIENCE_S):
            while not (found := condition()):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            return found
