"""For the length of a test this process draws in another language."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import workbench


@contextlib.contextmanager
def speaking(language: str) -> Iterator[None]:
    """Then English again."""
    workbench.language(language)
    try:
        yield
    finally:
        workbench.language("en")
