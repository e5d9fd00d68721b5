"""The work of `runegpt-v2`, from a batch to its report, forecast, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from workbench.core.llm import ModelError, NoModel
from workbench.core.model import Context, Result
from workbench.runes.batch import load_batch
from workbench.runes.history import trust_notes
from workbench.runes.models import runegpt_figures as drawn
from workbench.runes.models.forecast import Forecast, forecast
from workbench.runes.models.report_numbers import Language, Value
from workbench.runes.models.runegpt_facts import EVENTS, facts_of
from workbench.runes.models.runegpt_series import SERIES, Activity, Missing, activity
from workbench.runes.models.runegpt_words import TERMS
from workbench.runes.models.runegpt_writer import (
    Report,
    from_model,
    from_templates,
    without_model,
)
from workbench.runes.models.steps import DIGITS, Steps, rounded

SHOWN = (
    ("extent", "range"),
    ("events", "moves", "transfers"),
    "top_rune",
    "receivers",
    "fees",
    "cenotaphs",
    "change",
)
AHEAD = ("forecast", "interval")
QUANTILES = {"bull": 0.8, "bear": 0.2}


def tell(
    context: Context,
    *,
    horizon_days: int,
    confidence: float,
    scenario: str | None,
    output_format: str,
    language: Language,
) -> Result:
    """One run: see `runegpt_v2` for the parameters."""
    steps = Steps(context, 2 + len(SERIES))
    batch = load_batch(context.inputs["batch"], rune_limit=context.rune_limit)
    context.log("the batch holds {runes} runes", runes=len(batch.rune_ids()))
    figures = facts_of(batch)
    steps.finish("figures computed")
    history = activity(batch, horizon_days)
    ahead = _forecasts(history, horizon_days, steps)
    frames = {
        name: _frame(history, one, horizon_days, confidence, scenario, name)
        for name, one in ahead.items()
        if isinstance(history, Activity)
    }
    words, said = _plan(
        figures, history, ahead, frames, horizon_days, confidence, scenario, language
    )
    plain = from_templates(figures, words, language, said)
    report = _written(context, plain, figures, language) if output_format == "report" else plain
    steps.finish("report written")
    whole: dict[str, Any] = {
        "report": " ".join(one.text for one in report.sentences),
        "sentences": [{"text": one.text, "figures": list(one.figures)} for one in report.sentences],
        "generator": report.generator,
        "dropped": report.dropped,
        "language": language,
        "figures": figures,
        "forecast": _document(history, ahead, frames, confidence, scenario),
        "history": _history(history),
    }
    return Result(
        batch=batch.id,
        data={
            **{name: whole[name] for name in FORMATS[output_format]},
            **({"notes": trust_notes(batch.source.trust)} if batch.source.trust else {}),
        },
        tables=_tables(history, frames, figures, report),
        figures=_drawn(history, frames, figures),
    )


FORMATS = {
    "report": ("report", "sentences", "generator", "dropped", "language", "figures", "forecast"),
    "data": ("figures", "forecast", "history"),
    "visualization": ("forecast",),
}


def _forecasts(history: Activity | Missing, horizon_days: int, steps: Steps) -> dict[str, Forecast]:
    """A forecast for each series that ever changes."""
    found: dict[str, Forecast] = {}
    for name in SERIES:
        if isinstance(history, Activity) and history.counts[name].nunique() > 1:
            counts = history.counts[name].to_numpy(dtype=np.float64)
            found[name] = forecast(counts, history.season, history.steps(horizon_days))
        steps.finish("{series} looked ahead", series=name)
    return found


def _frame(
    history: Activity,
    one: Forecast,
    horizon_days: int,
    confidence: float,
    scenario: str | None,
    name: str,
) -> pd.DataFrame:
    """A row an interval ahead: mean, low and high, and the scenario's path where one is chosen."""
    unit = pd.Timedelta(1, unit="D" if history.step == "day" else "h")
    count = history.steps(horizon_days)
    times = pd.date_range(history.counts.index[-1] + unit, periods=count, freq=unit)
    columns = {
        "mean": np.maximum(one.path.mean, 0.0),
        "low": one.path.quantile(0.5 - confidence / 2),
        "high": one.path.quantile(0.5 + confidence / 2),
    }
    if scenario == "sideways":
        level = float(history.counts[name].iloc[-history.season :].mean())
        columns["scenario"] = np.full(count, level)
    elif scenario is not None:
        columns["scenario"] = one.path.quantile(QUANTILES[scenario])
    return pd.DataFrame(columns, index=times).round(DIGITS)


