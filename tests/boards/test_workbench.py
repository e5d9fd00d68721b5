"""The page of the workbench as a kernel holds it: what JupyterLab asks it for after a reload."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import ipywidgets
import pytest

from workbench.boards.workbench import arranged
from workbench.widgets.link import LinkedWidget


@pytest.fixture
def panels() -> Iterator[list[LinkedWidget]]:
    panels = [LinkedWidget() for _ in range(4)]
    yield panels
    for panel in panels:
        panel.close()


def restored() -> dict[str, Any]:
    """Every widget of this kernel, as JupyterLab asks for them when a page is opened."""
    state: dict[str, Any] = ipywidgets.Widget.get_manager_state()["state"]
    return state


def test_a_page_is_restored_without_a_panel_that_was_replaced(panels: list[LinkedWidget]) -> None:
    page = arranged(panels[:2], panels[2:])
    head, beside = page.children[:2]
    panels[1].close()
    assert beside.children == (panels[0],)
    assert beside.model_id in restored()
    panels[3].close()
    assert page.children == (head, beside, panels[2])
    assert page.model_id in restored()


def test_nothing_of_a_page_is_restored_once_all_its_panels_were_replaced(
    panels: list[LinkedWidget],
) -> None:
    page = arranged(panels[:2], panels[2:])
    head, beside = page.children[:2]
    parts = {part.model_id for box in (page, beside) for part in (box, box.layout)} | {
        head.model_id
    }
    assert parts <= set(restored())
    for panel in panels:
        panel.close()
    assert not parts & set(restored())


def test_a_readers_own_box_around_a_replaced_panel_keeps_no_other_from_being_restored(
    panels: list[LinkedWidget],
) -> None:
    own = ipywidgets.VBox(panels[:2])
    panels[0].close()
    assert {own.model_id, panels[1].model_id} <= set(restored())
    own.close()
