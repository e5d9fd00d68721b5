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
from workbench.widgets.head import PageHead

COLUMNS = "repeat(auto-fit, minmax(min(640px, 100%), 1fr))"
"""As many panels side by side as the page has room for; one below the other on a phone."""


PANELS = ("mesh", "chat", "runes", "gpus", "models")
"""As the page has them from the top down, and as its head links to them."""


def show_workbench() -> ipywidgets.VBox:
    """The workbench page: the mesh submitter, the chat console beside it, the questions about
    batches, the metrics and the models below; above all a line of links to them."""
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
    page = ipywidgets.VBox([first, *below], layout=layout)
    page.add_class("wb-page")
    return holding(page, PageHead(panels=list(PANELS)))


def holding(box: ipywidgets.Box, head: PageHead | None = None) -> ipywidgets.Box:
    """A box that is left open around closed panels would be restored with each page of this
    kernel, without an end. A head above them closes with it."""
    for panel in box.children:
        panel.observe(partial(_let_go, box, head), "comm")
    if head is not None:
        box.children = (head, *box.children)
    return box


def _let_go(box: ipywidgets.Box, head: PageHead | None, change: Mapping[str, Any]) -> None:
    if change["new"] is not None or box.comm is None:
        return
    panels = [one for one in box.children if one not in (head, change["owner"])]
    if panels:
        box.children = panels if head is None else [head, *panels]
        return
    box.children = ()
    if head is not None:
        head.close()
    box.close()
    box.layout.close()
