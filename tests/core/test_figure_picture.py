"""A still picture of a figure: what a reader sees where no renderer of Plotly is."""

from __future__ import annotations

import xml.etree.ElementTree as xml
from typing import Any

import pytest

from workbench.core.figure import Figure
from workbench.core.figure_picture import picture

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*traces: dict[str, Any], **layout: Any) -> xml.Element:
    """The picture, which is well-formed."""
    return xml.fromstring(picture({"data": [*traces], "layout": layout}))


def sizes(svg: xml.Element, side: str) -> list[float]:
    """Of the bars; what stands before names is 11 wide and high."""
    rects = [one for one in svg.iter(f"{SVG}rect") if one.get("height") != "11"]
    return [float(str(one.get(side))) for one in rects]


def said(svg: xml.Element) -> list[str]:
    return [one.text or "" for one in svg.iter(f"{SVG}text")]


def test_bars_are_as_high_as_their_values_and_stand_over_their_names() -> None:
    bar = {"type": "bar", "name": "holders", "x": ["a", "b", "c"], "y": [10, 5, None]}
    svg = drawn(bar, title={"text": "Who & what"}, yaxis={"title": {"text": "count"}})
    high, low = sizes(svg, "height")
    assert high == pytest.approx(2 * low, abs=0.2)
    words = said(svg)
    assert words[0] == "Who & what" == svg.get("aria-label")
    assert {"a", "b", "count", "10", "0"} <= {*words}


def test_lying_bars_are_stacked_one_behind_the_other() -> None:
    part = {"type": "bar", "orientation": "h", "y": ["HELD•RUNE"]}
    parts = [{**part, "name": name, "x": [x]} for name, x in (("held", 75), ("burned", 25))]
    svg = drawn(*parts, barmode="stack")
    wide, narrow = sizes(svg, "width")
    assert wide == pytest.approx(3 * narrow, abs=0.3)
    [first, second] = sizes(svg, "x")
    assert second == pytest.approx(first + wide, abs=0.2)
    assert {"held", "burned", "HELD•RUNE"} <= {*said(svg)}


def test_lines_and_points_lie_over_their_places_each_on_its_own_axis() -> None:
    line = {"type": "scatter", "mode": "lines+markers", "x": [1, 2, 4]}
    svg = drawn(
        {**line, "name": "taken", "y": [0, 1, 2]},
        {**line, "name": "open", "y": [900_000, 800_000, 0], "yaxis": "y2"},
        yaxis2={"tickformat": "d"},
        yaxis={"tickformat": ".1%"},
    )
    assert len([*svg.iter(f"{SVG}polyline")]) == 2
    places = [float(str(one.get("cx"))) for one in svg.iter(f"{SVG}circle")]
    assert places[2] - places[1] == pytest.approx(2 * (places[1] - places[0]), abs=0.3)
    assert {"800000", "100 %"} <= {*said(svg)}


def heights(svg: xml.Element, *names: str) -> list[float]:
    places = {one.text: float(str(one.get("y"))) for one in svg.iter(f"{SVG}text")}
    return [places[name] for name in names]


def test_the_first_of_lying_bars_is_where_plotly_draws_it() -> None:
    bar = {"type": "bar", "orientation": "h", "y": ["first", "last"], "x": [1, 2]}
    first, last = heights(drawn(bar), "first", "last")
    assert first > last
    first, last = heights(drawn(bar, yaxis={"autorange": "reversed"}), "first", "last")
    assert first < last


def test_a_long_name_in_capitals_has_its_room() -> None:
    name = "LANTERN•GARDEN•WWVIOLET"
    svg = drawn({"type": "bar", "orientation": "h", "y": [name], "x": [1]})
    [end] = [float(str(one.get("x"))) for one in svg.iter(f"{SVG}text") if one.text == name]
    assert end > 8 * len(name)


def test_a_cloud_of_points_is_drawn_however_plotly_would_paint_it() -> None:
    cloud = {"type": "scattergl", "mode": "markers", "x": [0.5, -1.5], "y": [1.0, 2.0]}
    assert len([*drawn(cloud).iter(f"{SVG}circle")]) == 2


@pytest.mark.parametrize(
    "traces",
    [
        [],
        [{"type": "bar", "x": [], "y": []}],
        [{"type": "heatmap", "z": [[1]]}],
        [{"type": "bar", "x": ["a"], "y": [1]}, {"type": "pie", "values": [1]}],
        [{"type": "scatter", "x": list(range(9000)), "y": [1] * 9000}],
        [{"type": "bar", "x": ["a"], "y": [float("nan")]}],
    ],
)
def test_of_what_it_cannot_draw_there_is_no_picture_but_the_table(traces: list[Any]) -> None:
    figure = Figure(data=traces, layout={})
    assert picture(figure) == ""
    assert figure._repr_html_().startswith("<table>")


def test_one_point_and_equal_values_are_drawn_too() -> None:
    for values in ([0], [7], [-3], [5, 5]):
        points = {"type": "scatter", "x": [840_000] * len(values), "y": values}
        assert len([*drawn(points).iter(f"{SVG}circle")]) == len(values)


def test_a_notebook_as_html_shows_it_without_a_script_or_a_network() -> None:
    """nbconvert takes the HTML of a figure, since it knows no Plotly."""
    evil = "<script>alert(1)</script>"
    bar = {"type": "bar", "name": evil, "x": [evil], "y": [1]}
    html = Figure(data=[bar, bar], layout={"title": {"text": evil}})._repr_html_()
    assert html.startswith("<svg") and "<table>" in html
    assert "<script" not in html
    assert "http" not in html.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert len(html) < 10_000


def test_whole_numbers_have_no_ticks_between_them() -> None:
    bar = {"type": "bar", "name": "names", "x": [1263, 1264], "y": [1, 2]}
    svg = drawn(bar, xaxis={"tickformat": "d"}, yaxis={"tickformat": ",d"})
    assert list(filter(None, said(svg))) == ["1263", "1264", "0", "1", "2"]
