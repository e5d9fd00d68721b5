"""Where pages get plotly.min.js: from the Jupyter server, else once over the comm; never a CDN."""

from __future__ import annotations

import functools
import gzip
import re
from importlib.util import find_spec
from pathlib import Path


def plotly_folder() -> Path:
    """The folder of the installed plotly package that holds plotly.min.js.

    A Jupyter server that lists it among its `extra_labextensions_path` offers the file to
    every page; plotly itself is not imported, that costs a second.
    """
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("plotly is not installed")
    return Path(spec.origin).parent / "package_data"


@functools.cache
def plotly_version() -> str:
    """The version of plotly.js (not of the Python package), as its first lines state it."""
    with (plotly_folder() / "plotly.min.js").open(encoding="utf-8") as file:
        match = re.search(r"plotly\.js v([\w.-]+)", file.read(200))
    return match[1] if match else "0"


@functools.cache
def packed_plotly() -> bytes:
    """plotly.min.js, gzipped: about 1.4 MB instead of 4.8."""
    return gzip.compress((plotly_folder() / "plotly.min.js").read_bytes(), compresslevel=6)
