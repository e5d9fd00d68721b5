"""What every widget of tasks shares: a state of tasks, told to its pages in numbered messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import traitlets

from workbench.widgets.link import LinkedWidget
from workbench.widgets.mesh_state import MeshState
from workbench.widgets.plotly import plotly_version
from workbench.widgets.tables import nested


class TasksWidget(LinkedWidget):
    """A `MeshState`; its tasks and logs travel as numbered messages, opened ones in full.

    A sentence is `{"template", "values", "text"}`; instants are ms since the epoch.
    """

    connection = traitlets.Dict(
        help="{state, endpoint, url, attempt, maxAttempts, retryAt, error, hub: absent | starting}"
    ).tag(sync=True)
    models: Any = traitlets.List(
        help="[{name, version, title, description, parametersSchema}]"
    ).tag(sync=True, to_json=lambda models, _: nested(models))
    problem: Any = traitlets.Dict(
        allow_none=True, default_value=None, help="a sentence, with a remedy"
    ).tag(sync=True)
    plotly_version = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, state: MeshState | None = None, **traits: Any) -> None:
        self.state = state or MeshState()
        given = {"connection": {"state": "connecting", "endpoint": "local", "url": ""}, **traits}
        super().__init__(**given)
        self.set_trait("plotly_version", plotly_version())

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
