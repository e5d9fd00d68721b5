"""Reads the small files in which the kernel tells numbers. What cannot be read is None."""

from __future__ import annotations

import os

SIZE = 16_384
"""The kernel gives most of these files at once and within a page of 4,096 bytes."""

Place = str | os.PathLike[str]


def content(file: Place) -> bytes:
    """The file as it is, opened for each reading: one kept open goes stale with its device.

    Raises OSError.
    """
    opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(opened, SIZE)
    finally:
        os.close(opened)


def text(file: Place) -> str | None:
    """The file without the white space around it; None also where it is empty."""
    try:
        return content(file).decode("ascii", "replace").strip() or None
    except OSError:
        return None


def number(file: Place, scale: float = 1.0) -> float | None:
    """The only number of the file, divided by `scale`; None also where a word stands there."""
    try:
        return int(content(file)) / scale
    except (OSError, ValueError):
        return None


def names(folder: Place) -> list[str]:
    """What the folder holds; nothing where it cannot be read."""
    try:
        with os.scandir(folder) as found:
            return [each.name for each in found]
    except OSError:
        return []