def _plan(
    figures: dict[str, Value],
    history: Activity | Missing,
    ahead: Mapping[str, Forecast],
    frames: Mapping[str, pd.DataFrame],
    horizon_days: int,
    confidence: float,
    scenario: str | None,
    language: Language,
) -> tuple[dict[str, str], list[str | tuple[str, ...]]]:
    """Adds the forecast's figures; gives the words and the sentences that are to be said."""
    if not isinstance(history, Activity) or "events" not in ahead:
        return {}, [*SHOWN, "no_forecast"]
    one, frame, terms = ahead["events"], frames["events"], TERMS[language]
    figures |= {
        "horizon_days": horizon_days,
        "confidence_pct": round(100 * confidence, 2),
        "events_expected": round(float(frame["mean"].sum())),
        "last_low": round(float(frame["low"].iloc[-1])),
        "last_high": round(float(frame["high"].iloc[-1])),
    }
    if one.mase is not None:
        figures["mase"] = round(one.mase, 2)
    if one.skill is not None:
        figures["skill_pct"] = round(100 * one.skill, 2)
    words = {"method": terms[one.method], "step": terms[history.step]}
    said: list[str | tuple[str, ...]]
    said = [*SHOWN, *AHEAD, "no_skill" if one.skill is None else "skill"]
    if scenario is not None:
        words["scenario"] = terms[scenario]
        figures["events_scenario"] = round(float(frame["scenario"].sum()))
        said.append("scenario")
    return words, said


def _written(
    context: Context, plain: Report, figures: Mapping[str, Value], language: Language
) -> Report:
    """A language model's report where one is loaded and answers; else the templates'."""
    try:
        report = from_model(context.generate, plain, figures, language)
    except NoModel:
        return without_model(plain, language)
    except Exception as error:  # it is another program's, and the answer stands without it
        context.log(
            "the report is written from templates, because the language model failed: {reason}",
            level="warning",
            reason=error if isinstance(error, ModelError) else f"{type(error).__name__}: {error}",
        )
        return plain
    if report.dropped:
        context.log(
            "{count} sentences of the language model were dropped, because a number in them is not "
            "true: templates say what they were about",
            level="warning",
            count=report.dropped,
        )
    return report


def _document(
    history: Activity | Missing,
    ahead: Mapping[str, Forecast],
    frames: Mapping[str, pd.DataFrame],
    confidence: float,
    scenario: str | None,
) -> dict[str, Any]:
    if isinstance(history, Missing):
        reason = {"template": history.template, "values": history.values}
        return {"series": [], "reason": reason}
    return {
        "step": history.step,
        "season": history.season,
        "confidence": confidence,
        "scenario": scenario,
        "series": [
            {
                "name": name,
                "method": one.method,
                "mase": None if one.mase is None else rounded(one.mase),
                "maseOfSimple": None if one.mase_simple is None else rounded(one.mase_simple),
                "skill": None if one.skill is None else rounded(one.skill),
                "origins": one.origins,
                "points": _points(frames[name]),
            }
            for name, one in ahead.items()
        ],
    }


def _points(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {"at": f"{time.isoformat()}Z", **{str(name): float(one) for name, one in row.items()}}
        for time, row in frame.iterrows()
        if isinstance(time, pd.Timestamp)
    ]


def _history(history: Activity | Missing) -> list[dict[str, Any]]:
    if isinstance(history, Missing):
        return []
    return [
        {"at": f"{time.isoformat()}Z", **{name: int(row[name]) for name in SERIES}}
        for time, row in history.counts.iterrows()
        if isinstance(time, pd.Timestamp)
    ]


def _tables(
    history: Activity | Missing,
    frames: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Value],
    report: Report,
) -> dict[str, pa.Table]:
    tables = {
        "figures": pa.table(
            {
                "figure": list(figures),
                "value": pa.array(
                    [None if isinstance(one, str) else float(one) for one in figures.values()],
                    pa.float64(),
                ),
                "text": pa.array(
                    [one if isinstance(one, str) else None for one in figures.values()],
                    pa.string(),
                ),
            }
        ),
        "sentences": pa.table(
            {
                "sentence": [one.text for one in report.sentences],
                "figures": pa.array(
                    [list(one.figures) for one in report.sentences], pa.list_(pa.string())
                ),
            }
        ),
    }
    if isinstance(history, Activity):
        past = history.counts.rename_axis("starts_at").reset_index()
        tables["history"] = pa.Table.from_pandas(past, preserve_index=False)
    if frames:
        parts = [frame.assign(series=name) for name, frame in frames.items()]
        coming = pd.concat(parts).rename_axis("starts_at").reset_index()
        tables["forecast"] = pa.Table.from_pandas(coming, preserve_index=False)
    return tables


def _drawn(
    history: Activity | Missing,
    frames: Mapping[str, pd.DataFrame],
    figures: Mapping[str, Value],
) -> list[dict[str, Any]]:
    pictures = [drawn.kinds({name: figures[name] for name in EVENTS if name in figures})]
    if isinstance(history, Activity) and "events" in frames:
        pictures.insert(0, drawn.forecast(history.counts["events"], frames["events"]))
    return pictures
