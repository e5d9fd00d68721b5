"""The version of the code that this process runs, read once: pip may put another beside it."""

from __future__ import annotations

from importlib.metadata import version

VERSION = version("runes-workbench")
