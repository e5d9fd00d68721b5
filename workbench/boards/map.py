"""The card of a map: one bar for all its tasks, drawn at most five times a second."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from workbench.boards.home import Coalesced, Home
from workbench.boards.hub_watch import said
from workbench.errors import WorkbenchError
from workbench.session.map import Part, Runs
from workbench.widgets.map import SHOWN_FAILURES, MapWidget

DRAW_S = 0.2
WORK = "map card"


class MapBoard:
    """Wires one MapWidget to one map."""

    def __init__(self, home: Home, runs: Runs) -> None:
        self.widget = MapWidget(title=runs.title, dispatch=home.call)
        self._home, self._runs = home, runs
        self._drawing = Coalesced(home, self._draw, DRAW_S)
        self.widget.on_intent(self._intent)
        runs.watch(self._drawing.ask)
        self._draw()

    def _draw(self) -> None:
        runs = self._runs
        self.widget.counts = {**runs.counts, "began": runs.began_ms, "ended": runs.ended_ms}
        failed = [each for each in runs.parts() if each.unsuccessful]
        self.widget.failures = [_shown(each) for each in failed[:SHOWN_FAILURES]]

    def _intent(self, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        kind = content.get("kind")
        if kind == "cancel":
            self._spawn(self._runs.cancelled())
        elif kind == "again":
            self._again()

    def _again(self) -> None:
        try:
            self._runs.again()
        except WorkbenchError as error:
            self.widget.problem = said(error)
        self._drawing.ask()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._runs.runtime.spawn(work, WORK)


def _shown(part: Part) -> dict[str, Any]:
    return {
        "number": part.number,
        "batch": part.batch,
        "taskId": part.task_id,
        "state": part.shown_state,
        "error": None if part.error is None else said(part.error),
    }


def show_map(runs: Runs) -> MapWidget:
    """The card of a map, live. Needs the kernel's running event loop."""
    return MapBoard(Home(asyncio.get_running_loop()), runs).widget
