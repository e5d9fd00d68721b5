"""The metrics panel as a widget: GPUs, language models and this machine, alerts and history."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import traitlets

from workbench.widgets.bundle import script, style
from workbench.widgets.gpu_state import PanelState
from workbench.widgets.link import LinkedWidget
from workbench.widgets.plotly import plotly_version

TRAITS = (
    *("connection", "problem", "host", "gpus", "note", "columns", "catalogue", "alerts"),
    *("past_alerts", "rules", "processes", "ledger", "models", "options", "stale", "price"),
)
VIEWS = ("gpu", "llm", "host")
INTERVAL_MS = (500, 600_000)
WINDOW_S = (60, 7 * 86_400)
OPTIONS: dict[str, Any] = {
    "intervalMs": 2000,
    "paused": False,
    "view": "gpu",
    "selected": None,
    "windowS": 900,
}


class GpuPanel(LinkedWidget):
    """Draws small traits, ticks of float32 values and a history.

    A sentence is `{"template", "values"}`; instants are ms since the epoch; names of fields are
    those of core/gpu.py, core/alert_nouns.py and core/ledger_nouns.py on the wire. What a person
    chooses stands in `options` before the handlers of `on_intent` are called.

    Intents: configure {intervalMs}, pause {paused}, refresh, view {view}, select {gpus: [gpuId]
    or null}, window {seconds}, export {format: csv | parquet, windowS}, saveRule {rule},
    deleteRule {name}, unload {model}, alertsPage, startHub, restartHub.

    Replies: exported {name, mediaType} with one buffer, exportRefused {error}, ruleSaved {name},
    ruleRefused {error}.
    """

    _esm = script("gpu.js")
    _css = style("base.css", "gpu.css")

    connection = traitlets.Dict(
        help="{state, url, attempt, maxAttempts, retryAt, error, hub: absent | starting}"
    ).tag(sync=True)
    problem: Any = traitlets.Dict(
        allow_none=True, default_value=None, help="a sentence, with a remedy"
    ).tag(sync=True)
    host: Any = traitlets.List(help="[{there, said, remedy}]").tag(sync=True)
    gpus: Any = traitlets.List(help="[Gpu] without the numbers that ticks bring").tag(sync=True)
    note: Any = traitlets.Dict(
        allow_none=True, default_value=None, help="a sentence: why there is no GPU"
    ).tag(sync=True)
    columns: Any = traitlets.List(
        help="[[metric, subject]]: the order of a tick's values; told by ticks and snapshots"
    )
    catalogue: Any = traitlets.Dict(help="metric -> {unit, title, of, low, high}").tag(sync=True)
    alerts: Any = traitlets.List(help="[Alert] that are active").tag(sync=True)
    past_alerts: Any = traitlets.List(help="[Alert] that were cleared, newest first").tag(sync=True)
    rules: Any = traitlets.List(help="[Rule]").tag(sync=True)
    processes: Any = traitlets.Dict(
        help="gpuId -> [{kind, name, memoryMB, count}], or None where the driver lists none"
    ).tag(sync=True)
    ledger: Any = traitlets.Dict(help="LedgerView, or {} where there is no GPU").tag(sync=True)
    models: Any = traitlets.List(help="[id@backend] that were ever asked").tag(sync=True)
    options: Any = traitlets.Dict(
        help="{intervalMs, paused, view, selected: [gpuId] or None for all, windowS}"
    ).tag(sync=True)
    stale: Any = traitlets.Dict(
        allow_none=True, default_value=None, help="{sinceMs} where values are old, else None"
    ).tag(sync=True)
    price: Any = traitlets.Dict(
        allow_none=True, default_value=None, help="{perKwh, currency}, or None: not known"
    ).tag(sync=True)
    plotly_version = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, **traits: Any) -> None:
        self.state = PanelState()
        given = {"connection": {"state": "connecting", "url": ""}, **traits}
        super().__init__(**{**given, "options": {**OPTIONS, **given.get("options", {})}})
        self.set_trait("plotly_version", plotly_version())
        self.on_intent(lambda content, _buffers: self._choose(content))

    @classmethod
    def from_file(cls, path: str | Path) -> GpuPanel:
        """Draw a panel from a JSON file: `{"traits": {...}, "history": {...}, "tick": {at,
        values}}`, the history as the hub answers it."""
        read: Mapping[str, Any] = json.loads(Path(path).read_text("utf-8"))
        known = {name: value for name, value in read.get("traits", {}).items() if name in TRAITS}
        widget = cls(**known)
        if read.get("history"):
            widget.history(read["history"])
        if read.get("tick"):
            widget.tick(read["tick"]["at"], read["tick"]["values"])
        return widget

    @traitlets.observe("columns")
    def _ordered(self, change: Any) -> None:
        self.state.columns = change["new"]

    def tick(self, at_ms: int, values: Sequence[float | None]) -> None:
        """The numbers of one moment in the order of `columns`; sent while a page looks."""
        delta, row = self.state.tick(at_ms, values, heard=self.watched)
        self.tell("tick", delta, [row])

    def history(self, answer: Mapping[str, Any]) -> None:
        """What the charts begin with: an answer of `metrics:history`."""
        self.state.set_history(answer)
        if self.watched:
            self._send_history()

    def reply(self, kind: str, buffers: Sequence[bytes] = (), **said: Any) -> None:
        """An answer to an intent (see the class)."""
        self.send({"kind": kind, **said}, list(buffers) or None)

    def snapshot(self) -> dict[str, Any]:
        """The order of the values, and the newest."""
        return self.state.snapshot()

    def greet(self) -> None:
        """Send everything there is to show; the charts' beginning follows the snapshot."""
        super().greet()
        self._send_history()

    def _send_history(self) -> None:
        if self.state.history is not None:
            named, numbers = self.state.history
            self.send({"kind": "history", **named}, [numbers])

    def _choose(self, content: Mapping[str, Any]) -> None:
        chosen = _chosen(content, [gpu["gpuId"] for gpu in self.gpus])
        if chosen:
            self.options = {**self.options, **chosen}


def _chosen(content: Mapping[str, Any], known: Sequence[str]) -> dict[str, Any]:
    """What an intent changes of the options; what it has no business to say changes nothing."""
    kind = content.get("kind")
    if kind == "configure":
        return _bounded("intervalMs", content.get("intervalMs"), INTERVAL_MS)
    if kind == "window":
        return _bounded("windowS", content.get("seconds"), WINDOW_S)
    if kind == "pause":
        return {"paused": bool(content.get("paused"))}
    if kind == "view" and content.get("view") in VIEWS:
        return {"view": content["view"]}
    if kind == "select":
        gpus = content.get("gpus")
        chosen = [each for each in gpus if each in known] if isinstance(gpus, list) else []
        return {"selected": chosen or None}
    return {}


def _bounded(name: str, value: Any, bounds: tuple[int, int]) -> dict[str, Any]:
    if not isinstance(value, int | float) or isinstance(value, bool) or value != value:
        return {}
    return {name: int(min(max(value, bounds[0]), bounds[1]))}
