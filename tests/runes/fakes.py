"""The node's side of a running model, for tests: it keeps what the model tells it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


class RecordingContext:
    """A Context that remembers progress and logs, each as its finished sentence too."""

    device = "cpu"
    seed = 1
    rune_limit = 5000

    def __init__(self, inputs: Mapping[str, Path]) -> None:
        self.inputs = inputs
        self.steps: list[tuple[float, float]] = []
        self.lines: list[tuple[str, str]] = []

    def progress(self, done: float, total: float, template: str = "", /, **values: Any) -> None:
        template.format(**values)
        self.steps.append((done, total))

    def log(self, template: str, /, *, level: str = "info", **values: Any) -> None:
        self.lines.append((level, template.format(**values)))
