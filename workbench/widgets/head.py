"""The head of the workbench page as a widget: links to its panels, and one choice of language."""

from __future__ import annotations

from typing import Any

import traitlets

from workbench.widgets.bundle import script, style
from workbench.widgets.link import LinkedWidget


class PageHead(LinkedWidget):
    """Draws a link for each of `panels`, in the page's order. Asks nothing of the kernel."""

    _esm = script("head.js")
    _css = style("base.css", "head.css")

    panels: Any = traitlets.List(help="names, as each panel's landmark has it").tag(sync=True)
