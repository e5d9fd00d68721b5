"""Safetensors in the models folder: kept for other programs, no back end of ours loads them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from workbench.core.cards import Card
from workbench.core.downloads import SUFFIXES

ID = "safetensors"
DEPTH = 5
MOST = 500


def found(folder: Path) -> dict[str, list[Path]]:
    """The files of each model, by ids such as `org/name/safetensors`: what stands in a folder that
    holds weights. A few levels deep, and no folder behind a link."""
    models: dict[str, list[Path]] = {}
    for place, folders, names in os.walk(folder):
        at = Path(place).relative_to(folder)
        if len(at.parts) >= DEPTH or len(models) >= MOST:
            folders.clear()
        if at.parts and any(name.endswith(".safetensors") for name in names):
            models[(at / ID).as_posix()] = _files(Path(place), names)
    return models


def _files(place: Path, names: Sequence[str]) -> list[Path]:
    """Beside a GGUF file only the weights: the rest may be its."""
    mixed = any(name.endswith(".gguf") for name in names)
    suffixes = (".safetensors",) if mixed else SUFFIXES
    files = [place / name for name in sorted(names) if name.endswith(suffixes)]
    return [file for file in files if file.is_file()]


def cards(folder: Path, owner: str) -> list[Card]:
    """A card for each, of its size and its place."""
    return [
        Card(
            id=id_,
            state="on-disk",
            owner=owner,
            title=files[0].parent.name,
            place=str(files[0].parent),
            size_bytes=sum(file.stat().st_size for file in files),
            files=tuple(file.name for file in files),
        )
        for id_, files in found(folder).items()
        if files
    ]
