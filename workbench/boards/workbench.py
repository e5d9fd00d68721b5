"""show_workbench(): the page of the workbench, panel by panel."""

from __future__ import annotations

from typing import Any

from workbench.boards.mesh import show_mesh


def show_workbench() -> Any:
    """The workbench page. Its one panel so far is the mesh submitter."""
    return show_mesh()
