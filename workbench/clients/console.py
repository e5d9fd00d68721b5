"""The console of a client: its newest lines, each as template and values."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from workbench.clients.faults import sentence
from workbench.core.sentence import filled

log = logging.getLogger("workbench.clients")


class ConsoleLine(NamedTuple):
    """One line; `at` in milliseconds since the Unix epoch, `text` in English."""

    at: int
    level: str
    text: str
    template: str
    values: dict[str, Any]


Sink = Callable[[ConsoleLine], object]


class Console:
    """Bounded; a sink that fails is dropped, and the client lives on."""

    def __init__(self, most: int) -> None:
        self._lines: deque[ConsoleLine] = deque(maxlen=most)
        self._sink: Sink | None = None

    @property
    def lines(self) -> list[ConsoleLine]:
        return list(self._lines)

    def keep(self, most: int) -> None:
        """Keep that many of the newest lines."""
        if most != self._lines.maxlen:
            self._lines = deque(self._lines, maxlen=most)

    def write(self, at: int, level: str, template: str, values: dict[str, Any]) -> ConsoleLine:
        line = ConsoleLine(at, level, filled(template, values), template, values)
        self._lines.append(line)
        self._hand(line)
        return line

    def clear(self) -> None:
        self._lines.clear()

    def hand_to(self, sink: Sink | None) -> None:
        """Hand each line on, those that stand here at once."""
        self._sink = sink
        for line in self.lines:
            self._hand(line)

    def _hand(self, line: ConsoleLine) -> None:
        if self._sink is None:
            return
        try:
            self._sink(line)
        except Exception:
            log.exception("console.failed")
            self._sink = None


def note(
    name: str, data: dict[str, Any], *, endpoint: str, debug: bool
) -> tuple[str, str, dict[str, Any]] | None:
    """What a person wants to read of an event: level, template, values. Most are not noted."""
    if name == "log":
        return (str(data.get("level") or "info"), *sentence(data, "content"))
    if name == "message" and debug:
        values = {"type": data.get("type"), "task": data.get("taskId") or ""}
        return "debug", "received {type} {task}", values
    if name not in _NOTES:
        return None
    more = {"endpoint": endpoint, "silent_s": round(data.get("silentS", 0))}
    return (*_NOTES[name], {**more, **data})


_NOTES = {
    "connected": ("info", "connected to the {endpoint} endpoint"),
    "disconnected": ("warning", "the connection to the {endpoint} endpoint is gone: {reason}"),
    "reconnecting": ("info", "attempt {attempt} of {maxAttempts} to connect again: {reason}"),
    "reconnect_failed": ("error", "no connection after {attempts} attempts: {reason}"),
    "task_sent": ("info", "task {taskId} sent: {model}"),
    "task_completed": ("info", "task {taskId} done"),
    "task_error": ("error", "task {taskId} ended with {code}: {error}"),
    "task_timeout": ("warning", "no news of task {taskId} for {silent_s} s"),
}
