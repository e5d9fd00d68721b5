"""The installed package under another version: what an upgrade of tomorrow meets."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from tests.hub_process import MODELS


def old_package(folder: Path, version: str) -> str:
    """A PYTHONPATH with which our code says that it is of `version`."""
    ours = importlib.metadata.distribution("runes-workbench")
    place = folder / f"runes_workbench-{version}.dist-info"
    place.mkdir()
    about = (ours.read_text("METADATA") or "").replace(f"Version: {ours.version}", "", 1)
    (place / "METADATA").write_text(f"Version: {version}\n{about.lstrip()}")
    (place / "entry_points.txt").write_text(ours.read_text("entry_points.txt") or "")
    return f"{folder}:{MODELS}"
