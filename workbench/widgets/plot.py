"""The plot panel: one Plotly figure in the page's theme and language, fed with float32 points."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from typing import Any

import traitlets

from workbench.widgets.bundle import script, style
from workbench.widgets.link import LinkedWidget
from workbench.widgets.plotly import plotly_version


class PlotPanel(LinkedWidget):
    """Draws `figure`: `{"data": [...], "layout": {...}}` as plain JSON, or a Plotly figure.

    Titles, axis titles and trace names are English templates; the page translates them.
    """

    _esm = script("plot.js")
    _css = style("base.css", "mesh.css")

    figure = traitlets.Dict().tag(sync=True)
    keep_points = traitlets.Int(3600, help="points that a trace keeps while it streams").tag(
        sync=True
    )
    plotly_version = traitlets.Unicode(read_only=True).tag(sync=True)

    def __init__(self, figure: Any = None, **traits: Any) -> None:
        super().__init__(figure=plain_figure(figure or {}), **traits)
        self.set_trait("plotly_version", plotly_version())

    def show(self, figure: Any) -> None:
        """Another figure in the place of this one."""
        self.figure = plain_figure(figure)

    def extend(self, trace: int, x: Iterable[float], y: Iterable[float]) -> None:
        """Add points to a trace. They travel as float32, and only while a page looks."""
        if self.watched:
            points = [array("f", x).tobytes(), array("f", y).tobytes()]
            self.send({"kind": "extend", "trace": trace}, points)


def plain_figure(figure: Any) -> dict[str, Any]:
    """A figure as JSON-ready dictionaries, whatever made it."""
    if isinstance(figure, Mapping):
        return dict(figure)
    plain: dict[str, Any] = figure.to_plotly_json()
    return plain
