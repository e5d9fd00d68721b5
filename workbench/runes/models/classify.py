"""`rune-classifier`: sorts runes into the categories of a published table, and says why.

Each category is a rule of conditions over facts of the batch; classify_rules.py holds the
table and docs/reference/models.md publishes it.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from workbench.core.model import Context, Result, model
from workbench.runes.models.classify_rules import CustomCategory


@model(name="rune-classifier", version="1.0", title="Runes by category (rune-classifier)")
def rune_classifier(
    context: Context,
    *,
    classificationDepth: Annotated[
        Literal["basic", "standard", "detailed"],
        Meta(
            title="Depth",
            description="basic: how it was given out; standard: and how it is minted; detailed: "
            "and who holds it.",
        ),
    ] = "standard",
    customCategories: Annotated[
        Annotated[list[CustomCategory], Meta(max_length=20)] | None,
        Meta(
            title="Categories of your own",
            description="Each a name and conditions over the rules' facts; they go first.",
        ),
    ] = None,
    confidenceThreshold: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            title="Confidence threshold",
            description="A rune whose best score is lower stays without a category.",
        ),
    ] = 0.75,
    includeTrends: Annotated[
        bool, Meta(title="Include trends", description="How busy each category was over time.")
    ] = True,
    outputFormat: Annotated[
        Literal["categories", "scores", "matrix"], Meta(title="Output format")
    ] = "categories",
) -> Result:
    """Sorts the runes of a batch into categories, each with the rule that fired and its score."""
    context.progress(0, 1, "starting the analysis")  # the import alone may take seconds
    # A hub reads this signature at its start; only the process that runs it needs pandas.
    from workbench.runes.models.classify_analysis import classify

    return classify(
        context,
        depth=classificationDepth,
        own=customCategories or [],
        threshold=confidenceThreshold,
        trends=includeTrends,
        output_format=outputFormat,
    )
