"""What a `metrics` message changes on the metrics panel: the traits that changed, and a tick."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from workbench.core.metrics import CATALOGUE, Key, SubjectKind, frame_values

FACTS = (
    *("gpuId", "name", "vendor", "memoryTotalMB", "powerLimitW", "node", "state", "note"),
    *("unified", "parent", "throttle"),
)
"""What is told of a GPU besides its numbers."""
PAST = 100
TIMES = ("heldS", "idleS", "waitsS")
LEDGER_MS = 15_000
"""Held and idle times are told so often while nothing else of the ledger changes."""

Wire = Mapping[str, Any]


class Tick(NamedTuple):
    """The numbers of one moment in the order of the columns; None for what was not measured."""

    at_ms: int
    values: list[float | None]


class GpuView:
    """Folds messages into the traits of widgets/gpu.py. `changes` hands each out once."""

    def __init__(self) -> None:
        self.at_ms: int | None = None
        """When the newest numbers were taken."""
        self._shown: dict[str, Any] = {}
        self._changed: dict[str, Any] = {}
        self._columns: list[Key] = []
        self._ledger_at = 0

    def take(self, frame: Wire) -> Tick:
        """One `metrics` message."""
        gpus, llm = frame.get("gpus") or [], frame.get("llm") or []
        self.at_ms = int(frame["takenAt"])
        self._show("gpus", [{name: gpu.get(name) for name in FACTS} for gpu in gpus])
        self._show("processes", {gpu["gpuId"]: gpu.get("processes") for gpu in gpus})
        self._show("note", frame.get("gpuNote"))
        self._show("price", frame.get("price"))
        self._show("alerts", list(frame.get("alerts") or []))
        self._show("models", [each["model"] for each in llm if each["model"]])
        self._show_ledger(frame.get("ledger") or {})
        subjects: dict[SubjectKind, list[str]] = {
            "gpu": [gpu["gpuId"] for gpu in gpus],
            "host": [""],
            "model": [each["model"] for each in llm],
        }
        self._columns = columns(subjects)
        self._show("columns", self._columns)
        found = frame_values(frame)
        return Tick(self.at_ms, [found.get(key) for key in self._columns])

    def alert(self, alert: Wire) -> None:
        """One that was raised or cleared just now; the next message confirms it."""
        others = [e for e in self._shown.get("alerts", []) if e["alertId"] != alert["alertId"]]
        if alert["state"] == "raised":
            self._show("alerts", [*others, alert])
            return
        self._show("alerts", others)
        past = [e for e in self._shown.get("past_alerts", []) if e["alertId"] != alert["alertId"]]
        self._show("past_alerts", [alert, *past][:PAST])

    def alerts(self, active: Sequence[Wire], past: Sequence[Wire], rules: Sequence[Wire]) -> None:
        """All of them, as the hub lists them."""
        self._show("alerts", list(active))
        self._show("past_alerts", list(past))
        self._show("rules", list(rules))

    def rules(self, rules: Sequence[Wire]) -> None:
        self._show("rules", list(rules))

    def changes(self) -> dict[str, Any]:
        """Trait -> its new value, since the last call."""
        changed, self._changed = self._changed, {}
        return changed

    def _show(self, name: str, value: Any) -> None:
        if name not in self._shown or self._shown[name] != value:
            self._shown[name] = self._changed[name] = value

    def _show_ledger(self, ledger: Wire) -> None:
        """Its times grow with every message: they alone are no reason to send it."""
        known, now = self._shown.get("ledger"), self.at_ms or 0
        if known is None or now - self._ledger_at >= LEDGER_MS or _still(known) != _still(ledger):
            self._ledger_at = now
            self._show("ledger", ledger)


def columns(subjects: Mapping[SubjectKind, Sequence[str]]) -> list[Key]:
    """Every metric of each subject, subject by subject: an order that lasts as long as they do."""
    by_kind: dict[SubjectKind, list[str]] = {}
    for metric in CATALOGUE.values():
        by_kind.setdefault(metric.of, []).append(metric.name)
    return [
        (metric, subject)
        for kind, named in subjects.items()
        for subject in named
        for metric in by_kind[kind]
    ]


def catalogue() -> dict[str, dict[str, Any]]:
    """Every metric as the panel needs it: unit, title, of, low, high."""
    wanted = ("unit", "title", "of", "low", "high")
    return {
        name: {key: msgspec.to_builtins(metric)[key] for key in wanted}
        for name, metric in CATALOGUE.items()
    }


def _still(ledger: Wire) -> dict[str, Any]:
    return {
        name: [{key: e[key] for key in e if key not in TIMES} for e in lines]
        for name, lines in ledger.items()
    }
