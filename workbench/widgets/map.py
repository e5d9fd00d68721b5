"""Many tasks of one model as a widget: one bar for all, counts, and the failures."""

from __future__ import annotations

from typing import Any

import traitlets

from workbench.widgets.bundle import script, style
from workbench.widgets.link import LinkedWidget

SHOWN_FAILURES = 100


class MapWidget(LinkedWidget):
    """Draws three small traits. Intents: again, cancel."""

    _esm = script("map.js")
    _css = style("base.css", "mesh.css")

    title = traitlets.Unicode().tag(sync=True)
    counts: Any = traitlets.Dict(
        help="{total, done, failed, cancelled, running, waiting, left: s or None, elapsed: s}"
    ).tag(sync=True)
    failures: Any = traitlets.List(
        help=f"[{{batch, taskId, state, error}}], the first {SHOWN_FAILURES}"
    ).tag(sync=True)
    problem: Any = traitlets.Dict(
        allow_none=True, default_value=None, help="a sentence, with a remedy"
    ).tag(sync=True)
