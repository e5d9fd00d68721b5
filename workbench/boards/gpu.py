"""show_gpus(): the metrics panel on this process's session."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.boards.board import show
from workbench.boards.gpu_desk import GpuDesk
from workbench.boards.gpu_view import GpuView, catalogue
from workbench.boards.home import Home
from workbench.boards.hub_watch import LINK_STATES
from workbench.boards.looked_at import LookedAtBoard
from workbench.clients.hub import HubClient
from workbench.runtime import Runtime
from workbench.session import Workbench, connect
from workbench.widgets.gpu import GpuPanel


class GpuBoard(LookedAtBoard[GpuPanel, GpuDesk]):
    """Wires one GpuPanel to a hub: the view at home, the GpuDesk on the runtime's thread.

    Metrics are followed while a page looks; a hidden one costs the kernel nothing.
    """

    def __init__(
        self,
        home: Home,
        *,
        session: Callable[[], Workbench] = connect,
        background: Runtime | None = None,
    ) -> None:
        panel = GpuPanel(dispatch=home.call, catalogue=catalogue())
        super().__init__(home, panel, "metrics board", session=session, background=background)
        self._frames: deque[dict[str, Any]] = deque(maxlen=1)
        self.view = GpuView()
        self._start()

    # On the runtime's thread

    async def _live(self) -> None:
        workbench = await self._session()
        client = HubClient(locate=lambda: (workbench.hub.ws, workbench.hub.token))
        desk = self._desk = GpuDesk(client, self._tell, self._reply)
        desk.options = dict(self.widget.options)
        self._hear(client, *LINK_STATES, "alert")
        self._leave.append(client.on("metrics", self._hear_frame))
        if self.widget.watched:
            desk.follow()
        await client.connect(wait_s=0)
        await self._keep_fresh(workbench)

    def _heard(self, name: str, data: dict[str, Any]) -> None:
        self._tell(name, data)
        if name == "connected" and self._desk is not None and self.widget.watched:
            self._spawn(self._desk.do("catchUp", {}))

    def _hear_frame(self, frame: dict[str, Any]) -> None:
        """Of those that a busy kernel could not draw, the newest is; history has the others."""
        if self._desk is not None:
            self._desk.heard()
        missed = bool(self._frames)
        self._frames.append(frame)
        self._tell("missed" if missed else "metrics", None)

    def _freshen(self) -> None:
        """A hub that falls silent is said."""
        if self._asked_desk().overdue:
            self._tell("stale", None)

    def _look(self, options: Mapping[str, Any]) -> None:
        """A page looks (again)."""
        self._looked_at.set()
        if self._desk is not None:
            self._desk.options = options
            self._desk.follow()
            self._spawn(self._desk.do("catchUp", {}))

    def _rest(self) -> None:
        super()._rest()
        if self._desk is not None:
            self._desk.leave()

    def _choose(self, kind: str, options: Mapping[str, Any]) -> None:
        """A person chose something else: how often, what of, since when."""
        desk = self._asked_desk()
        desk.options = options
        if kind in ("configure", "pause"):
            desk.follow()
        if kind != "configure" and not options["paused"]:
            self._spawn(desk.do("history", {}))

    def _reply(self, kind: str, buffers: Sequence[bytes] = (), **said: Any) -> None:
        self._home.call(lambda: self.widget.reply(kind, buffers, **said))

    # At home: the view, the widget

    def _take(self, name: str, data: Any) -> None:
        if name in ("metrics", "missed"):
            self._show_frame(missed=name == "missed")
        elif name == "stale":
            self._show_stale()
        elif name == "history":
            self.widget.history(data)
        elif name in ("alert", "rules"):
            getattr(self.view, name)(data)
        elif name == "alert_page":
            self.view.alerts(**data)
        else:
            super()._take(name, data)

    def _show_frame(self, *, missed: bool) -> None:
        if not self._frames:
            return
        tick = self.view.take(self._frames.popleft())
        self._flush()
        self.widget.stale = None
        self.widget.tick(*tick)
        if missed:
            self._work("history", {})

    def _flush(self) -> None:
        changed = self.view.changes()
        for name, value in changes_in_order(changed):
            setattr(self.widget, name, value)
        if "gpus" in changed or "models" in changed:
            counts = {"gpu": len(self.widget.gpus), "llm": len(self.widget.models) + 1, "host": 1}
            self._on_desk(lambda desk: setattr(desk, "subjects", counts))

    def _show_stale(self) -> None:
        if self.view.at_ms is not None:
            self.widget.stale = {"sinceMs": self.view.at_ms}

    def _show_link(self, name: str, data: Mapping[str, Any]) -> None:
        if name != "connected":
            self._show_stale()
        super()._show_link(name, data)

    # Intents, at home

    def _watched(self, watched: bool) -> None:
        options = dict(self.widget.options)
        if watched:
            self._show_stale()  # what a page shows of before is old until the next message
            self._runtime.call(self._look, options)
        else:
            self._runtime.call(self._rest)

    def _act(self, kind: str, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        if kind in ("configure", "pause", "view", "select", "window"):
            self._asked_desk()
            self._runtime.call(self._choose, kind, dict(self.widget.options))
        elif kind in ("refresh", "alertsPage", "saveRule", "deleteRule", "unload", "export"):
            self._work(kind, content)
        else:
            super()._act(kind, content, buffers)

    def _work(self, kind: str, content: dict[str, Any]) -> None:
        self._spawn(self._asked_desk().do(kind, content))

    def _on_desk(self, work: Callable[[GpuDesk], object]) -> None:
        if self._desk is not None and self._runtime.alive:
            self._runtime.call(work, self._desk)


def changes_in_order(changed: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Columns last: what they are of is known by then."""
    return sorted(changed.items(), key=lambda change: change[0] == "columns")


def show_gpus() -> GpuPanel:
    """The metrics panel. Shown again, the board that was there is replaced."""
    return show(GpuBoard)
