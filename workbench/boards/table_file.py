"""A table as a file for the browser: CSV, or Parquet where nothing may be lost."""

from __future__ import annotations

import io
from typing import Any, Literal, NamedTuple

MEDIA_TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}

Format = Literal["csv", "parquet"]


class Exported(NamedTuple):
    """A file for the browser."""

    name: str
    media_type: str
    content: bytes


def table_file(stem: str, table: Any, format: Format) -> Exported:
    """A pyarrow.Table as `<stem>.<format>`. It takes a while: off the loop."""
    return Exported(f"{stem}.{format}", MEDIA_TYPES[format], _written(table, format))


def _written(table: Any, format: Format) -> bytes:
    target = io.BytesIO()
    if format == "csv":
        from pyarrow import csv

        csv.write_csv(table, target)
    else:
        from pyarrow import parquet

        parquet.write_table(table, target, compression="zstd")
    return target.getvalue()
