"""show_workbench(): the page of the workbench, panel by panel."""

from __future__ import annotations

import ipywidgets

from workbench.boards.chat import show_chat
from workbench.boards.mesh import show_mesh

COLUMNS = "repeat(auto-fit, minmax(min(640px, 100%), 1fr))"
"""As many panels side by side as the page has room for; one below the other on a phone."""


def show_workbench() -> ipywidgets.GridBox:
    """The workbench page: the mesh submitter, and the chat console beside it."""
    layout = ipywidgets.Layout(
        grid_template_columns=COLUMNS, grid_gap="32px", width="100%", overflow="visible"
    )
    return ipywidgets.GridBox([show_mesh(), show_chat()], layout=layout)
