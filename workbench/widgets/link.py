"""A widget's line to its pages: answers the pulse, and sends only while somebody looks."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import anywidget

from workbench.widgets.plotly import packed_plotly

GRACE_S = 150.0
"""Hidden pages pulse at most once a minute: no pulse for this long means that none looks."""

Intent = Callable[[dict[str, Any], Sequence[memoryview]], None]
Dispatch = Callable[[Callable[[], None]], None]


def at_once(work: Callable[[], None]) -> None:
    """Do it here and now: the way without a kernel."""
    work()


class LinkedWidget(anywidget.AnyWidget):
    """Custom messages of our widgets: `ping`, `hello` and `plotly` are answered here, the
    rest goes to the handler of `on_intent` as it came. The handler must return at once.

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
        self._looked_at: float | None = None
        self._number = 0
        super().__init__(**traits)
        self.on_msg(lambda _widget, content, buffers: self.receive(content, buffers))

    @property
    def watched(self) -> bool:
        """Whether some page looked within the grace time."""
        return self._looked_at is not None and self._clock() - self._looked_at < GRACE_S

    def on_intent(self, handler: Intent) -> None:
        """`handler(content, buffers)` is called for what a person wants."""
        self._intents.append(handler)

    def receive(self, content: Any, buffers: Sequence[memoryview] = ()) -> None:
        """One message of a page. Anything that is not an object with a kind is left alone."""
        if not isinstance(content, dict):
            return
        kind = content.get("kind")
        woken = not self.watched
        self._looked_at = self._clock()
        if kind == "ping":
            self.send({"kind": "pong"})
            if woken:
                self._dispatch(self.greet)
        elif kind == "hello":
            self._dispatch(self.greet)
        elif kind == "plotly":
            self.send({"kind": "plotly"}, [packed_plotly()])
        else:
            self._dispatch(lambda: self._intend(content, buffers))

    def _intend(self, content: dict[str, Any], buffers: Sequence[memoryview]) -> None:
        for handler in self._intents:
            handler(content, buffers)

    def greet(self) -> None:
        """Send everything there is to show, as the base of the deltas that follow."""
        self.send({"kind": "snapshot", "n": self._number, **self.snapshot()})

    def snapshot(self) -> dict[str, Any]:
        """What a page needs that has nothing yet."""
        return {}

    def tell(self, kind: str, delta: Mapping[str, Any]) -> None:
        """A numbered change; a page that missed one asks for a snapshot."""
        self._number += 1
        if self.watched:
            self.send({"kind": kind, "n": self._number, **delta})
