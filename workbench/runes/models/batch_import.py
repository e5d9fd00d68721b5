"""`batch-import`: a batch from a file, checked and kept by the hub under its own name."""

from __future__ import annotations

from pathlib import Path

from workbench.core.model import Context, Result, model
from workbench.runes.batch import batch_header, load_batch


@model(name="batch-import", version="1.0", title="Keep a batch (batch-import)")
def batch_import(context: Context, batch: Path) -> Result:
    """Checks a batch file, every value of it, and keeps its tables for questions and SQL."""
    context.progress(0, 1, "reading the batch")
    read = load_batch(batch, rune_limit=context.rune_limit)
    data = {"batch": batch_header(read), "rows": read.rows()}
    return Result(data=data, batch=read.id, tables=dict(read.tables))
