"""The mesh submitter as a widget: what a board tells it comes down, what a person wants goes up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import traitlets

from workbench.widgets.bundle import script, style
from workbench.widgets.mesh_state import MeshState
from workbench.widgets.tasks import TasksWidget

TRAITS = ("connection", "endpoints", "models", "samples", "host", "problem", "chosen")


class MeshWidget(TasksWidget):
    """Draws a `MeshState` and small traits.

    Intents: submit, rerun, cancel, open, older, connect, upload, metrics (see static/mesh.js).
    """

    _esm = script("mesh.js")
    _css = style("base.css", "mesh.css")

    endpoints: Any = traitlets.List(help="[{name: local | remote | custom, url}]").tag(sync=True)
    samples: Any = traitlets.List(help="[{path, bytes, kind: batch | block | spent}]").tag(
        sync=True
    )
    host: Any = traitlets.List(help="[{there, said, remedy}]").tag(sync=True)
    chosen = traitlets.Unicode(help="the model that the form begins with").tag(sync=True)

    @classmethod
    def from_file(cls, path: str | Path) -> MeshWidget:
        """Draw a page from a JSON file: `{"traits": {...}, "tasks": [...], "opened": {...}}`."""
        read: Mapping[str, Any] = json.loads(Path(path).read_text("utf-8"))
        known = {name: value for name, value in read.get("traits", {}).items() if name in TRAITS}
        widget = cls(MeshState.from_snapshot(read), **known)
        widget.on_intent(lambda content, _buffers: widget.answer_open(content))
        return widget
