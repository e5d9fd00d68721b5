"""What every board does: its session, its client's events, its drawing, its background work."""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from workbench.boards.home import Coalesced, Home
from workbench.boards.hub_watch import LINK_STATES, HubWatch, said
from workbench.clients.events import Handler
from workbench.clients.hub import HubClient
from workbench.errors import LinkError, WorkbenchError
from workbench.runtime import Runtime, runtime
from workbench.session import Workbench, connect
from workbench.widgets.link import LinkedWidget


class Events(Protocol):
    """A client, as far as a board listens to it."""

    def on(self, event: str, handler: Handler) -> Callable[[], None]: ...


class Desk(Protocol):
    """What a board asks of a hub, over a connection of its own."""

    @property
    def client(self) -> HubClient: ...

    async def close(self) -> None: ...


T = TypeVar("T")
Widget = TypeVar("Widget", bound=LinkedWidget)
AnyDesk = TypeVar("AnyDesk", bound=Desk)
AnyBoard = TypeVar("AnyBoard", bound="Board[Any]")


class Board(ABC, Generic[Widget]):
    """Wires one widget to the session. Everything of the widget happens at home, on the
    kernel's loop; everything of a client on the runtime's thread.

    `work` names the board's background work. A board makes what is its own, then calls
    `_start`. Its `_live`, `_heard` and `_reconnect` run on the runtime's thread; `_take`,
    `_flush`, `_show_link` and `_act` at home.
    """

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
        self.widget = widget
        self._home, self._name, self._open_session = home, work, session
        self._runtime = background or runtime()
        self._workbench: Workbench | None = None
        self._inbox: deque[tuple[str, Any]] = deque()
        self._leave: list[Callable[[], None]] = []
        self._ears: list[Callable[[], None]] = []
        self._watch = HubWatch(home, widget, self._reconnect)
        self._drawing = Coalesced(home, self._draw, draw_s)

    def _start(self) -> None:
        self.widget.on_intent(self._intent)
        self._leave.append(self._runtime.watch(self._trouble))
        self._follower = self._spawn(self._live())

    def close(self) -> None:
        """Hear and show nothing more; what was begun goes on at the hub."""
        self._follower.cancel()
        self._hear_no_more()
        for leave in self._leave:
            leave()
        self.widget.close()

    async def _session(self, **where: str) -> Workbench:
        self._workbench = await self._watch.session(self._open_session, **where)
        return self._workbench

    def _hear(self, client: Events, *names: str) -> None:
        for name in names:
            self._ears.append(client.on(name, partial(self._heard, name)))

    def _hear_no_more(self) -> None:
        for leave in self._ears:
            leave()
        self._ears.clear()

    def _tell(self, name: str, data: Any) -> None:
        """Something to be taken and drawn at home. From any thread."""
        self._inbox.append((name, data))
        self._drawing.ask()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        return self._runtime.spawn(work, self._name)

    def _trouble(self, error: BaseException, name: str) -> None:
        """Work of the background failed: the page says so instead of standing still."""
        if name == self._name and isinstance(error, WorkbenchError):
            self._tell("problem", said(error))

    def _draw(self) -> None:
        while self._inbox:
            name, data = self._inbox.popleft()
            if name in LINK_STATES:
                self._show_link(name, data)
            else:
                self._take(name, data)
        self._flush()

    def _take(self, name: str, data: Any) -> None:
        """What was told; a board takes its own kinds first, the rest are traits."""
        setattr(self.widget, name, data)

    # What a person wants, at home

    def _intent(self, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        """Whatever may fail fails in front of the reader."""
        try:
            self._act(str(content.get("kind")), content, buffers)
        except WorkbenchError as error:
            self._refuse(content, error)

    def _act(self, kind: str, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        """What every page may want; a board takes its own kinds first, and leaves others alone."""
        if kind == "startHub":
            self._start_hub()
        elif kind == "restartHub":
            self._restart_hub()

    def _refuse(self, _content: Mapping[str, Any], error: WorkbenchError) -> None:
        self._take("problem", said(error))

    def _start_hub(self) -> None:
        """At a person's word."""
        if self._workbench is not None:
            self._watch.show("starting")
            self._spawn(self._watch.start(self._workbench))

    def _restart_hub(self) -> None:
        """At a person's word: the running one is of another version."""
        self._watch.show("starting")
        self._spawn(self._watch.restart())

    # What a board says for itself

    @abstractmethod
    async def _live(self) -> None:
        """Get the session and the client, then follow until cancelled."""

    @abstractmethod
    async def _reconnect(self) -> None:
        """Make the client try now."""

    @abstractmethod
    def _heard(self, name: str, data: dict[str, Any]) -> None:
        """An event of the client."""

    @abstractmethod
    def _flush(self) -> None:
        """Everything told is taken: send the page what changed."""

    @abstractmethod
    def _show_link(self, name: str, data: Mapping[str, Any]) -> None:
        """How the connection is."""


class DeskBoard(Board[Widget], Generic[Widget, AnyDesk]):
    """A board with a connection of its own, over which its desk asks the hub."""

    _desk: AnyDesk | None = None
    closing: Future[None] | None = None
    """The end of the connection, after `close`."""

    def close(self) -> None:
        """Close the board's connection soon."""
        super().close()
        if self._desk is not None and self._runtime.alive:
            self.closing = self._spawn(self._desk.close())

    def _asked_desk(self) -> AnyDesk:
        return started(self._desk)

    async def _reconnect(self) -> None:
        await self._asked_desk().client.connect(wait_s=0)

    def _show_link(self, name: str, data: Mapping[str, Any]) -> None:
        url = ""
        if self._workbench is not None:
            with contextlib.suppress(LinkError):
                url = self._workbench.hub.ws
        self._watch.show_link(name, data, int(time.time() * 1000), url=url)


def started(part: T | None) -> T:
    """What a board has once its session is there; LinkError before."""
    if part is None:
        raise LinkError("the workbench is still starting: try again in a moment")
    return part


_shown: dict[object, Board[Any]] = {}


def shown(make: type[AnyBoard]) -> AnyBoard | None:
    """The board of this kind that is shown, if any."""
    board = _shown.get(make)
    return board if isinstance(board, make) else None


def show(make: Callable[..., Board[Widget]], **given: Any) -> Widget:
    """The widget of a board of this kind. Shown again, the board that was there is replaced."""
    if make in _shown:
        _shown[make].close()
    board = _shown[make] = make(Home(), **given)
    return board.widget
