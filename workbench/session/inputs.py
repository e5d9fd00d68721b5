"""Which inputs of an earlier run are no longer what they were."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workbench.runes.records import file_digest
from workbench.session.snapshots import Record
from workbench.session.surroundings import code_cells

_QUOTED = re.compile(r"""(["'])([^"'\n]{1,1000})\1""")


def no_longer_same(before: Record, folder: Path, notebook: Mapping[str, Any]) -> list[str]:
    """The names of files that changed or went since. A record keeps no paths: only an input that
    the parameters or the code name in quotes can be looked for."""
    said = list(_said(before, notebook))
    found = []
    for each in before.inputs:
        paths = [folder / path for path in said if Path(path).name == each.name]
        digests = {_digest(path) for path in paths if not path.is_dir()}
        if each.sha256 is not None and digests and each.sha256 not in digests:
            found.append(each.name)
    return sorted(set(found))


def _said(before: Record, notebook: Mapping[str, Any]) -> Iterator[str]:
    """Every text that may be a path."""
    yield from (each for each in before.parameters.values() if isinstance(each, str))
    for cell in code_cells(notebook):
        for found in _QUOTED.finditer("".join(cell["source"])):
            yield found[2]


def _digest(path: Path) -> str | None:
    try:
        return file_digest(path)
    except OSError:
        return None
