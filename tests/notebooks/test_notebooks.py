"""Each notebook runs from top to bottom against a real hub, twice with the same numbers."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent.parent.parent / "notebooks"


def executed(path: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Any:
    import nbclient  # takes seconds, and every process that collects tests would pay them
    import nbformat

    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.read(path, as_version=4)
    client = nbclient.NotebookClient(
        notebook, timeout=100, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}}
    )
    client.execute()
    return notebook


def texts(notebook: Any) -> list[str]:
    """What a reader sees of the results, without what differs from run to run."""
    seen = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            text = output.get("data", {}).get("text/html", "") + output.get("text", "")
            seen.append(
                re.sub(r"\d+([.,]\d+)? m?s\b|task-[\w-]+|\d{4}-\d\d-\d\d[ T][\d:.]+", "", text)
            )
    return seen


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.name)
def test_a_notebook_runs_without_an_error(
    path: Path, monkeypatch: pytest.MonkeyPatch, hub_environment: dict[str, str]
) -> None:
    notebook = executed(path, monkeypatch, hub_environment)
    assert not [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output["output_type"] == "error" or output.get("name") == "stderr"
    ]
    assert any(cell.get("outputs") for cell in notebook.cells)


def test_the_analysis_gives_the_same_numbers_again(
    monkeypatch: pytest.MonkeyPatch, hub_environment: dict[str, str]
) -> None:
    path = FOLDER / "first-batch.ipynb"
    first = texts(executed(path, monkeypatch, hub_environment))
    assert first == texts(executed(path, monkeypatch, hub_environment))
