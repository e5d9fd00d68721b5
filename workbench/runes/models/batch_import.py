"""`batch-import`: a batch from a file, checked and kept by the hub under its own name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta

from workbench.core.model import Context, Result, model
from workbench.runes.batch import batch_header, limited, load_batch
from workbench.runes.packing import NoBatch
from workbench.runes.reading import Asked, read


@model(name="batch-import", version="1.1", title="Keep a batch (batch-import)")
def batch_import(
    context: Context,
    batch: Path,
    *,
    producer: Annotated[
        str | None,
        Meta(title="Producer", description="Of an export that two producers could have written."),
    ] = None,
    rune: Annotated[
        str | None,
        Meta(title="Rune", description="Of an export that does not say it: the id, 840000:3."),
    ] = None,
    height: Annotated[
        int | None,
        Meta(title="Height", description="Of an export: the block at which it was made."),
    ] = None,
) -> Result:
    """Checks a batch file, or a producer's export as runes.read takes it, every value of it, and
    keeps its tables for questions and SQL."""
    context.progress(0, 1, "reading the batch")
    asked = Asked(producer, None, rune, height, None)
    try:
        kept = asked.of(load_batch(batch, rune_limit=context.rune_limit))
    except NoBatch:
        told = read(batch, producer=producer, rune=rune, height=height)
        kept = limited(told, context.rune_limit)
    data = {"batch": batch_header(kept), "rows": kept.rows()}
    return Result(data=data, batch=kept.id, tables=dict(kept.tables))
