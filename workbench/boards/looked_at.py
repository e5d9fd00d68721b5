"""What the boards share that rest while no page looks: what is shown is kept fresh for a reader."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable
from typing import Generic

from workbench.boards.board import AnyDesk, DeskBoard, Widget
from workbench.boards.home import Home
from workbench.runtime import Runtime
from workbench.session import Workbench, connect

LOOK_S = 1.0
HUB_LOOK_S = 2.0


class LookedAtBoard(DeskBoard[Widget, AnyDesk], Generic[Widget, AnyDesk]):
    """A board that is awake from a page's look until none looks: `_looked_at` says so."""

    def __init__(
        self,
        home: Home,
        widget: Widget,
        work: str,
        *,
        draw_s: float = 0.1,
        session: Callable[[], Workbench] = connect,
        background: Runtime | None = None,
    ) -> None:
        super().__init__(home, widget, work, draw_s=draw_s, session=session, background=background)
        self._looked_at = asyncio.Event()
        widget.on_watched(self._watched)

    async def _keep_fresh(self, workbench: Workbench) -> None:
        """While a page looks: what is shown is kept of now, a hub that went and came is found."""
        looked = 0.0
        while True:
            await self._looked_at.wait()
            await asyncio.sleep(LOOK_S)
            looked += LOOK_S
            if not self.widget.watched:
                self._rest()
            elif self._asked_desk().client.connected:
                self._freshen()
            elif looked >= HUB_LOOK_S:
                looked = 0.0
                await self._watch.look(workbench)

    def _rest(self) -> None:
        """No page looks."""
        self._looked_at.clear()

    @abstractmethod
    def _freshen(self) -> None:
        """Every second that a page looks while the hub is there. On the runtime's thread."""

    @abstractmethod
    def _watched(self, watched: bool) -> None:
        """A page looks (again), or none does any more. At home."""
