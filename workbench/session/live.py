"""Drawn live in a notebook: a widget, with a picture of the moment for whoever has no kernel."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from workbench.core import markup


def in_notebook() -> bool:
    """Whether a kernel runs this, on whose loop a widget can live."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if getattr(shell, "kernel", None) is None:
        return False
    with contextlib.suppress(RuntimeError):
        return asyncio.get_running_loop().is_running()
    return False


def displayed(drawn: markup.Drawable, widget: Callable[[], Any], below: Sequence[Any] = ()) -> None:
    """Draw it below the cell: live, or where no kernel runs as it is now, and `below` it what
    the live one has in itself."""
    from IPython.display import display

    bundle: dict[str, Any] = markup.bundle(drawn, lasting="")
    live = in_notebook()
    if live:
        view = widget()._repr_mimebundle_()
        bundle = {**(view[0] if isinstance(view, tuple) else view), **bundle}
    display(bundle, raw=True)  # type: ignore[no-untyped-call]
    for each in () if live else below:
        display(each)  # type: ignore[no-untyped-call]
