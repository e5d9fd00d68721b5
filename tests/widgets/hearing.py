"""Widgets without a page: a clock moved by hand, and messages kept instead of sent."""

from __future__ import annotations

import json
from typing import Any

from workbench.widgets.link import LinkedWidget


class Clock:
    """Monotonic seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Hearing(LinkedWidget):
    """Stands before a widget's class, and keeps its messages to pages."""

    def __init__(self, *given: Any, **traits: Any) -> None:
        self.messages: list[dict[str, Any]] = []
        super().__init__(*given, **traits)

    def send(self, content: Any, buffers: Any = None) -> None:
        self.messages.append(json.loads(json.dumps(content)))


def kinds(widget: Hearing) -> list[str]:
    return [message["kind"] for message in widget.messages]
