"""The Runes board as a widget: a batch, a question, a rune; and the answers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import traitlets

from workbench.widgets.bundle import script, style
from workbench.widgets.mesh_state import MeshState
from workbench.widgets.tasks import TasksWidget

TRAITS = ("connection", "models", "batches", "samples", "problem")


class RunesWidget(TasksWidget):
    """Draws a `MeshState` of the questions asked, and small traits. Each of `models` has a
    `part`: question, model or import.

    Intents: look, once the page has it in view; ask {taskId, model, alias, parameters}, rerun {of,
    taskId}, import {taskId, inputDataURL, name, spentOutputsURL}, upload, cancel, open, metrics;
    batches, about {alias}, search {number, alias, text}, export {taskId, table, format}, startHub,
    restartHub.

    Replies: submitted, refused, upload, metrics, about {alias, ...}, runes {number, found},
    imported {taskId, alias}, exported {name, mediaType} with the file, exportRefused {error}.
    """

    _esm = script("runes.js")
    _css = style("base.css", "mesh.css", "runes.css")

    batches: Any = traitlets.List(help="[{alias, rows, createdAt: ms}], newest first").tag(
        sync=True
    )
    samples: Any = traitlets.List(help="[{path, bytes, kind: batch | block | spent}]").tag(
        sync=True
    )
    listed = traitlets.Bool(help="whether the hub has told its batches yet").tag(sync=True)

    @classmethod
    def from_file(cls, path: str | Path) -> RunesWidget:
        """Draw a page from a JSON file: `{"traits": {...}, "tasks": [...], "opened": {...}}`."""
        read: Mapping[str, Any] = json.loads(Path(path).read_text("utf-8"))
        known = {name: value for name, value in read.get("traits", {}).items() if name in TRAITS}
        widget = cls(MeshState.from_snapshot(read), **known)
        widget.on_intent(lambda content, _buffers: widget.answer_open(content))
        return widget

    def give(self, buffers: Sequence[bytes], **said: Any) -> None:
        """A file for the page that asked for it."""
        self.send({"kind": "exported", **said}, list(buffers))
