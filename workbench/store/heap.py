"""Gives back to the system what the C library holds free.

By itself it does so only at the end of a heap, and each checkpoint leaves holes in several.
"""

from __future__ import annotations

import ctypes
from typing import Any


def _found() -> Any:
    """glibc's `malloc_trim`; None where the C library is another."""
    try:
        return ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return None


_trim = _found()


def trim() -> None:
    """Takes some milliseconds, in which other threads go on."""
    if _trim is not None:
        _trim(0)
