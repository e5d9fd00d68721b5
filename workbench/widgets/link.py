"""A widget's line to its pages: answers the pulse, and sends only while somebody looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget

from workbench.widgets.plotly import packed_plotly

GRACE_S = 150.0
"""Hidden pages that stay pulse at most once a minute: no pulse for this long means none looks."""
PAGES = 64
"""Pages that are known at a time; beyond, the one that was heard of longest ago is forgotten."""

Intent = Callable[[dict[str, Any], Sequence[memoryview]], None]
Dispatch = Callable[[Callable[[], None]], None]
Watcher = Callable[[bool], None]


def at_once(work: Callable[[], None]) -> None:
    """Do it here and now: the way without a kernel."""
    work()


class LinkedWidget(anywidget.AnyWidget):
    """Custom messages of our widgets: `ping`, `hello`, `hidden` and `plotly` are answered here,
    the rest goes to the handler of `on_intent` as it came. The handler must return at once.

    A page names itself by `page` in its pulse. One that is hidden says so and falls silent,
    so that it costs nothing and Jupyter may cull its kernel; its next `ping` greets it anew.

    A kernel may deliver messages on another thread (subshells): `dispatch` brings them home.
    The pulse alone is answered where it arrives.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        dispatch: Dispatch = at_once,
        **traits: Any,
    ) -> None:
        self._clock = clock
        self._dispatch = dispatch
        self._intents: list[Intent] = []
        self._watchers: list[Watcher] = []
        self._pages: dict[str, float] = {}
        self._number = 0
        super().__init__(**traits)
        self.on_msg(lambda _widget, content, buffers: self.receive(content, buffers))

    @property
    def model_id(self) -> str:
        """A closed widget keeps its own: JupyterLab asks a kernel for all its widgets at once,
        and none would be restored where one box still held a widget that cannot be named."""
        name: str = self._model_id if self.comm is None else self.comm.comm_id
        return name

    @property
    def watched(self) -> bool:
        """Whether some page looked within the grace time and has not said that it is hidden."""
        now = self._clock()
        return any(now - at < GRACE_S for at in tuple(self._pages.values()))

    def on_intent(self, handler: Intent) -> None:
        """`handler(content, buffers)` is called for what a person wants."""
        self._intents.append(handler)

    def on_watched(self, watcher: Watcher) -> None:
        """`watcher(True)` is called after each greeting, `watcher(False)` once the last page
        said that it is hidden. A page that is gone without a word is seen by `watched` alone."""
        self._watchers.append(watcher)

    def receive(self, content: Any, buffers: Sequence[memoryview] = ()) -> None:
        """One message of a page. Anything that is not an object with a kind is left alone."""
        if not isinstance(content, dict):
            return
        kind, page = content.get("kind"), str(content.get("page", ""))
        if kind == "hidden":
            self._hide(page)
        elif kind in ("ping", "hello"):
            self._look(page, greeted=kind == "hello")
        elif kind == "plotly":
            self.send({"kind": "plotly"}, [packed_plotly()])
        else:
            self._dispatch(lambda: self._intend(content, buffers))

    def _look(self, page: str, *, greeted: bool) -> None:
        woken = not self.watched
        self._pages.pop(page, None)  # the newest is last
        self._pages[page] = self._clock()
        while len(self._pages) > PAGES:
            del self._pages[next(iter(self._pages))]
        if not greeted:
            self.send({"kind": "pong"})
        if greeted or woken:
            self._dispatch(self._greet)

    def _hide(self, page: str) -> None:
        watched = self.watched
        self._pages.pop(page, None)
        if watched and not self.watched:
            self._dispatch(lambda: self._tell_watchers(False))

    def _greet(self) -> None:
        self.greet()
        self._tell_watchers(True)

    def _tell_watchers(self, watched: bool) -> None:
        for watcher in self._watchers:
            watcher(watched)

    def _intend(self, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        for handler in self._intents:
            handler(content, buffers)

    def greet(self) -> None:
        """Send everything there is to show, as the base of the deltas that follow."""
        self.send({"kind": "snapshot", "n": self._number, **self.snapshot()})

    def snapshot(self) -> dict[str, Any]:
        """What a page needs that has nothing yet."""
        return {}

    def tell(
        self, kind: str, delta: Mapping[str, Any], buffers: Sequence[bytes] | None = None
    ) -> None:
        """A numbered change; a page that missed one asks for a snapshot."""
        self._number += 1
        if self.watched:
            content = {"kind": kind, "n": self._number, **delta}
            self.send(content) if buffers is None else self.send(content, list(buffers))
