"""What the metrics panel shows as numbers: the newest tick and the history, packed for a page."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Column = tuple[str, str]
"""(metric, subject), as core/metrics.py has it."""

LISTS = ("at", "mean", "low", "high")
"""A series' lists in the order of its buffer."""


def packed(numbers: Iterable[float | None]) -> bytes:
    """Little-endian float32; None is NaN."""
    row = array("f", [math.nan if number is None else number for number in numbers])
    if sys.byteorder == "big":
        row.byteswap()
    return row.tobytes()


class PanelState:
    """The newest values in the order of `columns`, and the history as it travels.

    Instants are ms since the epoch. History's instants travel as seconds since its `since`:
    a float32 keeps them to a tenth of a second over ten days.
    """

    def __init__(self) -> None:
        self._columns: list[Column] = []
        self._told = False
        self._newest: tuple[int, list[float | None]] | None = None
        self._history: tuple[dict[str, Any], bytes] | None = None

    @property
    def columns(self) -> list[Column]:
        return self._columns

    @columns.setter
    def columns(self, columns: Iterable[Sequence[str]]) -> None:
        """Another order; values that came before it are no longer known."""
        wanted = [(str(metric), str(subject)) for metric, subject in columns]
        if wanted != self._columns:
            self._columns, self._told, self._newest = wanted, False, None

    def tick(
        self, at_ms: int, values: Sequence[float | None], *, heard: bool
    ) -> tuple[dict[str, Any], bytes]:
        """The delta of a tick and its buffer. New columns go with the first tick that a page
        hears of them, in the same message: state and messages may overtake each other."""
        if len(values) != len(self._columns):
            raise ValueError(f"{len(values)} values for {len(self._columns)} columns")
        self._newest = (at_ms, list(values))
        delta: dict[str, Any] = {"at": at_ms}
        if not self._told:
            delta["columns"] = self._columns
            self._told = heard
        return delta, packed(values)

    def set_history(self, answer: Mapping[str, Any]) -> None:
        """The wire answer of `metrics:history`."""
        since = int(answer["since"])
        numbers: list[float] = []
        for series in answer["series"]:
            numbers += [(at - since) / 1000 for at in series["at"]]
            for name in LISTS[1:]:
                numbers += series[name]
        shape = [[each["metric"], each["subject"], len(each["at"])] for each in answer["series"]]
        named = {
            "resolution": answer["resolution"],
            "stepMs": answer["stepMs"],
            "since": since,
            "until": int(answer["until"]),
            "series": shape,
        }
        self._history = (named, packed(numbers))

    @property
    def history(self) -> tuple[dict[str, Any], bytes] | None:
        """What a page's chart begins with, if it was asked for yet."""
        return self._history

    def snapshot(self) -> dict[str, Any]:
        """Columns, and the newest values with their instant."""
        self._told = True
        newest = self._newest
        return {
            "columns": self._columns,
            "at": newest[0] if newest else None,
            "values": newest[1] if newest else [],
        }
