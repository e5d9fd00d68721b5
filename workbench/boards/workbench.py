"""show_workbench(): the page of the workbench, panel by panel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import ipywidgets

from workbench.boards.chat import show_chat
from workbench.boards.gpu import show_gpus
from workbench.boards.mesh import show_mesh
from workbench.boards.models import show_models
from workbench.boards.runes import show_runes

COLUMNS = "repeat(auto-fit, minmax(min(640px, 100%), 1fr))"
"""As many panels side by side as the page has room for; one below the other on a phone."""


def show_workbench() -> ipywidgets.VBox:
    """The workbench page: the mesh submitter, the chat console beside it, the questions about
    batches, the metrics and the models below."""
    return arranged([show_mesh(), show_chat()], [show_runes(), show_gpus(), show_models()])


def arranged(
    beside: Sequence[ipywidgets.DOMWidget], below: Sequence[ipywidgets.DOMWidget]
) -> ipywidgets.VBox:
    """Panels beside each other where there is room, and others below them. The page lets go of
    a panel that is closed, and closes with its last."""
    layout = ipywidgets.Layout(
        grid_template_columns=COLUMNS, grid_gap="32px", width="100%", overflow="visible"
    )
    first = holding(ipywidgets.GridBox(beside, layout=layout))
    layout = ipywidgets.Layout(grid_gap="32px", overflow="visible")
    return holding(ipywidgets.VBox([first, *below], layout=layout))


def holding(box: ipywidgets.Box) -> ipywidgets.Box:
    """A box that is left open around closed panels would be restored with each page of this
    kernel, without an end."""
    for panel in box.children:
        panel.observe(partial(_let_go, box), "comm")
    return box


def _let_go(box: ipywidgets.Box, change: Mapping[str, Any]) -> None:
    if change["new"] is not None or box.comm is None:
        return
    box.children = [panel for panel in box.children if panel is not change["owner"]]
    if not box.children:
        box.close()
        box.layout.close()
