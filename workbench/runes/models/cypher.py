"""`cypher-v1`: which runes are alike, which are rare, which behave oddly, and why.

Features are brought to one scale (log10 for heavy tails, then standard deviations for
likeness, median and quartiles for oddness). Clusters come from scikit-learn. The anomaly
score is an isolation forest's, put on 0 to 1 by its modified z-score (3.5 gives 0.85); a
feature drives it by as much as the score falls when that feature takes its median. Rarity
is information content: the sum over features of -log2 of the share of runes in the same
decile.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from workbench.core.model import Context, Result, model


@model(name="cypher-v1", version="1.1", title="Alike, rare and odd runes (cypher-v1)")
def cypher_v1(
    context: Context,
    *,
    analysisDepth: Annotated[
        int,
        Meta(
            ge=1,
            le=5,
            title="Analysis depth",
            description="Feature families used: terms, mints, transfers, holders, history.",
        ),
    ] = 3,
    includeHistorical: Annotated[
        bool, Meta(title="Include history", description="Use when a rune was active.")
    ] = True,
    clusteringMethod: Annotated[
        Literal["kmeans", "dbscan", "hierarchical"], Meta(title="Clustering method")
    ] = "kmeans",
    anomalyThreshold: Annotated[
        float,
        Meta(ge=0, le=1, title="Anomaly threshold", description="Flag runes from this score on."),
    ] = 0.85,
    outputFormat: Annotated[
        Literal["full", "summary", "compact"], Meta(title="Output format")
    ] = "full",
) -> Result:
    """Groups the runes of a batch, ranks their rarity and names the odd ones with the reasons."""
    context.progress(0, 1, "starting the analysis")  # the import alone may take seconds
    # A hub reads this signature at its start; only the process that runs it needs scikit-learn.
    from workbench.runes.models.cypher_analysis import analyse

    return analyse(
        context,
        depth=analysisDepth,
        include_historical=includeHistorical,
        method=clusteringMethod,
        threshold=anomalyThreshold,
        output_format=outputFormat,
    )
