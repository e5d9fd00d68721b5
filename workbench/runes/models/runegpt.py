"""`runegpt-v2`: what a batch shows, in words, and where its activity is heading.

Every number is computed here; a language model, where one is at hand, only finds the words,
and each number in them is held against the computed ones. The reference page has every
formula.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from workbench.core.model import Context, Result, model


@model(name="runegpt-v2", version="1.1", title="A report and a forecast (runegpt-v2)")
def runegpt_v2(
    context: Context,
    *,
    predictionHorizon: Annotated[
        int,
        Meta(
            ge=1,
            le=30,
            title="Horizon (days)",
            description="How far to look ahead; the batch's history must be twice as long.",
        ),
    ] = 14,
    confidenceInterval: Annotated[
        float,
        Meta(
            gt=0,
            lt=1,
            title="Confidence",
            description="The share of what may come that the interval is to hold.",
        ),
    ] = 0.95,
    scenarioAnalysis: Annotated[
        Literal["bull", "bear", "sideways"] | None,
        Meta(
            title="Scenario",
            description="bull and bear: the upper and the lower fifth of what may come; "
            "sideways: as the last season was.",
        ),
    ] = None,
    outputFormat: Annotated[
        Literal["report", "data", "visualization"], Meta(title="Output format")
    ] = "report",
    language: Annotated[
        Literal["pt_BR", "en_US", "es_ES"], Meta(title="Language of the report")
    ] = "en_US",
) -> Result:
    """Tells in words what a batch shows, and forecasts its activity with a backtest of its own."""
    context.progress(0, 1, "starting the analysis")  # the import alone may take seconds
    # A hub reads this signature at its start; only the process that runs it needs statsmodels.
    from workbench.runes.models.runegpt_analysis import tell

    return tell(
        context,
        horizon_days=predictionHorizon,
        confidence=confidenceInterval,
        scenario=scenarioAnalysis,
        output_format=outputFormat,
        language=language,
    )
