"""show_workbench(): the page of the workbench, panel by panel."""

from __future__ import annotations

import ipywidgets

from workbench.boards.chat import show_chat
from workbench.boards.gpu import show_gpus
from workbench.boards.mesh import show_mesh
from workbench.boards.models import show_models

COLUMNS = "repeat(auto-fit, minmax(min(640px, 100%), 1fr))"
"""As many panels side by side as the page has room for; one below the other on a phone."""


def show_workbench() -> ipywidgets.VBox:
    """The workbench page: the mesh submitter, the chat console beside it, the metrics and the
    models below."""
    layout = ipywidgets.Layout(
        grid_template_columns=COLUMNS, grid_gap="32px", width="100%", overflow="visible"
    )
    asking = ipywidgets.GridBox([show_mesh(), show_chat()], layout=layout)
    return ipywidgets.VBox(
        [asking, show_gpus(), show_models()],
        layout=ipywidgets.Layout(grid_gap="32px", overflow="visible"),
    )
