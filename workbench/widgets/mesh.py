"""The mesh submitter as a widget: what a board tells it comes down, what a person wants goes up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import traitlets

from workbench.widgets.bundle import script, style
from workbench.widgets.link import LinkedWidget
from workbench.widgets.mesh_state import MeshState
from workbench.widgets.plotly import plotly_version

TRAITS = ("connection", "endpoints", "models", "samples", "host", "problem")


class MeshWidget(LinkedWidget):
    """Draws a `MeshState` and six small traits; tasks and logs travel as numbered messages.

    Intents: submit, rerun, cancel, open, older, connect, upload, metrics (see static/mesh.js).
    A sentence is `{"template", "values", "text"}`; instants are ms since the epoch.
    """

    _esm = script("mesh.js")
    _css = style("base.css", "mesh.css")

    connection = traitlets.Dict(
        help="{state, endpoint, url, attempt, maxAttempts, retryAt, error, hub: absent | starting}"
    ).tag(sync=True)
    endpoints: Any = traitlets.List(help="[{name: local | remote | custom, url}]").tag(sync=True)
    models: Any = traitlets.List(
        help="[{name, version, title, description, parametersSchema}]"
    ).tag(sync=True)
    samples: Any = traitlets.List(help="[{path, bytes, kind: batch | block | spent}]").tag(
        sync=True
    )
    host: Any = traitlets.List(help="[{there, said, remedy}]").tag(sync=True)
    problem: Any = traitlets.Dict(
        allow_none=True, default_value=None, help="a sentence, with a remedy"
    ).tag(sync=True)
    plotly_version = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, state: MeshState | None = None, **traits: Any) -> None:
        self.state = state or MeshState()
        given = {"connection": {"state": "connecting", "endpoint": "local", "url": ""}, **traits}
        super().__init__(**given)
        self.set_trait("plotly_version", plotly_version())

    @classmethod
    def from_file(cls, path: str | Path) -> MeshWidget:
        """Draw a page from a JSON file: `{"traits": {...}, "tasks": [...], "opened": {...}}`."""
        read: Mapping[str, Any] = json.loads(Path(path).read_text("utf-8"))
        known = {name: value for name, value in read.get("traits", {}).items() if name in TRAITS}
        widget = cls(MeshState.from_snapshot(read), **known)
        widget.on_intent(lambda content, _buffers: widget.answer_open(content))
        return widget

    def reply(self, kind: str, **said: Any) -> None:
        """An answer to an intent: submitted, refused, upload, metrics."""
        self.send({"kind": kind, **said})

    def snapshot(self) -> dict[str, Any]:
        """Every task, without logs and results: a page opens those one by one."""
        return self.state.snapshot()

    def flush(self) -> None:
        """Send what changed since the last time, if anything did."""
        delta = self.state.take_delta()
        if delta:
            self.tell("delta", delta)

    def answer_open(self, content: Mapping[str, Any]) -> None:
        """Log and result of the task that a page looks at; what comes later travels in deltas."""
        if content.get("kind") == "open":
            self.show_opened(str(content.get("taskId")))

    def show_opened(self, task_id: str) -> None:
        """Send all that is known of a task to the pages that opened it."""
        self.flush()  # lines waiting for the next delta would arrive twice otherwise
        self.send({"kind": "opened", **self.state.opened(task_id)})
