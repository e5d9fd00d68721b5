"""The notebook around a board: its variables, and a word after each cell that ran."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

Names = Callable[[], Mapping[str, Any]]


class Notebook:
    """The variables of this process's IPython, as they are now; `ran` is called after each
    cell. Without IPython, or with `names` given, there are those and no word."""

    def __init__(self, names: Names | None, ran: Callable[[], None]) -> None:
        self._names = names
        self._ran = ran
        ipython = sys.modules.get("IPython")
        self._shell: Any = ipython.get_ipython() if ipython is not None else None
        if self._shell is not None:
            self._shell.events.register("post_run_cell", self._cell_ran)

    @property
    def names(self) -> Mapping[str, Any]:
        if self._names is not None:
            return self._names()
        return self._shell.user_ns if self._shell is not None else {}

    def close(self) -> None:
        """No further word."""
        if self._shell is not None:
            with contextlib.suppress(ValueError):
                self._shell.events.unregister("post_run_cell", self._cell_ran)
            self._shell = None

    def _cell_ran(self, _result: Any) -> None:
        self._ran()
