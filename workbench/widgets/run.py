"""One task as a widget: its state, progress, log and result, and a way to cancel it."""

from __future__ import annotations

import traitlets

from workbench.widgets.bundle import script, style
from workbench.widgets.tasks import TasksWidget


class RunWidget(TasksWidget):
    """Draws the one task that `task_id` names. Intents: open, cancel, metrics."""

    _esm = script("run.js")
    _css = style("base.css", "mesh.css")

    task_id = traitlets.Unicode().tag(sync=True)
