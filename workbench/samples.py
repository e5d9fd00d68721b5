"""The samples of the project, placed into a data folder that has none yet."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

NAME = "samples"
PACKAGE = Path(__file__).parent
SOURCES = (PACKAGE.parent / "data" / NAME, PACKAGE / "data" / NAME)
"""In a clone; in an installed package: in both as the notebooks beside it name them."""

log = logging.getLogger("workbench.samples")


def place_samples(data: Path, sources: tuple[Path, ...] = SOURCES) -> None:
    """Copy them to `data/samples`, all or none. A folder of that name is left as it is, so that
    whoever wants no samples empties it; without room for them a hub starts all the same."""
    target = data / NAME
    source = next((place for place in sources if place.is_dir()), None)
    if source is None or target.exists():
        return
    unfinished = data / f".{NAME}.{os.getpid()}"
    try:
        shutil.copytree(source, unfinished)
        unfinished.rename(target)
    except OSError as error:
        log.warning("samples.not_placed folder=%s reason=%s", data, error.strerror or error)
        shutil.rmtree(unfinished, ignore_errors=True)
