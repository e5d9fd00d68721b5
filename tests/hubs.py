"""A real hub in this process, on free ports: `async with running_hub(tmp_path) as hub`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from tests.hub_process import MODELS
from workbench.serve import Hub
from workbench.settings import load_settings


@contextlib.contextmanager
def _test_models_installed() -> Any:
    """The models `steady` and `once` are found as a user's own, here and in the children."""
    before = os.environ.get("PYTHONPATH")
    sys.path.insert(0, str(MODELS))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(MODELS), before)))
    try:
        yield
    finally:
        sys.path.remove(str(MODELS))
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


@contextlib.asynccontextmanager
async def running_hub(data: Path, **settings: Any) -> AsyncIterator[Hub]:
    """A started hub: `hub.ws_url`, `hub.mesh_url`, `hub.token`, `hub.urls()` (with the token).

    `settings` are those of `workbench.settings`; the ports are free ones unless given.
    """
    given = {"ws_port": 0, "mesh_port": 0, "slots": 1, **settings}
    with _test_models_installed():
        async with Hub(load_settings(data=data, **given)) as hub:
            yield hub
