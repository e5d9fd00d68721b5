"""`neuro-embed`: a vector for each rune, for search, maps and nearest neighbours.

Two blocks of equal weight, what a rune does (the features of every family, brought to one
scale) and what it is called (hashed runs of two to four letters), reduced together by a
truncated singular value decomposition. The reference page states each step.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from workbench.core.model import Context, Result, model
from workbench.runes.models.devices import wish_mb


@model(
    name="neuro-embed",
    version="1.1",
    title="Vectors for search and maps (neuro-embed)",
    gpu_wish_mb=wish_mb(),
)
def neuro_embed(
    context: Context,
    *,
    embeddingDimension: Annotated[
        Literal[64, 128, 256, 512],
        Meta(title="Dimensions", description="How many numbers the vector of each rune has."),
    ] = 128,
    includeMetadata: Annotated[
        bool, Meta(title="Include metadata", description="Give each rune's features, too.")
    ] = True,
    normalization: Annotated[
        Literal["l1", "l2", "none"],
        Meta(
            title="Normalization",
            description="l2: every vector has length 1; l1: its absolute values add up to 1.",
        ),
    ] = "l2",
    outputFormat: Annotated[
        Literal["json", "vector_db", "csv"],
        Meta(
            title="Output format",
            description="vector_db: points with an id and a payload, as vector databases take.",
        ),
    ] = "json",
) -> Result:
    """Gives each rune a vector, its nearest neighbours and a place on a map."""
    context.progress(0, 1, "starting the analysis")  # the import alone may take seconds
    # A hub reads this signature at its start; only the process that runs it needs scikit-learn.
    from workbench.runes.models.embed_analysis import embed

    return embed(
        context,
        dimension=embeddingDimension,
        metadata=includeMetadata,
        normalization=normalization,
        output_format=outputFormat,
    )
